/* http.c - libmicrohttpd's daemons and callbacks. */
#include "server/http/http.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/num.h"
#include "server/http/certificate.h"
#include "server/http/http_exchange.h"
#include "server/http/http_refusal.h"
#include "server/http/linger.h"

enum { LAST_ANSWERS_NS = 1000 * 1000 * 1000 };

struct http {
    struct front front;
    struct deadlines *deadlines;
    struct lingerer *lingerer;
    struct MHD_Daemon *daemons[2];
    struct listening { /* what a daemon's callbacks get */
        struct http *http;
        enum listener listener;
    } listening[2];
    bool quiesced;
};

static const char *const listener_names[] = {"public", "admin"};

/* libmicrohttpd 0.9.75 asks for 128 events and, when it gets so many, waits again with its whole timeout before it
 * looks at any of them: 128 clients that are ready in one instant then hang until another one comes.  Its call ends
 * up here, for the program's symbols come before libc's, and never gets as many as it asked for. */
int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    return epoll_pwait(fd, events, max > 1 ? max - 1 : max, timeout, NULL);
}

/* Quiescing takes the listening socket out of a thread's epoll set, and so does the thread when it looks up in the same
 * moment; 0.9.75 calls abort() in whichever comes second.  What is not there need not be taken out. */
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    long rc = syscall(SYS_epoll_ctl, epfd, op, fd, event);
    return rc != 0 && op == EPOLL_CTL_DEL && errno == ENOENT ? 0 : (int)rc;
}

/* ---- callbacks, on the daemon's threads ---- */

/* The request line is there: from now on the header's deadline counts, not the idle one. */
static void on_request_line(struct wire *w)
{
    struct connection *c = container_of(w, struct connection, wire);
    (void)deadline_set(&c->deadline, clock_ns() + c->front->o.conf->header_timeout_seconds * 1000000000, LATE_ANSWER);
}

static struct connection *connection_new(struct listening *l, struct MHD_Connection *mhd)
{
    struct connection *c = mem_new(1, sizeof *c);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    c->front = &l->http->front;
    c->mhd = mhd;
    c->listener = l->listener;
    address_of_client(info ? info->client_addr : NULL, c->address);
    c->local = info && address_is_loopback(info->client_addr);
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    int fd = info ? info->connect_fd : -1;
    if (!wire_open(&c->wire, fd, c->front->o.tls_cert != NULL, on_request_line))
        shutdown(fd, SHUT_RDWR);
    deadline_watch(l->http->deadlines, &c->deadline, fd,
                   clock_ns() + c->front->o.conf->header_timeout_seconds * 1000000000);
    return c;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct listening *l = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = connection_new(l, mhd);
    } else if (*context) { /* comes before the socket is closed, as deadline.h and wire.h need it */
        struct connection *c = *context;
        deadline_forget(l->http->deadlines, &c->deadline);
        if (atomic_load(&c->unread))
            lingerer_take(l->http->lingerer, c->deadline.fd);
        wire_close(&c->wire);
        free(c);
        *context = NULL;
    }
    metric_add(METRIC_http_connections, what == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1, listener_names[l->listener],
               NULL);
}

/* Whatever a library makes of its bytes, there are not more requests than the strict reader has seen. */
static bool vouched(struct connection *c)
{
    bool ok = wire_vouches(&c->wire);
    if (!ok)
        log_error("http", "a request begins where the strict reader saw none; the connection is closed");
    return ok;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **context)
{
    struct connection *c = *context;
    bool ok;
    UNUSED(cls);
    if (!c) {
        c = connection_of(mhd);
        if (!c || !vouched(c) || !deadline_set(&c->deadline, DEADLINE_NEVER, LATE_CUT))
            return MHD_NO; /* else from here on the exchange is ours alone */
        *context = c;
        ok = exchange_begin(c, method, url, version);
    } else if (*size) {
        ok = exchange_take_body(c, data, *size);
        *size = 0;
    } else {
        ok = exchange_continue(c);
    }
    return ok ? MHD_YES : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode why)
{
    struct listening *l = cls;
    struct connection *c = *context;
    UNUSED(mhd);
    UNUSED(why);
    if (!c)
        return;
    if (!deadline_set(&c->deadline, DEADLINE_NEVER, LATE_CUT))
        deadlines_settle(l->http->deadlines);
    exchange_end(c);
    *context = NULL;
}

/* Paths stay as they came: decoding `%2f` before routing is how clients get out of their folder. */
static size_t leave_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
    UNUSED(cls);
    UNUSED(mhd);
    return strlen(text);
}

static void on_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *fmt, va_list ap)
{
    char text[256], quoted[512];
    UNUSED(cls);
    if (log_get_level() > LOG_DEBUG)
        return;
    vsnprintf(text, sizeof text, fmt, ap);
    log_debug("libmicrohttpd", "text=%s", log_quote(text, quoted, sizeof quoted));
}

static void on_panic(void *cls, const char *file, unsigned line, const char *why)
{
    UNUSED(cls);
    UNUSED(file);
    log_error("libmicrohttpd", "panic at line %u: %s", line, why ? why : "-");
    abort();
}

