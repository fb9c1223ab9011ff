/* spread.h - how rows spread over their space: signs of collapse.
 *
 * All vectors are rows [n, d].
 * Sources: alignment and uniformity as in Wang and Isola 2020 (arXiv:2005.10242); RankMe as in Garrido et al. 2023
 * (arXiv:2210.02885).
 */
#ifndef ANCHORD_ENGINE_KERNELS_SPREAD_H
#define ANCHORD_ENGINE_KERNELS_SPREAD_H

#include <stddef.h>

/* Mean squared distance of the pairs x[i], y[i] (unit rows). */
double alignment(const float *x, const float *y, size_t n, size_t d);
/* log of the mean of exp(-2 |xi - xj|^2) over distinct pairs (unit rows). */
double uniformity(const float *x, size_t n, size_t d);

/* Mean over dimensions of the standard deviation of the rows made unit: 0 is collapse, 1/sqrt(d) isotropic. */
double unit_std(const float *z, size_t n, size_t d);
/* (sum of the eigenvalues)^2 / sum of their squares, of the centred covariance: in how many dimensions the rows vary.
 * Cheap, for each step: of more than 256 rows as many are taken, evenly.  0 when they do not vary. */
double used_dimensions(const float *z, size_t n, size_t d);
/* exp of the entropy of the eigenvalues of the centred covariance: how many dimensions are used. */
double effective_rank(const float *z, size_t n, size_t d);
/* exp of the entropy of the singular values, not centred. */
double rank_me(const float *z, size_t n, size_t d);

#endif
