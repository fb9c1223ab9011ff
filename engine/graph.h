/* graph.h - a network as a static list of nodes, each reading the outputs of nodes before it.
 *
 * graph_build() writes down what the architecture is, one node for each operation: that is what training runs.
 * graph_fuse() turns it into what inference runs: the batch norm goes into the convolution before it, and so do the
 * addition of the shortcut and the ReLU, so that only convolutions, poolings and the head are left.
 *
 *     struct graph raw, fused;
 *     graph_build(&arch, 224, &raw);
 *     graph_fuse(&raw, &fused);
 *
 * Values throughout; nothing needs release.  Threads: all functions are pure.
 */
#ifndef ANCHORD_ENGINE_GRAPH_H
#define ANCHORD_ENGINE_GRAPH_H

#include "engine/arch.h"

enum node_kind {
    NODE_INPUT,
    NODE_CONV,
    NODE_NORM,
    NODE_RELU,
    NODE_ADD,
    NODE_MAXPOOL,
    NODE_AVGPOOL,
    NODE_LINEAR,
    NODE_UNIT
};

enum { GRAPH_NODES_MAX = 192 };

struct node {
    enum node_kind kind;
    size_t n_in, in[2];         /* nodes that it reads; the second: the other summand of an ADD or a fused CONV */
    size_t h, w, c;             /* of the output, for one image */
    size_t window, stride, pad; /* CONV, MAXPOOL: square windows */
    size_t weight;              /* CONV, LINEAR, NORM: its first weight, counted in arch_weights() */
    bool fused;                 /* the fields below count: only CONVs of a fused graph */
    size_t norm;                /* first of the four weights of the batch norm that is folded in */
    bool relu;                  /* after everything else */
};

struct graph {
    size_t n; /* the last node gives the vector */
    struct node nodes[GRAPH_NODES_MAX];
};

/* The network for square pictures of size x size pixels.  `a` must have passed arch_check(). */
void graph_build(const struct arch *a, size_t size, struct graph *out);
/* Every NORM must follow a CONV that nothing else reads, as in all graphs of graph_build(). */
void graph_fuse(const struct graph *raw, struct graph *out);

/* Index of the last node that reads node i; i itself when none does. */
size_t graph_last_use(const struct graph *g, size_t i);

#endif
