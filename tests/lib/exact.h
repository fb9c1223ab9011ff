/* exact.h - the forward pass of a network that learns, in double and by plain loops: what its gradients are held to.
 *
 *     struct exact *x = exact_new(l);
 *     exact_forward(x, pixels);               exact_output(x) is z
 *     x->tensors[i][k] += h; ...              and again: a slope without the noise of fp32
 *
 * A ReLU has a corner.  Where fp32 and double lie on different sides of it, the gradients of the two networks differ by
 * more than rounding, and both are right.  exact_take_sides() makes this network take the sides that the learner took
 * in its last forward, which leaves rounding alone.
 */
#ifndef ANCHORD_TESTS_LIB_EXACT_H
#define ANCHORD_TESTS_LIB_EXACT_H

#include "engine/learning/learner_parts.h"

struct exact {
    const struct learner *l; /* borrowed */
    double **tensors;        /* the learner's weights when this was made; may be written */
    double **out;            /* of each node */
    uint8_t **sides;         /* taken from the learner: 1 where a ReLU lets pass, the pixel that won a max pooling;
                              * NULL: from this forward itself */
};

struct exact *exact_new(const struct learner *l);
void exact_free(struct exact *x);

void exact_forward(struct exact *x, const float *pixels);
const double *exact_output(const struct exact *x);
/* How many activations behind ReLUs that gradients pass are on the other side than the learner's in its last forward;
 * *all: of how many.  The learner has not run backward since. */
size_t exact_other_sides(const struct exact *x, size_t *all);
void exact_take_sides(struct exact *x);

#endif
