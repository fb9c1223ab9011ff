/* graph.c - from an architecture to nodes, and from nodes to fused nodes. */
#include "engine/graph.h"

#include <assert.h>

enum { WEIGHTS_OF_CONV = 5 }; /* its own, and the four of the batch norm that follows */

struct builder {
    struct graph *g;
    size_t weight; /* the next one of arch_weights() that has no node yet */
};

static size_t add(struct graph *g, struct node n)
{
    assert(g->n < GRAPH_NODES_MAX);
    g->nodes[g->n] = n;
    return g->n++;
}

/* A node that keeps the shape of what it reads. */
static size_t add_like(struct graph *g, enum node_kind kind, size_t in)
{
    const struct node *x = &g->nodes[in];
    return add(g, (struct node){.kind = kind, .n_in = 1, .in = {in}, .h = x->h, .w = x->w, .c = x->c});
}

static size_t window_out(size_t side, size_t window, size_t stride, size_t pad)
{
    assert(side + 2 * pad >= window);
    return (side + 2 * pad - window) / stride + 1;
}

static size_t add_window(struct graph *g, enum node_kind kind, size_t in, size_t channels, size_t window, size_t stride)
{
    const struct node *x = &g->nodes[in];
    size_t pad = window / 2;
    struct node n = {
        .kind = kind, .n_in = 1, .in = {in}, .c = channels, .window = window, .stride = stride, .pad = pad};
    n.h = window_out(x->h, window, stride, pad);
    n.w = window_out(x->w, window, stride, pad);
    return add(g, n);
}

static size_t add_conv_norm(struct builder *b, size_t in, size_t channels, size_t window, size_t stride)
{
    size_t conv = add_window(b->g, NODE_CONV, in, channels, window, stride);
    size_t norm = add_like(b->g, NODE_NORM, conv);
    b->g->nodes[conv].weight = b->weight;
    b->g->nodes[norm].weight = b->weight + 1;
    b->weight += WEIGHTS_OF_CONV;
    return norm;
}

static size_t add_conv_norm_relu(struct builder *b, size_t in, size_t channels, size_t window, size_t stride)
{
    return add_like(b->g, NODE_RELU, add_conv_norm(b, in, channels, window, stride));
}

/* What is added to the main path: x, or x brought to its shape.  Its weights stand after those of the main path. */
static size_t add_shortcut(const struct builder *b, const struct arch_block *k, size_t x)
{
    struct builder own = {b->g, b->weight + WEIGHTS_OF_CONV * (k->bottleneck ? 3u : 2u)};
    return k->downsample ? add_conv_norm(&own, x, k->out, 1, k->stride) : x;
}

static size_t add_block(struct builder *b, const struct arch_block *k, size_t x)
{
    size_t shortcut = add_shortcut(b, k, x); /* first, so that the last convolution can add to it */
    size_t y, sum;

    if (k->bottleneck) {
        y = add_conv_norm_relu(b, x, k->mid, 1, 1);
        y = add_conv_norm_relu(b, y, k->mid, 3, k->stride);
        y = add_conv_norm(b, y, k->out, 1, 1);
    } else {
        y = add_conv_norm_relu(b, x, k->out, 3, k->stride);
        y = add_conv_norm(b, y, k->out, 3, 1);
    }
    if (k->downsample)
        b->weight += WEIGHTS_OF_CONV;
    sum = add_like(b->g, NODE_ADD, y);
    b->g->nodes[sum].n_in = 2;
    b->g->nodes[sum].in[1] = shortcut;
    return add_like(b->g, NODE_RELU, sum);
}

static size_t add_stem(struct builder *b, const struct arch *a, size_t x)
{
    if (a->stem != STEM_IMAGENET)
        return add_conv_norm_relu(b, x, a->width, 3, a->stem == STEM_SMALL2 ? 2 : 1);
    x = add_conv_norm_relu(b, x, a->width, 7, 2);
    return add_window(b->g, NODE_MAXPOOL, x, a->width, 3, 2);
}

void graph_build(const struct arch *a, size_t size, struct graph *out)
{
    struct arch_block blocks[ARCH_BLOCKS_MAX];
    size_t n_blocks = arch_blocks(a, blocks);
    struct builder b = {.g = out};

    out->n = 0;
    size_t x = add(out, (struct node){.kind = NODE_INPUT, .h = size, .w = size, .c = 3});
    x = add_stem(&b, a, x);
    for (size_t i = 0; i < n_blocks; i++)
        x = add_block(&b, &blocks[i], x);
    x = add_like(out, NODE_AVGPOOL, x);
    out->nodes[x].h = out->nodes[x].w = 1;
    if (a->projection) {
        x = add_like(out, NODE_LINEAR, x);
        out->nodes[x].c = a->projection;
        out->nodes[x].weight = b.weight;
    }
    add_like(out, NODE_UNIT, x);
}

/* Puts node n into the convolution x that it reads first, if it can go there. */
static bool absorb(struct node *x, const struct node *n)
{
    switch (n->kind) {
    case NODE_NORM:
        assert(x->kind == NODE_CONV && !x->fused);
        x->fused = true;
        x->norm = n->weight;
        return true;
    case NODE_ADD:
        assert(x->fused && !x->relu && x->n_in == 1 && n->in[1] < n->in[0]);
        x->in[x->n_in++] = n->in[1];
        return true;
    case NODE_RELU:
        assert(x->fused && !x->relu);
        x->relu = true;
        return true;
    default: return false;
    }
}

void graph_fuse(const struct graph *raw, struct graph *out)
{
    size_t at[GRAPH_NODES_MAX]; /* the fused node that gives what node i of `raw` gives */

    out->n = 0;
    for (size_t i = 0; i < raw->n; i++) {
        struct node n = raw->nodes[i];
        for (size_t j = 0; j < n.n_in; j++)
            n.in[j] = at[n.in[j]];
        at[i] = n.n_in > 0 && absorb(&out->nodes[n.in[0]], &n) ? n.in[0] : add(out, n);
    }
}

size_t graph_last_use(const struct graph *g, size_t i)
{
    size_t last = i;
    for (size_t j = i + 1; j < g->n; j++)
        for (size_t k = 0; k < g->nodes[j].n_in; k++)
            if (g->nodes[j].in[k] == i)
                last = j;
    return last;
}
