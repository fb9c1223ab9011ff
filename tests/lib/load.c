/* load.c - many keep-alive connections driven from one thread by epoll. */
#include "tests/lib/load.h"

#include "tests/t.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "tests/lib/client.h"

enum { HEAD_MAX = 16 * 1024, CHUNK = 256 * 1024, STALL_S = 60 };

struct link {
    int fd;
    bool busy;    /* a request is out */
    bool writing; /* epoll also watches for room */
    const struct buf *request;
    size_t sent;
    double since; /* the moment that its time counts from */
    char head[HEAD_MAX];
    size_t head_len;
    bool in_body;
    size_t body_left;
    int status;
    bool closing; /* the answer says that the connection ends with it */
};

struct times {
    double *values;
    size_t n, room;
};

struct run {
    const struct load *l;
    struct load_result *out;
    struct link *links;
    int epoll;
    size_t planned;
    double start, end, last_answer;
    struct times ok, refused;
    char *chunk;
};

static void times_add(struct times *t, double value)
{
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 1024;
        t->values = mem_grow(t->values, t->room, sizeof *t->values);
    }
    t->values[t->n++] = value;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double quantile(double *values, size_t n, double q)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof *values, by_value);
    size_t i = (size_t)(q * (double)n);
    return values[min_size(i, n - 1)];
}

/* ---- one connection ---- */

static bool link_open(struct run *r, struct link *k, struct err *e)
{
    struct client c = client_to(r->l->port);
    if (!client_connect(&c))
        return err_set(e, ERR_IO, "cannot connect to port %u", r->l->port);
    *k = (struct link){.fd = c.fd};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = k};
    if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, k->fd, &ev) != 0)
        return err_sys(e, "epoll");
    return true;
}

static void watch(struct run *r, struct link *k, bool writing)
{
    if (k->writing == writing)
        return;
    struct epoll_event ev = {.events = EPOLLIN | (writing ? (uint32_t)EPOLLOUT : 0), .data.ptr = k};
    epoll_ctl(r->epoll, EPOLL_CTL_MOD, k->fd, &ev);
    k->writing = writing;
}

/* Sends what the socket takes. */
static void link_push(struct run *r, struct link *k)
{
    while (k->busy && k->sent < k->request->len) {
        ssize_t n = send(k->fd, k->request->data + k->sent, k->request->len - k->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            watch(r, k, errno == EAGAIN || errno == EINTR);
            return; /* other errors show when reading */
        }
        k->sent += (size_t)n;
    }
    watch(r, k, false);
}

static void link_start(struct run *r, struct link *k, double since)
{
    k->request = &r->l->requests[(r->l->first + r->planned) % r->l->n];
    k->busy = true;
    k->in_body = false;
    k->closing = false;
    k->sent = k->head_len = k->body_left = 0;
    k->status = 0;
    k->since = since;
    r->planned++;
    link_push(r, k);
}

static bool more_planned(const struct run *r, double now)
{
    bool stopped = r->l->stop && atomic_load(r->l->stop);
    return !stopped && (r->l->seconds <= 0 || now < r->end) && (r->l->total == 0 || r->planned < r->l->total);
}

static void count_answer(struct run *r, const struct link *k, double now)
{
    struct load_result *o = r->out;
    if (k->status >= 200 && k->status < 300) {
        o->ok++;
        times_add(&r->ok, now - k->since);
    } else if (k->status == 429 || k->status == 503) {
        o->refused++;
        times_add(&r->refused, now - k->since);
    } else {
        o->failed++;
        o->odd_status = k->status;
    }
}

/* The head is complete: status, length of the body. */
static bool parse_head(struct link *k, size_t head_size)
{
    if (sscanf(k->head, "HTTP/1.1 %3d", &k->status) != 1)
        return false;
    for (char *line = strstr(k->head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "content-length:", 15) == 0)
            k->body_left = strtoul(line + 17, NULL, 10);
        if (strncasecmp(line + 2, "connection: close", 17) == 0)
            k->closing = true;
        if (strncasecmp(line + 2, "transfer-encoding:", 18) == 0)
            return false;
    }
    k->in_body = true;
    size_t extra = k->head_len - head_size;
    k->body_left -= min_size(extra, k->body_left);
    return true;
}

/* Takes n received bytes; false when they are no answer. */
static bool link_take(struct link *k, const char *bytes, size_t n)
{
    if (k->in_body) {
        k->body_left -= min_size(n, k->body_left);
        return true;
    }
    size_t room = HEAD_MAX - 1 - k->head_len, part = min_size(n, room);
    memcpy(k->head + k->head_len, bytes, part);
    k->head_len += part;
    k->head[k->head_len] = 0;
    char *end = strstr(k->head, "\r\n\r\n");
    if (!end)
        return part == n;
    size_t head_size = (size_t)(end - k->head) + 4;
    if (!parse_head(k, head_size))
        return false;
    k->body_left -= min_size(n - part, k->body_left);
    return true;
}

