/* http_stream.c - answers that go on, piece by piece. */
#include "server/http/http_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/metric.h"
#include "base/num.h"

enum {
    BLOCK = 16 << 10,        /* bytes that the library asks for at a time */
    SOCKET_BUFFER = 64 << 10 /* what the kernel keeps for a reader that is slow */
};

bool stream_admit(struct connection *c)
{
    struct exchange *x = &c->exchange;
    int64_t most = c->front->o.conf->max_streams;
    struct err e = {0};
    if ((int64_t)atomic_fetch_add(&c->front->streams, 1) < most) {
        x->stream_start = clock_ns();
        return true;
    }
    atomic_fetch_sub(&c->front->streams, 1);
    err_set(&e, ERR_BUSY, "%lld answers that go on are open already", (long long)most);
    call_refuse(&x->task.call, &e);
    metric_add(METRIC_http_refusals_total, 1, "streams", NULL);
    return false;
}

/* The call's body becomes the piece that is being sent. */
static bool take_piece(struct connection *c)
{
    struct exchange *x = &c->exchange;
    const struct conf *conf = c->front->o.conf;
    x->piece = x->task.call.response.body;
    x->task.call.response.body = (struct buf){.meter = x->piece.meter}; /* which writes when the piece is gone */
    x->given = 0;
    return deadline_set(&c->deadline,
                        deadline_of_transfer(clock_ns(), conf->body_timeout_seconds, x->piece.len, conf->min_body_rate),
                        LATE_CUT);
}

/* libmicrohttpd asks again and again while it gets nothing from a connection that is not suspended. */
static bool wait_for_more(struct connection *c)
{
    if (!deadline_set(&c->deadline, DEADLINE_NEVER, LATE_CUT) || !connection_suspend(c))
        return false;
    c->front->o.service.go_on(c->front->o.service.context, &c->exchange.task);
    return true;
}

/* What it got before has been written to the socket when the library asks for more. */
static ssize_t give(void *cls, uint64_t position, char *out, size_t room)
{
    struct connection *c = cls;
    struct exchange *x = &c->exchange;
    const struct call *call = &x->task.call;
    UNUSED(position);
    if (x->given == x->piece.len) {
        buf_clear(&x->piece);
        x->given = 0;
        if (call->response.body.len == 0) {
            if (call->state == CALL_DONE)
                return call->response.cut ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
            if (atomic_load_explicit(&c->front->draining, memory_order_relaxed))
                return call->response.finite ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
            return wait_for_more(c) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
        }
        if (!take_piece(c))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = min_size(room, x->piece.len - x->given);
    memcpy(out, x->piece.data + x->given, n);
    x->given += n;
    x->sent += n;
    return (ssize_t)n;
}

/* The kernel, too, gives a silent reader up, and keeps little for him. */
static void bound_socket(const struct connection *c)
{
    unsigned patience = (unsigned)c->front->o.conf->body_timeout_seconds * 1000;
    int room = SOCKET_BUFFER;
    (void)setsockopt(c->deadline.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    (void)setsockopt(c->deadline.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

struct MHD_Response *stream_response(struct connection *c)
{
    bound_socket(c);
    c->exchange.task.call.response.begun = true;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, give, c, NULL);
}

void stream_end(struct connection *c)
{
    struct exchange *x = &c->exchange;
    if (!x->stream_start)
        return;
    buf_clear(&x->piece);
    atomic_fetch_sub(&c->front->streams, 1);
}
