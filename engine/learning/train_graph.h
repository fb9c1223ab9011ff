/* train_graph.h - the network as training runs it: the encoder, and the head behind it.
 *
 * The unit length at the end of an encoder that serves is left out: the objectives normalise.  Behind the head may
 * stand a predictor.  With several passes (learner.h) the encoder stands there once for each of them, one behind the
 * other and all with the same weights.  Joins put the rows of their outputs below each other, and the head sees them
 * all at once.
 *
 *     weights: the architecture's, then the head's, then the predictor's
 */
#ifndef ANCHORD_ENGINE_LEARNING_TRAIN_GRAPH_H
#define ANCHORD_ENGINE_LEARNING_TRAIN_GRAPH_H

#include "engine/learning/learner.h"

struct train_mark {      /* of a node */
    bool frozen;         /* its weights stay, and its statistics are used as they are */
    bool wants_gradient; /* something at or before it learns */
    bool again;          /* on the way back a later node has left its gradient in the same weights */
};

struct train_graph {
    struct graph graph;       /* fused; the last node gives z */
    size_t projection;        /* the node that gives the head's output: the last one where there is no predictor */
    struct train_mark *marks; /* of each node; owned */
    bool *learns;             /* each weight; owned */
};

/* The encoder for each pass, the head, the predictor; gives the node of the projection.  `a` has passed arch_check();
 * the options were checked, and have one pass at least. */
size_t train_graph_build(const struct arch *a, const struct learner_options *o, struct graph *g);
/* Fuses, and marks what learns. */
void train_graph_settle(struct graph *raw, size_t projection, const struct learner_options *o, struct train_graph *out);
void train_graph_clear(struct train_graph *g);

#endif
