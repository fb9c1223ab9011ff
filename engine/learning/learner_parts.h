/* learner_parts.h - what the files of the learner share: learner.c (weights), learner_memory.c (buffers),
 * learner_forward.c and learner_backward.c (the step).
 */
#ifndef ANCHORD_ENGINE_LEARNING_LEARNER_PARTS_H
#define ANCHORD_ENGINE_LEARNING_LEARNER_PARTS_H

#include "base/buf.h"
#include "base/clock.h"
#include "engine/kernels/batchnorm.h"
#include "engine/learning/conv_picks.h"
#include "engine/learning/learner.h"
#include "engine/learning/train_graph.h"

struct norm_state { /* of one batch norm; [c] each; owned by learner.state */
    float *mean, *variance, *inverse, *factor;
};

/* Where an op's gradients lie.  A batch norm writes the gradient of its input over dy, unless its residual takes dy. */
struct route {
    void *dy, *dy2; /* of its output; a tensor that two ops read has two parts, to be added */
    void *dx;       /* of its input; NULL when nothing there learns */
    void *dx2;      /* JOIN: of the rows that come second */
};

struct learner {
    struct arch arch;
    size_t batch;     /* rows of all passes */
    enum dtype dtype; /* of the encoder's activations */
    enum backend backend;
    struct train_graph g;

    float *storage, *gradient_storage; /* of all tensors, of all that learn */
    struct learner_tensor tensors[OP_TENSORS_MAX];
    float *gradients[OP_TENSORS_MAX]; /* NULL: does not learn */
    struct parameter *parameters;
    size_t n_parameters;

    void *memory; /* activations and their gradients */
    size_t memory_size;
    struct tensor out[OPS_MAX];   /* of each op, in `memory` */
    struct route routes[OPS_MAX]; /* in `memory` */
    uint8_t *marks[OPS_MAX];      /* MAXPOOL: in `memory` */
    float *state;
    struct norm_state norms[OPS_MAX];

    struct conv_pick picks[OPS_MAX];
    size_t n_picks, pick_of[OPS_MAX]; /* CONV */
    struct buf picks_text;

    void *scratch; /* of whatever runs */
    size_t scratch_size;
    float *spare; /* a gradient that is to be added to another */
    size_t spare_count;
    bool forward_done;
    double seconds[LEARNER_PARTS][2];
};

/* learner_memory.c: `memory`, `out`, `routes`, `marks` and `norms`. */
void learner_place(struct learner *l);

static inline struct norm_shape learner_norm_shape(const struct learner *l, size_t i)
{
    const struct tensor *y = &l->out[i];
    return (struct norm_shape){y->dtype, y->n * y->h * y->w, y->c};
}

/* Op i has run since `start`. */
static inline void learner_count(struct learner *l, size_t i, bool backward, double start)
{
    enum op_kind kind = l->g.ops[i].kind;
    enum learner_part part = kind == OP_CONV ? LEARNER_CONV : kind == OP_NORM ? LEARNER_NORM : LEARNER_OTHER;
    l->seconds[part][backward] += clock_s() - start;
}

static inline float *learner_weights(const struct learner *l, size_t tensor)
{
    return l->tensors[tensor].data;
}

#endif
