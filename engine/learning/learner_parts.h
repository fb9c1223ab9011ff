/* learner_parts.h - what the files of the learner share: learner.c (weights), learner_memory.c (buffers),
 * learner_step.c (the step).
 */
#ifndef ANCHORD_ENGINE_LEARNING_LEARNER_PARTS_H
#define ANCHORD_ENGINE_LEARNING_LEARNER_PARTS_H

#include "base/buf.h"
#include "engine/learning/learner.h"
#include "engine/learning/train_graph.h"
#include "engine/ops/conv_picks.h"

struct extra_gradient { /* of what node i gives, beyond those that its operation adds up itself */
    size_t node;
    void *from; /* in `memory` */
};

struct learner {
    size_t batch;     /* rows of all passes */
    enum dtype dtype; /* of the encoder's activations */
    enum backend backend;
    struct train_graph g; /* its weights are those that learn: filters are [out, height, width, in] */

    float *storage, *gradient_storage; /* of all weights, of all that learn */
    float **gradients;                 /* of each weight; NULL: does not learn */
    struct parameter *parameters;
    size_t n_parameters;

    void *memory; /* activations, their gradients, and what is kept between forward and backward */
    size_t memory_size;
    struct site *sites; /* of each node, in `memory` */
    struct extra_gradient *extras;
    size_t n_extras;

    struct conv_pick *picks;
    size_t n_picks;
    struct buf picks_text;

    void *scratch; /* of whatever runs */
    size_t scratch_size;
    float *spare; /* a gradient that is to be added to another */
    size_t spare_count;
    bool forward_done;
    double (*seconds)[2]; /* of each node, forward and backward */
};

/* learner.c: a learner of any graph, whose inputs are the passes and whose last node gives z.  The options' heads count
 * for nothing.  With m NULL all weights are to be written.  NULL on failure. */
struct learner *learner_over(struct graph *raw, size_t projection, const struct model *m,
                             const struct learner_options *o, struct err *e);
/* learner_memory.c: `memory` and in it the sites; then `extras`. */
void learner_place(struct learner *l);

#endif
