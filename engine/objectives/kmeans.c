/* kmeans.c - spherical k-means, in blocks of rows so that memory does not grow with them. */
#include "engine/objectives/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/gemm.h"

enum { BLOCK = 256 };

static size_t largest(const float *s, size_t k)
{
    size_t best = 0;
    for (size_t j = 1; j < k; j++)
        if (s[j] > s[best])
            best = j;
    return best;
}

static void assign(const float *x, size_t n, size_t d, const float *c, size_t k, float *scores, float *labels)
{
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t rows = min_size(BLOCK, n - at);
        gemm_nt(rows, k, d, 1, x + at * d, c, 0, scores);
        for (size_t i = 0; i < rows; i++)
            labels[at + i] = (float)largest(scores + i * k, k);
    }
}

static void move(const float *x, size_t n, size_t d, const float *labels, size_t k, double *sums, float *c)
{
    memset(sums, 0, k * d * sizeof *sums);
    for (size_t i = 0; i < n; i++) {
        double *to = sums + (size_t)labels[i] * d;
        for (size_t j = 0; j < d; j++)
            to[j] += (double)x[i * d + j];
    }
    for (size_t i = 0; i < k; i++) {
        double square = 0;
        for (size_t j = 0; j < d; j++)
            square += sums[i * d + j] * sums[i * d + j];
        for (size_t j = 0; square > 0 && j < d; j++)
            c[i * d + j] = (float)(sums[i * d + j] / sqrt(square));
    }
}

void kmeans(const float *x, size_t n, size_t d, size_t k, size_t iterations, float *c, float *labels)
{
    float *scores = mem_aligned(BLOCK * k, sizeof *scores);
    double *sums = mem_new(k * d, sizeof *sums);
    for (size_t i = 0; i < iterations; i++) {
        assign(x, n, d, c, k, scores, labels);
        move(x, n, d, labels, k, sums, c);
    }
    assign(x, n, d, c, k, scores, labels);
    free(sums);
    free(scores);
}
