/* network.c - folds batch norms and packs weights. */
#include "engine/network.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

struct conv_spec network_conv(const struct network *net, size_t i, size_t n)
{
    const struct node *y = &net->graph.nodes[i], *x = &net->graph.nodes[y->in[0]];
    return (struct conv_spec){.dtype = net->dtype,
                              .n = n,
                              .h = x->h,
                              .w = x->w,
                              .c = x->c,
                              .k = y->c,
                              .window = y->window,
                              .stride = y->stride,
                              .pad = y->pad,
                              .accumulate = y->n_in == 2,
                              .relu = y->relu};
}

/* norm: the batch norm's scale, shift, mean and variance, one after the other. */
static void fold(const struct weight *conv, const struct weight norm[4], float *weights, float *bias)
{
    size_t filter = conv->count / conv->shape[0];
    for (size_t k = 0; k < conv->shape[0]; k++) {
        double scale = (double)norm[0].data[k] / sqrt((double)norm[3].data[k] + (double)ARCH_BN_EPSILON);
        bias[k] = (float)((double)norm[1].data[k] - (double)norm[2].data[k] * scale);
        for (size_t i = 0; i < filter; i++)
            weights[k * filter + i] = (float)((double)conv->data[k * filter + i] * scale);
    }
}

static const struct conv_kernel *pick(const struct conv_kernel *const *kernels, const struct conv_spec *s)
{
    while (*kernels && !(*kernels)->supports(s))
        kernels++;
    assert(*kernels);
    return *kernels;
}

static bool pack_conv(struct network *net, size_t i, const struct conv_kernel *const *kernels, const struct model *m,
                      struct err *e)
{
    const struct node *n = &net->graph.nodes[i];
    const struct weight *conv = &m->weights[n->weight];
    struct layer *l = &net->layers[i];
    struct conv_spec s = network_conv(net, i, 1);
    float *weights = mem_aligned(conv->count, sizeof *weights), *bias = mem_aligned(n->c, sizeof *bias);

    assert(n->fused && conv->rank == 4 && conv->shape[0] == n->c);
    l->kernel = pick(kernels, &s);
    fold(conv, &m->weights[n->norm], weights, bias);
    l->conv = l->kernel->pack(&s, weights, bias, e);
    free(weights);
    free(bias);
    return l->conv != NULL;
}

struct network *network_new(const struct model *m, enum dtype dtype, const struct conv_kernel *const *kernels,
                            struct err *e)
{
    struct graph raw;
    struct network *net = mem_new(1, sizeof *net);

    net->dtype = dtype;
    graph_build(&m->arch, m->pre.size, &raw);
    graph_fuse(&raw, &net->graph);
    for (size_t i = 0; i < net->graph.n; i++) {
        const struct node *n = &net->graph.nodes[i];
        if (n->kind == NODE_CONV && !pack_conv(net, i, kernels, m, e)) {
            network_free(net);
            return NULL;
        }
        if (n->kind == NODE_LINEAR)
            net->layers[i].linear = mem_dup(m->weights[n->weight].data, m->weights[n->weight].count * sizeof(float));
    }
    return net;
}

void network_free(struct network *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < net->graph.n; i++) {
        if (net->layers[i].kernel)
            net->layers[i].kernel->weights_free(net->layers[i].conv);
        free(net->layers[i].linear);
    }
    free(net);
}
