/* expect.c - asks a server and asserts what it answers. */
#include "tests/lib/expect.h"

#include <pthread.h>

#include "engine/pictures/draw.h"
#include "tests/t.h"

void expect_start(struct server *s, const struct server_options *o)
{
    struct err e = {0};
    assert_ok(server_start(s, o, &e), e);
}

void expect_stop(struct server *s)
{
    char tail[3000];
    int status = server_stop(s);
    server_log_end(s, tail, sizeof tail);
    server_remove(s);
    if (status != 0)
        fail_msg("it ended with %d: %s", status, tail);
}

static void ask_for(struct client *c, int status, const struct ask *q, struct reply *r)
{
    client_ask(c, q, r);
    if (r->status != status)
        fail_msg("%s %s: status %d, expected %d: %.300s", q->method, q->target, r->status, status,
                 r->body.data ? r->body.data : "(no body)");
}

static void init_json(void)
{
    json_init();
}

static struct json *parse(const struct ask *q, const struct reply *r)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct err e = {0};
    pthread_once(&once, init_json);
    struct json *doc = json_parse(r->body.data ? r->body.data : "", r->body.len, (size_t)1 << 30, &e);
    if (!doc)
        fail_msg("%s %s: the answer is no JSON (%s): %.300s", q->method, q->target, e.text, r->body.data);
    return doc;
}

struct json *expect_json(struct client *c, int status, const struct ask *q)
{
    struct reply r = {0};
    ask_for(c, status, q, &r);
    struct json *doc = parse(q, &r);
    reply_clear(&r);
    return doc;
}

void expect_status(struct client *c, int status, const struct ask *q)
{
    struct reply r = {0};
    ask_for(c, status, q, &r);
    reply_clear(&r);
}

void expect_error(struct client *c, int status, const char *code, const char *param, const struct ask *q)
{
    struct json *doc = expect_json(c, status, q);
    assert_string_equal(text_at(doc, "error.code"), code);
    assert_true(text_at(doc, "error.message")[0]);
    if (param)
        assert_string_equal(text_at(doc, "error.param"), param);
    json_free(doc);
}

struct json *expect_get(struct client *c, int status, const char *target)
{
    return expect_json(c, status, &(struct ask){.method = "GET", .target = target});
}

struct json *expect_post(struct client *c, int status, const char *target, const char *json)
{
    return expect_json(
        c, status,
        &(struct ask){
            .method = "POST", .target = target, .type = "application/json", .body = json, .len = strlen(json)});
}

void expect_put_image(struct client *c, int status, const char *target, const void *jpeg, size_t len)
{
    struct ask q = {.method = "PUT", .target = target, .type = "image/jpeg", .body = jpeg, .len = len};
    json_free(expect_json(c, status, &q));
}

const struct json *value_at(const struct json *doc, const char *path)
{
    const struct json *v = doc;
    char step[100];
    for (const char *p = path; v && *p; p += *p == '.') {
        size_t n = strcspn(p, ".");
        snprintf(step, sizeof step, "%.*s", (int)n, p);
        v = json_kind(v) == JSON_KIND_LIST ? json_item(v, strtoul(step, NULL, 10)) : json_member(v, step);
        p += n;
    }
    if (!v) {
        struct buf text = {0};
        json_dump(doc, &text);
        fail_msg("there is no %s in %.300s", path, text.data);
    }
    return v;
}

const char *text_at(const struct json *doc, const char *path)
{
    const char *text = json_as_text(value_at(doc, path), NULL);
    if (!text)
        fail_msg("%s is no text", path);
    return text;
}

int64_t int_at(const struct json *doc, const char *path)
{
    int64_t n = 0;
    if (!json_as_int(value_at(doc, path), &n))
        fail_msg("%s is no integer", path);
    return n;
}

double real_at(const struct json *doc, const char *path)
{
    double x = 0;
    if (!json_as_number(value_at(doc, path), &x))
        fail_msg("%s is no number", path);
    return x;
}

size_t count_at(const struct json *doc, const char *path)
{
    return json_count(value_at(doc, path));
}

void draw_jpeg(uint64_t seed, uint32_t side, struct buf *out)
{
    struct image img;
    struct err e = {0};
    assert_ok(draw_picture((uint32_t)(seed % DRAW_KINDS), seed / DRAW_KINDS, side, &img, &e), e);
    assert_ok(image_write_jpeg(&img, 90, out, &e), e);
    image_clear(&img);
}
