/* conv.c - the convolution: square windows, no bias of its own.
 *
 * When serving it folds in what is a factor and a shift for each channel (Jacob et al. 2018: w' = w scale, bias =
 * shift, in double before anything is rounded), then adds the shortcut, over which it writes, then a ReLU.  Its kernel
 * is the first of a list that supports the shape.  When training the kernels are picked by measuring (conv_picks.h).
 */
#include <assert.h>
#include <stdlib.h>

#include "base/num.h"
#include "engine/kernels/infer_conv.h"
#include "engine/ops/conv_picks.h"
#include "engine/ops/op.h"

static void shape(struct node *n, const struct graph *g)
{
    node_slide(n, &g->nodes[n->in[0]]);
    n->c = n->does.set.channels;
}

static size_t weights(const struct op_settings *s, size_t c, struct weight out[OP_WEIGHTS_MAX])
{
    uint32_t k = (uint32_t)s->channels, side = (uint32_t)s->window;
    /* He et al. 2015, as torchvision has it */
    out[0] = (struct weight){
        "weight", 4, {k, (uint32_t)c, side, side}, .variance = 2.0 / ((double)k * (double)side * (double)side)};
    return 1;
}

static bool absorbs(const struct node *n, const struct op *next, enum graph_mode mode)
{
    if (mode == GRAPH_TRAINS || node_absorbed(n, &op_relu))
        return false;
    if (next->affine)
        return n->n_then == 0;
    return next == &op_relu || (next == &op_add && !node_absorbed(n, &op_add));
}

static struct conv_spec spec_of(const struct node *n, const struct tensor *x, const struct tensor *y)
{
    const struct op_settings *s = &n->does.set;
    return (struct conv_spec){.dtype = x->dtype,
                              .n = x->n,
                              .h = x->h,
                              .w = x->w,
                              .c = x->c,
                              .k = y->c,
                              .window = s->window,
                              .stride = s->stride,
                              .pad = s->pad,
                              .accumulate = node_absorbed(n, &op_add),
                              .relu = node_absorbed(n, &op_relu)};
}

/* ---- serving ---- */

struct packed {
    const struct infer_kernel *kernel;
    struct infer_weights *weights; /* in its layout */
};

static const struct infer_kernel *kernel_for(const struct conv_spec *s, enum backend b)
{
    static const struct infer_kernel *const blas[] = {&infer_winograd, &infer_patches};
    const struct infer_kernel *const *k = blas;
#if ANCHORD_ONEDNN
    static const struct infer_kernel *const dnnl[] = {&infer_winograd, &infer_dnnl, &infer_patches};
    if (b == BACKEND_DNNL)
        k = dnnl;
#else
    UNUSED(b);
#endif
    while (!(*k)->supports(s) && *k != &infer_patches)
        k++;
    assert((*k)->supports(s));
    return *k;
}

static void fold(const struct node *n, const struct weight *all, float *w, float *bias)
{
    const struct weight *own = &all[n->does.weight];
    const struct applied *after = n->n_then && n->then[0].op->affine ? &n->then[0] : NULL;
    size_t filter = own->count / n->c;

    for (size_t k = 0; k < n->c; k++) {
        double scale = 1, shift = 0;
        if (after)
            after->op->affine(after, all, k, &scale, &shift);
        bias[k] = (float)shift;
        for (size_t i = 0; i < filter; i++)
            w[k * filter + i] = (float)((double)own->data[k * filter + i] * scale);
    }
}

static void unpack(void *packed)
{
    struct packed *p = packed;
    p->kernel->weights_free(p->weights);
    free(p);
}

static void *pack(const struct site *s, const struct weight *all, enum backend b, struct err *e)
{
    const struct conv_spec spec = spec_of(s->node, &s->x[0], &s->y);
    float *w = mem_aligned(all[s->node->does.weight].count, sizeof *w), *bias = mem_aligned(spec.k, sizeof *bias);
    struct packed *p = mem_new(1, sizeof *p);

    p->kernel = kernel_for(&spec, b);
    fold(s->node, all, w, bias);
    p->weights = p->kernel->pack(&spec, w, bias, e);
    free(w);
    free(bias);
    if (p->weights)
        return p;
    unpack(p);
    return NULL;
}

static bool open_conv(struct site *s, struct err *e)
{
    const struct packed *p = s->packed;
    const struct conv_spec spec = spec_of(s->node, &s->x[0], &s->y);
    s->own = p->kernel->open(&spec, p->weights, e);
    s->scratch_size = s->own ? p->kernel->scratch(s->own) : 0;
    return s->own != NULL;
}

static bool bind_conv(struct site *s, struct err *e)
{
    const struct packed *p = s->packed;
    return p->kernel->bind(s->own, s->x[0].data, s->y.data, s->scratch, e);
}

static void close_conv(struct site *s)
{
    const struct packed *p = s->packed;
    p->kernel->close(s->own);
}

static bool infer(struct site *s, struct err *e)
{
    const struct packed *p = s->packed;
    return p->kernel->forward(s->own) || err_set(e, ERR_INTERNAL, "a convolution failed");
}

/* ---- training ---- */

static void trial(const struct site *s, struct conv_pick *out)
{
    *out = (struct conv_pick){.name = s->weights[0].name,
                              .spec = spec_of(s->node, &s->x[0], &s->y),
                              .wanted = {true, s->dx[0] != NULL, s->gradients[0] != NULL},
                              .trial = {s->x[0].data, s->y.data, s->spare, NULL}};
}

static unsigned back_reads(const struct site *s)
{
    return s->gradients[0] ? BACK_READS_X : 0;
}

static bool run(const struct site *s, enum conv_pass pass, void *x, void *y, float *w)
{
    const struct train_operands o = {x, y, w, s->scratch};
    return s->pick->kernels[pass]->run(s->pick->jobs[pass], &o);
}

static bool forward(struct site *s)
{
    return run(s, CONV_FORWARD, s->x[0].data, s->y.data, s->weights[0].data);
}

static bool backward(struct site *s)
{
    float *dw = s->accumulate ? s->spare : s->gradients[0];

    if (s->gradients[0] && !run(s, CONV_BACK_WEIGHTS, s->x[0].data, s->dy[0], dw))
        return false;
    if (s->gradients[0] && s->accumulate)
        train_deliver(s, 0, s->spare);
    return !s->dx[0] || run(s, CONV_BACK_DATA, s->dx[0], s->dy[0], s->weights[0].data);
}

const struct op op_conv = {
    .name = "conv",
    .shape = shape,
    .weights = weights,
    .absorbs = absorbs,
    .pack = pack,
    .unpack = unpack,
    .open = open_conv,
    .bind = bind_conv,
    .close = close_conv,
    .infer = infer,
    .conv_trial = trial,
    .back_reads = back_reads,
    .forward = forward,
    .backward = backward,
};
