/* call.c - the stages of a call: begin, step, embed, refuse, run, free. */
#include "api/requests/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/requests/fields.h"
#include "api/requests/picture.h"
#include "api/requests/route.h"
#include "api/requests/stage.h"
#include "api/requests/step.h"
#include "api/services/keys.h"
#include "api/services/plan_cache.h"
#include "base/file.h"
#include "base/log.h"

/* Parsing this much JSON takes a light thread longer than many searches. */
enum { LONG_BODY = 256 << 10 };

/* The newcomer's slip. */
static void hint_at_curl(struct call *c)
{
    size_t used = strlen(c->err.text);
    if (c->route && (c->route->takes & TAKES_IMAGE) && is_curls_form(c) &&
        (c->err.code == ERR_UNDECODABLE || c->err.code == ERR_MEDIA_TYPE))
        snprintf(c->err.text + used, sizeof c->err.text - used,
                 "; with curl, -d changes a file: use --data-binary @FILE");
}

static void finish_failed(struct call *c)
{
    hint_at_curl(c);
    if (err_is_internal(c->err.code)) {
        char path[256];
        log_error("request_failed", "request_id=%s route=%s path=%s code=%s why=%s",
                  c->request->request_id ? c->request->request_id : "-", c->route ? c->route->pattern : "-",
                  log_quote(c->request->path, path, sizeof path), err_name(c->err.code), c->err.text);
    }
    if (c->part_done) {
        c->part_done(c);
    } else if (c->response.begun) {
        buf_clear(&c->response.body);
        c->response.body.meter = NULL;
        c->response.cut = true;
    } else {
        c->response.n_headers = 0;
        answer_error(&c->response, &c->err);
    }
    call_done(c);
}

static bool parse_body(struct call *c)
{
    const struct request *r = c->request;
    if (r->body_len > 0 && content_of(c) == TAKES_JSON) {
        c->json = json_parse(r->body, r->body_len, 0, &c->err);
        if (!call_own_json(c, c->json))
            return false;
    }
    return c->route->handler(c);
}

static bool check_body(struct call *c, size_t max)
{
    const struct request *r = c->request;
    if (r->body_len > max)
        return max == 0 ? err_set(&c->err, ERR_TOO_LARGE, "this route takes no body")
                        : err_set(&c->err, ERR_TOO_LARGE, "the body has more than %zu bytes", max);
    if (content_of(c) == TAKES_JSON && r->body_len > c->app->options.json_max)
        return err_set(&c->err, ERR_TOO_LARGE, "the JSON body has more than %zu bytes", c->app->options.json_max);
    if (r->body_len == 0)
        return (c->route->takes & TAKES_NOTHING) ||
               err_set(&c->err, ERR_BAD_INPUT, "a body is needed: %s", content_wanted(c->route));
    return content_of(c) || err_set(&c->err, ERR_MEDIA_TYPE, "this route takes %s", content_wanted(c->route));
}

static void begin_failed(struct call *c, const struct route_match *m)
{
    char *allow = arena_text(&c->arena, m->allow);
    finish_failed(c);
    if (c->err.code == ERR_BAD_METHOD)
        answer_header(&c->response, "allow", allow);
}

/* One answer may have half of what all have. */
static struct meter *answer_meter(struct call *c)
{
    struct meter *m = call_new(c, 1, sizeof *m);
    *m = (struct meter){.quota = &c->app->answers, .most = c->app->answers.total / 2};
    return m;
}

void call_begin(struct call *c, struct app *app, const struct request *r)
{
    struct route_match found;
    const struct route_match *m = r->match ? r->match : &found;
    *c = (struct call){.app = app, .request = r};
    c->response.body.meter = answer_meter(c);
    if (!r->match && !route_find(app, r->listener, r->method, r->path, &found, &c->err)) {
        begin_failed(c, m);
        return;
    }
    c->route = m->route;
    if (!role_allows(r->role, c->route->role, &c->err) || !path_params(c, m) || !query_check(c) ||
        !check_body(c, m->body_max)) {
        finish_failed(c);
        return;
    }
    if (r->body_len > LONG_BODY && content_of(c) != TAKES_IMAGE)
        call_next_heavy(c, parse_body);
    else
        call_next(c, parse_body);
}

void call_step(struct call *c)
{
    bool (*stage)(struct call *) = c->stage;
    switch (step_run(c)) {
    case STEP_FAILED: finish_failed(c); break;
    case STEP_TOO_MUCH:
        response_clear(&c->response);
        c->err = (struct err){0};
        call_next_lengthy(c, stage);
        break;
    case STEP_WENT_WELL:
    default:
        if (!answer_fits(&c->response, &c->err))
            finish_failed(c);
        break;
    }
}

bool call_is_ready(const struct call *c)
{
    return c->ready(c);
}

void call_refuse(struct call *c, const struct err *e)
{
    c->err = *e;
    finish_failed(c);
}

void call_image(struct embed_item *item, struct plan_cache *plans, const struct image_limits *limits)
{
    const struct upload_picture sent = item->picture;
    struct upload_picture *p = &item->picture;
    if (item->err.code)
        return;
    struct lane *lane =
        picture_decode(p, &item->decoded, &item->err) ? plan_cache_get(plans, item->encoder, &item->err) : NULL;
    if (!lane || !lane_embed(lane, p->bytes, p->len, limits, item->vector, &item->info, &item->err))
        picture_explain(&sent, &item->err);
    else if (item->want_hash)
        hash_text(p->bytes, p->len, item->sha256);
}

/* ---- driving one call on this thread ---- */

/* The pieces of an endless answer stay together in its body. */
static void wait_until_ready(struct call *c)
{
    c->response.begun = true;
    while (!call_is_ready(c))
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* Without a socket there is nobody to read the file bit by bit. */
static void read_file(struct call *c)
{
    struct response *r = &c->response;
    struct buf bytes = {0};
    struct err e = {0};
    if (!r->is_file)
        return;
    buf_reserve(&bytes, r->file_len);
    bytes.len = r->file_len;
    bool ok = file_read_at(r->fd, 0, bytes.data, bytes.len, &e);
    close(r->fd);
    r->is_file = false;
    answer_bytes(r, r->content_type, &bytes);
    if (!ok)
        call_refuse(c, &e);
}

void call_run(struct call *c, struct plan_cache *plans)
{
    while (c->state != CALL_DONE) {
        struct err e = {0};
        if (c->state == CALL_IMAGES)
            for (size_t i = 0; i < c->n_images; i++)
                call_image(&c->images[i], plans, &c->app->options.limits);
        if (c->state == CALL_GOES_ON)
            wait_until_ready(c);
        if (c->state == CALL_WRITES && !store_write_all(c->app->store, c->writes, c->n_writes, &e))
            call_refuse(c, &e);
        else
            call_step(c);
    }
    read_file(c);
}

void call_free(struct call *c)
{
    for (struct owned *o = c->owned; o; o = o->next)
        o->release(o->p);
    response_clear(&c->response);
    arena_clear(&c->arena);
    *c = (struct call){0};
}
