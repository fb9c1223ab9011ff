/* winograd.c - each transform is a one-dimensional one, done to the lines of a tile and then to its columns. */
#include "engine/kernels/winograd.h"

#include "base/num.h"

enum { TILE = WINOGRAD_TILE, PATCH = WINOGRAD_PATCH, PLACES = WINOGRAD_PLACES, WINDOW = 3 };

/* Compiled into each of the loops below, for the processor level of that loop. */
#define INLINE static inline __attribute__((always_inline))

typedef void line_map(const float *const *in, size_t n, float *restrict out, size_t step);

INLINE void map_input(const float *const *in, size_t n, float *restrict v, size_t step)
{
    const float *d0 = in[0], *d1 = in[1], *d2 = in[2], *d3 = in[3], *d4 = in[4], *d5 = in[5];
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float even = d4[i] - 4 * d2[i], odd = d3[i] - 4 * d1[i];
        float near = d4[i] - d2[i], far = 2 * (d3[i] - d1[i]);
        v[i] = 4 * d0[i] - 5 * d2[i] + d4[i];
        v[step + i] = even + odd;
        v[2 * step + i] = even - odd;
        v[3 * step + i] = near + far;
        v[4 * step + i] = near - far;
        v[5 * step + i] = 4 * d1[i] - 5 * d3[i] + d5[i];
    }
}

INLINE void map_filter(const float *const *in, size_t n, float *restrict u, size_t step)
{
    const float *g0 = in[0], *g1 = in[1], *g2 = in[2];
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float outer = (g0[i] + g2[i]) * (1.0f / 6), far = g0[i] * (1.0f / 24) + g2[i] * (1.0f / 6);
        u[i] = g0[i] * 0.25f;
        u[step + i] = -outer - g1[i] * (1.0f / 6);
        u[2 * step + i] = g1[i] * (1.0f / 6) - outer;
        u[3 * step + i] = far + g1[i] * (1.0f / 12);
        u[4 * step + i] = far - g1[i] * (1.0f / 12);
        u[5 * step + i] = g2[i];
    }
}

INLINE void map_spread(const float *const *in, size_t n, float *restrict e, size_t step)
{
    const float *y0 = in[0], *y1 = in[1], *y2 = in[2], *y3 = in[3];
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float near = y0[i] + y2[i], near_odd = y1[i] + y3[i];
        float far = y0[i] + 4 * y2[i], far_odd = 2 * y1[i] + 8 * y3[i];
        e[i] = y0[i];
        e[step + i] = near + near_odd;
        e[2 * step + i] = near - near_odd;
        e[3 * step + i] = far + far_odd;
        e[4 * step + i] = far - far_odd;
        e[5 * step + i] = y3[i];
    }
}

INLINE void map_output(const float *const *in, size_t n, float *restrict y, size_t step)
{
    const float *m0 = in[0], *m1 = in[1], *m2 = in[2], *m3 = in[3], *m4 = in[4], *m5 = in[5];
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float near = m1[i] + m2[i], far = m3[i] + m4[i];
        float near_odd = m1[i] - m2[i], far_odd = m3[i] - m4[i];
        y[i] = m0[i] + near + far;
        y[step + i] = near_odd + 2 * far_odd;
        y[2 * step + i] = near + 4 * far;
        y[3 * step + i] = near_odd + 8 * far_odd + m5[i];
    }
}

INLINE void map_taps(const float *const *in, size_t n, float *restrict g, size_t step)
{
    const float *u0 = in[0], *u1 = in[1], *u2 = in[2], *u3 = in[3], *u4 = in[4], *u5 = in[5];
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float near = (u1[i] + u2[i]) * (1.0f / 6), far = u3[i] + u4[i];
        g[i] = u0[i] * 0.25f - near + far * (1.0f / 24);
        g[step + i] = (u2[i] - u1[i]) * (1.0f / 6) + (u3[i] - u4[i]) * (1.0f / 12);
        g[2 * step + i] = far * (1.0f / 6) - near + u5[i];
    }
}

/* A square of from x from cells becomes one of to x to. */
INLINE void map_square(line_map *map, size_t from, size_t to, const float *const *cells, size_t n, float *half,
                       float *out, size_t step)
{
    const float *column[PATCH];

    for (size_t i = 0; i < from; i++)
        map(cells + i * from, n, half + i * to * n, n);
    for (size_t j = 0; j < to; j++) {
        for (size_t i = 0; i < from; i++)
            column[i] = half + (i * to + j) * n;
        map(column, n, out + j * step, to * step);
    }
}

INLINE void list_places(const float *in, size_t step, const float **cells)
{
    for (size_t i = 0; i < PLACES; i++)
        cells[i] = in + i * step;
}

HOT_LOOP void winograd_input(const float *const *cells, size_t n, float *half, float *out, size_t step)
{
    map_square(map_input, PATCH, PATCH, cells, n, half, out, step);
}

HOT_LOOP void winograd_filter(const float *const *cells, size_t n, float *half, float *out, size_t step)
{
    map_square(map_filter, WINDOW, PATCH, cells, n, half, out, step);
}

HOT_LOOP void winograd_spread(const float *const *cells, size_t n, float *half, float *out, size_t step)
{
    map_square(map_spread, TILE, PATCH, cells, n, half, out, step);
}

HOT_LOOP void winograd_output(const float *in, size_t in_step, size_t n, float *half, float *out, size_t step)
{
    const float *cells[PLACES];
    list_places(in, in_step, cells);
    map_square(map_output, PATCH, TILE, cells, n, half, out, step);
}

HOT_LOOP void winograd_taps(const float *in, size_t in_step, size_t n, float *half, float *out, size_t step)
{
    const float *cells[PLACES];
    list_places(in, in_step, cells);
    map_square(map_taps, PATCH, WINDOW, cells, n, half, out, step);
}
