/* crew.c - threads that embed stored images, and how they give way. */
#include "api/services/crew.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/services/lanes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/pool.h"

enum {
    IDLE_NICE = 19,
    BRISK_NICE = 10,     /* as the server's heavy threads */
    LEAST_SHARE = 20,    /* one part in so many is never given away */
    LOOK_NS = 500 * 1000 /* between two looks whether requests still want the core */
};

struct hands { /* one pool */
    struct pool *pool;
    struct lanes **lanes; /* [threads] */
};

struct crew {
    struct app *app;
    size_t threads;
    struct hands idle, brisk;
    atomic_bool hurry;
    _Atomic int64_t image_ns; /* what one image takes when nobody disturbs: the least of late */
};

static bool hands_open(struct hands *h, const char *name, int nice, size_t threads, struct err *e)
{
    h->lanes = mem_new(threads, sizeof(struct lanes *));
    for (size_t i = 0; i < threads; i++)
        h->lanes[i] = lanes_new();
    h->pool = pool_new(&(struct pool_options){.name = name, .threads = threads, .capacity = threads, .nice = nice}, e);
    return h->pool != NULL;
}

static void hands_close(struct hands *h, size_t threads)
{
    pool_free(h->pool);
    for (size_t i = 0; h->lanes && i < threads; i++)
        lanes_free(h->lanes[i]);
    free(h->lanes);
}

struct crew *crew_new(struct app *app, size_t threads, struct err *e)
{
    struct crew *c = mem_new(1, sizeof *c);
    c->app = app;
    c->threads = threads;
    if (hands_open(&c->idle, "reembed", IDLE_NICE, threads, e) &&
        hands_open(&c->brisk, "catch-up", BRISK_NICE, threads, e))
        return c;
    crew_free(c);
    return NULL;
}

void crew_free(struct crew *c)
{
    if (!c)
        return;
    hands_close(&c->idle, c->threads);
    hands_close(&c->brisk, c->threads);
    free(c);
}

void crew_hurry(struct crew *c)
{
    atomic_store(&c->hurry, true);
}

/* ---- one image ---- */

struct run {
    struct crew *crew;
    struct crew_batch *batch;
    struct hands *hands;
    bool brisk;
    _Atomic bool troubled;
};

/* The last threads give way to the first request, the first ones to the last: a core that no request wants is used. */
static bool is_wanted(const struct crew *c, size_t slot)
{
    return atomic_load_explicit(&c->app->embedding, memory_order_relaxed) >= c->threads - slot;
}

static void give_way(struct crew *c, size_t slot)
{
    struct timespec pause = {0, LOOK_NS};
    int64_t until = clock_ns() + LEAST_SHARE * atomic_load_explicit(&c->image_ns, memory_order_relaxed);
    while (is_wanted(c, slot) && clock_ns() < until && !atomic_load(&c->hurry))
        nanosleep(&pause, NULL);
}

/* The shortest time counts, and slowly fades: a disturbed image says nothing of what one takes. */
static void note_time(struct crew *c, int64_t ns)
{
    int64_t known = atomic_load_explicit(&c->image_ns, memory_order_relaxed);
    atomic_store_explicit(&c->image_ns, known == 0 || ns < known ? ns : known + (ns - known) / 64,
                          memory_order_relaxed);
}

static void embed_file(struct run *r, size_t i, size_t slot)
{
    struct crew *c = r->crew;
    struct crew_batch *b = r->batch;
    struct image_row row = {.bytes = b->items[i].bytes};
    struct err *e = &b->errors[i], why = {0};
    void *bytes;
    size_t len;
    struct lane *lane = lanes_get(r->hands->lanes[slot], b->encoder, &why);
    if (!lane) {
        if (!atomic_exchange(&r->troubled, true))
            b->trouble = why;
        err_set(e, ERR_BUSY, "no lane");
        return;
    }
    memcpy(row.sha256, b->items[i].sha256, sizeof row.sha256);
    if (!store_content(c->app->store, &row, &bytes, &len, e))
        return;
    int64_t start = clock_ns();
    if (lane_embed(lane, bytes, len, &c->app->options.limits, b->vectors + i * encoder_dimensions(b->encoder), NULL, e))
        note_time(c, clock_ns() - start);
    free(bytes);
}

static void embed_one(size_t i, size_t slot, void *context)
{
    struct run *r = context;
    struct crew_batch *b = r->batch;
    size_t d = encoder_dimensions(b->encoder);
    b->errors[i] = (struct err){0};
    if (b->items[i].vector) {
        memcpy(b->vectors + i * d, b->items[i].vector, d * sizeof *b->vectors);
        metric_add(METRIC_reembedded_images_total, 1, "reused", NULL);
        return;
    }
    if (!r->brisk)
        give_way(r->crew, slot);
    if (atomic_load(&r->crew->hurry)) {
        err_set(&b->errors[i], ERR_BUSY, "the server is stopping");
        return;
    }
    embed_file(r, i, slot);
    metric_add(METRIC_reembedded_images_total, 1, b->errors[i].code ? "failed" : "ok", NULL);
}

void crew_embed(struct crew *c, struct crew_batch *b, bool brisk)
{
    struct run r = {.crew = c, .batch = b, .hands = brisk ? &c->brisk : &c->idle, .brisk = brisk};
    b->trouble = (struct err){0};
    pool_each(r.hands->pool, b->n, embed_one, NULL, &r);
}
