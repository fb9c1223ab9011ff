/* unit_rows.h - rows made unit length, and the way back for gradients.
 *
 * Every cosine objective begins with u = z / |z| and ends with dz = (g - (g.u) u) / |z|.  The norm is
 * clamped at 1e-12, so a zero row gives a zero unit vector and a zero gradient instead of NaN.
 */
#ifndef ANCHORD_ENGINE_OBJECTIVES_UNIT_ROWS_H
#define ANCHORD_ENGINE_OBJECTIVES_UNIT_ROWS_H

#include <stddef.h>

/* u [n, d] from z [n, d]; norms [n] keeps |z| for the way back.  u may be z. */
void unit_rows_forward(const float *z, size_t n, size_t d, float *u, float *norms);

/* In place: g [n, d], the gradient with respect to u, becomes the one with respect to z. */
void unit_rows_backward(const float *u, const float *norms, size_t n, size_t d, float *g);

#endif
