/* hashed_weights.c - FNV-1a of the name starts a splitmix64; its upper 24 bits are the numbers. */
#include "tests/lib/hashed_weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static uint64_t name_seed(const char *name)
{
    uint64_t seed = 0xcbf29ce484222325;
    for (; *name; name++)
        seed = (seed ^ (unsigned char)*name) * 0x100000001b3;
    return seed;
}

static double uniform(uint64_t seed, size_t i)
{
    uint64_t z = seed + (uint64_t)(i + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return (double)(z >> 40) / 16777216.0;
}

static void fill(const char *name, float *out, size_t n, double low, double high)
{
    uint64_t seed = name_seed(name);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(low + (high - low) * uniform(seed, i));
}

void hashed_weight(const struct weight *w)
{
    double bound = w->rank > 1 ? sqrt(6 / ((double)w->count / (double)w->shape[0])) : 0.3;
    if (w->kind == WEIGHT_VARIANCE)
        fill(w->name, w->data, w->count, 0.3, 1.5);
    else if (w->start > 0) /* a scale */
        fill(w->name, w->data, w->count, 0.3, 1.1);
    else
        fill(w->name, w->data, w->count, -bound, bound);
}

struct model *hashed_model(const struct arch *a, uint32_t size)
{
    struct preprocess pre = preprocess_imagenet;
    struct err e = {0};

    pre.size = size;
    pre.resize = size + size / 7;
    struct model *m = model_new_random(a, &pre, 0, &e);
    if (!m) {
        fprintf(stderr, "hashed_model: %s\n", e.text);
        abort();
    }
    for (size_t i = 0; i < m->n_weights; i++)
        hashed_weight(&m->weights[i]);
    model_seal(m);
    return m;
}

const struct weight *model_weight(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->n_weights; i++)
        if (strcmp(m->weights[i].name, name) == 0)
            return &m->weights[i];
    return NULL;
}

float *hashed_picture(unsigned number, size_t size)
{
    char coarse[32], fine[32];
    size_t grid = (size + 15) / 16;
    float *out = mem_aligned(size * size * 3, sizeof *out);

    snprintf(coarse, sizeof coarse, "coarse %u", number);
    snprintf(fine, sizeof fine, "fine %u", number);
    uint64_t coarse_seed = name_seed(coarse), fine_seed = name_seed(fine);
    for (size_t i = 0; i < size * size * 3; i++) {
        size_t c = i % 3, x = i / 3 % size, y = i / 3 / size;
        double square = -2 + 4 * uniform(coarse_seed, (y / 16 * grid + x / 16) * 3 + c);
        out[i] = (float)(square + (-0.5 + uniform(fine_seed, i)));
    }
    return out;
}
