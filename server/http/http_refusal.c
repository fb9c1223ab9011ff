/* http_refusal.c - error objects where libmicrohttpd would send a page or nothing. */
#include "server/http/http_refusal.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "api/requests/answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/num.h"

bool refusal_find_queue(struct front *f)
{
    void *symbol = dlsym(RTLD_NEXT, "MHD_queue_response");
    memcpy(&f->queue, &symbol, sizeof symbol); /* ISO C has no cast from an object's pointer to a function's */
    return symbol != NULL;
}

/* What libmicrohttpd's statuses mean here.  Its 500 is a line of a chunk that its buffer does not hold. */
static const struct refusal {
    unsigned status, answered;
    enum err_code code;
    const char *text;
} refusals[] = {
    {413, 413, ERR_TOO_LARGE, "the body, or a chunk of it, is larger than any that is taken"},
    {414, 414, ERR_TOO_LARGE, "the request target is too long"},
    {431, 431, ERR_TOO_LARGE, "the header fields are too large"},
    {500, 413, ERR_TOO_LARGE, "a chunk's first line is too long"},
    {501, 501, ERR_NOT_IMPLEMENTED, "this transfer coding is not known here"},
    {505, 505, ERR_NOT_IMPLEMENTED, "this version of HTTP is not spoken here"},
    {400, 400, ERR_BAD_INPUT, "this is no well-formed HTTP/1.1 request"}, /* and all others */
};

static const char by_library[] = "protocol", by_reader[] = "framing"; /* reasons in the metric */

static const struct refusal *find_refusal(unsigned status)
{
    size_t i = 0;
    while (i + 1 < COUNT(refusals) && refusals[i].status != status)
        i++;
    return &refusals[i];
}

/* Why the library refuses with this status: what the strict reader found, if that is what it has come to; or what is wrong
 * with a body that was given up. */
static struct refusal explain(const struct connection *c, unsigned status, const char **reason)
{
    const struct framing *f = &c->wire.framing;
    const struct err *over = &c->exchange.over;
    bool ours = f->status && status == MHD_HTTP_BAD_REQUEST;
    if (ours && f->given_up && over->code) {
        *reason = "body";
        return (struct refusal){status, (unsigned)err_status(over->code), over->code, over->text};
    }
    struct refusal why = *find_refusal(ours ? f->status : status);
    *reason = ours ? by_reader : by_library;
    if (ours)
        why.text = f->why;
    return why;
}

static struct err error_of(enum err_code code, const char *text)
{
    struct err e = {0};
    err_set(&e, code, "%s", text);
    return e;
}

static const char *id_of(struct connection *c, char fresh[REQUEST_ID_SIZE])
{
    if (c->exchange.id[0])
        return c->exchange.id;
    request_id_make(c->front, fresh);
    return fresh;
}

/* A request that never became an exchange is counted and logged here, the others when their exchange ends. */
static void count(struct connection *c, unsigned status, const char *id, size_t sent, const char *reason)
{
    char text[12];
    metric_add(METRIC_http_refusals_total, 1, reason, NULL);
    if (c->exchange.id[0])
        return;
    snprintf(text, sizeof text, "%u", status);
    metric_add(METRIC_http_requests_total, 1, "none", text);
    if (c->front->o.conf->access_log)
        log_later("access", "method=- path=- status=%u in=0 out=%zu ms=0 key=- address=%s request_id=%s", status, sent,
                  c->address, id);
}

