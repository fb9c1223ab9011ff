/* probe_few_shot.c - episodes of a few classes with a few examples each. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "engine/judging/probe.h"

enum { QUERIES = 15 };

struct members { /* the rows of one class */
    size_t *rows, n;
};

/* The classes with at least `least` rows; *count of them. */
static struct members *group(const struct features *f, size_t least, size_t *count)
{
    struct members *all = mem_new(f->classes, sizeof *all);
    for (size_t i = 0; i < f->n; i++)
        all[f->labels[i]].n++;
    for (size_t c = 0; c < f->classes; c++) {
        all[c].rows = mem_new(all[c].n, sizeof *all[c].rows);
        all[c].n = 0;
    }
    for (size_t i = 0; i < f->n; i++) {
        struct members *m = &all[f->labels[i]];
        m->rows[m->n++] = i;
    }
    *count = 0;
    for (size_t c = 0; c < f->classes; c++) {
        struct members m = all[c];
        if (m.n >= least)
            all[(*count)++] = m;
        else
            free(m.rows);
    }
    return all;
}

/* Brings a random choice of `k` to the front. */
static void choose(size_t *a, size_t n, size_t k, struct rng *r)
{
    for (size_t i = 0; i < k; i++) {
        size_t j = i + (size_t)rng_below(r, n - i), t = a[i];
        a[i] = a[j];
        a[j] = t;
    }
}

static double squared_distance(const float *x, const double *mean, size_t d)
{
    double sum = 0;
    for (size_t k = 0; k < d; k++)
        sum += ((double)x[k] - mean[k]) * ((double)x[k] - mean[k]);
    return sum;
}

static size_t nearest(const float *x, const double *means, size_t ways, size_t d)
{
    size_t best = 0;
    double least = HUGE_VAL;
    for (size_t w = 0; w < ways; w++) {
        double distance = squared_distance(x, means + w * d, d);
        if (distance < least) {
            least = distance;
            best = w;
        }
    }
    return best;
}

/* The share of right answers of one episode over the classes picked[0..ways). */
static double episode(const struct features *f, struct members *classes, const size_t *picked, size_t ways,
                      size_t shots, double *means, struct rng *r)
{
    size_t right = 0;
    memset(means, 0, ways * f->d * sizeof *means);
    for (size_t w = 0; w < ways; w++) {
        struct members *m = &classes[picked[w]];
        choose(m->rows, m->n, shots + QUERIES, r);
        for (size_t s = 0; s < shots; s++)
            for (size_t k = 0; k < f->d; k++)
                means[w * f->d + k] += (double)f->x[m->rows[s] * f->d + k] / (double)shots;
    }
    for (size_t w = 0; w < ways; w++)
        for (size_t q = 0; q < QUERIES; q++)
            right += nearest(f->x + classes[picked[w]].rows[shots + q] * f->d, means, ways, f->d) == w;
    return (double)right / (double)(ways * QUERIES);
}

struct few_shot few_shot(const struct features *f, size_t ways, size_t shots, size_t episodes, uint64_t seed)
{
    struct few_shot out = {0};
    size_t count;
    struct members *classes = group(f, shots + QUERIES, &count);
    out.classes = count;
    out.least = shots + QUERIES;
    size_t *picked = mem_new(count, sizeof *picked);
    double *means = mem_new(ways * f->d, sizeof *means), sum = 0, square = 0;
    for (size_t i = 0; i < count; i++)
        picked[i] = i;
    for (size_t i = 0; count >= ways && i < episodes; i++) {
        struct rng r = rng_for(seed, i, 0);
        choose(picked, count, ways, &r);
        double a = episode(f, classes, picked, ways, shots, means, &r);
        sum += a;
        square += a * a;
        out.episodes++;
    }
    if (out.episodes) {
        double n = (double)out.episodes, mean = sum / n;
        out.accuracy = mean;
        out.interval = 1.96 * sqrt(fmax(0, square / n - mean * mean) / n);
    }
    for (size_t c = 0; c < count; c++)
        free(classes[c].rows);
    free(classes);
    free(picked);
    free(means);
    return out;
}
