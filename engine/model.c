/* model.c - models in memory: made from random numbers, fingerprinted, freed. */
#include "engine/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "engine/arch_family.h"
#include "engine/kernels/tensor.h"
#include "engine/model_parts.h"

struct model *model_new_empty(const struct arch *a, struct err *e)
{
    struct model *m = mem_new(1, sizeof *m);
    struct graph g = {0};
    size_t total = 0;

    m->arch = *a;
    arch_build(a, 1, ANY_SIZE, &g);
    m->weights = g.weights;
    m->n_weights = g.n_weights;
    m->names = g.names;
    free(g.nodes);
    for (size_t i = 0; i < m->n_weights; i++)
        total += m->weights[i].count;
    m->storage = mem_try(total, sizeof *m->storage, e);
    if (!m->storage) {
        model_free(m);
        return NULL;
    }
    float *at = m->storage;
    for (size_t i = 0; i < m->n_weights; i++) {
        m->weights[i].data = at;
        at += m->weights[i].count;
    }
    return m;
}

static void fill_random(struct model *m, uint64_t seed)
{
    for (size_t i = 0; i < m->n_weights; i++) {
        struct weight *w = &m->weights[i];
        struct rng r = rng_for(seed, i, 0);
        double deviation = sqrt(w->variance);
        for (size_t k = 0; k < w->count; k++)
            w->data[k] = w->variance > 0 ? w->start + (float)(deviation * rng_normal(&r)) : w->start;
    }
}

struct preprocess model_preprocess(const struct arch *a, uint32_t size)
{
    return arch_family(a)->preprocess(a, size);
}

void model_resize(struct model *m, uint32_t size)
{
    const struct preprocess p = model_preprocess(&m->arch, size);
    m->pre.size = p.size;
    m->pre.resize = m->pre.fit == FIT_CROP ? p.resize : p.size;
}

struct preprocess model_fit(const struct preprocess *p, const struct arch *a, enum fit fit)
{
    struct preprocess out = *p;
    if (fit == p->fit)
        return out;
    out.fit = fit;
    out.resize = fit == FIT_CROP ? model_preprocess(a, p->size).resize : p->size;
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

void model_drop_goldens(struct model *m)
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
    model_drop_goldens(m);
    model_seal(m);
}

void model_free(struct model *m)
{
    if (!m)
        return;
    model_drop_goldens(m);
    free(m->weights);
    arena_clear(&m->names);
    free(m->storage);
    free(m->lineage);
    free(m);
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
                     "anchord 1 %s %u resize %u size %u filter %d mean %.9g %.9g %.9g std %.9g %.9g %.9g\n",
                     arch_text(&m->arch, ARCH_TEXT_VALUES).text, m->arch.projection, p->resize, p->size, (int)p->filter,
                     (double)p->mean[0], (double)p->mean[1], (double)p->mean[2], (double)p->std[0], (double)p->std[1],
                     (double)p->std[2]);
    if (p->fit != FIT_CROP) /* which had no name when the first models were made */
        n += snprintf(line + n - 1, sizeof line - (size_t)n, " fit %s\n", fit_names[p->fit]) - 1;
    hash_add(h, line, min_size((size_t)n, sizeof line - 1));
}

static void add_tensor(struct hash *h, const struct weight *w)
{
    struct buf line = {0};
    buf_print(&line, "%s ", w->name);
    for (uint32_t i = 0; i < w->rank; i++)
        buf_print(&line, "%s%u", i ? "x" : "", w->shape[i]);
    buf_text(&line, "\n");
    hash_add(h, line.data, line.len);
    buf_clear(&line);
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