/* The whole answer in one piece, past libmicrohttpd; whoever calls ends the connection then. */
static void say(struct connection *c, unsigned status, const struct err *e, const char *reason)
{
    struct response answer = {0};
    struct buf out = {0};
    char fresh[REQUEST_ID_SIZE];
    const char *id = id_of(c, fresh);
    answer_error(&answer, e);
    atomic_store(&c->unread, true);
    buf_print(&out,
              "HTTP/1.1 %u %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\nx-request-id: %s\r\n"
              "x-content-type-options: nosniff\r\nconnection: close\r\n",
              status, MHD_get_reason_phrase_for(status), answer.content_type, answer.body.len, id);
    for (size_t i = 0; i < answer.n_headers; i++)
        buf_print(&out, "%s: %s\r\n", answer.headers[i].name, answer.headers[i].value);
    buf_print(&out, "\r\n%s", answer.body.data);
    if (send(c->deadline.fd, out.data, out.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)out.len)
        count(c, status, id, answer.body.len, reason);
    buf_clear(&out);
    response_clear(&answer);
}

/* ---- what libmicrohttpd refuses ---- */

/* 0.9.75, once it stops, says that it took a response which it did not, and its error path then follows the pointer to it.
 * Who stops it waits for those that are counted. */
static enum MHD_Result queue_before_the_stop(struct connection *c, unsigned status, struct MHD_Response *r)
{
    atomic_fetch_add(&c->front->suspended, 1);
    enum MHD_Result done = atomic_load(&c->front->stopping) ? MHD_NO : c->front->queue(c->mhd, status, r);
    atomic_fetch_sub(&c->front->suspended, 1);
    return done;
}

static enum MHD_Result queue_refusal(struct connection *c, const struct refusal *why, const char *reason)
{
    char fresh[REQUEST_ID_SIZE];
    const char *id = id_of(c, fresh);
    struct response answer = {0};
    enum MHD_Result done = MHD_NO;
    struct err e = error_of(why->code, why->text);
    answer_error(&answer, &e);
    atomic_store(&c->unread, true);
    struct MHD_Response *r = MHD_create_response_from_buffer(answer.body.len, answer.body.data, MHD_RESPMEM_MUST_COPY);
    if (r) {
        MHD_add_response_header(r, "content-type", answer.content_type);
        MHD_add_response_header(r, "x-request-id", id);
        MHD_add_response_header(r, "x-content-type-options", "nosniff");
        for (size_t i = 0; i < answer.n_headers; i++)
            MHD_add_response_header(r, answer.headers[i].name, answer.headers[i].value);
        count(c, why->answered, id, answer.body.len, reason);
        done = queue_before_the_stop(c, why->answered, r);
        MHD_destroy_response(r);
    }
    response_clear(&answer);
    return done;
}

/* Called by libmicrohttpd alone.  Its own way of answering sends some headers twice, and is stuck when the connection's
 * memory is used up; so it may go on, but nobody hears it. */
enum MHD_Result MHD_queue_response(struct MHD_Connection *mhd, unsigned status, struct MHD_Response *page)
{
    struct connection *c = connection_of(mhd);
    const char *reason = by_library;
    if (!c || !deadline_set(&c->deadline, clock_ns() + c->front->o.conf->body_timeout_seconds * 1000000000, LATE_CUT))
        return MHD_NO;
    struct refusal why = explain(c, status, &reason);
    if (c->exchange.id[0])
        c->exchange.status = (int)why.answered;
    if (c->front->o.tls_cert)
        return queue_refusal(c, &why, reason);
    struct err e = error_of(why.code, why.text);
    say(c, why.answered, &e, reason);
    shutdown(c->deadline.fd, SHUT_WR);
    return queue_before_the_stop(c, status, page);
}

/* ---- who sends too much, who is late ---- */

void refusal_say(struct connection *c, const struct err *e, const char *reason)
{
    say(c, (unsigned)err_status(e->code), e, reason);
}

void refusal_late(void *context, struct deadline *d)
{
    struct connection *c = container_of(d, struct connection, deadline);
    UNUSED(context);
    bool stopping = atomic_load_explicit(&c->front->stopping, memory_order_relaxed);
    struct err e = stopping ? error_of(ERR_BUSY, "the server is stopping")
                            : error_of(ERR_TIMEOUT, "the request did not come in time");
    say(c, (unsigned)err_status(e.code), &e, stopping ? "stopping" : "slow");
}
