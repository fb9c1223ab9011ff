/* rig.c - requests to an app without a socket. */
#include "tests/lib/rig.h"

#include <stdlib.h>
#include <string.h>

#include "tests/t.h"

#include "api/jobs/jobs.h"
#include "api/requests/route.h"
#include "api/services/models.h"
#include "base/base64.h"
#include "base/log.h"
#include "base/percent.h"
#include "engine/arch_resnet.h"
#include "engine/pictures/draw.h"
#include "tests/lib/process.h"

static struct app *open_app(const char *dir)
{
    struct err e = {0};
    char jobs_dir[400];
    const struct jobs_options jobs = {.program = program_path(), .queue = 2, .threads = 1, .max_p99_us = 50000};
    struct app_options o = {
        .routes = &api_routes,
        .store = {.dir = dir,
                  .min_free_bytes = 1,
                  .background = true,
                  .keep_generations = 1,
                  .thumbnail_cache_bytes = 16 << 20},
        .reembed_threads = 1,
        .arch = RESNET(18, SMALL2, 8, 0),
        .preprocess = preprocess_imagenet,
        .items_max = 64,
    };
    o.preprocess.size = 32;
    o.preprocess.resize = 36;
    struct app *app = app_open(&o, &e);
    if (!app)
        fail_msg("app_open: %s", e.text);
    snprintf(jobs_dir, sizeof jobs_dir, "%s/jobs", dir);
    app->jobs = jobs_open(app, jobs_dir, &jobs, &e);
    assert_ok(app->jobs != NULL, e);
    return app;
}

struct rig *rig_open(void)
{
    struct rig *r = mem_new(1, sizeof *r);
    log_set_level(LOG_ERROR);
    json_init();
    r->dir = t_make_dir();
    r->app = open_app(r->dir);
    r->plans = plan_cache_new();
    return r;
}

void rig_shut(struct rig *r)
{
    plan_cache_free(r->plans);
    jobs_close(r->app->jobs);
    app_close(r->app);
    r->plans = NULL;
    r->app = NULL;
}

void rig_start(struct rig *r)
{
    r->app = open_app(r->dir);
    r->plans = plan_cache_new();
}

void rig_reopen(struct rig *r)
{
    rig_shut(r);
    rig_start(r);
}

void rig_close(struct rig *r)
{
    if (r->app)
        rig_shut(r);
    t_remove_dir(r->dir);
    free(r);
}

struct rig *rig;

int rig_set_up(void **state)
{
    UNUSED(state);
    rig = rig_open();
    return 0;
}

int rig_tear_down(void **state)
{
    UNUSED(state);
    rig_close(rig);
    return 0;
}

void rig_add_model(struct rig *r, const char *id, uint64_t seed)
{
    const struct model_terms terms = {.encoder = &r->app->options.encoder, .needed = true};
    struct err e = {0};
    struct model *m = model_new_random(&r->app->options.arch, &r->app->options.preprocess, seed, &e);
    assert_ok(m && model_keep(r->app->store, m, id, &terms, &e), e);
    model_free(m);
}

void rig_settle(struct rig *r, const char *collection)
{
    struct collection_row row;
    struct err e = {0};
    for (double until = clock_s() + t_patience(20); clock_s() < until; usleep(10000)) {
        assert_ok(store_collection(r->app->store, collection, &row, &e), e);
        if (!row.building)
            return;
    }
    fail_msg("the generation of %s does not get done", collection);
}

void outcome_clear(struct outcome *r)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        free((void *)(uintptr_t)r->headers[i].name);
        free((void *)(uintptr_t)r->headers[i].value);
    }
    json_free(r->json);
    buf_clear(&r->body);
    *r = (struct outcome){0};
}

const char *outcome_header(const struct outcome *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

const struct json *outcome_at(const struct outcome *r, const char *path)
{
    char copy[256], *save = NULL;
    const struct json *v = r->json;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *step = strtok_r(copy, ".", &save); step && v; step = strtok_r(NULL, ".", &save))
        v = json_kind(v) == JSON_KIND_LIST ? json_item(v, strtoul(step, NULL, 10)) : json_member(v, step);
    return v;
}

const char *outcome_text(const struct outcome *r, const char *path)
{
    return json_as_text(outcome_at(r, path), NULL);
}

double outcome_number(const struct outcome *r, const char *path)
{
    double x;
    return json_as_number(outcome_at(r, path), &x) ? x : (double)NAN;
}

/* ---- requests ---- */

