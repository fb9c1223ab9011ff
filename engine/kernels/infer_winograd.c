/* infer_winograd.c - 3x3 convolutions of stride 1 with a quarter of the multiplications (winograd.h).
 *
 * Patches are transformed, multiplied in each of their 36 places by the transformed weights (one matrix product over
 * the channels for each place), and transformed back.
 */
#include "engine/kernels/infer_conv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/winograd.h"

enum { TILE = WINOGRAD_TILE, PATCH = WINOGRAD_PATCH, PLACES = WINOGRAD_PLACES, TAPS = WINOGRAD_TAPS };
/* Tiles worked on at once, so that all their places stay in the second-level cache. */
enum { GROUP_BYTES = 2 << 20 };

struct infer_weights {
    float *w;    /* [36, c, k] */
    float *bias; /* [k] */
};

struct infer_conv {
    struct conv_spec s;
    const struct infer_weights *weights;
    size_t down, across, tiles; /* tiles of one picture, both ways; of all pictures */
    size_t group;               /* tiles worked on at once */
    const float *x;
    float *y;
    float *in, *out; /* [36, group, c] and [36, group, k] */
    float *half;     /* [36 + 16, the larger of c and k]: a tile transformed one way, and both ways */
    float *zeros;    /* [c]: a pixel outside the picture */
};

/* Below this, reading the weights (four times as many as otherwise) or the transforms take all that is gained. */
static bool supports(const struct conv_spec *s)
{
    return s->dtype == DTYPE_F32 && s->window == 3 && s->stride == 1 && s->pad == 1 && s->c >= 32 && s->k >= 32 &&
           s->h * s->w >= 16 * 16;
}

static void weights_free(struct infer_weights *w)
{
    if (!w)
        return;
    free(w->w);
    free(w->bias);
    free(w);
}

static struct infer_weights *pack(const struct conv_spec *s, const float *weights, const float *bias, struct err *e)
{
    struct infer_weights *w = mem_new(1, sizeof *w);
    float *taps = mem_new((TAPS + PLACES) * s->k, sizeof *taps); /* [9, k] of one input channel, and scratch */
    const float *cells[TAPS];

    UNUSED(e);
    w->w = mem_aligned(PLACES * s->c * s->k, sizeof(float));
    w->bias = mem_dup(bias, s->k * sizeof(float));
    for (size_t i = 0; i < TAPS; i++)
        cells[i] = taps + i * s->k;
    for (size_t c = 0; c < s->c; c++) {
        for (size_t i = 0; i < TAPS * s->k; i++)
            taps[i] = weights[(i % s->k * s->c + c) * TAPS + i / s->k];
        winograd_filter(cells, s->k, taps + TAPS * s->k, w->w + c * s->k, s->c * s->k);
    }
    free(taps);
    return w;
}

static struct infer_conv *open_conv(const struct conv_spec *s, const struct infer_weights *w, struct err *e)
{
    struct infer_conv *c = mem_new(1, sizeof *c);

    UNUSED(e);
    c->s = *s;
    c->weights = w;
    c->down = (s->h + TILE - 1) / TILE;
    c->across = (s->w + TILE - 1) / TILE;
    c->tiles = s->n * c->down * c->across;
    c->group = min_size(c->tiles, max_size(1, GROUP_BYTES / (PLACES * (s->c + s->k) * sizeof(float))));
    return c;
}

static void close_conv(struct infer_conv *c)
{
    free(c);
}

static size_t scratch(const struct infer_conv *c)
{
    return (PLACES * c->group * (c->s.c + c->s.k) + (PLACES + TILE * TILE) * max_size(c->s.c, c->s.k) + c->s.c) *
           sizeof(float);
}

static bool bind_conv(struct infer_conv *c, const void *x, void *y, void *scratch_space, struct err *e)
{
    UNUSED(e);
    c->x = x;
    c->y = y;
    c->in = scratch_space;
    c->out = c->in + PLACES * c->group * c->s.c;
    c->half = c->out + PLACES * c->group * c->s.k;
    c->zeros = c->half + (PLACES + TILE * TILE) * max_size(c->s.c, c->s.k);
    return true;
}

struct place { /* a tile: its picture and its first output pixel */
    size_t image, y, x;
};

static struct place place_of(const struct infer_conv *c, size_t tile)
{
    size_t row = tile / c->across;
    return (struct place){row / c->down, row % c->down * TILE, tile % c->across * TILE};
}

/* Pixel (y, x) of a picture with a border of one pixel around it. */
static const float *pixel(const struct infer_conv *c, size_t image, size_t y, size_t x)
{
    bool inside = y >= 1 && y <= c->s.h && x >= 1 && x <= c->s.w;
    return inside ? c->x + ((image * c->s.h + y - 1) * c->s.w + x - 1) * c->s.c : c->zeros;
}

/* The patch of a tile, transformed, to number `slot` of the group. */
static void load_tile(const struct infer_conv *c, size_t tile, size_t slot)
{
    size_t n = c->s.c;
    struct place p = place_of(c, tile);
    const float *cells[PLACES];

    for (size_t i = 0; i < PLACES; i++)
        cells[i] = pixel(c, p.image, p.y + i / PATCH, p.x + i % PATCH);
    winograd_input(cells, n, c->half, c->in + slot * n, c->group * n);
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
static void store_tile(const struct infer_conv *c, size_t tile, size_t slot)
{
    const struct conv_spec *s = &c->s;
    size_t n = s->k;
    struct place p = place_of(c, tile);
    float *sums = c->half + PLACES * n; /* [4, 4, k] */

    winograd_output(c->out + slot * n, c->group * n, n, c->half, sums, n);
    for (size_t i = 0; i < TILE && p.y + i < s->h; i++) {
        float *line = c->y + ((p.image * s->h + p.y + i) * s->w + p.x) * n;
        for (size_t j = 0; j < TILE && p.x + j < s->w; j++)
            finish_pixel(s, sums + (i * TILE + j) * n, c->weights->bias, line + j * n);
    }
}

static bool forward(struct infer_conv *c)
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

const struct infer_kernel infer_winograd = {
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
