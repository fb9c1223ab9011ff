/* patches.c - im2col and col2im over NHWC tensors. */
#include "engine/kernels/patches.h"

#include "base/num.h"

enum { PIECE = 256 }; /* channels that are summed at once */

/* Line i of the patch at (oy, ox): `window` pixels, zero outside the picture. */
static void gather_line(const struct conv_spec *s, const char *image, size_t iy, size_t ox, char *out)
{
    size_t pixel = s->c * dtype_size(s->dtype), left = ox * s->stride; /* counted from the padding's edge */
    size_t first = left < s->pad ? s->pad - left : 0;
    size_t end = left >= s->w + s->pad ? 0 : min_size(s->window, s->w + s->pad - left);

    if (iy >= s->h || end <= first) {
        memset(out, 0, s->window * pixel);
        return;
    }
    memset(out, 0, first * pixel);
    memcpy(out + first * pixel, image + (iy * s->w + left + first - s->pad) * pixel, (end - first) * pixel);
    memset(out + end * pixel, 0, (s->window - end) * pixel);
}

void patches_gather(const struct conv_spec *s, const void *x, void *patches)
{
    size_t oh = conv_out(s->h, s), ow = conv_out(s->w, s), size = dtype_size(s->dtype);
    size_t line = s->window * s->c * size, image = s->h * s->w * s->c * size;

#pragma omp parallel for schedule(static)
    for (size_t row = 0; row < s->n * oh; row++) {
        char *out = (char *)patches + row * ow * s->window * line;
        for (size_t ox = 0; ox < ow; ox++)
            for (size_t i = 0; i < s->window; i++, out += line) /* above the picture, the line's number wraps */
                gather_line(s, (const char *)x + row / oh * image, row % oh * s->stride + i - s->pad, ox, out);
    }
}

HOT_LOOP static void add_f32(const float *restrict in, size_t n, float *restrict sum)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += in[k];
}

HOT_LOOP static void add_bf16(const uint16_t *restrict in, size_t n, float *restrict sum)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += bf16_to_float(in[k]);
}

HOT_LOOP static void store_bf16(const float *restrict sum, size_t n, uint16_t *restrict out)
{
    for (size_t k = 0; k < n; k++)
        out[k] = bf16_from_float(sum[k]);
}

/* The output whose patch has input coordinate `in` at place i; false when there is none. */
static bool patch_at(const struct conv_spec *s, size_t in, size_t i, size_t outs, size_t *out)
{
    size_t from = in + s->pad - i;
    *out = from / s->stride;
    return in + s->pad >= i && from % s->stride == 0 && *out < outs;
}

/* Channels c to c + n of one input pixel. */
static void sum_places(const struct conv_spec *s, const void *patches, size_t image, size_t iy, size_t ix, size_t c,
                       size_t n, float *sum)
{
    size_t oh = conv_out(s->h, s), ow = conv_out(s->w, s), oy, ox;

    memset(sum, 0, n * sizeof *sum);
    for (size_t i = 0; i < s->window; i++) {
        if (!patch_at(s, iy, i, oh, &oy))
            continue;
        for (size_t j = 0; j < s->window; j++) {
            if (!patch_at(s, ix, j, ow, &ox))
                continue;
            size_t at = ((image * oh + oy) * ow + ox) * patch_length(s) + (i * s->window + j) * s->c + c;
            if (s->dtype == DTYPE_BF16)
                add_bf16((const uint16_t *)patches + at, n, sum);
            else
                add_f32((const float *)patches + at, n, sum);
        }
    }
}

void patches_scatter(const struct conv_spec *s, const void *patches, void *dx)
{
#pragma omp parallel for schedule(static)
    for (size_t row = 0; row < s->n * s->h; row++)
        for (size_t ix = 0; ix < s->w; ix++)
            for (size_t c = 0; c < s->c; c += PIECE) {
                float sum[PIECE];
                size_t n = min_size(PIECE, s->c - c), to = (row * s->w + ix) * s->c + c;
                sum_places(s, patches, row / s->h, row % s->h, ix, c, n, sum);
                if (s->dtype == DTYPE_BF16)
                    store_bf16(sum, n, (uint16_t *)dx + to);
                else
                    memcpy((float *)dx + to, sum, n * sizeof *sum);
            }
}
