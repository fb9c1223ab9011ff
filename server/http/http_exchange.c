/* http_exchange.c - a request from its header to its answer. */
#include "server/http/http_exchange.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/requests/answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/num.h"
#include "base/percent.h"
#include "server/http/http_answer.h"
#include "server/http/http_refusal.h"
#include "server/http/http_stream.h"

enum {
    DROP_MAX = 1 << 20,      /* bytes read beyond a limit before the client is told in the middle of its body */
    DROP_MAX_TLS = 64 << 20, /* ... and under TLS, of one chunk: only libmicrohttpd can tell it, between two of them */
    CHARGE_STEP = 256 << 10,
    FIRST_ROOM = 64 << 10, /* of a body whose length is not known */
    PATH_SHOWN = 256       /* bytes of a path in a log line */
};

static const struct conf *conf_of(const struct connection *c)
{
    return c->front->o.conf;
}

/* ---- answering ---- */

/* Who a body is charged to. */
static const char *client_of(const struct connection *c)
{
    const char *key = c->exchange.visit.caller.key_id;
    return key[0] ? key : c->address;
}

static void uncharge(struct connection *c)
{
    struct exchange *x = &c->exchange;
    bodies_give(c->front->bodies, client_of(c), x->held, x->small);
    x->held = 0;
}

static void free_body(struct connection *c)
{
    struct exchange *x = &c->exchange;
    uncharge(c);
    free(x->body);
    x->body = NULL;
    x->body_len = x->body_room = 0;
}

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    if (MHD_add_response_header(r, name, value) != MHD_YES)
        log_warn("http", "a header was not taken: %s", name);
}

static void add_cors_headers(struct MHD_Response *r, const struct visit *v)
{
    if (!v->allow_origin)
        return;
    add_header(r, "access-control-allow-origin", v->allow_origin);
    add_header(r, "vary", v->is_preflight ? "origin, access-control-request-headers" : "origin");
    if (v->is_preflight) {
        add_header(r, "access-control-allow-methods", guard_methods);
        if (v->facts.wanted_headers) /* clients send headers of their own, and new ones with each version */
            add_header(r, "access-control-allow-headers", v->facts.wanted_headers);
        add_header(r, "access-control-max-age", "600");
    } else {
        add_header(r, "access-control-expose-headers",
                   "x-request-id, x-should-retry, retry-after, etag, location, anchord-generation");
    }
}

static void add_headers(struct MHD_Response *r, struct connection *c)
{
    struct exchange *x = &c->exchange;
    const struct response *answer = &x->task.call.response;
    char wait[16];

    if (answer->content_type)
        add_header(r, "content-type", answer->content_type);
    for (size_t i = 0; i < answer->n_headers; i++) {
        const struct header *h = &answer->headers[i];
        bool ours = x->visit.retry_after && !strcmp(h->name, "retry-after");
        snprintf(wait, sizeof wait, "%u", x->visit.retry_after);
        add_header(r, h->name, ours ? wait : h->value);
    }
    add_header(r, "x-request-id", x->id);
    add_header(r, "x-content-type-options", "nosniff");
    add_cors_headers(r, &x->visit);
    if (x->visit.allow)
        add_header(r, "allow", x->visit.allow);
    if (x->status == 401)
        add_header(r, "www-authenticate", "Bearer");
    if (x->close)
        add_header(r, "connection", "close");
}

/* The head, and a body that stream_response() gives piece by piece; the call lives as long. */
static bool send_stream(struct connection *c)
{
    struct exchange *x = &c->exchange;
    struct MHD_Response *r = stream_response(c);
    if (!r)
        return false;
    x->status = x->task.call.response.status;
    x->close = true;
    add_headers(r, c);
    free_body(c);
    x->phase = PHASE_SENT;
    int64_t due = deadline_of_transfer(clock_ns(), conf_of(c)->body_timeout_seconds, 0, conf_of(c)->min_body_rate);
    bool ok = deadline_set(&c->deadline, due, LATE_CUT) && c->front->queue(c->mhd, (unsigned)x->status, r) == MHD_YES;
    MHD_destroy_response(r);
    return ok;
}

