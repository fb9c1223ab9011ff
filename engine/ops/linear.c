/* linear.c - x W^T + b, with the ReLU behind it; fp32. */
#include <assert.h>
#include <stdlib.h>

#include "base/num.h"
#include "engine/kernels/batchnorm.h"
#include "engine/kernels/gemm.h"
#include "engine/ops/op.h"

static void shape(struct node *n, const struct graph *g)
{
    assert(g->nodes[n->in[0]].fp32);
    UNUSED(g);
    n->c = n->does.set.channels;
}

static size_t weights(const struct op_settings *s, size_t c, struct weight out[OP_WEIGHTS_MAX])
{
    out[0] = (struct weight){"weight", 2, {(uint32_t)s->channels, (uint32_t)c}, .variance = 1.0 / (double)c};
    out[1] = (struct weight){.name = "bias", .rank = 1, .shape = {(uint32_t)s->channels}};
    return s->bias ? 2 : 1;
}

static bool absorbs(const struct node *n, const struct op *next, enum graph_mode mode)
{
    UNUSED(mode);
    return next == &op_relu && n->n_then == 0;
}

static size_t rows_of(const struct tensor *t)
{
    return t->n * t->h * t->w;
}

/* b: NULL without a bias. */
static void run(const struct node *n, const struct tensor *x, const float *w, const float *b, const struct tensor *y)
{
    bool relu = node_absorbed(n, &op_relu);
    float *to = y->data;

    gemm_nt(rows_of(y), y->c, x->c, 1, x->data, w, 0, to);
    for (size_t r = 0; (b || relu) && r < rows_of(y); r++, to += y->c)
        for (size_t k = 0; k < y->c; k++) {
            float value = to[k] + (b ? b[k] : 0.0f);
            to[k] = relu && value < 0.0f ? 0.0f : value;
        }
}

/* ---- serving ---- */

/* The matrix, and the bias behind it. */
static void *pack(const struct site *s, const struct weight *all, enum backend b, struct err *e)
{
    const struct weight *w = &all[s->node->does.weight];
    bool bias = s->node->does.set.bias;
    float *packed = mem_new(w->count + s->y.c, sizeof *packed);
    UNUSED(b), UNUSED(e);
    memcpy(packed, w->data, w->count * sizeof *packed);
    if (bias)
        memcpy(packed + w->count, w[1].data, s->y.c * sizeof *packed);
    return packed;
}

static bool infer(struct site *s, struct err *e)
{
    const float *packed = s->packed;
    UNUSED(e);
    run(s->node, &s->x[0], packed, s->node->does.set.bias ? packed + s->y.c * s->x[0].c : NULL, &s->y);
    return true;
}

/* ---- training ---- */

static unsigned back_reads(const struct site *s)
{
    return (s->gradients[0] ? BACK_READS_X : 0u) | (node_absorbed(s->node, &op_relu) ? BACK_READS_Y : 0u);
}

static bool forward(struct site *s)
{
    run(s->node, &s->x[0], s->weights[0].data, s->node->does.set.bias ? s->weights[1].data : NULL, &s->y);
    return true;
}

static void sum_rows(const float *dy, size_t rows, size_t c, float *sum)
{
    memset(sum, 0, c * sizeof *sum);
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < c; k++)
            sum[k] += dy[r * c + k];
}

static bool backward(struct site *s)
{
    size_t rows = rows_of(&s->y), c = s->y.c, in = s->x[0].c;

    if (node_absorbed(s->node, &op_relu))
        norm_mask(&(struct norm_shape){DTYPE_F32, rows, c}, s->dy[0], NULL, s->y.data);
    if (s->gradients[0])
        gemm_tn(c, in, rows, 1, s->dy[0], s->x[0].data, s->accumulate ? 1 : 0, s->gradients[0]);
    if (s->gradients[0] && s->node->does.set.bias) {
        sum_rows(s->dy[0], rows, c, s->spare);
        train_deliver(s, 1, s->spare);
    }
    if (s->dx[0])
        gemm_nn(rows, in, c, 1, s->dy[0], s->weights[0].data, 0, s->dx[0]);
    return true;
}

const struct op op_linear = {
    .name = "linear",
    .shape = shape,
    .weights = weights,
    .absorbs = absorbs,
    .pack = pack,
    .unpack = free,
    .infer = infer,
    .back_reads = back_reads,
    .forward = forward,
    .backward = backward,
};