static enum method method_of(const char *name)
{
    static const char *const names[] = {"OTHER", "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum method)i;
    return METHOD_OTHER;
}

/* "PUT /a?b=c" in pieces; `line` is cut up. */
static void parse_line(char *line, struct request *q, struct pair *pairs, size_t room)
{
    char *path = strchr(line, ' '), *query, *save = NULL;
    *path++ = 0;
    query = strchr(path, '?');
    if (query)
        *query++ = 0;
    q->method = method_of(line);
    q->path = path;
    q->query = pairs;
    for (char *p = query ? strtok_r(query, "&", &save) : NULL; p && q->n_query < room; p = strtok_r(NULL, "&", &save)) {
        char *value = strchr(p, '=');
        if (value)
            *value++ = 0;
        else
            value = p + strlen(p);
        assert_true(percent_decode(p, strlen(p), p) && percent_decode(value, strlen(value), value));
        pairs[q->n_query++] = (struct pair){p, value};
    }
}

static struct outcome take_answer(struct call *c)
{
    struct outcome r = {.status = c->response.status, .n_headers = c->response.n_headers};
    r.body.data = buf_take(&c->response.body, &r.body.len);
    r.body.room = r.body.len + 1;
    for (size_t i = 0; i < r.n_headers; i++)
        r.headers[i] = (struct header){mem_text(c->response.headers[i].name), mem_text(c->response.headers[i].value)};
    if (c->response.content_type && strcmp(c->response.content_type, "application/json") == 0) {
        struct err e = {0};
        r.json = json_parse(r.body.data, r.body.len, 0, &e);
        if (!r.json)
            fail_msg("the answer is no JSON (%s): %s", e.text, r.body.data);
    }
    return r;
}

struct rig_call *rig_call_new(struct rig *r, struct plan_cache *plans, const char *line, const struct extra *x)
{
    static const struct extra none;
    struct rig_call *k = mem_new(1, sizeof *k);
    x = x ? x : &none;
    k->line = mem_text(line);
    k->plans = plans;
    k->request = (struct request){
        .listener = x->admin ? LISTENER_ADMIN : LISTENER_PUBLIC,
        .content_type = x->type,
        .if_match = x->if_match,
        .if_none_match = x->if_none_match,
        .pin = x->pin,
        .request_id = "test",
        .body = x->body,
        .body_len = x->len    ? x->len
                    : x->body ? strlen(x->body)
                              : 0,
        .role = x->role != ROLE_NONE || x->anonymous ? x->role : ROLE_ADMIN,
    };
    parse_line(k->line, &k->request, k->pairs, COUNT(k->pairs));
    call_begin(&k->call, r->app, &k->request);
    return k;
}

struct outcome rig_call_end(struct rig_call *k)
{
    call_run(&k->call, k->plans);
    struct outcome reply = take_answer(&k->call);
    call_free(&k->call);
    free(k->line);
    free(k);
    return reply;
}

struct rig_call *rig_until_write(struct rig *r, const char *line, const struct extra *x)
{
    struct rig_call *k = rig_call_new(r, r->plans, line, x);
    rig_call_step(k);
    if (k->call.state != CALL_WRITES)
        fail_msg("%s came to its end without a write: %d %.300s", line, k->call.response.status,
                 k->call.response.body.data ? k->call.response.body.data : "");
    return k;
}

void rig_call_step(struct rig_call *k)
{
    struct call *c = &k->call;
    do {
        for (size_t i = 0; c->state == CALL_IMAGES && i < c->n_images; i++)
            call_image(&c->images[i], k->plans, &c->app->options.limits);
        call_step(c);
    } while (c->state == CALL_READY || c->state == CALL_IMAGES);
}

struct outcome rig_ask_with(struct rig *r, struct plan_cache *plans, const char *line, const struct extra *x)
{
    return rig_call_end(rig_call_new(r, plans, line, x));
}

struct outcome rig_ask(struct rig *r, const char *line, const struct extra *x)
{
    return rig_ask_with(r, r->plans, line, x);
}

struct outcome rig_json(struct rig *r, const char *line, const char *json)
{
    return rig_ask(r, line, &(struct extra){.type = "application/json", .body = json});
}

struct outcome rig_expect(struct rig *r, int status, const char *line, const struct extra *x)
{
    struct outcome reply = rig_ask(r, line, x);
    if (reply.status != status)
        fail_msg("%s gave %d, expected %d: %.300s", line, reply.status, status, reply.body.data ? reply.body.data : "");
    return reply;
}

struct buf rig_picture(unsigned kind, unsigned seed)
{
    struct image img;
    struct buf b = {0};
    struct err e = {0};
    assert_ok(draw_picture(kind, seed, 48, &img, &e), e);
    assert_ok(image_write_jpeg(&img, 90, &b, &e), e);
    image_clear(&img);
    return b;
}

struct buf rig_base64(unsigned kind, unsigned seed)
{
    struct buf file = rig_picture(kind, seed), text = {0};
    base64_encode(file.data, file.len, &text);
    buf_clear(&file);
    return text;
}

void rig_put(struct rig *r, const char *id, unsigned kind, unsigned seed, const char *label)
{
    rig_put_in(r, "default", id, kind, seed, label);
}

void rig_put_in(struct rig *r, const char *collection, const char *id, unsigned kind, unsigned seed, const char *label)
{
    char line[512];
    struct buf file = rig_picture(kind, seed);
    snprintf(line, sizeof line, "PUT /v1/collections/%s/images/%s%s%s", collection, id, label ? "?label=" : "",
             label ? label : "");
    struct outcome reply = rig_ask(r, line, &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
    if (reply.status != 200 && reply.status != 201)
        fail_msg("%s gave %d: %s", line, reply.status, reply.body.data);
    outcome_clear(&reply);
    buf_clear(&file);
}

void rig_fill(struct rig *r, unsigned kinds, unsigned each)
{
    for (unsigned k = 0; k < kinds; k++)
        for (unsigned i = 0; i < each; i++) {
            char id[32], label[16];
            snprintf(id, sizeof id, "p%u-%u", k, i);
            snprintf(label, sizeof label, "kind%u", k);
            rig_put(r, id, k, i, label);
        }
}
