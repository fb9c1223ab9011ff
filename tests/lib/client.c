/* client.c - an HTTP/1.1 client over raw sockets for tests and benches. */
#include "tests/lib/client.h"

#include "tests/t.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"

enum { READ_STEP = 64 * 1024 };

struct client client_to(uint16_t port)
{
    return (struct client){.port = port, .fd = -1};
}

bool client_connect(struct client *c)
{
    if (c->fd >= 0)
        return true;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    bool ok = true;
    if (c->source) {
        inet_pton(AF_INET, c->source, &from.sin_addr);
        ok = bind(c->fd, (struct sockaddr *)&from, sizeof from) == 0;
    }
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ok = ok && connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (!ok)
        client_close(c);
    return ok;
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_clear(&c->in);
}

void client_reset(struct client *c)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (c->fd >= 0)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client_close(c);
}

void client_half_close(struct client *c)
{
    if (c->fd >= 0)
        shutdown(c->fd, SHUT_WR);
}

/* Waits until the socket is ready for `events`; false at the deadline. */
static bool ready(int fd, short events, double deadline)
{
    for (;;) {
        double left = deadline - clock_s();
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, left <= 0 ? 0 : (int)(left * 1000) + 1);
        if (n > 0)
            return true;
        if ((n == 0 && left <= 0) || (n < 0 && errno != EINTR))
            return false;
    }
}

bool client_send(struct client *c, const void *bytes, size_t n, double timeout)
{
    const char *p = bytes;
    double deadline = clock_s() + t_timeout(timeout);
    while (n > 0) {
        if (c->fd < 0 || !ready(c->fd, POLLOUT, deadline))
            return false;
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
    }
    return true;
}

bool client_send_text(struct client *c, const char *text)
{
    return client_send(c, text, strlen(text), 5);
}

enum more { MORE_BYTES, MORE_CLOSED, MORE_LATE };

/* Appends what the server has sent to c->in. */
static enum more read_more(struct client *c, double deadline)
{
    for (;;) {
        if (c->fd < 0)
            return MORE_CLOSED;
        if (!ready(c->fd, POLLIN, deadline))
            return MORE_LATE;
        buf_reserve(&c->in, READ_STEP);
        ssize_t got = recv(c->fd, c->in.data + c->in.len, READ_STEP, MSG_DONTWAIT);
        if (got > 0) {
            c->in.len += (size_t)got;
            c->in.data[c->in.len] = 0;
            return MORE_BYTES;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return MORE_CLOSED;
    }
}

static void consume(struct buf *b, size_t n)
{
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = 0;
}

/* Sees to it that at least n bytes are there. */
static bool want(struct client *c, size_t n, double deadline, struct reply *r)
{
    while (c->in.len < n) {
        enum more m = read_more(c, deadline);
        if (m == MORE_CLOSED)
            r->closed = true;
        if (m != MORE_BYTES)
            return false;
    }
    return true;
}

/* Length of the header block in c->in with its empty line; 0: not complete. */
static size_t head_end(const struct client *c)
{
    const char *end = c->in.len ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - c->in.data) + 4 : 0;
}

static bool receive_head(struct client *c, double deadline, struct reply *r)
{
    size_t n;
    while (!(n = head_end(c)))
        if (!want(c, c->in.len + 1, deadline, r))
            return false;
    r->head.len = 0;
    buf_add(&r->head, c->in.data, n);
    consume(&c->in, n);
    return sscanf(r->head.data, "HTTP/1.%*1[01] %3d", &r->status) == 1;
}

/* Reads a line that ends in CRLF into line, without it. */
static bool receive_line(struct client *c, double deadline, struct reply *r, char *line, size_t size)
{
    const char *end;
    while (!(end = c->in.len ? memmem(c->in.data, c->in.len, "\r\n", 2) : NULL))
        if (!want(c, c->in.len + 1, deadline, r))
            return false;
    size_t n = (size_t)(end - c->in.data);
    snprintf(line, size, "%.*s", (int)min_size(n, size - 1), c->in.data);
    consume(&c->in, n + 2);
    return true;
}

static bool receive_chunked(struct client *c, double deadline, struct reply *r)
{
    char line[256];
    for (;;) {
        char *end;
        if (!receive_line(c, deadline, r, line, sizeof line) || !isxdigit((unsigned char)line[0]))
            return false;
        size_t n = strtoul(line, &end, 16);
        if (n == 0)
            break;
        if (!want(c, n + 2, deadline, r))
            return false;
        buf_add(&r->body, c->in.data, n);
        consume(&c->in, n + 2);
    }
    do
        if (!receive_line(c, deadline, r, line, sizeof line))
            return false;
    while (line[0]);
    return true;
}

