/* retrieval.c - recall, precision, kNN and the paired bootstrap. */
#include "engine/judging/retrieval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/gemm.h"

enum { BLOCK = 256 }; /* queries for each product: bounds the memory to BLOCK x n */

struct candidate {
    float score;
    uint32_t index;
};

static int better(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* What one ranked list says; `related` is how many there are to be found. */
static void add_query(struct retrieval *r, const struct candidate *ranked, const int32_t *labels, int32_t label,
                      size_t n, size_t related)
{
    size_t found = 0, first = SIZE_MAX;
    double precision = 0;
    for (size_t i = 0; i < n && i < max_size(related, 10); i++) {
        if (labels[ranked[i].index] != label)
            continue;
        first = min_size(first, i);
        if (i < related) {
            found++;
            precision += (double)found / (double)(i + 1);
        }
    }
    r->queries++;
    r->recall_1 += first < 1;
    r->recall_5 += first < 5;
    r->recall_10 += first < 10;
    r->r_precision += (double)found / (double)related;
    r->map_r += precision / (double)related;
}

static size_t count_label(const int32_t *labels, size_t n, int32_t label)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += labels[i] == label;
    return count;
}

/* Lets a candidate sink in a heap of the k best, whose root is the worst of them. */
static void sink(struct candidate *heap, size_t k, size_t at)
{
    const struct candidate c = heap[at];
    for (size_t child; (child = 2 * at + 1) < k; at = child) {
        if (child + 1 < k && better(&heap[child + 1], &heap[child]) > 0)
            child++;
        if (better(&heap[child], &c) <= 0)
            break;
        heap[at] = heap[child];
    }
    heap[at] = c;
}

/* The k best candidates but `self`, best first, in out [k]; gives how many. */
static size_t rank(const float *scores, size_t n, size_t self, size_t k, struct candidate *out)
{
    size_t m = 0;
    for (size_t i = 0; k && i < n; i++) {
        const struct candidate c = {scores[i], (uint32_t)i};
        if (i == self)
            continue;
        if (m < k) {
            out[m++] = c;
            for (size_t at = m / 2; m == k && at-- > 0;) /* full: from now on it is a heap */
                sink(out, k, at);
        } else if (better(&c, &out[0]) < 0) {
            out[0] = c;
            sink(out, k, 0);
        }
    }
    qsort(out, m, sizeof *out, better);
    return m;
}

static void finish(struct retrieval *r)
{
    double q = r->queries ? (double)r->queries : 1;
    r->recall_1 /= q;
    r->recall_5 /= q;
    r->recall_10 /= q;
    r->r_precision /= q;
    r->map_r /= q;
}

struct retrieval retrieval_measure(const float *unit, size_t n, size_t d, const int32_t *labels, int8_t *hits)
{
    struct retrieval r = {0};
    float *scores = mem_aligned(BLOCK * n, sizeof *scores);
    struct candidate *ranked = mem_new(max_size(n, 10), sizeof *ranked);
    for (size_t start = 0; start < n; start += BLOCK) {
        size_t rows = min_size(BLOCK, n - start);
        gemm_nt(rows, n, d, 1, unit + start * d, unit, 0, scores);
        for (size_t i = 0; i < rows; i++) {
            size_t query = start + i, related = count_label(labels, n, labels[query]) - 1;
            if (hits)
                hits[query] = -1;
            if (!related)
                continue;
            size_t m = rank(scores + i * n, n, query, max_size(related, 10), ranked);
            add_query(&r, ranked, labels, labels[query], m, related);
            if (hits)
                hits[query] = labels[ranked[0].index] == labels[query];
        }
    }
    free(ranked);
    free(scores);
    finish(&r);
    return r;
}

