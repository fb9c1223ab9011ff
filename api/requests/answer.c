/* answer.c - errors and JSON bodies as HTTP answers. */
#include "api/requests/answer.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"

static const struct {
    int status;
    const char *type;
    const char *public_text; /* NULL: the error's own text may be told */
} kinds[ERR_COUNT] = {
    [ERR_NONE] = {200, "", NULL},
    [ERR_BAD_INPUT] = {400, "invalid_request_error", NULL},
    [ERR_UNDECODABLE] = {422, "invalid_request_error", NULL},
    [ERR_MEDIA_TYPE] = {415, "invalid_request_error", NULL},
    [ERR_UNAUTHENTICATED] = {401, "authentication_error", NULL},
    [ERR_FORBIDDEN] = {403, "permission_error", NULL},
    [ERR_ORIGIN] = {403, "permission_error", NULL},
    [ERR_NOT_FOUND] = {404, "invalid_request_error", NULL},
    [ERR_BAD_METHOD] = {405, "invalid_request_error", NULL},
    [ERR_NOT_IMPLEMENTED] = {501, "invalid_request_error", NULL},
    [ERR_CONFLICT] = {409, "invalid_request_error", NULL},
    [ERR_PRECONDITION] = {412, "invalid_request_error", NULL},
    [ERR_TOO_LARGE] = {413, "invalid_request_error", NULL},
    [ERR_TIMEOUT] = {408, "timeout_error", NULL},
    [ERR_EXPECTATION] = {417, "invalid_request_error", NULL},
    [ERR_MISDIRECTED] = {421, "invalid_request_error", NULL},
    [ERR_RATE_LIMITED] = {429, "rate_limit_error", NULL},
    [ERR_BUSY] = {503, "server_error", NULL},
    [ERR_STALE] = {503, "server_error", NULL},
    [ERR_FULL] = {507, "server_error", "there is no room left to store this"},
    [ERR_IO] = {500, "server_error", "storage failed; the server's log says why, under this request's id"},
    [ERR_CORRUPT] = {500, "server_error",
                     "stored data is damaged; the server's log says where, under this request's id"},
    [ERR_INTERNAL] = {500, "server_error", "the server failed; its log says why, under this request's id"},
};

int err_status(enum err_code code)
{
    return (unsigned)code < ERR_COUNT && kinds[code].status ? kinds[code].status : 500;
}

bool err_is_internal(enum err_code code)
{
    return (unsigned)code >= ERR_COUNT || kinds[code].public_text;
}

static void close_file(struct response *r)
{
    if (r->is_file && r->fd >= 0)
        close(r->fd);
    r->is_file = false;
}

void answer_header(struct response *r, const char *name, const char *value)
{
    assert(r->n_headers < RESPONSE_HEADERS);
    r->headers[r->n_headers++] = (struct header){name, value};
}

struct json_writer answer_json(struct response *r, int status)
{
    r->status = status;
    r->content_type = "application/json";
    r->body.len = 0;
    return jw_to(&r->body);
}

void answer_empty(struct response *r, int status)
{
    buf_clear(&r->body);
    r->status = status;
    r->content_type = NULL;
}

void answer_bytes(struct response *r, const char *media_type, struct buf *bytes)
{
    struct meter *meter = r->body.meter;
    buf_clear(&r->body);
    r->status = 200;
    r->content_type = media_type;
    r->body = *bytes;
    r->body.meter = meter;
    if (meter)
        meter_set(meter, r->body.room);
    *bytes = (struct buf){0};
}

void answer_file(struct response *r, const char *media_type, int fd, uint64_t len)
{
    r->status = 200;
    r->content_type = media_type;
    r->is_file = true;
    r->fd = fd;
    r->file_len = len;
}

void answer_not_modified(struct response *r, const char *etag, int64_t whole)
{
    answer_empty(r, 304);
    r->whole = whole;
    answer_header(r, "etag", etag);
}

bool answer_fits(const struct response *r, struct err *e)
{
    const struct meter *m = r->body.meter;
    if (!m || !m->refused)
        return true;
    return m->too_large
               ? err_set(e, ERR_TOO_LARGE,
                         "the answer has more than %zu bytes: ask for less at once (setting answer_memory_bytes)",
                         m->most)
               : err_set(e, ERR_BUSY, "the memory for answers is used up; try again");
}

void write_error(struct json_writer *w, const char *key, const struct err *e)
{
    enum err_code code = (unsigned)e->code < ERR_COUNT ? e->code : ERR_INTERNAL;
    const char *text = kinds[code].public_text ? kinds[code].public_text : e->text;
    char message[sizeof e->param + sizeof e->text + 2];
    bool named = !e->param[0] || kinds[code].public_text || err_names_field(e);
    snprintf(message, sizeof message, "%s%s%s", named ? "" : e->param, named ? "" : ": ", text);
    jw_object(w, key);
    jw_text(w, "message", message);
    jw_text(w, "type", kinds[code].type);
    jw_text(w, "param", e->param[0] ? e->param : NULL);
    jw_text(w, "code", err_name(code));
    jw_end(w);
}

/* OpenAI's client repeats 408, 409, 429 and 5xx by itself unless told otherwise. */
static void retry_headers(struct response *r, enum err_code code)
{
    if (code == ERR_BUSY || code == ERR_STALE || code == ERR_RATE_LIMITED)
        answer_header(r, "retry-after", "1");
    if (code == ERR_CONFLICT || code == ERR_FULL || code == ERR_CORRUPT || code == ERR_NOT_IMPLEMENTED)
        answer_header(r, "x-should-retry", "false");
}

void answer_error(struct response *r, const struct err *e)
{
    if (r->body.meter && r->body.meter->refused) { /* the error itself must find room */
        buf_clear(&r->body);
        r->body.meter = NULL;
    }
    close_file(r);
    struct json_writer w = answer_json(r, err_status(e->code));
    jw_object(&w, NULL);
    write_error(&w, "error", e);
    jw_end(&w);
    retry_headers(r, e->code);
}

void write_vector(struct json_writer *w, const char *key, const float *v, size_t n)
{
    jw_array(w, key);
    for (size_t i = 0; i < n; i++)
        jw_float(w, NULL, v[i]);
    jw_end(w);
}

void write_vector_base64(struct json_writer *w, const char *key, const float *v, size_t n)
{
    struct buf text = {0};
    uint32_t *little = mem_new(n, sizeof *little);
    memcpy(little, v, n * sizeof *little);
    for (size_t i = 0; i < n; i++)
        little[i] = htole32(little[i]);
    base64_encode(little, n * sizeof *little, &text);
    jw_text(w, key, text.data);
    free(little);
    buf_clear(&text);
}

struct json_writer answer_list(struct response *r)
{
    struct json_writer w = answer_json(r, 200);
    jw_object(&w, NULL);
    jw_text(&w, "object", "list");
    jw_array(&w, "data");
    return w;
}

void answer_list_end(struct json_writer *w, bool more)
{
    jw_end(w);
    jw_bool(w, "has_more", more);
    jw_end(w);
}

void write_time(struct json_writer *w, const char *key, int64_t time)
{
    if (time)
        jw_int(w, key, time);
    else
        jw_null(w, key);
}

void response_clear(struct response *r)
{
    struct meter *meter = r->body.meter;
    buf_clear(&r->body);
    close_file(r);
    if (meter)
        meter->refused = meter->too_large = false;
    *r = (struct response){.body.meter = meter};
}
