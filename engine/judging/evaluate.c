/* evaluate.c - embedding a data set on many threads, and all figures of its vectors in one struct. */
#include "engine/judging/evaluate.h"
#include "engine/kernels/spread.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"

enum { UNIFORMITY_ROWS = 2000 }; /* its cost grows with the square */

/* OpenMP's, for the calling thread alone.  Work is parallel over pictures, so not inside one as well; the last bits of a
 * vector depend on it. */
extern void omp_set_num_threads(int threads);
extern int omp_get_max_threads(void);

struct embedding_slot { /* what one thread needs, made when it first does */
    struct lane *lane;
    float *pixels;
    struct augmenter *augmenter;
};

struct embedding {
    struct encoder *encoder;
    const struct dataset *dataset;
    const struct manifest *manifest;    /* only for views */
    const struct augmentation *augment; /* NULL: the picture itself ... */
    uint64_t seed;
    enum alteration alteration; /* ... after this */
    const size_t *items;
    float *out;
    struct embedding_slot *slots;
    pthread_mutex_t mu;
    struct err err; /* the first failure; guarded by mu */
};

static bool open_slot(const struct embedding *b, struct embedding_slot *s, struct err *e)
{
    const uint32_t size = encoder_preprocess(b->encoder)->size;
    omp_set_num_threads(1);
    s->pixels = mem_aligned((size_t)size * size * 3, sizeof *s->pixels);
    s->augmenter = b->augment ? augmenter_new(size) : NULL;
    return (s->lane = lane_new(b->encoder, 1, e));
}

static bool fill_pixels(const struct embedding *b, size_t item, const struct image *img, struct embedding_slot *s,
                        struct err *e)
{
    const struct preprocess *p = encoder_preprocess(b->encoder);
    struct image altered = {0};
    if (b->alteration != ALTER_NOTHING) {
        bool ok = image_alter(img, b->alteration, &altered, e) && preprocess_run(p, &altered, s->pixels, e);
        image_clear(&altered);
        return ok;
    }
    if (!b->augment)
        return preprocess_run(p, img, s->pixels, e);
    struct rng r = manifest_rng(&b->manifest->items[item], b->seed);
    return augment(s->augmenter, b->augment, p, img, &r, s->pixels, e);
}

static bool embed_one(struct embedding *b, size_t i, struct embedding_slot *s, struct err *e)
{
    struct image img;
    bool owned;
    if ((!s->lane && !open_slot(b, s, e)) || !dataset_image(b->dataset, b->items[i], &img, &owned, e))
        return false;
    bool ok = fill_pixels(b, b->items[i], &img, s, e) &&
              lane_forward(s->lane, s->pixels, 1, b->out + i * encoder_dimensions(b->encoder), e);
    if (owned)
        image_clear(&img);
    return ok;
}

static void embed_item(size_t i, size_t slot, void *context)
{
    struct embedding *b = context;
    struct err e = {0};
    if (embed_one(b, i, &b->slots[slot], &e))
        return;
    pthread_mutex_lock(&b->mu);
    if (!b->err.code)
        b->err = e;
    pthread_mutex_unlock(&b->mu);
}

static bool embed_all(struct embedding *b, size_t n, struct pool *pool, struct err *e)
{
    const size_t slots = pool ? pool_threads(pool) : 1;
    const int threads = omp_get_max_threads(); /* the caller's own; without a pool it does the work */
    b->slots = mem_new(slots, sizeof *b->slots);
    pthread_mutex_init(&b->mu, NULL);
    pool_each(pool, n, embed_item, NULL, b);
    omp_set_num_threads(threads);
    for (size_t i = 0; i < slots; i++) {
        lane_free(b->slots[i].lane);
        augmenter_free(b->slots[i].augmenter);
        free(b->slots[i].pixels);
    }
    free(b->slots);
    pthread_mutex_destroy(&b->mu);
    return b->err.code == ERR_NONE || err_move(e, &b->err);
}

bool evaluate_embed(struct encoder *enc, const struct dataset *d, const size_t *items, size_t n, struct pool *pool,
                    float *out, struct err *e)
{
    struct embedding b = {.encoder = enc, .dataset = d, .items = items, .out = out};
    return embed_all(&b, n, pool, e);
}

bool evaluate_embed_views(struct encoder *enc, const struct dataset *d, const struct manifest *m, const size_t *items,
                          size_t n, const struct augmentation *a, uint64_t seed, struct pool *pool, float *out,
                          struct err *e)
{
    struct embedding b = {
        .encoder = enc, .dataset = d, .manifest = m, .augment = a, .seed = seed, .items = items, .out = out};
    return embed_all(&b, n, pool, e);
}

bool evaluate_embed_altered(struct encoder *enc, const struct dataset *d, const size_t *items, size_t n,
                            enum alteration a, struct pool *pool, float *out, struct err *e)
{
    struct embedding b = {.encoder = enc, .dataset = d, .items = items, .out = out, .alteration = a};
    return embed_all(&b, n, pool, e);
}