static bool receive_body(struct client *c, bool head_only, double deadline, struct reply *r)
{
    char value[64];
    if (head_only || r->status == 204 || r->status == 304)
        return true;
    if (reply_header(r, "transfer-encoding", value, sizeof value))
        return receive_chunked(c, deadline, r);
    if (reply_header(r, "content-length", value, sizeof value)) {
        size_t n = strtoul(value, NULL, 10);
        if (!want(c, n, deadline, r))
            return false;
        buf_add(&r->body, c->in.data, n);
        consume(&c->in, n);
        return true;
    }
    while (want(c, c->in.len + 1, deadline, r))
        ;
    buf_add(&r->body, c->in.data, c->in.len);
    c->in.len = 0;
    return r->closed;
}

bool client_receive(struct client *c, bool head_only, double timeout, struct reply *r)
{
    double start = clock_s(), deadline = start + t_timeout(timeout);
    char value[64];
    reply_clear(r);
    buf_reserve(&r->body, 0);
    buf_reserve(&c->in, 0);
    bool ok = receive_head(c, deadline, r);
    while (ok && r->status == 100) {
        r->continued = true;
        r->status = 0;
        ok = receive_head(c, deadline, r);
    }
    ok = ok && receive_body(c, head_only, deadline, r);
    r->seconds = clock_s() - start;
    r->keep = ok && !r->closed;
    if (r->keep && reply_header(r, "connection", value, sizeof value) && strcasecmp(value, "close") == 0)
        r->keep = false;
    return ok;
}

bool client_drained(struct client *c, double timeout)
{
    double deadline = clock_s() + t_timeout(timeout);
    enum more m;
    do {
        c->in.len = 0;
        m = read_more(c, deadline);
    } while (m == MORE_BYTES);
    return m == MORE_CLOSED;
}

void ask_bytes(const struct ask *q, struct buf *out)
{
    buf_print(out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", q->method, q->target);
    if (q->type)
        buf_print(out, "Content-Type: %s\r\n", q->type);
    if (q->key)
        buf_print(out, "Authorization: Bearer %s\r\n", q->key);
    if (q->headers)
        buf_text(out, q->headers);
    if (q->body || strcmp(q->method, "PUT") == 0 || strcmp(q->method, "POST") == 0)
        buf_print(out, "Content-Length: %zu\r\n", q->len);
    buf_text(out, "\r\n");
    if (q->len)
        buf_add(out, q->body, q->len);
}

bool client_ask(struct client *c, const struct ask *q, struct reply *r)
{
    struct buf bytes = {0};
    double timeout = q->timeout > 0 ? q->timeout : 30;
    bool used = c->fd >= 0, ok = false;
    ask_bytes(q, &bytes);
    for (int attempt = 0; attempt < 2 && !ok; attempt++) {
        reply_clear(r);
        if (!client_connect(c))
            break;
        /* Refused bodies are answered before they are read: the answer counts even when sending fails. */
        client_send(c, bytes.data, bytes.len, timeout);
        ok = client_receive(c, strcmp(q->method, "HEAD") == 0, timeout, r);
        if (!r->keep)
            client_close(c);
        if (r->status != 0 || !used || !r->closed)
            break;
    }
    buf_clear(&bytes);
    return ok;
}

/* The start of the value in the next header line of that name at or after *at; NULL at the end. */
static const char *next_header(const char *name, const char **at)
{
    size_t n = strlen(name);
    while (*at) {
        const char *line = strstr(*at, "\r\n");
        if (!line)
            return NULL;
        *at = line + 2;
        if (strncasecmp(*at, name, n) == 0 && (*at)[n] == ':')
            return *at + n + 1 + strspn(*at + n + 1, " \t");
    }
    return NULL;
}

char *reply_header(const struct reply *r, const char *name, char *out, size_t size)
{
    const char *at = r->head.data, *value = next_header(name, &at);
    if (!value)
        return NULL;
    snprintf(out, size, "%.*s", (int)min_size(strcspn(value, "\r\n"), size - 1), value);
    return out;
}

size_t reply_header_count(const struct reply *r, const char *name)
{
    const char *at = r->head.data;
    size_t n = 0;
    while (next_header(name, &at))
        n++;
    return n;
}

bool reply_is_error_object(const struct reply *r)
{
    static const char start[] = "{\"error\":{\"message\":\"";
    return r->body.data && strncmp(r->body.data, start, strlen(start)) == 0;
}

void reply_clear(struct reply *r)
{
    buf_clear(&r->head);
    buf_clear(&r->body);
    *r = (struct reply){0};
}
