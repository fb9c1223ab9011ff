/* sinkhorn.h - codes that use all prototypes equally: an entropic optimal transport between samples and prototypes.
 *
 * Cuturi 2013, "Sinkhorn distances" (arXiv:1306.0895); for codes Caron et al. 2020, SwAV (arXiv:2006.09882).  In the domain of logarithms,
 * so that any sharpness and any shift of the scores is exact.
 */
#ifndef ANCHORD_ENGINE_OBJECTIVES_SINKHORN_H
#define ANCHORD_ENGINE_OBJECTIVES_SINKHORN_H

#include <stddef.h>

/* q [n, k] in: scores / sharpness; out: the codes.  After one iteration or more each row sums to 1, and the columns'
 * sums tend to n / k.  After none they are exp(q), with n for the sum of all. */
void sinkhorn(float *q, size_t n, size_t k, size_t iterations);

#endif