static void on_tick(void *context)
{
    struct http *h = context;
    metric_set(METRIC_http_requests_in_flight, (double)atomic_load(&h->front.in_flight), NULL, NULL);
    metric_set(METRIC_http_streams, (double)atomic_load(&h->front.streams), NULL, NULL);
    metric_set(METRIC_http_body_memory_bytes, (double)bodies_held(h->front.bodies), NULL, NULL);
    if (h->front.o.tick)
        h->front.o.tick(h->front.o.tick_context);
}

/* ---- daemons ---- */

/* The library's own timeout, of silence only, comes behind the deadlines: a head that wire.h keeps is silence to it. */
static unsigned silence_most(const struct conf *conf)
{
    return (unsigned)(conf->idle_timeout_seconds + conf->header_timeout_seconds + 1);
}

static struct MHD_Daemon *start_daemon(struct http *h, enum listener which)
{
    const struct http_options *o = &h->front.o;
    const struct conf *conf = o->conf;
    struct listening *l = &h->listening[which];
    unsigned flags =
        MHD_USE_ERROR_LOG | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (o->tls_cert ? MHD_USE_TLS : 0);
    char *cert = mem_text(o->tls_cert), *key = mem_text(o->tls_key); /* MHD's pointers are not const */
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, key},
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, certificate_callback()},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (char[]){"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"}},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

    struct MHD_Daemon *d = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        o->sockets[which], MHD_OPTION_THREAD_POOL_SIZE, (unsigned)conf->http_threads, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)max_size((size_t)conf->max_connections, (size_t)conf->http_threads),
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)conf->max_connections_per_address, MHD_OPTION_CONNECTION_TIMEOUT,
        silence_most(conf), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
        MHD_OPTION_ARRAY, o->tls_cert ? tls : none, MHD_OPTION_END);
    free(cert);
    free(key);
    return d;
}

struct http *http_new(const struct http_options *o, struct err *e)
{
    struct http *h = mem_new(1, sizeof *h);
    h->front.o = *o;
    h->front.bodies = bodies_new((size_t)o->conf->body_memory_bytes);
    hash_random(&h->front.id_seed, sizeof h->front.id_seed);
    MHD_set_panic_func(on_panic, NULL);
    bool found = refusal_find_queue(&h->front) && wire_can_read() &&
                 (!o->tls_cert || certificate_use(o->tls_cert, o->tls_key, e));
    h->deadlines = deadlines_new(&(struct deadlines_options){on_tick, o->tls_cert ? NULL : refusal_late, h}, e);
    h->lingerer = lingerer_new(e);
    for (enum listener i = LISTENER_PUBLIC; i <= LISTENER_ADMIN; i++) {
        h->listening[i] = (struct listening){h, i};
        h->daemons[i] = h->deadlines && h->lingerer && found ? start_daemon(h, i) : NULL;
        if (h->daemons[i])
            continue;
        err_set(e, o->tls_cert ? ERR_BAD_INPUT : ERR_INTERNAL, "the %s listener does not start%s", listener_names[i],
                o->tls_cert ? " (are the certificate and its key right?)" : "");
        for (enum listener k = i; k <= LISTENER_ADMIN; k++)
            close(o->sockets[k]);
        http_free(h);
        return NULL;
    }
    return h;
}

void http_quiesce(struct http *h)
{
    atomic_store(&h->front.draining, true);
    for (size_t i = 0; i < 2 && !h->quiesced; i++) {
        if (!h->daemons[i])
            continue;
        /* libmicrohttpd only stops accepting: the kernel would go on and let new clients hang. */
        MHD_quiesce_daemon(h->daemons[i]);
        shutdown(h->front.o.sockets[i], SHUT_RDWR);
    }
    h->quiesced = true;
}

void http_hurry(struct http *h, int64_t end)
{
    atomic_store(&h->front.stopping, true);
    deadlines_end(h->deadlines, end);
}

size_t http_in_flight(struct http *h)
{
    return atomic_load(&h->front.in_flight);
}

/* What was at work until now has yet to be sent.  Who did not read before was cut when the time for stopping was over. */
static void send_last_answers(struct http *h)
{
    int64_t end = clock_ns() + LAST_ANSWERS_NS;
    if (!atomic_load(&h->front.in_flight))
        return;
    deadlines_end(h->deadlines, end);
    while (atomic_load(&h->front.in_flight) && clock_ns() < end)
        usleep(1000);
}

void http_free(struct http *h)
{
    if (!h)
        return;
    http_quiesce(h);
    /* libmicrohttpd calls abort() when it is stopped with a suspended connection: from here on none is added. */
    atomic_store(&h->front.stopping, true);
    while (atomic_load(&h->front.suspended))
        usleep(1000);
    send_last_answers(h);
    for (size_t i = 0; i < 2; i++) {
        if (!h->daemons[i])
            continue;
        MHD_stop_daemon(h->daemons[i]);
        close(h->front.o.sockets[i]);
    }
    deadlines_free(h->deadlines);
    lingerer_free(h->lingerer);
    bodies_free(h->front.bodies);
    free(h);
}
