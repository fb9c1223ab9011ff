/* patches.h - the patches that a convolution looks at, as rows of a matrix, and back (im2col, col2im).
 *
 * Row r is the patch of output pixel r (all images one after the other): [window, window, c], zero outside the picture.
 */
#ifndef ANCHORD_ENGINE_KERNELS_PATCHES_H
#define ANCHORD_ENGINE_KERNELS_PATCHES_H

#include "engine/kernels/infer_conv.h"

static inline size_t patch_length(const struct conv_spec *s)
{
    return s->window * s->window * s->c;
}

/* Each pixel of the input is a patch as it lies there: no copy is needed. */
static inline bool patch_is_pixel(const struct conv_spec *s)
{
    return s->window == 1 && s->stride == 1 && s->pad == 0;
}

/* x [n, h, w, c] -> patches [n * out_h * out_w, patch_length]; both in the spec's dtype. */
void patches_gather(const struct conv_spec *s, const void *x, void *patches);
/* The transpose: dx = for each pixel, the sum of its places in all patches, in fp32. */
void patches_scatter(const struct conv_spec *s, const void *patches, void *dx);

#endif
