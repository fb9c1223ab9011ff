/* spread.c - alignment, uniformity, and how many dimensions the embeddings still use. */
#include "engine/kernels/spread.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/eigen.h"
#include "engine/kernels/gemm.h"

enum { BLOCK = 256 }; /* rows at a time: bounds the memory */

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

/* Sum of exp(-2 |x_i - x_j|^2) over the rows i of a block and all j < i, by |x|^2 + |y|^2 - 2 xy. */
static double block_spread(const float *products, const double *squares, size_t start, size_t rows)
{
    double sum = 0;
    for (size_t i = start; i < start + rows; i++)
        for (size_t j = 0; j < i; j++)
            sum += exp(-2 * fmax(0, squares[i] + squares[j] - 2 * (double)products[(i - start) * (start + rows) + j]));
    return sum;
}

double uniformity(const float *x, size_t n, size_t d)
{
    float *products = mem_aligned(BLOCK * n, sizeof *products);
    double *squares = mem_new(n, sizeof *squares), sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            squares[i] += (double)x[i * d + k] * (double)x[i * d + k];
    for (size_t start = 0; start < n; start += BLOCK) {
        const size_t rows = min_size(BLOCK, n - start);
        gemm_nt(rows, start + rows, d, 1, x + start * d, x, 0, products);
        sum += block_spread(products, squares, start, rows);
    }
    free(products);
    free(squares);
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

/* m rows of z, evenly, less their mean: x [m, d]. */
static void centred_rows(const float *z, size_t n, size_t d, size_t m, float *x)
{
    float *mean = mem_new(d, sizeof *mean);
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k < d; k++)
            mean[k] += z[i * n / m * d + k] / (float)m;
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k < d; k++)
            x[i * d + k] = z[i * n / m * d + k] - mean[k];
    free(mean);
}

/* The products of the rows have the same eigenvalues as the covariance, up to a factor. */
double used_dimensions(const float *z, size_t n, size_t d)
{
    const size_t m = min_size(n, BLOCK);
    float *x = mem_aligned(m * d, sizeof *x), *products = mem_aligned(m * m, sizeof *products);
    double trace = 0, squares = 0;
    centred_rows(z, n, d, m, x);
    gemm_nt(m, m, d, 1, x, x, 0, products);
    for (size_t i = 0; i < m; i++)
        trace += (double)products[i * m + i];
    for (size_t i = 0; i < m * m; i++)
        squares += (double)products[i] * (double)products[i];
    free(x);
    free(products);
    return squares > 0 ? trace * trace / squares : 0;
}

/* Eigenvalues of (z - centre)' (z - centre), ascending, [d]; the caller's. */
static double *spectrum(const float *z, size_t n, size_t d, bool centred)
{
    double *gram = mem_new(d * d, sizeof *gram), *mean = mem_new(d, sizeof *mean), *values = mem_new(d, sizeof *values);
    double *block = mem_aligned(BLOCK * d, sizeof *block);
    for (size_t i = 0; centred && i < n; i++)
        for (size_t k = 0; k < d; k++)
            mean[k] += (double)z[i * d + k] / (double)n;
    for (size_t start = 0; start < n; start += BLOCK) {
        const size_t rows = min_size(BLOCK, n - start);
        for (size_t i = 0; i < rows; i++)
            for (size_t k = 0; k < d; k++)
                block[i * d + k] = (double)z[(start + i) * d + k] - mean[k];
        gram_add(rows, d, block, gram);
    }
    eigenvalues(gram, d, values);
    free(block);
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
