/* loader.c - a ring of batches, filled row by row by a few threads. */
#include "engine/data/loader.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

struct slot {
    struct batch batch;
    size_t rows_begun, rows_done;
};

struct filler { /* one thread's work for as long as the loader lives */
    struct work work;
    struct loader *loader;
};

struct loader {
    struct loader_options o;
    struct slot *ring; /* [ahead]; the batch of step s is in slot s % ahead */
    struct pool *pool;
    struct filler *fillers; /* [threads] */
    pthread_mutex_t mu;
    pthread_cond_t wake; /* anything below has changed */
    /* guarded by mu */
    uint64_t taken;    /* the next step to be taken */
    uint64_t begun;    /* the next step to be dealt out */
    uint64_t returned; /* steps below this were given back */
    struct err err;    /* the first failure */
    bool closing;
};

static struct slot *slot_of(const struct loader *l, uint64_t step)
{
    return &l->ring[step % l->o.ahead];
}

/* Gives the next row to be drawn; begins a new batch when there is room.  False: the loader closes. */
static bool next_row(struct loader *l, struct slot **slot, size_t *row)
{
    for (;;) {
        if (l->closing || l->err.code)
            return false;
        struct slot *s = l->begun > l->o.first_step ? slot_of(l, l->begun - 1) : NULL;
        if (s && s->rows_begun < s->batch.rows) {
            *slot = s;
            *row = s->rows_begun++;
            return true;
        }
        if (l->begun < l->returned + l->o.ahead) {
            s = slot_of(l, l->begun);
            s->batch.step = l->begun++;
            s->rows_begun = s->rows_done = 0;
            sampler_batch(l->o.sampler, s->batch.step, s->batch.items);
            continue;
        }
        pthread_cond_wait(&l->wake, &l->mu);
    }
}

/* w: one for each group of crops. */
static bool draw_row(const struct loader *l, struct slot *s, size_t row, struct augmenter *const *w, struct err *e)
{
    size_t item = s->batch.items[row % l->o.batch];
    const struct crop crop = crops_row(l->o.crops, l->o.batch, row);
    const struct augmentation *a = &l->o.crops->groups[crop.group].augment[crop.number % 2];
    struct rng r = rng_for(l->o.seed, s->batch.step, row);
    struct image img;
    bool owned;
    if (!dataset_image(l->o.dataset, item, &img, &owned, e))
        return false;
    bool ok = augment(w[crop.group], a, l->o.preprocess, &img, &r, s->batch.pixels + crop.at, e);
    if (owned)
        image_clear(&img);
    s->batch.groups[row] =
        l->o.positives == POSITIVES_LABELS ? l->o.manifest->items[item].label : (int32_t)(row % l->o.batch);
    return ok;
}

static void fill(struct loader *l)
{
    struct augmenter *w[CROP_GROUPS_MAX] = {NULL};
    struct slot *s;
    size_t row;
    for (size_t i = 0; i < l->o.crops->n; i++)
        w[i] = augmenter_new(l->o.crops->groups[i].size);
    pthread_mutex_lock(&l->mu);
    while (next_row(l, &s, &row)) {
        struct err e = {0};
        pthread_mutex_unlock(&l->mu);
        bool ok = draw_row(l, s, row, w, &e);
        pthread_mutex_lock(&l->mu);
        if (!ok && !l->err.code)
            l->err = e;
        if (++s->rows_done == s->batch.rows || !ok)
            pthread_cond_broadcast(&l->wake);
    }
    pthread_mutex_unlock(&l->mu);
    for (size_t i = 0; i < l->o.crops->n; i++)
        augmenter_free(w[i]);
}

static void run_filler(struct work *w, void *thread_state)
{
    (void)thread_state;
    fill(((struct filler *)w)->loader);
}

static void make_ring(struct loader *l)
{
    size_t rows = crops_count(l->o.crops) * l->o.batch, values = crops_row(l->o.crops, l->o.batch, rows).at;
    l->ring = mem_new(l->o.ahead, sizeof *l->ring);
    for (size_t i = 0; i < l->o.ahead; i++) {
        struct slot *s = &l->ring[i];
        s->batch.rows = rows;
        s->batch.pixels = mem_aligned(values, sizeof(float));
        s->batch.groups = mem_new(rows, sizeof *s->batch.groups);
        s->batch.items = mem_new(l->o.batch, sizeof *s->batch.items);
    }
}

struct loader *loader_new(const struct loader_options *o, struct err *e)
{
    struct loader *l = mem_new(1, sizeof *l);
    l->o = *o;
    if (!l->o.ahead)
        l->o.ahead = 3;
    l->taken = l->begun = l->returned = o->first_step;
    pthread_mutex_init(&l->mu, NULL);
    pthread_cond_init(&l->wake, NULL);
    make_ring(l);
    l->pool =
        pool_new(&(struct pool_options){.name = "views", .threads = o->threads, .capacity = o->threads, .nice = 5}, e);
    l->fillers = mem_new(o->threads, sizeof *l->fillers);
    for (size_t i = 0; l->pool && i < o->threads; i++) {
        l->fillers[i] = (struct filler){{.run = run_filler}, l};
        pool_push(l->pool, &l->fillers[i].work);
    }
    if (l->pool)
        return l;
    loader_free(l);
    return NULL;
}

void loader_free(struct loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->mu);
    l->closing = true;
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->mu);
    pool_free(l->pool);
    for (size_t i = 0; i < l->o.ahead; i++) {
        free(l->ring[i].batch.pixels);
        free(l->ring[i].batch.groups);
        free(l->ring[i].batch.items);
    }
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->mu);
    free(l->ring);
    free(l->fillers);
    free(l);
}

const struct batch *loader_take(struct loader *l, struct err *e)
{
    const struct batch *out = NULL;
    pthread_mutex_lock(&l->mu);
    struct slot *s = slot_of(l, l->taken);
    while (!l->err.code && !(l->begun > l->taken && s->rows_done == s->batch.rows))
        pthread_cond_wait(&l->wake, &l->mu);
    if (l->err.code) {
        err_move(e, &l->err);
    } else {
        out = &s->batch;
        l->taken++;
    }
    pthread_mutex_unlock(&l->mu);
    return out;
}

void loader_give_back(struct loader *l, const struct batch *b)
{
    pthread_mutex_lock(&l->mu);
    l->returned = b->step + 1;
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->mu);
}