static bool send_answer(struct connection *c)
{
    struct exchange *x = &c->exchange;
    struct response *answer = &x->task.call.response;
    if (x->task.call.state == CALL_GOES_ON && stream_admit(c))
        return send_stream(c);
    uint64_t len;
    struct MHD_Response *r = answer_response(c, &len);
    if (!r)
        return false;
    x->status = answer->status;
    x->sent = (size_t)len;
    x->close = x->close || atomic_load_explicit(&c->front->draining, memory_order_relaxed);
    add_headers(r, c);
    call_free(&x->task.call); /* its headers were copied, its body is the response's */
    free_body(c);
    x->phase = PHASE_SENT;
    bool ok = c->front->queue(c->mhd, (unsigned)x->status, r) == MHD_YES;
    MHD_destroy_response(r);
    return ok;
}

/* Answers an error of the server's own.  Where a body may still come, or the framing is in doubt, the
 * connection ends with it. */
static bool refuse(struct connection *c, const struct err *e, const char *reason)
{
    struct exchange *x = &c->exchange;
    answer_error(&x->task.call.response, e);
    metric_add(METRIC_http_refusals_total, 1, reason, NULL);
    return send_answer(c);
}

static bool refuse_stopping(struct connection *c)
{
    struct err e = {0};
    err_set(&e, ERR_BUSY, "the server is stopping");
    return refuse(c, &e, "stopping");
}

/* ---- the head ---- */

static void take_request_id(struct connection *c, const char *wanted)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    struct exchange *x = &c->exchange;
    if (wanted && *wanted && strlen(wanted) < sizeof x->id && strspn(wanted, good) == strlen(wanted)) {
        memcpy(x->id, wanted, strlen(wanted) + 1);
        return;
    }
    request_id_make(c->front, x->id);
}

struct field_list {
    struct head_field *items;
    size_t n, room;
};

static enum MHD_Result collect(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value,
                               size_t value_len)
{
    struct field_list *l = cls;
    UNUSED(kind);
    if (l->n < l->room)
        l->items[l->n++] = (struct head_field){name, value, name_len, value_len};
    return MHD_YES;
}

static struct field_list fields_of(struct connection *c, enum MHD_ValueKind kind)
{
    struct field_list l = {0};
    int n = MHD_get_connection_values_n(c->mhd, kind, NULL, NULL);
    if (n > 0) {
        l.room = (size_t)n;
        l.items = arena_new(&c->exchange.arena, l.room, sizeof *l.items);
        MHD_get_connection_values_n(c->mhd, kind, collect, &l);
    }
    return l;
}

static void read_head(struct connection *c, const char *method, const char *path, const char *version)
{
    struct exchange *x = &c->exchange;
    struct field_list fields = fields_of(c, MHD_HEADER_KIND);
    struct field_list query = fields_of(c, MHD_GET_ARGUMENT_KIND);
    for (size_t i = 0; i < fields.n; i++)
        if (!fields.items[i].value)
            fields.items[i].value = "";
    x->head = (struct head){method, version, path, fields.items, fields.n, query.items, query.n};
    x->visit = (struct visit){.listener = c->listener, .head = &x->head, .address = c->address, .local = c->local};
}

/* The guard has seen that every percent sign decodes. */
static struct pair *decode_query(struct exchange *x)
{
    struct pair *pairs = arena_new(&x->arena, x->head.n_query, sizeof *pairs);
    for (size_t i = 0; i < x->head.n_query; i++) {
        const struct head_field *f = &x->head.query[i];
        char *name = arena_new(&x->arena, f->name_len + 1, 1);
        char *value = arena_new(&x->arena, f->value_len + 1, 1);
        if (percent_decode(f->name, f->name_len, name) && (!f->value || percent_decode(f->value, f->value_len, value)))
            pairs[i] = (struct pair){name, value};
        else
            pairs[i] = (struct pair){"", ""};
    }
    return pairs;
}

