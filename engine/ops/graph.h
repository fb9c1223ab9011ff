/* graph.h - a network as a list of nodes, each reading the outputs of nodes before it.
 *
 * A family of networks (arch.h) writes down its network, one node for each operation.  From that graph_fuse() makes the
 * graph that runs: operations absorb those that follow them, other ones when serving than when training.
 *
 *     struct graph raw = {0}, fused = {0};
 *     size_t x = graph_input(&raw, rows, 224, 224, 3);
 *     x = graph_then(&raw, &op_conv, (struct op_settings){.channels = 64, .window = 3, .stride = 1, .pad = 1}, "conv1",
 *     x);
 *     x = graph_then(&raw, &op_relu, (struct op_settings){0}, NULL, x);
 *     graph_fuse(&raw, GRAPH_SERVES, &fused, NULL);
 *     graph_clear(&raw); ...
 *
 * Any number of nodes may read a node.  A graph of zeros is empty.  Threads: none of its own.
 */
#ifndef ANCHORD_ENGINE_OPS_GRAPH_H
#define ANCHORD_ENGINE_OPS_GRAPH_H

#include "engine/ops/op.h"

void graph_clear(struct graph *g); /* it is empty afterwards */

/* All these give the index of the new node. */
size_t graph_input(struct graph *g, size_t rows, size_t h, size_t w, size_t c);
/* `weight`: what graph_declare() gave; not read where the operation has none. */
size_t graph_add(struct graph *g, const struct op *op, struct op_settings set, size_t weight, size_t n_in,
                 const size_t *in);
/* Declares and adds, with one input; name NULL: an operation without weights. */
size_t graph_then(struct graph *g, const struct op *op, struct op_settings set, const char *name, size_t x);

/* The weights of an operation on c channels, "NAME.weight" and so on, of stage g->stage; gives the first one's index.
 * Those of a name that was declared before are shared. */
size_t graph_declare(struct graph *g, const struct op *op, struct op_settings set, size_t c, const char *name);

/* `out`, which is empty, becomes the same network in fewer nodes, with all weights of `raw`.  Fills at (NULL: not
 * wanted): at[i] is the node of `out` that gives the output of node i, if any does. */
void graph_fuse(const struct graph *raw, enum graph_mode mode, struct graph *out, size_t *at);

/* Index of the last node that reads node i; i itself when none does. */
size_t graph_last_use(const struct graph *g, size_t i);

#endif
