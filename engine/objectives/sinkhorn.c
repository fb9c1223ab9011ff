/* sinkhorn.c - rows and columns brought to their sums in turn, as logarithms. */
#include "engine/objectives/sinkhorn.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* Subtracts log sum exp of each column: every prototype has the same mass; which, the rows decide. */
static void balance_columns(float *q, size_t n, size_t k, double *max, double *sum)
{
    for (size_t j = 0; j < k; j++) {
        max[j] = -HUGE_VAL;
        sum[j] = 0;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++)
            max[j] = fmax(max[j], (double)q[i * k + j]);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++)
            sum[j] += exp((double)q[i * k + j] - max[j]);
    for (size_t j = 0; j < k; j++)
        max[j] += log(sum[j]);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++)
            q[i * k + j] = (float)((double)q[i * k + j] - max[j]);
}

/* ... of each row and log n: every sample has 1 / n. */
static void balance_rows(float *q, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++, q += k) {
        double max = -HUGE_VAL, sum = 0;
        for (size_t j = 0; j < k; j++)
            max = fmax(max, (double)q[j]);
        for (size_t j = 0; j < k; j++)
            sum += exp((double)q[j] - max);
        double all = max + log(sum) + log((double)n);
        for (size_t j = 0; j < k; j++)
            q[j] = (float)((double)q[j] - all);
    }
}

/* All of it sums to 1: what is left when nothing is balanced. */
static void balance_all(float *q, size_t count)
{
    double max = -HUGE_VAL, sum = 0;
    for (size_t i = 0; i < count; i++)
        max = fmax(max, (double)q[i]);
    for (size_t i = 0; i < count; i++)
        sum += exp((double)q[i] - max);
    double all = max + log(sum);
    for (size_t i = 0; i < count; i++)
        q[i] = (float)((double)q[i] - all);
}

void sinkhorn(float *q, size_t n, size_t k, size_t iterations)
{
    double *max = mem_new(2 * k, sizeof *max);
    balance_all(q, n * k);
    for (size_t i = 0; i < iterations; i++) {
        balance_columns(q, n, k, max, max + k);
        balance_rows(q, n, k);
    }
    for (size_t i = 0; i < n * k; i++)
        q[i] = (float)((double)n * exp((double)q[i]));
    free(max);
}
