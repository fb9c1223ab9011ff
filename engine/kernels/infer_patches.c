/* infer_patches.c - the portable convolution: patches of the input as rows of a matrix, times the weights. */
#include "engine/kernels/infer_conv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/gemm.h"

/* The patches of one product should stay in the second-level cache, but few rows would make OpenBLAS arrange the
 * weights anew too often. */
enum { PATCH_BYTES = 2 << 20 };

struct infer_weights {
    float *w;    /* [k, window, window, c] */
    float *bias; /* [k] */
};

struct infer_conv {
    struct conv_spec s;
    const struct infer_weights *weights;
    size_t out_h, out_w, rows; /* rows: output pixels of all images */
    size_t patch;              /* floats of a patch: window * window * c */
    size_t tile;               /* rows of one product */
    const float *x;
    float *y, *patches;
};

static bool supports(const struct conv_spec *s)
{
    return s->dtype == DTYPE_F32;
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
    size_t area = s->window * s->window;
    struct infer_weights *w = mem_new(1, sizeof *w);

    UNUSED(e);
    w->w = mem_aligned(s->k * area * s->c, sizeof(float));
    w->bias = mem_dup(bias, s->k * sizeof(float));
    for (size_t k = 0; k < s->k; k++)
        for (size_t c = 0; c < s->c; c++)
            for (size_t i = 0; i < area; i++)
                w->w[(k * area + i) * s->c + c] = weights[(k * s->c + c) * area + i];
    return w;
}

/* Each pixel of the input is a patch as it lies there. */
static bool is_pointwise(const struct conv_spec *s)
{
    return s->window == 1 && s->stride == 1 && s->pad == 0;
}

static struct infer_conv *open_conv(const struct conv_spec *s, const struct infer_weights *w, struct err *e)
{
    struct infer_conv *c = mem_new(1, sizeof *c);

    UNUSED(e);
    c->s = *s;
    c->weights = w;
    c->out_h = conv_out(s->h, s);
    c->out_w = conv_out(s->w, s);
    c->rows = s->n * c->out_h * c->out_w;
    c->patch = s->window * s->window * s->c;
    c->tile = min_size(c->rows, max_size(1, PATCH_BYTES / (c->patch * sizeof(float))));
    return c;
}

static void close_conv(struct infer_conv *c)
{
    free(c);
}

static size_t scratch(const struct infer_conv *c)
{
    return is_pointwise(&c->s) ? 0 : c->tile * c->patch * sizeof(float);
}

static bool bind_conv(struct infer_conv *c, const void *x, void *y, void *scratch_space, struct err *e)
{
    UNUSED(e);
    c->x = x;
    c->y = y;
    c->patches = scratch_space;
    return true;
}

/* One line of a patch: `window` pixels from column `left` on, zero outside the picture. */
static void copy_line(const struct conv_spec *s, const float *line, ptrdiff_t left, float *out)
{
    ptrdiff_t width = (ptrdiff_t)s->w, end = left + (ptrdiff_t)s->window;
    size_t before = left < 0 ? (size_t)-left : 0;
    size_t after = end > width ? (size_t)(end - width) : 0;
    size_t inside = s->window - before - after;

    memset(out, 0, before * s->c * sizeof *out);
    memcpy(out + before * s->c, line + (left + (ptrdiff_t)before) * (ptrdiff_t)s->c, inside * s->c * sizeof *out);
    memset(out + (before + inside) * s->c, 0, after * s->c * sizeof *out);
}

static void copy_patch(const struct infer_conv *c, size_t row, float *out)
{
    const struct conv_spec *s = &c->s;
    size_t ox = row % c->out_w, oy = row / c->out_w % c->out_h, image = row / c->out_w / c->out_h;
    ptrdiff_t left = (ptrdiff_t)(ox * s->stride) - (ptrdiff_t)s->pad;
    size_t line = s->window * s->c;

    for (size_t i = 0; i < s->window; i++) {
        ptrdiff_t y = (ptrdiff_t)(oy * s->stride + i) - (ptrdiff_t)s->pad;
        if (y < 0 || y >= (ptrdiff_t)s->h)
            memset(out + i * line, 0, line * sizeof *out);
        else
            copy_line(s, c->x + (image * s->h + (size_t)y) * s->w * s->c, left, out + i * line);
    }
}

HOT_LOOP static void add_bias(float *restrict y, size_t rows, const float *restrict bias, size_t k)
{
    for (size_t r = 0; r < rows; r++, y += k)
        for (size_t i = 0; i < k; i++)
            y[i] += bias[i];
}

HOT_LOOP static void add_bias_relu(float *restrict y, size_t rows, const float *restrict bias, size_t k)
{
    for (size_t r = 0; r < rows; r++, y += k)
        for (size_t i = 0; i < k; i++)
            y[i] = y[i] + bias[i] < 0.0f ? 0.0f : y[i] + bias[i];
}

static bool forward(struct infer_conv *c)
{
    size_t k = c->s.k;

    for (size_t done = 0; done < c->rows; done += c->tile) {
        size_t rows = min_size(c->tile, c->rows - done);
        const float *patches = c->patches;
        float *y = c->y + done * k;
        if (is_pointwise(&c->s))
            patches = c->x + done * c->patch;
        else
            for (size_t r = 0; r < rows; r++)
                copy_patch(c, done + r, c->patches + r * c->patch);
        gemm_nt(rows, k, c->patch, 1, patches, c->weights->w, c->s.accumulate ? 1 : 0, y);
        if (c->s.relu)
            add_bias_relu(y, rows, c->weights->bias, k);
        else
            add_bias(y, rows, c->weights->bias, k);
    }
    return true;
}

const struct infer_kernel infer_patches = {
    .name = "blas",
    .supports = supports,
    .pack = pack,
    .weights_free = weights_free,
    .open = open_conv,
    .close = close_conv,
    .scratch = scratch,
    .bind = bind_conv,
    .forward = forward,
};
