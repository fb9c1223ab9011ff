/* plan.c - lays out the buffers of a network and runs its nodes in order. */
#include "engine/plan.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/layout.h"
#include "engine/kernels/pool.h"
#include "engine/kernels/unit.h"

/* For one picture.  A ResNet-50 at 1,024 pixels takes 200 MB; what a file may ask for takes gigabytes. */
enum { PICTURE_MB_MAX = 384 };

struct plan {
    const struct network *net;
    size_t batch;
    void *memory;                       /* all activations */
    void *scratch;                      /* of whichever convolution runs */
    struct tensor out[GRAPH_NODES_MAX]; /* of each node, inside `memory` */
    struct conv *convs[GRAPH_NODES_MAX];
};

/* The head works in fp32 whatever the rest does. */
static enum dtype node_dtype(const struct network *net, const struct node *n)
{
    bool head = n->kind == NODE_AVGPOOL || n->kind == NODE_LINEAR || n->kind == NODE_UNIT;
    return head ? DTYPE_F32 : net->dtype;
}

/* A convolution with two inputs takes over the memory of the second, whose last reader it is. */
static bool overwrites(const struct node *n)
{
    return n->kind == NODE_CONV && n->n_in == 2;
}

static bool check_bytes(const struct plan *p, size_t bytes, struct err *e)
{
    size_t each = bytes / p->batch >> 20;
    return each <= PICTURE_MB_MAX ||
           err_set(e, ERR_TOO_LARGE, "the network needs %zu MB of memory for one picture, the limit is %d MB", each,
                   PICTURE_MB_MAX);
}

static bool place_tensors(struct plan *p, struct err *e)
{
    const struct graph *g = &p->net->graph;
    struct span spans[GRAPH_NODES_MAX];
    size_t home[GRAPH_NODES_MAX]; /* the node whose span holds the output of node i */

    for (size_t i = 0; i < g->n; i++) {
        const struct node *n = &g->nodes[i];
        p->out[i] = (struct tensor){node_dtype(p->net, n), p->batch, n->h, n->w, n->c, NULL};
        spans[i] = (struct span){tensor_count(&p->out[i]) * dtype_size(p->out[i].dtype), i, graph_last_use(g, i), 0};
        home[i] = i;
        if (overwrites(n)) {
            assert(graph_last_use(g, n->in[1]) == i);
            home[i] = home[n->in[1]];
            spans[home[i]].last = spans[i].last;
            spans[i].size = 0;
        }
    }
    size_t bytes = layout_place(spans, g->n);
    if (!check_bytes(p, bytes, e))
        return false;
    p->memory = mem_aligned(bytes, 1);
    for (size_t i = 0; i < g->n; i++)
        p->out[i].data = (char *)p->memory + spans[home[i]].offset;
    return true;
}

static bool prepare_convs(struct plan *p, struct err *e)
{
    const struct graph *g = &p->net->graph;
    size_t scratch = LAYOUT_ALIGN;

    for (size_t i = 0; i < g->n; i++) {
        const struct layer *l = &p->net->layers[i];
        if (g->nodes[i].kind != NODE_CONV)
            continue;
        struct conv_spec s = network_conv(p->net, i, p->batch);
        p->convs[i] = l->kernel->open(&s, l->conv, e);
        if (!p->convs[i])
            return false;
        scratch = max_size(scratch, l->kernel->scratch(p->convs[i]));
    }
    if (!check_bytes(p, scratch, e))
        return false;
    p->scratch = mem_aligned(scratch, 1);
    for (size_t i = 0; i < g->n; i++)
        if (p->convs[i] &&
            !p->net->layers[i].kernel->bind(p->convs[i], p->out[g->nodes[i].in[0]].data, p->out[i].data, p->scratch, e))
            return false;
    return true;
}

struct plan *plan_new(const struct network *net, size_t batch, struct err *e)
{
    struct plan *p = mem_new(1, sizeof *p);

    assert(batch > 0);
    p->net = net;
    p->batch = batch;
    if (place_tensors(p, e) && prepare_convs(p, e))
        return p;
    plan_free(p);
    return NULL;
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->net->graph.n; i++)
        if (p->convs[i])
            p->net->layers[i].kernel->close(p->convs[i]);
    free(p->memory);
    free(p->scratch);
    free(p);
}

size_t plan_batch(const struct plan *p)
{
    return p->batch;
}

static bool unit_rows(const struct tensor *x, const struct tensor *y, struct err *e)
{
    for (size_t i = 0; i < x->n; i++)
        if (!unit_vector((const float *)x->data + i * x->c, x->c, (float *)y->data + i * x->c))
            return err_set(e, ERR_UNDECODABLE, "the picture has no direction");
    return true;
}

static bool run_node(struct plan *p, size_t i, struct err *e)
{
    const struct node *n = &p->net->graph.nodes[i];
    const struct layer *l = &p->net->layers[i];
    const struct tensor *x = &p->out[n->in[0]], *y = &p->out[i];

    switch (n->kind) {
    case NODE_INPUT: return true;
    case NODE_CONV: return l->kernel->forward(p->convs[i]) || err_set(e, ERR_INTERNAL, "a convolution failed");
    case NODE_MAXPOOL: pool_max(x, n->window, n->stride, n->pad, y); return true;
    case NODE_AVGPOOL: pool_average(x, y->data); return true;
    case NODE_LINEAR: gemm_nt(x->n, y->c, x->c, 1, x->data, l->linear, 0, y->data); return true;
    case NODE_UNIT: return unit_rows(x, y, e);
    case NODE_NORM:
    case NODE_RELU:
    case NODE_ADD: break;
    }
    return err_set(e, ERR_INTERNAL, "node %zu belongs to no fused graph", i);
}

bool plan_forward(struct plan *p, const float *pixels, float *vectors, struct err *e)
{
    const struct graph *g = &p->net->graph;
    const struct tensor *last = &p->out[g->n - 1];

    tensor_fill(&p->out[0], pixels);
    for (size_t i = 0; i < g->n; i++)
        if (!run_node(p, i, e))
            return false;
    memcpy(vectors, last->data, tensor_count(last) * sizeof(float));
    return true;
}
