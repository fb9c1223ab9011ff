/* embedding_error.c - relative embedding error. */
#include "tests/lib/embedding_error.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tests/lib/load.h"

/* 1 - cos of unit vectors, from their difference: exact where they are nearly the same. */
static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum / 2;
}

struct embedding_error embedding_error(const float *exact, const float *other, size_t n, size_t dimensions)
{
    double *own = mem_new(n, sizeof *own), *others = mem_new(n * (n - 1) / 2, sizeof *others), sum = 0;
    size_t pairs = 0;
    for (size_t i = 0; i < n; i++) {
        own[i] = distance(exact + i * dimensions, other + i * dimensions, dimensions);
        sum += own[i];
        for (size_t j = 0; j < i; j++)
            others[pairs++] = distance(exact + i * dimensions, exact + j * dimensions, dimensions);
    }
    const double between = quantile(others, pairs, 0.5);
    const struct embedding_error e = {quantile(own, n, 0.5) / between, sum / (double)n / between,
                                      quantile(own, n, 1) / between, between};
    free(own);
    free(others);
    return e;
}
