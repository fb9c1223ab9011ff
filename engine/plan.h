/* plan.h - one thread's forward pass: batch, size and dtype fixed, every buffer laid out, every kernel prepared.
 *
 * Making a plan allocates all that a forward pass needs; plan_forward() allocates nothing of its own.  Buffers whose
 * lifetimes do not meet share memory, and a convolution that adds its shortcut writes over it.
 *
 * Threads: a plan is used by one thread at a time; many plans share one network.
 */
#ifndef ANCHORD_ENGINE_PLAN_H
#define ANCHORD_ENGINE_PLAN_H

#include "engine/network.h"

struct plan;

/* Borrows the network.  NULL on failure; ERR_TOO_LARGE when it would need more memory than any picture is worth. */
struct plan *plan_new(const struct network *net, size_t batch, struct err *e);
void plan_free(struct plan *p); /* NULL is fine */
size_t plan_batch(const struct plan *p);

/* pixels [batch, size, size, 3] -> vectors [batch, dimensions] of unit length.  ERR_UNDECODABLE when one of them is
 * zero or not finite. */
MUST_CHECK bool plan_forward(struct plan *p, const float *pixels, float *vectors, struct err *e);

#endif
