/* batchnorm.c - batch norm, forward and backward, fused with the residual and the ReLU behind it. */
#include "engine/kernels/batchnorm.h"

#include <math.h>

#include "base/num.h"

/* A tile is what is worked on at once: whole rows, or a part of one long row, so that the fp32 copies of its bf16
 * operands stay in the first-level cache.  A block is the rows that are summed in fp32. */
enum { TILE = 1024, BLOCK_ROWS_MAX = 512, BLOCKS_WANTED = 64 };

struct tile {
    size_t at; /* first element */
    size_t rows, width;
    size_t c; /* its first channel */
};

static size_t block_rows(const struct norm_shape *s)
{
    return min_size(BLOCK_ROWS_MAX, max_size(1, (s->rows + BLOCKS_WANTED - 1) / BLOCKS_WANTED));
}

static size_t block_count(const struct norm_shape *s)
{
    return (s->rows + block_rows(s) - 1) / block_rows(s);
}

size_t norm_work(const struct norm_shape *s)
{
    return block_count(s) * 2 * s->c;
}

/* The next tile of the rows from *row (and channel *c) to `end`; false when there is none. */
static bool next_tile(const struct norm_shape *s, size_t *row, size_t *c, size_t end, struct tile *t)
{
    if (*row >= end)
        return false;
    *t = (struct tile){*row * s->c + *c, 1, min_size(s->c - *c, TILE), *c};
    if (s->c <= TILE) {
        t->rows = min_size(TILE / s->c, end - *row);
        *row += t->rows;
        return true;
    }
    *c += t->width;
    if (*c == s->c) {
        *c = 0;
        ++*row;
    }
    return true;
}

/* The tile's values as fp32: where they lie, or copied into `buffer`.  NULL stays NULL. */
static const float *load(enum dtype d, const void *values, const struct tile *t, float *buffer)
{
    if (!values || d == DTYPE_F32)
        return values ? (const float *)values + t->at : NULL;
    bf16_widen((const uint16_t *)values + t->at, t->rows * t->width, buffer);
    return buffer;
}

/* Where the tile's results go: store() brings them from there. */
static float *target(enum dtype d, void *values, const struct tile *t, float *buffer)
{
    return d == DTYPE_F32 ? (float *)values + t->at : buffer;
}

static void store(enum dtype d, const float *buffer, const struct tile *t, void *values)
{
    if (d == DTYPE_BF16)
        bf16_narrow(buffer, t->rows * t->width, (uint16_t *)values + t->at);
}

/* ---- sums over rows ---- */

HOT_LOOP static void add_moments(const float *restrict x, size_t rows, size_t width, const float *restrict origin,
                                 float *restrict sum, float *restrict square)
{
    for (size_t r = 0; r < rows; r++, x += width)
        for (size_t k = 0; k < width; k++) {
            float d = x[k] - origin[k];
            sum[k] += d;
            square[k] += d * d;
        }
}

HOT_LOOP static void add_products(const float *restrict g, const float *restrict x, size_t rows, size_t width,
                                  const float *restrict mean, float *restrict sum, float *restrict product)
{
    for (size_t r = 0; r < rows; r++, g += width, x += width)
        for (size_t k = 0; k < width; k++) {
            sum[k] += g[k];
            product[k] += g[k] * (x[k] - mean[k]);
        }
}

/* first[c] and second[c]: the sums of all blocks, block after block. */
static void add_blocks(const struct norm_shape *s, const float *work, size_t k, double *first, double *second)
{
    *first = *second = 0;
    for (size_t b = 0; b < block_count(s); b++) {
        *first += (double)work[b * 2 * s->c + k];
        *second += (double)work[b * 2 * s->c + s->c + k];
    }
}

static void moments_of_block(const struct norm_shape *s, const void *x, size_t block, const float *origin, float *sums)
{
    size_t row = block * block_rows(s), end = min_size(row + block_rows(s), s->rows), c = 0;
    float buffer[TILE];
    struct tile t;

    memset(sums, 0, 2 * s->c * sizeof *sums);
    while (next_tile(s, &row, &c, end, &t))
        add_moments(load(s->dtype, x, &t, buffer), t.rows, t.width, origin + t.c, sums + t.c, sums + s->c + t.c);
}

