/* pool.h - poolings over NHWC tensors of either dtype.
 *
 * Threads: what training uses shares the images out over OpenMP's threads; the others run in the caller's.
 */
#ifndef ANCHORD_ENGINE_KERNELS_POOL_H
#define ANCHORD_ENGINE_KERNELS_POOL_H

#include "engine/kernels/tensor.h"

/* y[n, out_h, out_w, c] = the largest of each window x window square of x, at steps of `stride`.  The picture has `pad`
 * pixels around it that never win (pad < window).  Same dtype. */
void pool_max(const struct tensor *x, size_t window, size_t stride, size_t pad, const struct tensor *y);

/* y[n, c] = the mean of each channel over the picture; sums are fp32. */
void pool_average(const struct tensor *x, float *y);

/* The same as pool_max(), for training: at[n, out_h, out_w, c] tells which pixel of the window won (the first of equal
 * ones; row * window + column).  window <= 15. */
void pool_max_marked(const struct tensor *x, size_t window, size_t stride, size_t pad, const struct tensor *y,
                     uint8_t *at);
/* dx = the sum of dy over the windows that each pixel won; fp32 sums. */
void pool_max_gradient(const struct tensor *dy, const uint8_t *at, size_t window, size_t stride, size_t pad,
                       const struct tensor *dx);
/* Each pixel of dx gets its part of dy[n, c]. */
void pool_average_gradient(const float *dy, const struct tensor *dx);

#endif
