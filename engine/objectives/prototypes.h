/* prototypes.h - directions that embeddings are compared with: what SwAV, DeepCluster-v2 and DINO share.
 *
 * C [k, d] has unit rows, U [n, d] too; logits are U C' / temperature.  There is no bias.
 */
#ifndef ANCHORD_ENGINE_OBJECTIVES_PROTOTYPES_H
#define ANCHORD_ENGINE_OBJECTIVES_PROTOTYPES_H

#include "engine/objectives/objective.h"

/* Random directions. */
void prototypes_start(float *c, size_t k, size_t d, uint64_t seed);
/* Rows made unit length again, after the optimiser has moved them. */
void prototypes_unit(float *c, size_t k, size_t d);
/* s [n, k] = U C' / temperature */
void prototypes_logits(const float *u, const float *c, size_t n, size_t k, size_t d, double temperature, float *s);
/* The input g [n, k] is the gradient of a sum with respect to the logits.  Gives scale times its gradient with respect
 * to U, added to du [n, d], and to C, written to dc [k, d] (NULL: not wanted). */
void prototypes_backward(const float *g, const float *u, const float *c, size_t n, size_t k, size_t d, double scale,
                         float *du, float *dc);

/* q [n, k] in: scores / temperature; out: codes whose rows sum to 1, balanced by so many iterations of Sinkhorn; 0: each row's softmax. */
void prototypes_codes(float *q, size_t n, size_t k, size_t iterations);

/* Swapped prediction: of `views` views the first `assigned` have codes q [assigned * rows, k].  w [views * rows, k] becomes, for each view,
 * the sum of the other views' codes of the same pictures.  Gives how many pairs of views that makes. */
size_t prototypes_swap(const float *q, size_t assigned, size_t views, size_t rows, size_t k, float *w);

#endif
