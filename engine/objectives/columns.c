/* columns.c - moments of columns, a few columns at a time so that rows are read as they lie. */
#include "engine/objectives/columns.h"

#include "base/num.h"

enum { WIDE = 64 };

static void moments(const float *z, size_t n, size_t d, size_t wide, float *mean, float *variance)
{
    double sum[WIDE] = {0}, square[WIDE] = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < wide; j++)
            sum[j] += (double)z[i * d + j];
    for (size_t j = 0; j < wide; j++)
        sum[j] /= (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < wide; j++) {
            double x = (double)z[i * d + j] - sum[j];
            square[j] += x * x;
        }
    for (size_t j = 0; j < wide; j++) {
        mean[j] = (float)sum[j];
        variance[j] = (float)(square[j] / (double)n);
    }
}

void column_moments(const float *z, size_t n, size_t d, float *mean, float *variance)
{
    for (size_t j = 0; j < d; j += WIDE)
        moments(z + j, n, d, min_size(WIDE, d - j), mean + j, variance + j);
}