/* Alignment of each row with the next one of its label, by the order they come in. */
static double label_alignment(const struct evaluate_input *in)
{
    float *a = mem_aligned(in->n * in->d, sizeof *a), *b = mem_aligned(in->n * in->d, sizeof *b);
    size_t *last = mem_new(in->classes, sizeof *last), pairs = 0, bytes = in->d * sizeof *a;
    for (size_t i = 0; i < in->n; i++) {
        size_t *before = &last[in->labels[i]]; /* one more than the row; 0: none yet */
        if (*before) {
            memcpy(a + pairs * in->d, in->x + (*before - 1) * in->d, bytes);
            memcpy(b + pairs * in->d, in->x + i * in->d, bytes);
            pairs++;
        }
        *before = i + 1;
    }
    double out = alignment(a, b, pairs, in->d);
    free(last);
    free(a);
    free(b);
    return out;
}

/* Of a random part of the rows when there are many. */
static double sampled_uniformity(const struct evaluate_input *in)
{
    if (in->n <= UNIFORMITY_ROWS)
        return uniformity(in->x, in->n, in->d);
    struct rng r = rng_new(in->seed);
    float *part = mem_aligned(UNIFORMITY_ROWS * in->d, sizeof *part);
    size_t kept = 0;
    for (size_t i = 0; i < in->n && kept < UNIFORMITY_ROWS; i++)
        if (rng_below(&r, in->n - i) < UNIFORMITY_ROWS - kept)
            memcpy(part + kept++ * in->d, in->x + i * in->d, in->d * sizeof *part);
    double out = uniformity(part, kept, in->d);
    free(part);
    return out;
}

/* What only labels can tell. */
static void add_labelled(const struct evaluate_input *in, struct evaluation *v)
{
    struct features all = {in->x, in->labels, in->n, in->d, in->classes};
    v->retrieval = retrieval_measure(in->x, in->n, in->d, in->labels, in->hits);
    if (in->bank) {
        double temperature = in->knn_temperature > 0 ? in->knn_temperature : 0.07;
        v->knn_20 =
            knn_accuracy(in->bank, in->bank_labels, in->n_bank, in->x, in->labels, in->n, in->d, 20, temperature);
        v->knn_200 =
            knn_accuracy(in->bank, in->bank_labels, in->n_bank, in->x, in->labels, in->n, in->d, 200, temperature);
    }
    if (in->bank && in->probe_grid) {
        struct features bank = {in->bank, in->bank_labels, in->n_bank, in->d, in->classes};
        v->linear = linear_probe(&bank, &all, in->probe_grid, in->seed).accuracy;
    }
    if (in->episodes)
        v->few_shot = few_shot(&all, 5, 5, in->episodes, in->seed);
    v->alignment = label_alignment(in);
}

struct evaluation evaluate(const struct evaluate_input *in)
{
    struct evaluation v = {.knn_20 = -1, .knn_200 = -1, .linear = -1};
    if (in->labels) {
        add_labelled(in, &v);
    } else {
        v.instance = instance_measure(in->views, in->x, in->n, in->d, in->hits);
        v.alignment = alignment(in->x, in->views, in->n, in->d);
    }
    v.uniformity = sampled_uniformity(in);
    v.std = unit_std(in->x, in->n, in->d);
    v.effective_rank = effective_rank(in->x, in->n, in->d);
    v.rank_me = rank_me(in->x, in->n, in->d);
    return v;
}

static void figure(struct json_writer *w, const char *key, double value, bool measured)
{
    if (measured)
        jw_short(w, key, value);
    else
        jw_null(w, key);
}

void evaluation_fields(const struct evaluation *v, struct json_writer *w)
{
    const bool queries = v->retrieval.queries > 0, views = v->instance.queries > 0;
    jw_int(w, "queries", (int64_t)(views ? v->instance.queries : v->retrieval.queries));
    figure(w, "recall@1", v->retrieval.recall_1, queries);
    figure(w, "recall@5", v->retrieval.recall_5, queries);
    figure(w, "recall@10", v->retrieval.recall_10, queries);
    figure(w, "r_precision", v->retrieval.r_precision, queries);
    figure(w, "map@r", v->retrieval.map_r, queries);
    figure(w, "instance_recall@1", v->instance.recall_1, views);
    figure(w, "knn_20", v->knn_20, v->knn_20 >= 0);
    figure(w, "knn_200", v->knn_200, v->knn_200 >= 0);
    figure(w, "linear_probe", v->linear, v->linear >= 0);
    figure(w, "few_shot", v->few_shot.accuracy, v->few_shot.episodes > 0);
    figure(w, "few_shot_interval", v->few_shot.interval, v->few_shot.episodes > 0);
    figure(w, "alignment", v->alignment, true);
    figure(w, "uniformity", v->uniformity, true);
    figure(w, "std", v->std, true);
    figure(w, "effective_rank", v->effective_rank, true);
    figure(w, "rank_me", v->rank_me, true);
}

void evaluation_write(const struct evaluation *v, struct buf *out)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    evaluation_fields(v, &w);
    jw_end(&w);
}
