/* call.c - the stages of a call: begin, step, embed, refuse, run, free. */
#include "api/requests/call.h"

#include <pthread.h>
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
#include "api/services/lanes.h"
#include "base/file.h"
#include "base/log.h"

/* Parsing this much JSON takes a light thread longer than many searches. */
enum { LONG_BODY = 256 << 10 };

enum { LOOKS_MOST = 4 };

struct owned {
    struct owned *next;
    void *p;
    void (*release)(void *);
};

/* ---- what handlers use ---- */

static bool continue_with(struct call *c, enum call_state state, bool (*stage)(struct call *))
{
    c->state = state;
    c->stage = stage;
    return true;
}

bool call_next(struct call *c, bool (*stage)(struct call *))
{
    return continue_with(c, CALL_READY, stage);
}

bool call_next_heavy(struct call *c, bool (*stage)(struct call *))
{
    c->heavy = true;
    return continue_with(c, CALL_READY, stage);
}

bool call_next_lengthy(struct call *c, bool (*stage)(struct call *))
{
    c->lengthy = true;
    return continue_with(c, CALL_READY, stage);
}

bool call_embed(struct call *c, bool (*stage)(struct call *))
{
    return continue_with(c, c->n_images ? CALL_IMAGES : CALL_READY, stage);
}

bool call_write(struct call *c, bool (*stage)(struct call *))
{
    return continue_with(c, c->n_writes ? CALL_WRITES : CALL_READY, stage);
}

bool call_go_on(struct call *c, bool (*ready)(const struct call *), bool (*stage)(struct call *))
{
    c->ready = ready;
    return continue_with(c, CALL_GOES_ON, stage);
}

bool call_done(struct call *c)
{
    return continue_with(c, CALL_DONE, NULL);
}

bool call_fail(struct call *c, const struct err *e)
{
    c->err = *e;
    return false;
}

bool call_wrote(struct call *c)
{
    return !c->writes[0]->err.code || call_fail(c, &c->writes[0]->err);
}

bool call_look_again(struct call *c, const struct err *e, bool (*stage)(struct call *))
{
    return e->code == ERR_STALE && c->looks++ < LOOKS_MOST ? call_next(c, stage) : call_fail(c, e);
}

bool call_no_content(struct call *c)
{
    if (!call_wrote(c))
        return false;
    answer_empty(&c->response, 204);
    return call_done(c);
}

void *call_own(struct call *c, void *p, void (*release)(void *))
{
    if (!p)
        return NULL;
    struct owned *o = call_new(c, 1, sizeof *o);
    *o = (struct owned){c->owned, p, release};
    c->owned = o;
    return p;
}

static void release_json(void *p)
{
    json_free(p);
}

static void release_filter(void *p)
{
    filter_free(p);
}

static void release_view(void *p)
{
    view_release(p);
}

static void release_encoder(void *p)
{
    encoder_release(p);
}

struct json *call_own_json(struct call *c, struct json *j)
{
    return call_own(c, j, release_json);
}

struct filter *call_own_filter(struct call *c, struct filter *f)
{
    return call_own(c, f, release_filter);
}

struct view *call_own_view(struct call *c, struct view *v)
{
    return call_own(c, v, release_view);
}

void *call_new(struct call *c, size_t count, size_t size)
{
    return arena_new(&c->arena, count, size);
}

/* A model that is in memory costs nothing; one that is not is read on a heavy thread. */
struct load {
    const char *model;
    enum precision precision;
    bool (*stage)(struct call *c);
};

static bool load_model(struct call *c)
{
    c->encoder = registry_get(c->app->models, c->load->model, c->load->precision, &c->err);
    if (c->err.code == ERR_NOT_FOUND)
        snprintf(c->err.param, sizeof c->err.param, "model");
    return call_own(c, c->encoder, release_encoder) && c->load->stage(c);
}

bool call_load(struct call *c, const char *model, enum precision precision, bool (*stage)(struct call *))
{
    c->load = call_new(c, 1, sizeof *c->load);
    *c->load = (struct load){arena_text(&c->arena, model), precision, stage};
    return registry_has(c->app->models, model, precision) ? load_model(c) : call_next_heavy(c, load_model);
}