/* Sums are taken of x minus the first row, which keeps the variance of a channel exact whose mean is large. */
void norm_moments(const struct norm_shape *s, const void *x, float *work, float *mean, float *variance)
{
    size_t blocks = block_count(s);

    if (s->dtype == DTYPE_BF16)
        bf16_widen(x, s->c, mean);
    else
        memcpy(mean, x, s->c * sizeof *mean);
#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++)
        moments_of_block(s, x, b, mean, work + b * 2 * s->c);
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < s->c; k++) {
        double sum, square;
        add_blocks(s, work, k, &sum, &square);
        sum /= (double)s->rows;
        square = square / (double)s->rows - sum * sum;
        mean[k] = (float)((double)mean[k] + sum);
        variance[k] = square < 0 ? 0.0f : (float)square; /* a NaN stays one */
    }
}

void norm_track(const struct norm_shape *s, const float *mean, const float *variance, double momentum,
                float *running_mean, float *running_variance)
{
    double unbiased = (double)s->rows / (double)(s->rows - 1);

    assert(s->rows > 1);
    for (size_t k = 0; k < s->c; k++) {
        double m = (double)running_mean[k], v = (double)running_variance[k];
        running_mean[k] = (float)(m + momentum * ((double)mean[k] - m));
        running_variance[k] = (float)(v + momentum * ((double)variance[k] * unbiased - v));
    }
}

void norm_factors(size_t c, const float *variance, double epsilon, const float *scale, float *inverse, float *factor)
{
    for (size_t k = 0; k < c; k++) {
        inverse[k] = (float)(1 / sqrt((double)variance[k] + epsilon));
        factor[k] = scale[k] * inverse[k];
    }
}

/* ---- forward ---- */

HOT_LOOP static void apply(const float *restrict x, size_t rows, size_t width, const float *restrict mean,
                           const float *restrict factor, const float *restrict shift, float *restrict y)
{
    for (size_t r = 0; r < rows; r++, x += width, y += width)
        for (size_t k = 0; k < width; k++)
            y[k] = (x[k] - mean[k]) * factor[k] + shift[k];
}

HOT_LOOP static void add(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

HOT_LOOP static void rectify(float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] < 0.0f ? 0.0f : y[i];
}

void norm_apply(const struct norm_shape *s, const void *x, const float *mean, const float *factor, const float *shift,
                const void *residual, bool relu, void *y)
{
    size_t blocks = block_count(s), length = block_rows(s);

#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t row = b * length, end = min_size(row + length, s->rows), c = 0;
        float in[TILE], out[TILE];
        struct tile t;
        while (next_tile(s, &row, &c, end, &t)) {
            float *to = target(s->dtype, y, &t, out);
            apply(load(s->dtype, x, &t, in), t.rows, t.width, mean + t.c, factor + t.c, shift + t.c, to);
            if (residual)
                add(to, load(s->dtype, residual, &t, in), t.rows * t.width);
            if (relu)
                rectify(to, t.rows * t.width);
            store(s->dtype, to, &t, y);
        }
    }
}

/* ---- backward ---- */

HOT_LOOP static void zero_where_not_positive(float *restrict g, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] = y[i] > 0.0f ? g[i] : 0.0f;
}

/* The tile of g, written over dy; gives it as fp32. */
static const float *mask_tile(enum dtype d, void *dy, const void *dy2, const void *y, const struct tile *t,
                              float *g_buffer, float *buffer)
{
    float *g = target(d, dy, t, g_buffer);

    if (d == DTYPE_BF16)
        bf16_widen((const uint16_t *)dy + t->at, t->rows * t->width, g);
    if (dy2)
        add(g, load(d, dy2, t, buffer), t->rows * t->width);
    if (y)
        zero_where_not_positive(g, load(d, y, t, buffer), t->rows * t->width);
    if (dy2 || y)
        store(d, g, t, dy);
    return g;
}

