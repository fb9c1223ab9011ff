/* winograd.h - the transforms of Winograd's F(4x4, 3x3).
 *
 * A 4x4 tile of a 3x3 convolution's output comes from a 6x6 patch of its input with 36 multiplications instead of 144.
 * Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016):
 *
 *     y = A^T [(G w G^T) * (B^T x B)] A            forward; * multiplies place by place
 *
 * and, transposed, for the gradients:
 *
 *     dw = G^T [(A dy A^T) * (B^T x B)] G          summed over the tiles
 *
 * Each transform works on runs of n values (channels) at once: a cell of a tile is a run.  The results of
 * those that give 36 places lie `step` values apart.  `half` is scratch of WINOGRAD_PLACES * n values.
 */
#ifndef ANCHORD_ENGINE_KERNELS_WINOGRAD_H
#define ANCHORD_ENGINE_KERNELS_WINOGRAD_H

#include <stddef.h>

enum { WINOGRAD_TILE = 4, WINOGRAD_PATCH = 6, WINOGRAD_PLACES = WINOGRAD_PATCH * WINOGRAD_PATCH, WINOGRAD_TAPS = 9 };

/* B^T x B: cells [6][6] -> [36] */
void winograd_input(const float *const *cells, size_t n, float *half, float *out, size_t step);
/* G w G^T: cells [3][3] -> [36] */
void winograd_filter(const float *const *cells, size_t n, float *half, float *out, size_t step);
/* A dy A^T: cells [4][4] -> [36] */
void winograd_spread(const float *const *cells, size_t n, float *half, float *out, size_t step);
/* A^T m A: places `in_step` apart -> [4][4], `step` apart */
void winograd_output(const float *in, size_t in_step, size_t n, float *half, float *out, size_t step);
/* G^T m G: places `in_step` apart -> [3][3], `step` apart */
void winograd_taps(const float *in, size_t in_step, size_t n, float *half, float *out, size_t step);

#endif
