/* batchnorm.h - batch normalisation of a matrix [rows, c], with what stands around it in a ResNet.
 *
 * Forward, with `+ residual` and ReLU where the network has them, in one pass over the tensor:
 *
 *     norm_moments(&s, x, work, mean, variance);             or the running statistics, when they are frozen
 *     norm_factors(...);                                      factor = scale / sqrt(variance + epsilon)
 *     y = relu?((x - mean) * factor + shift + residual?)      norm_apply()
 *
 * Backward (Ioffe and Szegedy 2015, section 3), in two passes:
 *
 *     g  = (dy + dy2?) * [y > 0]?                             norm_mask() or norm_reduce(), in place of dy
 *     dshift = sum g,  dscale = sum g * xhat                  norm_reduce()
 *     dx = factor * (g - mean(g) - xhat * mean(g * xhat))     norm_input_gradient()
 *
 * and g is also the gradient of the residual.  Tensors are fp32 or bf16, everything of length c is fp32.
 *
 * Threads: the loops are shared out over OpenMP's threads.  Sums are taken in fp32 over blocks of rows, which depend on
 * the shape only, and in double over the blocks, in order.  So any number of threads gives the same bits.
 */
#ifndef ANCHORD_ENGINE_KERNELS_BATCHNORM_H
#define ANCHORD_ENGINE_KERNELS_BATCHNORM_H

#include <stdbool.h>

#include "engine/kernels/tensor.h"

struct norm_shape {
    enum dtype dtype; /* of x, y and their gradients */
    size_t rows, c;
};

/* Floats that norm_moments() and norm_reduce() want as `work`. */
size_t norm_work(const struct norm_shape *s);

/* The mean of each channel and its biased variance. */
void norm_moments(const struct norm_shape *s, const void *x, float *work, float *mean, float *variance);
/* running += momentum * (new - running), with the unbiased variance, as PyTorch does.  rows > 1. */
void norm_track(const struct norm_shape *s, const float *mean, const float *variance, double momentum,
                float *running_mean, float *running_variance);
/* inverse[c] = 1 / sqrt(variance + epsilon); factor[c] = scale * inverse. */
void norm_factors(size_t c, const float *variance, double epsilon, const float *scale, float *inverse, float *factor);

/* residual may be NULL. */
void norm_apply(const struct norm_shape *s, const void *x, const float *mean, const float *factor, const float *shift,
                const void *residual, bool relu, void *y);

/* dy becomes g.  dy2 and y may be NULL: there is one gradient, there was no ReLU. */
void norm_mask(const struct norm_shape *s, void *dy, const void *dy2, const void *y);
/* The same, and sums: dshift[c], dscale[c]. */
void norm_reduce(const struct norm_shape *s, void *dy, const void *dy2, const void *y, const void *x, const float *mean,
                 const float *inverse, float *work, float *dshift, float *dscale);
/* dx may be g itself. */
void norm_input_gradient(const struct norm_shape *s, const void *g, const void *x, const float *mean,
                         const float *inverse, const float *factor, const float *dshift, const float *dscale,
                         float *work, void *dx);
/* With frozen statistics: dx = factor * g. */
void norm_frozen_gradient(const struct norm_shape *s, const void *g, const float *factor, void *dx);

#endif