/* What happens on a connection after its answer, or its end. */
static bool link_next(struct run *r, struct link *k, bool reopen, struct err *e)
{
    double now = clock_s();
    k->busy = false;
    r->last_answer = now;
    if (reopen) {
        close(k->fd);
        k->fd = -1;
        if (!more_planned(r, now))
            return true; /* nothing more to ask, and the server may be gone */
        if (!link_open(r, k, e))
            return false;
    }
    if (r->l->rate <= 0 && more_planned(r, now))
        link_start(r, k, now);
    return true;
}

static bool link_pull(struct run *r, struct link *k, struct err *e)
{
    ssize_t n = recv(k->fd, r->chunk, CHUNK, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0 || !k->busy || !link_take(k, r->chunk, (size_t)n)) {
        if (k->busy)
            r->out->broken++;
        return link_next(r, k, true, e);
    }
    if (!k->in_body || k->body_left > 0)
        return true;
    count_answer(r, k, clock_s());
    return link_next(r, k, k->closing || k->sent < k->request->len, e);
}

/* ---- the run ---- */

/* Open loop: starts what is due on idle connections; gives the milliseconds until the next is due. */
static int start_due(struct run *r)
{
    double now = clock_s();
    if (r->l->rate <= 0)
        return 1000;
    for (size_t i = 0; i < r->l->connections; i++) {
        double due = r->start + (double)r->planned / r->l->rate;
        if (due > now || !more_planned(r, due))
            return due > now ? (int)((due - now) * 1000) : 1000;
        if (!r->links[i].busy)
            link_start(r, &r->links[i], due);
    }
    return 1;
}

static bool finished(const struct run *r)
{
    double now = clock_s();
    if (more_planned(r, now))
        return false;
    for (size_t i = 0; i < r->l->connections; i++)
        if (r->links[i].busy)
            return false;
    return true;
}

static bool loop(struct run *r, struct err *e)
{
    struct epoll_event events[64];
    for (size_t i = 0; r->l->rate <= 0 && i < r->l->connections; i++)
        if (more_planned(r, clock_s()))
            link_start(r, &r->links[i], clock_s());
    while (!finished(r)) {
        int wait = start_due(r);
        int n = epoll_wait(r->epoll, events, COUNT(events), (int)min_size((size_t)wait, 50));
        for (int i = 0; i < n; i++) {
            struct link *k = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                link_push(r, k);
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !link_pull(r, k, e))
                return false;
        }
        if (clock_s() - r->last_answer > t_patience(STALL_S))
            return err_set(e, ERR_TIMEOUT, "no answer for %d s", STALL_S);
    }
    return true;
}

static void summarize(struct run *r)
{
    struct load_result *o = r->out;
    o->seconds = r->last_answer - r->start;
    o->rate = o->seconds > 0 ? (double)o->ok / o->seconds : 0;
    o->p50 = quantile(r->ok.values, r->ok.n, 0.50);
    o->p90 = quantile(r->ok.values, r->ok.n, 0.90);
    o->p99 = quantile(r->ok.values, r->ok.n, 0.99);
    o->max = quantile(r->ok.values, r->ok.n, 1);
    o->refused_p99 = quantile(r->refused.values, r->refused.n, 0.99);
    if (r->l->rate > 0 && r->l->seconds > 0) {
        size_t due = (size_t)(r->l->rate * r->l->seconds);
        o->unsent = due > r->planned ? due - r->planned : 0;
    }
}

bool load_run(const struct load *l, struct load_result *out, struct err *e)
{
    struct run r = {.l = l, .out = out, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    bool ok = true;
    *out = (struct load_result){0};
    r.links = mem_new(l->connections, sizeof *r.links);
    r.chunk = mem_new(CHUNK, 1);
    for (size_t i = 0; i < l->connections; i++)
        r.links[i].fd = -1;
    for (size_t i = 0; i < l->connections && ok; i++)
        ok = link_open(&r, &r.links[i], e);
    r.start = r.last_answer = clock_s();
    r.end = r.start + l->seconds;
    ok = ok && loop(&r, e);
    summarize(&r);
    for (size_t i = 0; i < l->connections; i++)
        if (r.links[i].fd >= 0)
            close(r.links[i].fd);
    close(r.epoll);
    free(r.links);
    free(r.chunk);
    free(r.ok.values);
    free(r.refused.values);
    return ok;
}
