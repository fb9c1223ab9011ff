/* reembed_pool.c - threads that embed stored images, and how they give way. */
#include "api/services/reembed_pool.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/services/plan_cache.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/pool.h"

enum {
    IDLE_NICE = 19,
    FOREGROUND_NICE = 10, /* as the server's heavy threads */
    LEAST_SHARE = 20,     /* one part in so many is never given away */
    LOOK_NS = 500 * 1000  /* between two looks whether requests still want the core */
};

struct workers { /* one pool */
    struct pool *pool;
    struct plan_cache **plans; /* [threads] */
};

struct reembed_pool {
    struct app *app;
    size_t threads;
    struct workers idle, foreground;
    atomic_bool stopping;
    _Atomic int64_t image_ns; /* what one image takes when nobody disturbs: the least of late */
};

static bool workers_open(struct workers *h, const char *name, int nice, size_t threads, struct err *e)
{
    h->plans = mem_new(threads, sizeof(struct plan_cache *));
    for (size_t i = 0; i < threads; i++)
        h->plans[i] = plan_cache_new();
    h->pool = pool_new(&(struct pool_options){.name = name, .threads = threads, .capacity = threads, .nice = nice}, e);
    return h->pool != NULL;
}

static void workers_close(struct workers *h, size_t threads)
{
    pool_free(h->pool);
    for (size_t i = 0; h->plans && i < threads; i++)
        plan_cache_free(h->plans[i]);
    free(h->plans);
}

struct reembed_pool *reembed_pool_new(struct app *app, size_t threads, struct err *e)
{
    struct reembed_pool *c = mem_new(1, sizeof *c);
    c->app = app;
    c->threads = threads;
    if (workers_open(&c->idle, "reembed", IDLE_NICE, threads, e) &&
        workers_open(&c->foreground, "catch-up", FOREGROUND_NICE, threads, e))
        return c;
    reembed_pool_free(c);
    return NULL;
}

void reembed_pool_free(struct reembed_pool *c)
{
    if (!c)
        return;
    workers_close(&c->idle, c->threads);
    workers_close(&c->foreground, c->threads);
    free(c);
}

void reembed_pool_stop(struct reembed_pool *c)
{
    atomic_store(&c->stopping, true);
}

/* ---- one image ---- */

struct batch_run {
    struct reembed_pool *pool;
    struct reembed_work *batch;
    struct workers *workers;
    bool foreground;
    _Atomic bool troubled;
};

/* The last threads give way to the first request, the first ones to the last: a core that no request wants is used. */
static bool is_wanted(const struct reembed_pool *c, size_t slot)
{
    return demand_exceeds(&c->app->demand, c->threads - slot - 1, 0);
}

static void give_way(struct reembed_pool *c, size_t slot)
{
    struct timespec pause = {0, LOOK_NS};
    int64_t until = clock_ns() + LEAST_SHARE * atomic_load_explicit(&c->image_ns, memory_order_relaxed);
    while (is_wanted(c, slot) && clock_ns() < until && !atomic_load(&c->stopping))
        nanosleep(&pause, NULL);
}

/* The shortest time counts, and slowly fades: a disturbed image says nothing of what one takes. */
static void note_time(struct reembed_pool *c, int64_t ns)
{
    int64_t known = atomic_load_explicit(&c->image_ns, memory_order_relaxed);
    atomic_store_explicit(&c->image_ns, known == 0 || ns < known ? ns : known + (ns - known) / 64,
                          memory_order_relaxed);
}

static void embed_file(struct batch_run *r, size_t i, size_t slot)
{
    struct reembed_pool *c = r->pool;
    struct reembed_work *b = r->batch;
    struct image_row row = {.bytes = b->items[i].bytes};
    struct err *e = &b->errors[i], why = {0};
    void *bytes;
    size_t len;
    struct lane *lane = plan_cache_get(r->workers->plans[slot], b->encoder, &why);
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
    struct batch_run *r = context;
    struct reembed_work *b = r->batch;
    size_t d = encoder_dimensions(b->encoder);
    b->errors[i] = (struct err){0};
    if (b->items[i].vector) {
        memcpy(b->vectors + i * d, b->items[i].vector, d * sizeof *b->vectors);
        metric_add(METRIC_reembedded_images_total, 1, "reused", NULL);
        return;
    }
    if (!r->foreground)
        give_way(r->pool, slot);
    if (atomic_load(&r->pool->stopping)) {
        err_set(&b->errors[i], ERR_BUSY, "the server is stopping");
        return;
    }
    embed_file(r, i, slot);
    metric_add(METRIC_reembedded_images_total, 1, b->errors[i].code ? "failed" : "ok", NULL);
}

void reembed_pool_embed(struct reembed_pool *c, struct reembed_work *b, bool foreground)
{
    struct batch_run r = {
        .pool = c, .batch = b, .workers = foreground ? &c->foreground : &c->idle, .foreground = foreground};
    b->trouble = (struct err){0};
    pool_each(r.workers->pool, b->n, embed_one, NULL, &r);
}
