/* collapse.c - alignment, uniformity, and how many dimensions the embeddings still use. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/kernels/eigen.h"
#include "engine/kernels/gemm.h"
#include "engine/training/retrieval.h"

static double squared_distance(const float *x, const float *y, size_t d)
{
    double sum = 0;
    for (size_t k = 0; k < d; k++) {
        double diff = (double)x[k] - (double)y[k];
        sum += diff * diff;
    }
    return sum;
}

double alignment(const float *x, const float *y, size_t n, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += squared_distance(x + i * d, y + i * d, d);
    return n ? sum / (double)n : 0;
}

double uniformity(const float *x, size_t n, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            sum += exp(-2 * squared_distance(x + i * d, x + j * d, d));
    return n > 1 ? log(sum / ((double)n * (double)(n - 1) / 2)) : 0;
}

double unit_std(const float *z, size_t n, size_t d)
{
    double *sum = mem_new(d, sizeof *sum), *square = mem_new(d, sizeof *square), total = 0;
    for (size_t i = 0; i < n; i++) {
        double norm = 0;
        for (size_t k = 0; k < d; k++)
            norm += (double)z[i * d + k] * (double)z[i * d + k];
        norm = norm > 0 ? sqrt(norm) : 1;
        for (size_t k = 0; k < d; k++) {
            double u = (double)z[i * d + k] / norm;
            sum[k] += u;
            square[k] += u * u;
        }
    }
    for (size_t k = 0; n > 1 && k < d; k++)
        total += sqrt(fmax(0, square[k] - sum[k] * sum[k] / (double)n) / (double)(n - 1));
    free(sum);
    free(square);
    return total / (double)d;
}

/* Eigenvalues of (z - centre)' (z - centre), ascending, [d]; the caller's. */
static double *spectrum(const float *z, size_t n, size_t d, bool centred)
{
    double *gram = mem_new(d * d, sizeof *gram), *mean = mem_new(d, sizeof *mean), *values = mem_new(d, sizeof *values);
    for (size_t i = 0; centred && i < n; i++)
        for (size_t k = 0; k < d; k++)
            mean[k] += (double)z[i * d + k] / (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t a = 0; a < d; a++) {
            double x = (double)z[i * d + a] - mean[a];
            for (size_t b = 0; b <= a; b++)
                gram[a * d + b] += x * ((double)z[i * d + b] - mean[b]);
        }
    eigenvalues(gram, d, values);
    free(gram);
    free(mean);
    return values;
}

double effective_rank(const float *z, size_t n, size_t d)
{
    double *values = spectrum(z, n, d, true), sum = 0, entropy = 0;
    for (size_t k = 0; k < d; k++)
        sum += fmax(0, values[k]);
    for (size_t k = 0; k < d; k++)
        if (values[k] > 0 && sum > 0)
            entropy -= values[k] / sum * log(values[k] / sum);
    free(values);
    return sum > 0 ? exp(entropy) : 1;
}

double rank_me(const float *z, size_t n, size_t d)
{
    double *values = spectrum(z, n, d, false), sum = 0, entropy = 0;
    for (size_t k = 0; k < d; k++)
        sum += sqrt(fmax(0, values[k]));
    for (size_t k = 0; sum > 0 && k < d; k++) {
        double p = sqrt(fmax(0, values[k])) / sum + 1e-7;
        entropy -= p * log(p);
    }
    free(values);
    return sum > 0 ? exp(entropy) : 1;
}
