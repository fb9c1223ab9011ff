/* conv_winograd.c - 3x3 convolutions of stride 1 with a quarter of the multiplications.
 *
 * F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): a 4x4 tile of the output
 * comes from a 6x6 patch of the input.  Patches are transformed, multiplied in each of their 36 places by the
 * transformed weights (one matrix product over the channels for each place), and transformed back.  Each transform is
 * a one-dimensional one done to lines and then to columns.
 */
#include "engine/kernels/conv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/gemm.h"

enum { TILE = 4, PATCH = 6, PLACES = PATCH * PATCH };
/* Tiles worked on at once, so that all their places stay in the second-level cache. */
enum { GROUP_BYTES = 2 << 20 };

/* out = G g, for three weights in a line */
static void transform_weights(const double g[3], double out[PATCH])
{
    out[0] = g[0] / 4;
    out[1] = -(g[0] + g[1] + g[2]) / 6;
    out[2] = -(g[0] - g[1] + g[2]) / 6;
    out[3] = g[0] / 24 + g[1] / 12 + g[2] / 6;
    out[4] = g[0] / 24 - g[1] / 12 + g[2] / 6;
    out[5] = g[2];
}

/* v = B^T d, for six runs of n values; those of v are `step` apart */
HOT_LOOP static void transform_in(const float *const d[PATCH], size_t n, float *v, size_t step)
{
    const float *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3], *d4 = d[4], *d5 = d[5];
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

