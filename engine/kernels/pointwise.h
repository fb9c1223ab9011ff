/* pointwise.h - what is done to each value by itself, over tensors of one shape and dtype; sums are fp32.
 *
 * Threads: pieces are shared out over OpenMP's threads; any number of them gives the same bits.
 */
#ifndef ANCHORD_ENGINE_KERNELS_POINTWISE_H
#define ANCHORD_ENGINE_KERNELS_POINTWISE_H

#include "engine/kernels/tensor.h"

/* y = a + b; y may be a. */
void pointwise_add(const struct tensor *a, const struct tensor *b, const struct tensor *y);
/* y = max(x, 0), a NaN stays one; y may be x. */
void pointwise_relu(const struct tensor *x, const struct tensor *y);

#endif