void norm_mask(const struct norm_shape *s, void *dy, const void *dy2, const void *y)
{
    size_t blocks = block_count(s), length = block_rows(s);

#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t row = b * length, end = min_size(row + length, s->rows), c = 0;
        float g[TILE], buffer[TILE];
        struct tile t;
        while (next_tile(s, &row, &c, end, &t))
            mask_tile(s->dtype, dy, dy2, y, &t, g, buffer);
    }
}

void norm_reduce(const struct norm_shape *s, void *dy, const void *dy2, const void *y, const void *x, const float *mean,
                 const float *inverse, float *work, float *dshift, float *dscale)
{
    size_t blocks = block_count(s), length = block_rows(s);

#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t row = b * length, end = min_size(row + length, s->rows), c = 0;
        float g_buffer[TILE], buffer[TILE], *sums = work + b * 2 * s->c;
        struct tile t;
        memset(sums, 0, 2 * s->c * sizeof *sums);
        while (next_tile(s, &row, &c, end, &t)) {
            const float *g = mask_tile(s->dtype, dy, dy2, y, &t, g_buffer, buffer);
            add_products(g, load(s->dtype, x, &t, buffer), t.rows, t.width, mean + t.c, sums + t.c, sums + s->c + t.c);
        }
    }
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < s->c; k++) {
        double sum, product;
        add_blocks(s, work, k, &sum, &product);
        dshift[k] = (float)sum;
        dscale[k] = (float)(product * (double)inverse[k]);
    }
}

HOT_LOOP static void input_gradient(const float *g, const float *restrict x, size_t rows, size_t width,
                                    const float *restrict mean, const float *restrict factor,
                                    const float *restrict slope, const float *restrict offset, float *dx)
{
    for (size_t r = 0; r < rows; r++, g += width, x += width, dx += width)
#pragma omp simd
        for (size_t k = 0; k < width; k++)
            dx[k] = factor[k] * g[k] + slope[k] * (x[k] - mean[k]) + offset[k];
}

HOT_LOOP static void scale_rows(const float *g, size_t rows, size_t width, const float *restrict factor, float *dx)
{
    for (size_t r = 0; r < rows; r++, g += width, dx += width)
#pragma omp simd
        for (size_t k = 0; k < width; k++)
            dx[k] = factor[k] * g[k];
}

void norm_input_gradient(const struct norm_shape *s, const void *g, const void *x, const float *mean,
                         const float *inverse, const float *factor, const float *dshift, const float *dscale,
                         float *work, void *dx)
{
    size_t blocks = block_count(s), length = block_rows(s);
    float *slope = work, *offset = work + s->c; /* dx = factor g + slope (x - mean) + offset */

    for (size_t k = 0; k < s->c; k++) {
        slope[k] = -factor[k] * inverse[k] * dscale[k] / (float)s->rows;
        offset[k] = -factor[k] * dshift[k] / (float)s->rows;
    }
#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t row = b * length, end = min_size(row + length, s->rows), c = 0;
        float g_buffer[TILE], x_buffer[TILE], out[TILE];
        struct tile t;
        while (next_tile(s, &row, &c, end, &t)) {
            float *to = target(s->dtype, dx, &t, out);
            input_gradient(load(s->dtype, g, &t, g_buffer), load(s->dtype, x, &t, x_buffer), t.rows, t.width,
                           mean + t.c, factor + t.c, slope + t.c, offset + t.c, to);
            store(s->dtype, to, &t, dx);
        }
    }
}

void norm_frozen_gradient(const struct norm_shape *s, const void *g, const float *factor, void *dx)
{
    size_t blocks = block_count(s), length = block_rows(s);

#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t row = b * length, end = min_size(row + length, s->rows), c = 0;
        float buffer[TILE], out[TILE];
        struct tile t;
        while (next_tile(s, &row, &c, end, &t)) {
            float *to = target(s->dtype, dx, &t, out);
            scale_rows(load(s->dtype, g, &t, buffer), t.rows, t.width, factor + t.c, to);
            store(s->dtype, to, &t, dx);
        }
    }
}