struct image_list {
    struct image_job *items;
    size_t n;
};

static void release_images(void *p)
{
    struct image_list *list = p;
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i].decoded);
}

void call_new_images(struct call *c, size_t n)
{
    struct image_list *list = call_new(c, 1, sizeof *list);
    list->items = call_new(c, n, sizeof *list->items);
    list->n = n;
    for (size_t i = 0; i < n; i++) {
        list->items[i].encoder = c->encoder;
        list->items[i].vector = call_new(c, encoder_dimensions(c->encoder), sizeof(float));
    }
    call_own(c, list, release_images);
    c->images = list->items;
    c->n_images = n;
}

static void release_write(void *p)
{
    write_clear(p);
}

void call_new_writes(struct call *c, size_t n, enum write_kind kind, const char *collection)
{
    c->writes = call_new(c, n, sizeof *c->writes);
    c->n_writes = n;
    for (size_t i = 0; i < n; i++) {
        struct write *w = call_new(c, 1, sizeof *w);
        w->kind = kind;
        w->collection = collection;
        c->writes[i] = call_own(c, w, release_write);
    }
}

struct write *call_new_write(struct call *c, enum write_kind kind, const char *collection)
{
    call_new_writes(c, 1, kind, collection);
    return c->writes[0];
}

/* ---- what drivers use ---- */

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

static bool check_body(struct call *c)
{
    const struct request *r = c->request;
    size_t max = route_body_max(c->app, c->route);
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

static bool check_role(struct call *c)
{
    if (c->request->role >= c->route->role)
        return true;
    return err_set(&c->err, c->request->role == ROLE_NONE ? ERR_UNAUTHENTICATED : ERR_FORBIDDEN,
                   "this needs a key with a higher role");
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
    struct route_match m;
    *c = (struct call){.app = app, .request = r};
    c->response.body.meter = answer_meter(c);
    if (!route_find(r->listener, r->method, r->path, &m, &c->err)) {
        begin_failed(c, &m);
        return;
    }
    c->route = m.route;
    if (!check_role(c) || !path_params(c, &m) || !query_check(c) || !check_body(c)) {
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

void call_image(struct image_job *job, struct lanes *lanes, const struct image_limits *limits)
{
    const struct picture sent = job->picture;
    struct picture *p = &job->picture;
    if (job->err.code)
        return;
    struct lane *lane = picture_decode(p, &job->decoded, &job->err) ? lanes_get(lanes, job->encoder, &job->err) : NULL;
    if (!lane || !lane_embed(lane, p->bytes, p->len, limits, job->vector, &job->info, &job->err))
        picture_explain(&sent, &job->err);
    else if (job->want_hash)
        hash_text(p->bytes, p->len, job->sha256);
}

/* ---- driving one call on this thread ---- */

struct waiter {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    size_t open; /* writes that are not done; guarded by mu */
};

static void write_done(struct write *w)
{
    struct waiter *waiter = w->user;
    pthread_mutex_lock(&waiter->mu);
    waiter->open--;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->mu);
}

static bool write_and_wait(struct call *c, struct err *e)
{
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, c->n_writes};
    for (size_t i = 0; i < c->n_writes; i++) {
        c->writes[i]->done = write_done;
        c->writes[i]->user = &waiter;
    }
    if (!store_submit(c->app->store, c->writes, c->n_writes, e))
        return false;
    pthread_mutex_lock(&waiter.mu);
    while (waiter.open)
        pthread_cond_wait(&waiter.changed, &waiter.mu);
    pthread_mutex_unlock(&waiter.mu);
    return true;
}

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

void call_run(struct call *c, struct lanes *lanes)
{
    while (c->state != CALL_DONE) {
        struct err e = {0};
        if (c->state == CALL_IMAGES)
            for (size_t i = 0; i < c->n_images; i++)
                call_image(&c->images[i], lanes, &c->app->options.limits);
        if (c->state == CALL_GOES_ON)
            wait_until_ready(c);
        if (c->state == CALL_WRITES && !write_and_wait(c, &e))
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
