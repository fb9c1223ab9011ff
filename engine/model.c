/* model.c - models in memory: made from random numbers, looked up, fingerprinted, freed. */
#include "engine/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "engine/kernels/tensor.h"
#include "engine/model_parts.h"

_Static_assert(ARCH_NAME_MAX <= sizeof((struct weight *)0)->name, "names fit");

struct model *model_new_empty(const struct arch *a, struct err *e)
{
    struct weight_spec *specs = mem_new(ARCH_WEIGHTS_MAX, sizeof *specs);
    struct model *m = mem_new(1, sizeof *m);
    size_t total = 0;

    m->arch = *a;
    m->n_weights = arch_weights(a, specs);
    m->weights = mem_new(m->n_weights, sizeof *m->weights);
    for (size_t i = 0; i < m->n_weights; i++)
        total += specs[i].count;
    m->storage = mem_try(total, sizeof *m->storage, e);
    if (!m->storage) {
        model_free(m);
        m = NULL;
        goto done;
    }
    float *at = m->storage;
    for (size_t i = 0; i < m->n_weights; i++) {
        struct weight *w = &m->weights[i];
        snprintf(w->name, sizeof w->name, "%s", specs[i].name);
        w->rank = specs[i].rank;
        memcpy(w->shape, specs[i].shape, sizeof w->shape);
        w->count = specs[i].count;
        w->data = at;
        at += w->count;
    }
done:
    free(specs);
    return m;
}

static void fill_normal(struct weight *w, double variance, struct rng *r)
{
    double deviation = sqrt(variance);
    for (size_t i = 0; i < w->count; i++)
        w->data[i] = (float)(deviation * rng_normal(r));
}

static void fill_constant(struct weight *w, float value)
{
    for (size_t i = 0; i < w->count; i++)
        w->data[i] = value;
}

static void fill_random(struct model *m, uint64_t seed)
{
    struct weight_spec *specs = mem_new(ARCH_WEIGHTS_MAX, sizeof *specs);
    arch_weights(&m->arch, specs);
    for (size_t i = 0; i < m->n_weights; i++) {
        struct weight *w = &m->weights[i];
        struct rng r = rng_for(seed, i, 0);
        switch (specs[i].kind) {
        case WEIGHT_CONV: fill_normal(w, 2.0 / ((double)w->shape[0] * w->shape[2] * w->shape[3]), &r); break;
        case WEIGHT_LINEAR: fill_normal(w, 1.0 / w->shape[1], &r); break;
        case WEIGHT_BN_SCALE:
        case WEIGHT_BN_VARIANCE: fill_constant(w, 1); break;
        case WEIGHT_BN_SHIFT:
        case WEIGHT_BN_MEAN: break; /* zero already */
        }
    }
    free(specs);
}

struct preprocess model_preprocess(enum stem stem, uint32_t size)
{
    struct preprocess p = preprocess_imagenet;
    p.size = size ? size : stem == STEM_IMAGENET ? 224 : 32;
    p.resize = stem == STEM_IMAGENET ? (p.size * 8 + 3) / 7 : p.size;
    return p;
}

void model_resize(struct model *m, uint32_t size)
{
    const struct preprocess p = model_preprocess(m->arch.stem, size);
    m->pre.size = p.size;
    m->pre.resize = m->pre.fit == FIT_CROP ? p.resize : p.size;
}

struct preprocess model_fit(const struct preprocess *p, enum stem stem, enum fit fit)
{
    struct preprocess out = *p;
    if (fit == p->fit)
        return out;
    out.fit = fit;
    out.resize = fit == FIT_CROP ? model_preprocess(stem, p->size).resize : p->size;
    return out;
}

struct model *model_new_random(const struct arch *a, const struct preprocess *p, uint64_t seed, struct err *e)
{
    if (!arch_check(a, e) || !preprocess_check(p, e))
        return NULL;
    struct model *m = model_new_empty(a, e);
    if (!m)
        return NULL;
    m->pre = *p;
    m->seed = seed;
    m->created_at = clock_unix();
    fill_random(m, seed);
    model_seal(m);
    return m;
}

static void drop_goldens(struct model *m)
{
    for (size_t i = 0; i < m->n_goldens; i++) {
        free(m->goldens[i].png);
        free(m->goldens[i].vector);
    }
    free(m->goldens);
    m->goldens = NULL;
    m->n_goldens = 0;
}

void model_compact(struct model *m)
{
    for (size_t i = 0; i < m->n_weights; i++)
        for (size_t k = 0; m->weights[i].rank > 1 && k < m->weights[i].count; k++)
            m->weights[i].data[k] = bf16_to_float(bf16_from_float(m->weights[i].data[k]));
    m->compact = true;
    drop_goldens(m);
    model_seal(m);
}

void model_free(struct model *m)
{
    if (!m)
        return;
    drop_goldens(m);
    free(m->weights);
    free(m->storage);
    free(m->lineage);
    free(m);
}

const struct weight *model_weight(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->n_weights; i++)
        if (strcmp(m->weights[i].name, name) == 0)
            return &m->weights[i];
    return NULL;
}

/* ---- the fingerprint ----
 *
 * SHA-256 over one line of text for the architecture and the preprocessing, then, for each tensor in the
 * order of the names' bytes, a line "name 64x3x7x7" and its little-endian fp32 values. */

static void add_settings(struct hash *h, const struct model *m)
{
    const struct preprocess *p = &m->pre;
    char line[512];
    int n = snprintf(line, sizeof line,
                     "anchord 1 %s %s %u %u resize %u size %u filter %d mean %.9g %.9g %.9g std %.9g %.9g %.9g\n",
                     arch_name(&m->arch), stem_name(m->arch.stem), m->arch.width, m->arch.projection, p->resize,
                     p->size, (int)p->filter, (double)p->mean[0], (double)p->mean[1], (double)p->mean[2],
                     (double)p->std[0], (double)p->std[1], (double)p->std[2]);
    if (p->fit != FIT_CROP) /* which had no name when the first models were made */
        n += snprintf(line + n - 1, sizeof line - (size_t)n, " fit %s\n", fit_names[p->fit]) - 1;
    hash_add(h, line, min_size((size_t)n, sizeof line - 1));
}

static void add_tensor(struct hash *h, const struct weight *w)
{
    char line[192];
    size_t n = (size_t)snprintf(line, sizeof line, "%s ", w->name);
    for (uint32_t i = 0; i < w->rank; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%u", i ? "x" : "", w->shape[i]);
    n += (size_t)snprintf(line + n, sizeof line - n, "\n");
    hash_add(h, line, n);
    hash_add(h, w->data, w->count * sizeof *w->data);
}

static int by_name(const void *a, const void *b)
{
    const struct weight *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

void model_seal(struct model *m)
{
    const struct weight **sorted = mem_new(m->n_weights, sizeof *sorted);
    unsigned char digest[HASH_SIZE];
    struct hash *h = hash_begin();

    for (size_t i = 0; i < m->n_weights; i++)
        sorted[i] = &m->weights[i];
    qsort(sorted, m->n_weights, sizeof *sorted, by_name);
    add_settings(h, m);
    for (size_t i = 0; i < m->n_weights; i++)
        add_tensor(h, sorted[i]);
    hash_end(h, digest);
    hash_hex(digest, m->fingerprint);
    free(sorted);
}
