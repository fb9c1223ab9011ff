/* pool.h - poolings over NHWC tensors of either dtype. */
#ifndef ANCHORD_ENGINE_KERNELS_POOL_H
#define ANCHORD_ENGINE_KERNELS_POOL_H

#include "engine/tensor.h"

/* y[n, out_h, out_w, c] = the largest of each window x window square of x, at steps of `stride`, in a picture with
 * `pad` pixels around it that never win (pad < window).  Same dtype. */
void pool_max(const struct tensor *x, size_t window, size_t stride, size_t pad, const struct tensor *y);

/* y[n, c] = the mean of each channel over the picture; sums are fp32. */
void pool_average(const struct tensor *x, float *y);

#endif