struct instance instance_measure(const float *views, const float *unit, size_t n, size_t d, int8_t *hits)
{
    struct instance out = {.queries = n};
    float *scores = mem_aligned(BLOCK * n, sizeof *scores);
    for (size_t start = 0; start < n; start += BLOCK) {
        size_t rows = min_size(BLOCK, n - start);
        gemm_nt(rows, n, d, 1, views + start * d, unit, 0, scores);
        for (size_t i = 0; i < rows; i++) {
            size_t best = 0;
            for (size_t j = 1; j < n; j++)
                if (scores[i * n + j] > scores[i * n + best])
                    best = j;
            if (hits)
                hits[start + i] = best == start + i;
            out.recall_1 += best == start + i;
        }
    }
    free(scores);
    out.recall_1 /= n ? (double)n : 1;
    return out;
}

size_t nearest_rows(const float *unit, size_t n, size_t d, size_t query, size_t k, size_t *out)
{
    float *scores = mem_aligned(n, sizeof *scores);
    struct candidate *ranked = mem_new(k, sizeof *ranked);
    gemm_nt(1, n, d, 1, unit + query * d, unit, 0, scores);
    const size_t found = rank(scores, n, query, k, ranked);
    for (size_t i = 0; i < found; i++)
        out[i] = ranked[i].index;
    free(ranked);
    free(scores);
    return found;
}

/* The label with most votes among the k best; the lowest of equals. */
static int32_t vote(const struct candidate *ranked, size_t k, const int32_t *labels, double temperature,
                    double *weights)
{
    int32_t best = labels[ranked[0].index];
    double best_votes = -1;
    for (size_t i = 0; i < k; i++)
        weights[i] = exp(((double)ranked[i].score - (double)ranked[0].score) / temperature);
    for (size_t i = 0; i < k; i++) {
        int32_t label = labels[ranked[i].index];
        double votes = 0;
        for (size_t j = 0; j < k; j++)
            votes += labels[ranked[j].index] == label ? weights[j] : 0;
        if (votes > best_votes || (votes == best_votes && label < best)) {
            best = label;
            best_votes = votes;
        }
    }
    return best;
}

double knn_accuracy(const float *bank, const int32_t *bank_labels, size_t n_bank, const float *queries,
                    const int32_t *labels, size_t n, size_t d, size_t k, double temperature)
{
    size_t right = 0;
    float *scores = mem_aligned(BLOCK * n_bank, sizeof *scores);
    k = min_size(k, n_bank);
    struct candidate *ranked = mem_new(k, sizeof *ranked);
    double *weights = mem_new(k, sizeof *weights);
    for (size_t start = 0; k && start < n; start += BLOCK) {
        size_t rows = min_size(BLOCK, n - start);
        gemm_nt(rows, n_bank, d, 1, queries + start * d, bank, 0, scores);
        for (size_t i = 0; i < rows; i++) {
            rank(scores + i * n_bank, n_bank, n_bank, k, ranked);
            right += vote(ranked, k, bank_labels, temperature, weights) == labels[start + i];
        }
    }
    free(weights);
    free(ranked);
    free(scores);
    return n ? (double)right / (double)n : 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct interval paired_bootstrap(const int8_t *before, const int8_t *after, size_t n, size_t resamples, uint64_t seed)
{
    struct interval out = {0};
    struct rng r = rng_new(seed);
    double *gain = mem_new(n, sizeof *gain), *means = mem_new(resamples, sizeof *means);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (before[i] >= 0 && after[i] >= 0)
            gain[m++] = after[i] - before[i];
    for (size_t i = 0; i < m; i++)
        out.mean += gain[i] / (double)m;
    for (size_t s = 0; m && s < resamples; s++) {
        for (size_t i = 0; i < m; i++)
            means[s] += gain[rng_below(&r, m)];
        means[s] /= (double)m;
    }
    if (m && resamples) {
        qsort(means, resamples, sizeof *means, ascending);
        out.low = means[(size_t)(0.025 * (double)(resamples - 1))];
        out.high = means[(size_t)(0.975 * (double)(resamples - 1) + 0.5)];
    }
    free(gain);
    free(means);
    return out;
}
