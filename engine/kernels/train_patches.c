/* train_patches.c - the passes of a convolution as matrix products with its patches: fp32 by OpenBLAS, bf16 by oneDNN.
 *
 * With P the patches [rows, l], Y the output [rows, k] and W the weights [k, l]:
 *     Y = P W^T        dP = dY W        dW = dY^T P
 * done for a few images at once, so that P stays small.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/gemm_bf16.h"
#include "engine/kernels/layout.h"
#include "engine/kernels/patches.h"
#include "engine/kernels/train_conv.h"

enum { PATCH_BYTES = 32 << 20 };

struct train_conv {
    struct conv_spec s; /* of one tile: s.n images */
    enum conv_pass pass;
    size_t tiles;
    size_t rows, length;                    /* of the patches of a tile */
    struct gemm_bf16 *product;              /* bf16 only */
    size_t weights_at, product_at, scratch; /* offsets in the scratch; its bytes */
};

static bool supports(const struct conv_spec *s, enum conv_pass pass)
{
    UNUSED(pass);
    /* oneDNN 2.6's bf16 product dies of an illegal instruction for some sizes that are no multiples (72x63 by 63x5). */
    return s->dtype == DTYPE_F32 || (ANCHORD_ONEDNN && s->c % 8 == 0 && s->k % 8 == 0);
}

/* The largest divisor of n whose patches are small enough; at least 1. */
static size_t tile_images(const struct conv_spec *s)
{
    size_t bytes = conv_out(s->h, s) * conv_out(s->w, s) * patch_length(s) * dtype_size(s->dtype);
    size_t images = patch_is_pixel(s) ? s->n : min_size(s->n, max_size(1, PATCH_BYTES / bytes));
    while (s->n % images)
        images--;
    return images;
}

static void close_job(struct train_conv *j)
{
    if (!j)
        return;
#if ANCHORD_ONEDNN
    gemm_bf16_free(j->product);
#endif
    free(j);
}

#if ANCHORD_ONEDNN
static bool open_product(struct train_conv *j, struct err *e)
{
    const struct gemm_spec specs[CONV_PASSES] = {
        [CONV_FORWARD] = {j->rows, j->s.k, j->length, false, true, false, DTYPE_BF16},
        [CONV_BACK_DATA] = {j->rows, j->length, j->s.k, false, false, false, DTYPE_BF16},
        [CONV_BACK_WEIGHTS] = {j->s.k, j->length, j->rows, true, false, true, DTYPE_F32},
    };
    j->product = gemm_bf16_new(&specs[j->pass], e);
    return j->product != NULL;
}

static size_t product_scratch(const struct train_conv *j)
{
    return gemm_bf16_scratch(j->product);
}

static bool multiply_bf16(struct train_conv *j, const void *a, const void *b, void *c, char *scratch)
{
    return gemm_bf16_run(j->product, a, b, c, scratch + j->product_at);
}
#else
static bool open_product(struct train_conv *j, struct err *e)
{
    UNUSED(j);
    return err_set(e, ERR_INTERNAL, "bf16 needs oneDNN");
}

static size_t product_scratch(const struct train_conv *j)
{
    UNUSED(j);
    return 0;
}

static bool multiply_bf16(struct train_conv *j, const void *a, const void *b, void *c, char *scratch)
{
    UNUSED(j), UNUSED(a), UNUSED(b), UNUSED(c), UNUSED(scratch);
    return false;
}
#endif

static size_t aligned(size_t bytes)
{
    return (bytes + LAYOUT_ALIGN - 1) / LAYOUT_ALIGN * LAYOUT_ALIGN;
}

static struct train_conv *open_job(const struct conv_spec *s, enum conv_pass pass, struct err *e)
{
    struct train_conv *j = mem_new(1, sizeof *j);
    bool bf16 = s->dtype == DTYPE_BF16;

    j->s = *s;
    j->s.n = tile_images(s);
    j->pass = pass;
    j->tiles = s->n / j->s.n;
    j->rows = j->s.n * conv_out(s->h, s) * conv_out(s->w, s);
    j->length = patch_length(s);
    if (bf16 && !open_product(j, e)) {
        close_job(j);
        return NULL;
    }
    j->weights_at = patch_is_pixel(s) ? 0 : aligned(j->rows * j->length * dtype_size(s->dtype));
    j->product_at = j->weights_at + (bf16 ? aligned(s->k * j->length * sizeof(uint16_t)) : 0);
    j->scratch = j->product_at + (bf16 ? product_scratch(j) : 0);
    return j;
}

static size_t scratch_of(const struct train_conv *j)
{
    return j->scratch;
}

static bool multiply(struct train_conv *j, const void *a, const void *b, void *c, char *scratch)
{
    if (j->s.dtype == DTYPE_BF16)
        return multiply_bf16(j, a, b, c, scratch);
    switch (j->pass) {
    case CONV_FORWARD: gemm_nt(j->rows, j->s.k, j->length, 1, a, b, 0, c); break;
    case CONV_BACK_DATA: gemm_nn(j->rows, j->length, j->s.k, 1, a, b, 0, c); break;
    case CONV_BACK_WEIGHTS:
    case CONV_PASSES: gemm_tn(j->s.k, j->length, j->rows, 1, a, b, 1, c); break;
    }
    return true;
}

/* The weights in the dtype of the product. */
static const void *ready_weights(const struct train_conv *j, const float *w, char *scratch)
{
    uint16_t *rounded = (uint16_t *)(void *)(scratch + j->weights_at);

    if (j->s.dtype == DTYPE_F32)
        return w;
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < j->s.k; k++)
        bf16_narrow(w + k * j->length, j->length, rounded + k * j->length);
    return rounded;
}

/* One tile, whose x and y begin at these addresses. */
static bool run_tile(struct train_conv *j, char *x, char *y, const void *weights, float *gradient, char *scratch)
{
    void *patches = patch_is_pixel(&j->s) ? x : scratch;

    if (j->pass != CONV_BACK_DATA && patches != x)
        patches_gather(&j->s, x, patches);
    if (j->pass == CONV_FORWARD)
        return multiply(j, patches, weights, y, scratch);
    if (j->pass == CONV_BACK_WEIGHTS)
        return multiply(j, y, patches, gradient, scratch);
    if (!multiply(j, y, weights, patches, scratch))
        return false;
    if (patches != x)
        patches_scatter(&j->s, patches, x);
    return true;
}

static bool run(struct train_conv *j, const struct train_operands *o)
{
    const struct conv_spec *s = &j->s;
    size_t x_bytes = s->n * s->h * s->w * s->c * dtype_size(s->dtype), y_bytes = j->rows * s->k * dtype_size(s->dtype);
    const void *weights = NULL;

    if (j->pass == CONV_BACK_WEIGHTS)
        memset(o->w, 0, s->k * j->length * sizeof *o->w); /* the tiles add to it */
    else
        weights = ready_weights(j, o->w, o->scratch);
    for (size_t i = 0; i < j->tiles; i++)
        if (!run_tile(j, (char *)o->x + i * x_bytes, (char *)o->y + i * y_bytes, weights, o->w, o->scratch))
            return false;
    return true;
}

const struct train_kernel train_patches = {
    .name = "patches",
    .supports = supports,
    .open = open_job,
    .close = close_job,
    .scratch = scratch_of,
    .run = run,
};