/* The client has closed its side.  Half of that is lawful, but nobody who asks for much waits on so. */
static bool client_is_gone(void *context)
{
    const struct connection *c = context;
    struct pollfd p = {.fd = c->deadline.fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void fill_request(struct connection *c)
{
    struct exchange *x = &c->exchange;
    const struct head_facts *f = &x->visit.facts;
    x->task.request = (struct request){
        .method = f->method,
        .listener = c->listener,
        .path = x->head.path,
        .match = &x->visit.match,
        .query = x->head.n_query ? decode_query(x) : NULL,
        .n_query = x->head.n_query,
        .content_type = f->content_type,
        .accept = f->accept,
        .if_match = f->if_match,
        .if_none_match = f->if_none_match,
        .pin = f->generation,
        .last_event_id = f->last_event_id,
        .request_id = x->id,
        .body = x->body,
        .body_len = x->body_len,
        .role = x->visit.caller.role,
        .gone = client_is_gone,
        .gone_context = c,
        .key_id = x->visit.caller.key_id[0] ? x->visit.caller.key_id : NULL,
    };
}

/* ---- the body ---- */

/* Charges what the body has by now, in steps; one whose length is not known may become large on its way. */
static bool charge(struct connection *c, size_t need, struct err *e)
{
    struct exchange *x = &c->exchange;
    int64_t length = x->visit.facts.content_length;
    size_t whole = length >= 0 ? (size_t)length : SIZE_MAX;
    bool small = (length >= 0 ? whole : need) <= QUOTA_SMALL;
    size_t want = small ? need : min_size(whole, (need + CHARGE_STEP - 1) / CHARGE_STEP * CHARGE_STEP);
    if (want <= x->held)
        return true;
    if (x->small != small)
        uncharge(c);
    x->small = small;
    if (!bodies_take(c->front->bodies, client_of(c), want - x->held, small, e))
        return false;
    x->held = want;
    return true;
}

static bool too_large(const struct exchange *x, struct err *e)
{
    size_t max = x->visit.match.body_max;
    return max ? err_set(e, ERR_TOO_LARGE, "the body has more than %zu bytes", max)
               : err_set(e, ERR_TOO_LARGE, "this route takes no body");
}

/* Memory for a body of known length is asked for at once and costs nothing until it is written to.  So it is charged as
 * it arrives: who announces much and sends nothing takes nothing from others. */
static bool prepare_body(struct connection *c, struct err *e)
{
    struct exchange *x = &c->exchange;
    int64_t length = x->visit.facts.content_length;
    if (length <= 0)
        return true;
    if ((uint64_t)length > x->visit.match.body_max)
        return too_large(x, e);
    x->body = mem_try((size_t)length + 1, 1, e);
    x->body_room = (size_t)length;
    return x->body != NULL;
}

static bool grow_body(struct connection *c, size_t more, struct err *e)
{
    struct exchange *x = &c->exchange;
    size_t need = x->body_len + more;
    if (!charge(c, need, e))
        return false;
    if (need <= x->body_room)
        return true;
    size_t room = max_size(need, max_size(2 * x->body_room, FIRST_ROOM));
    char *grown = realloc(x->body, room + 1);
    if (!grown)
        return err_set(e, ERR_BUSY, "no memory for the body");
    x->body = grown;
    x->body_room = room;
    return true;
}

bool exchange_take_body(struct connection *c, const void *data, size_t len)
{
    struct exchange *x = &c->exchange;
    int64_t due = deadline_of_transfer(x->start, conf_of(c)->body_timeout_seconds, x->received + x->dropped + len,
                                       conf_of(c)->min_body_rate);
    if (!deadline_set(&c->deadline, due, LATE_ANSWER))
        return false;
    if (!x->over.code) {
        bool fits = x->body_len + len <= x->visit.match.body_max ? grow_body(c, len, &x->over) : too_large(x, &x->over);
        if (fits) {
            memcpy(x->body + x->body_len, data, len);
            x->body_len += len;
            x->received += len;
            return true;
        }
        free_body(c);
    }
    x->dropped += len;
    if (x->dropped <= DROP_MAX)
        return true;
    if (c->front->o.tls_cert) {
        framing_give_up(&c->wire.framing);
        return x->dropped <= DROP_MAX_TLS;
    }
    if (deadline_set(&c->deadline, due, LATE_CUT)) {
        x->status = err_status(x->over.code);
        refusal_say(c, &x->over, "body");
    }
    return false;
}

/* ---- the phases ---- */

static void task_done(struct task *task)
{
    struct connection *c = container_of(task, struct connection, exchange.task);
    struct front *f = c->front;
    if (c->exchange.phase == PHASE_WORKING) /* else it is a further piece */
        c->exchange.phase = PHASE_ANSWER;
    MHD_resume_connection(c->mhd); /* from here on the connection belongs to its thread again */
    atomic_fetch_sub(&f->suspended, 1);
}

static bool start_work(struct connection *c)
{
    struct exchange *x = &c->exchange;
    metric_add(METRIC_http_request_body_bytes_total, (double)x->received, NULL, NULL);
    if (!deadline_set(&c->deadline, DEADLINE_NEVER, LATE_CUT))
        return false;
    if (x->over.code) {
        x->close = true;
        return refuse(c, &x->over, "body");
    }
    if (x->body)
        x->body[x->body_len] = 0;
    fill_request(c);
    x->task.done = task_done;
    if (!connection_suspend(c))
        return refuse_stopping(c);
    x->phase = PHASE_WORKING;
    c->front->o.service.submit(c->front->o.service.context, &x->task);
    return true;
}

bool exchange_begin(struct connection *c, const char *method, const char *path, const char *version)
{
    struct exchange *x = &c->exchange;
    struct err e = {0};
    memset(x, 0, sizeof *x);
    x->start = clock_ns();
    atomic_fetch_add(&c->front->in_flight, 1);
    read_head(c, method, path, version);
    bool ok = gate_admit(c->front->o.gate, &x->visit, &e);
    take_request_id(c, x->visit.facts.request_id);
    bool has_body = x->visit.facts.content_length > 0 || x->visit.facts.chunked;
    if (!ok) {
        x->close = has_body || !strcmp(x->visit.reason, "framing") || !strcmp(x->visit.reason, "origin");
        atomic_store(&c->unread, x->close);
        return refuse(c, &e, x->visit.reason);
    }
    if (x->visit.is_options) {
        x->close = has_body;
        atomic_store(&c->unread, has_body);
        answer_empty(&x->task.call.response, 204);
        return send_answer(c);
    }
    atomic_store(&c->unread, has_body);
    if (atomic_load_explicit(&c->front->stopping, memory_order_relaxed))
        return refuse_stopping(c);
    if (!prepare_body(c, &e)) {
        x->close = true;
        return refuse(c, &e, "body");
    }
    x->phase = PHASE_BODY;
    atomic_store(&c->unread, false);
    return deadline_set(&c->deadline,
                        deadline_of_transfer(x->start, conf_of(c)->body_timeout_seconds, 0, conf_of(c)->min_body_rate),
                        LATE_ANSWER);
}

bool exchange_continue(struct connection *c)
{
    switch (c->exchange.phase) {
    case PHASE_BODY: return start_work(c);
    case PHASE_ANSWER: return send_answer(c);
    default: return true; /* called again while suspended: nothing to do */
    }
}

static void write_access_log(const struct connection *c, double seconds)
{
    const struct exchange *x = &c->exchange;
    char path[PATH_SHOWN];
    if (!conf_of(c)->access_log)
        return;
    log_later("access", "method=%s path=%s status=%d in=%zu out=%zu ms=%.2f key=%s address=%s request_id=%s",
              x->visit.facts.method == METHOD_OTHER ? "-" : x->head.method, log_quote(x->head.path, path, sizeof path),
              x->status, x->received, x->sent, seconds * 1e3, x->visit.caller.key_id[0] ? x->visit.caller.key_id : "-",
              c->address, x->id);
}

void exchange_end(struct connection *c)
{
    struct exchange *x = &c->exchange;
    char status[12] = "aborted"; /* by the client, or by libmicrohttpd over a malformed body */
    int64_t now = clock_ns();
    const char *route = x->visit.match.route ? x->visit.match.route->pattern : "none";

    if (!x->status && deadline_was_answered(&c->deadline))
        x->status = 408;
    if (x->status)
        snprintf(status, sizeof status, "%d", x->status);
    metric_add(METRIC_http_requests_total, 1, route, status);
    metric_observe(METRIC_http_request_duration_seconds,
                   (double)((x->stream_start ? x->stream_start : now) - x->start) * 1e-9, route);
    metric_add(METRIC_http_response_body_bytes_total, (double)x->sent, NULL, NULL);
    write_access_log(c, (double)(now - x->start) * 1e-9);
    stream_end(c);
    free_body(c);
    call_free(&x->task.call);
    arena_clear(&x->arena);
    x->id[0] = 0; /* no exchange */
    (void)deadline_set(&c->deadline, clock_ns() + conf_of(c)->idle_timeout_seconds * 1000000000, LATE_CUT);
    atomic_fetch_sub(&c->front->in_flight, 1);
}