/* y = A^T m, from six runs to four */
HOT_LOOP static void transform_out(const float *m, size_t m_step, size_t n, float *y, size_t step)
{
    const float *m0 = m, *m1 = m + m_step, *m2 = m1 + m_step, *m3 = m2 + m_step, *m4 = m3 + m_step, *m5 = m4 + m_step;
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

struct conv_weights {
    float *w;    /* [36, c, k] */
    float *bias; /* [k] */
};

struct conv {
    struct conv_spec s;
    const struct conv_weights *weights;
    size_t down, across, tiles; /* tiles of one picture, both ways; of all pictures */
    size_t group;               /* tiles worked on at once */
    const float *x;
    float *y;
    float *in, *out; /* [36, group, c] and [36, group, k] */
    float *half;     /* [36, the larger of c and k]: a tile transformed one way */
    float *zeros;    /* [c]: a pixel outside the picture */
};

/* Below this, reading the weights (four times as many as otherwise) or the transforms take all that is gained. */
static bool supports(const struct conv_spec *s)
{
    return s->dtype == DTYPE_F32 && s->window == 3 && s->stride == 1 && s->pad == 1 && s->c >= 32 && s->k >= 32 &&
           s->h * s->w >= 16 * 16;
}

static void weights_free(struct conv_weights *w)
{
    if (!w)
        return;
    free(w->w);
    free(w->bias);
    free(w);
}

/* G g G^T for one 3x3 filter */
static void transform_filter(const float g[9], double out[PATCH][PATCH])
{
    double rows[3][PATCH], column[PATCH];
    for (size_t i = 0; i < 3; i++)
        transform_weights((const double[]){(double)g[3 * i], (double)g[3 * i + 1], (double)g[3 * i + 2]}, rows[i]);
    for (size_t j = 0; j < PATCH; j++) {
        transform_weights((const double[]){rows[0][j], rows[1][j], rows[2][j]}, column);
        for (size_t i = 0; i < PATCH; i++)
            out[i][j] = column[i];
    }
}

static struct conv_weights *pack(const struct conv_spec *s, const float *weights, const float *bias, struct err *e)
{
    struct conv_weights *w = mem_new(1, sizeof *w);

    UNUSED(e);
    w->w = mem_aligned(PLACES * s->c * s->k, sizeof(float));
    w->bias = mem_dup(bias, s->k * sizeof(float));
    for (size_t c = 0; c < s->c; c++)
        for (size_t k = 0; k < s->k; k++) {
            double filter[PATCH][PATCH];
            transform_filter(weights + (k * s->c + c) * 9, filter);
            for (size_t i = 0; i < PLACES; i++)
                w->w[(i * s->c + c) * s->k + k] = (float)filter[i / PATCH][i % PATCH];
        }
    return w;
}

static struct conv *open_conv(const struct conv_spec *s, const struct conv_weights *w, struct err *e)
{
    struct conv *c = mem_new(1, sizeof *c);

    UNUSED(e);
    c->s = *s;
    c->weights = w;
    c->down = (s->h + TILE - 1) / TILE;
    c->across = (s->w + TILE - 1) / TILE;
    c->tiles = s->n * c->down * c->across;
    c->group = min_size(c->tiles, max_size(1, GROUP_BYTES / (PLACES * (s->c + s->k) * sizeof(float))));
    return c;
}

static void close_conv(struct conv *c)
{
    free(c);
}

static size_t scratch(const struct conv *c)
{
    return (PLACES * (c->group * (c->s.c + c->s.k) + max_size(c->s.c, c->s.k)) + c->s.c) * sizeof(float);
}

static bool bind_conv(struct conv *c, const void *x, void *y, void *scratch_space, struct err *e)
{
    UNUSED(e);
    c->x = x;
    c->y = y;
    c->in = scratch_space;
    c->out = c->in + PLACES * c->group * c->s.c;
    c->half = c->out + PLACES * c->group * c->s.k;
    c->zeros = c->half + PLACES * max_size(c->s.c, c->s.k);
    return true;
}

struct place { /* a tile: its picture and its first output pixel */
    size_t image, y, x;
};

static struct place place_of(const struct conv *c, size_t tile)
{
    size_t row = tile / c->across;
    return (struct place){row / c->down, row % c->down * TILE, tile % c->across * TILE};
}

/* Pixel (y, x) of a picture with a border of one pixel around it. */
static const float *pixel(const struct conv *c, size_t image, size_t y, size_t x)
{
    bool inside = y >= 1 && y <= c->s.h && x >= 1 && x <= c->s.w;
    return inside ? c->x + ((image * c->s.h + y - 1) * c->s.w + x - 1) * c->s.c : c->zeros;
}

/* The patch of a tile, transformed, to number `slot` of the group. */
static void load_tile(const struct conv *c, size_t tile, size_t slot)
{
    size_t n = c->s.c, plane = c->group * n;
    struct place p = place_of(c, tile);
    const float *runs[PATCH];

    for (size_t i = 0; i < PATCH; i++) {
        for (size_t j = 0; j < PATCH; j++)
            runs[j] = pixel(c, p.image, p.y + i, p.x + j);
        transform_in(runs, n, c->half + i * PATCH * n, n);
    }
    for (size_t j = 0; j < PATCH; j++) {
        for (size_t i = 0; i < PATCH; i++)
            runs[i] = c->half + (i * PATCH + j) * n;
        transform_in(runs, n, c->in + j * plane + slot * n, PATCH * plane);
    }
}

HOT_LOOP static void finish_pixel(const struct conv_spec *s, const float *restrict sum, const float *restrict bias,
                                  float *restrict y)
{
    for (size_t i = 0; i < s->k; i++) {
        float v = sum[i] + bias[i] + (s->accumulate ? y[i] : 0);
        y[i] = s->relu && v < 0 ? 0 : v;
    }
}

/* The products of number `slot` of the group, transformed back, to the tile's pixels. */
static void store_tile(const struct conv *c, size_t tile, size_t slot)
{
    const struct conv_spec *s = &c->s;
    size_t n = s->k, plane = c->group * n;
    struct place p = place_of(c, tile);
    float *sums = c->half + TILE * PATCH * n; /* one line of the tile */

    for (size_t j = 0; j < PATCH; j++)
        transform_out(c->out + j * plane + slot * n, PATCH * plane, n, c->half + j * n, PATCH * n);
    for (size_t i = 0; i < TILE && p.y + i < s->h; i++) {
        float *line = c->y + ((p.image * s->h + p.y + i) * s->w + p.x) * n;
        transform_out(c->half + i * PATCH * n, n, n, sums, n);
        for (size_t j = 0; j < TILE && p.x + j < s->w; j++)
            finish_pixel(s, sums + j * n, c->weights->bias, line + j * n);
    }
}

static bool forward(struct conv *c)
{
    size_t in = c->s.c, out = c->s.k;

    memset(c->zeros, 0, in * sizeof *c->zeros);
    for (size_t first = 0; first < c->tiles; first += c->group) {
        size_t n = min_size(c->group, c->tiles - first);
        for (size_t i = 0; i < n; i++)
            load_tile(c, first + i, i);
        for (size_t i = 0; i < PLACES; i++)
            gemm_nn(n, out, in, 1, c->in + i * c->group * in, c->weights->w + i * in * out, 0,
                    c->out + i * c->group * out);
        for (size_t i = 0; i < n; i++)
            store_tile(c, first + i, i);
    }
    return true;
}

const struct conv_kernel conv_winograd = {
    .name = "winograd",
    .supports = supports,
    .pack = pack,
    .weights_free = weights_free,
    .open = open_conv,
    .close = close_conv,
    .scratch = scratch,
    .bind = bind_conv,
    .forward = forward,
};
