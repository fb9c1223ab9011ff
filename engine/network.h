/* network.h - a model made ready for inference: its fused graph, and all weights in the form that their kernels want.
 *
 * Ownership: everything is copied, the model may be freed afterwards.  Threads: read-only once made.
 */
#ifndef ANCHORD_ENGINE_NETWORK_H
#define ANCHORD_ENGINE_NETWORK_H

#include "engine/model.h"
#include "engine/ops/graph.h"

struct network {
    struct graph graph; /* fused */
    enum dtype dtype;   /* of all activations but those of nodes that are fp32 */
    void **packed;      /* of each node, made by its operation; NULL where it needs nothing */
};

/* The model has passed the checks of model.h; the backend is settled.  NULL on failure. */
struct network *network_new(const struct model *m, enum dtype dtype, enum backend b, struct err *e);
/* The same of any graph, with the values of its weights, whose last node gives the result. */
struct network *network_over(const struct graph *raw, const struct weight *weights, enum dtype dtype, enum backend b,
                             struct err *e);
void network_free(struct network *net); /* NULL is fine */

/* Node i for `batch` pictures at once, without data. */
struct site network_site(const struct network *net, size_t i, size_t batch);

#endif
