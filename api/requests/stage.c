/* stage.c - the moves of a call, and what it owns. */
#include "api/requests/stage.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOKS_MOST = 4 };

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
    c->encoder = model_cache_get(c->app->models, c->load->model, c->load->precision, &c->err);
    if (c->err.code == ERR_NOT_FOUND)
        snprintf(c->err.param, sizeof c->err.param, "model");
    return call_own(c, c->encoder, release_encoder) && c->load->stage(c);
}

bool call_load(struct call *c, const char *model, enum precision precision, bool (*stage)(struct call *))
{
    c->load = call_new(c, 1, sizeof *c->load);
    *c->load = (struct load){arena_text(&c->arena, model), precision, stage};
    return model_cache_has(c->app->models, model, precision) ? load_model(c) : call_next_heavy(c, load_model);
}

struct image_list {
    struct embed_item *items;
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

struct write *call_new_draft(struct call *c)
{
    return call_new_write(c, WRITE_IMAGE_PUT, NULL);
}
