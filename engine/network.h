/* network.h - a model made ready for inference: its fused graph, and every weight in the form that its kernel wants.
 *
 * Batch norm is folded into the convolutions in fp32 before anything is rounded (Jacob et al. 2018):
 * w' = w * scale / sqrt(variance + epsilon), bias' = shift - mean * scale / sqrt(variance + epsilon).
 *
 * Ownership: everything is copied, the model may be freed afterwards.  Threads: read-only once made.
 */
#ifndef ANCHORD_ENGINE_NETWORK_H
#define ANCHORD_ENGINE_NETWORK_H

#include "engine/graph.h"
#include "engine/kernels/infer_conv.h"
#include "engine/model.h"

struct layer {                        /* what node i needs beside its input */
    const struct conv_kernel *kernel; /* CONV */
    struct conv_weights *conv;        /* CONV; packed by `kernel` */
    float *linear;                    /* LINEAR: [out, in] */
};

struct network {
    struct graph graph; /* fused */
    enum dtype dtype;   /* of all activations up to the average pooling; the head is fp32 */
    struct layer layers[GRAPH_NODES_MAX];
};

/* `kernels` ends with NULL; the first that supports a convolution computes it, and one of them does.  The model has
 * passed the checks of model.h.  NULL on failure. */
struct network *network_new(const struct model *m, enum dtype dtype, const struct conv_kernel *const *kernels,
                            struct err *e);
void network_free(struct network *net); /* NULL is fine */

/* The convolution that node `i` is, for a batch of n. */
struct conv_spec network_conv(const struct network *net, size_t i, size_t n);

#endif
