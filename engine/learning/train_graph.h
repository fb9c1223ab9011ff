/* train_graph.h - the network as training runs it: the raw graph with its batch norms fused, and the head behind it.
 *
 * A batch norm takes in the addition and the ReLU that follow it (backward needs its input all the same, but not what
 * is between); a linear layer takes in its bias and its ReLU.  The unit length at the end of the graph is left out: the
 * objectives normalise.  Behind the head may stand a predictor.
 *
 * With several passes (learner.h) the encoder stands there once for each of them, one behind the other and all with the same
 * tensors; joins put the rows of their outputs below each other, and the head sees them all at once.
 *
 *     op 0 is the first input; op i reads outputs of ops before it
 *     tensors: the architecture's (arch_weights()), then the head's, then the predictor's
 *
 * Values throughout; nothing needs release.
 */
#ifndef ANCHORD_ENGINE_LEARNING_TRAIN_GRAPH_H
#define ANCHORD_ENGINE_LEARNING_TRAIN_GRAPH_H

#include "engine/graph.h"
#include "engine/learning/learner.h"

enum op_kind { OP_INPUT, OP_CONV, OP_NORM, OP_MAXPOOL, OP_AVGPOOL, OP_LINEAR, OP_JOIN };

enum { OPS_MAX = 512, OP_TENSORS_MAX = ARCH_WEIGHTS_MAX + 2 * HEAD_LAYERS_MAX * 5, NO_OP = 0 };

struct op {
    enum op_kind kind;
    size_t in, residual; /* ops; residual: NORM, NO_OP when there is none; JOIN: the rows that come second */
    size_t rows;
    size_t h, w, c;             /* of the output, for one image */
    size_t window, stride, pad; /* CONV, MAXPOOL */
    size_t tensor;              /* CONV, NORM, LINEAR: its first tensor */
    bool relu;                  /* NORM, LINEAR: at the end */
    bool bias;                  /* LINEAR: the tensor after the weights */
    bool head;                  /* fp32, one row for each image: what stands behind the average pooling, and it */
    bool frozen;                /* its tensors stay; a NORM uses its running statistics */
    bool needs_gradient;        /* something at or before it learns */
    bool again;                 /* on the way back a later pass has left its gradient in the same tensors */
};

struct op_tensor {
    char name[96];
    uint32_t rank, shape[4]; /* convolutions [out, height, width, in] */
    size_t count;
    enum weight_kind kind;
    bool head, learns;
};

struct train_graph {
    size_t n;          /* ops; the last one gives z */
    size_t features;   /* the op that gives the encoder's output */
    size_t projection; /* ... and the head's: the last one where there is no predictor */
    struct op ops[OPS_MAX];
    size_t n_tensors;
    struct op_tensor tensors[OP_TENSORS_MAX];
};

/* `a` has passed arch_check(); the options were checked, and have one pass at least. */
void train_graph_build(const struct arch *a, const struct learner_options *o, struct train_graph *out);

#endif
