/* learner_backward.c - from the gradient of z to the gradients of all parameters. */
#include <assert.h>

#include "base/num.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/pool.h"
#include "engine/learning/learner_parts.h"

HOT_LOOP static void add(float *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

/* A tensor's gradient is in `from`, and goes where the caller wants it. */
static void deliver(struct learner *l, size_t tensor, const float *from, bool accumulate)
{
    size_t count = l->tensors[tensor].count;
    if (accumulate)
        add(l->gradients[tensor], from, count);
    else
        memcpy(l->gradients[tensor], from, count * sizeof *from);
}

static bool run_conv(struct learner *l, size_t i, bool accumulate)
{
    const struct op *op = &l->g.ops[i];
    const struct conv_pick *p = &l->picks[l->pick_of[i]];
    struct conv_operands o = {l->out[op->in].data, l->routes[i].dy, NULL, l->scratch};

    if (!op->frozen) {
        o.w = accumulate ? l->spare : l->gradients[op->tensor];
        if (!p->methods[CONV_BACK_WEIGHTS]->run(p->jobs[CONV_BACK_WEIGHTS], &o))
            return false;
        if (accumulate)
            add(l->gradients[op->tensor], l->spare, l->tensors[op->tensor].count);
    }
    if (!l->routes[i].dx)
        return true;
    o.x = l->routes[i].dx;
    o.w = learner_weights(l, op->tensor);
    return p->methods[CONV_BACK_DATA]->run(p->jobs[CONV_BACK_DATA], &o);
}

static void run_norm(struct learner *l, size_t i, bool accumulate)
{
    const struct op *op = &l->g.ops[i];
    const struct norm_shape s = learner_norm_shape(l, i);
    const struct norm_state *n = &l->norms[i];
    const struct route *r = &l->routes[i];
    const void *x = l->out[op->in].data, *y = op->relu ? l->out[i].data : NULL;
    float *dscale = l->spare, *dshift = l->spare + s.c;

    if (op->frozen) {
        norm_mask(&s, r->dy, r->dy2, y);
        if (r->dx)
            norm_frozen_gradient(&s, r->dy, n->factor, r->dx);
        return;
    }
    norm_reduce(&s, r->dy, r->dy2, y, x, n->mean, n->inverse, l->scratch, dshift, dscale);
    deliver(l, op->tensor, dscale, accumulate);
    deliver(l, op->tensor + 1, dshift, accumulate);
    if (r->dx)
        norm_input_gradient(&s, r->dy, x, n->mean, n->inverse, n->factor, dshift, dscale, l->scratch, r->dx);
}

static void sum_rows(const float *dy, size_t rows, size_t c, float *sum)
{
    memset(sum, 0, c * sizeof *sum);
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < c; k++)
            sum[k] += dy[r * c + k];
}

static void run_linear(struct learner *l, size_t i, bool accumulate)
{
    const struct op *op = &l->g.ops[i];
    const struct tensor *x = &l->out[op->in], *y = &l->out[i];
    const struct route *r = &l->routes[i];

    if (op->relu)
        norm_mask(&(struct norm_shape){DTYPE_F32, y->n, y->c}, r->dy, NULL, y->data);
    if (!op->frozen) {
        gemm_tn(y->c, x->c, y->n, 1, r->dy, x->data, accumulate ? 1 : 0, l->gradients[op->tensor]);
        if (op->bias) {
            sum_rows(r->dy, y->n, y->c, l->spare);
            deliver(l, op->tensor + 1, l->spare, accumulate);
        }
    }
    if (r->dx)
        gemm_nn(y->n, x->c, y->c, 1, r->dy, learner_weights(l, op->tensor), 0, r->dx);
}

static void run_maxpool(struct learner *l, size_t i)
{
    const struct op *op = &l->g.ops[i];
    const struct norm_shape s = learner_norm_shape(l, i);
    const struct route *r = &l->routes[i];
    struct tensor dy = l->out[i], dx = l->out[op->in];

    if (r->dy2)
        norm_mask(&s, r->dy, r->dy2, NULL);
    dy.data = r->dy;
    dx.data = r->dx;
    pool_max_gradient(&dy, l->marks[i], op->window, op->stride, op->pad, &dx);
}

static void run_join(const struct learner *l, size_t i)
{
    const struct op *op = &l->g.ops[i];
    const struct route *r = &l->routes[i];
    size_t first = tensor_count(&l->out[op->in]);
    const float *dy = r->dy;

    if (r->dx)
        memcpy(r->dx, dy, first * sizeof *dy);
    if (r->dx2)
        memcpy(r->dx2, dy + first, tensor_count(&l->out[op->residual]) * sizeof *dy);
}

static bool run_op(struct learner *l, size_t i, bool accumulate)
{
    const struct op *op = &l->g.ops[i];
    struct tensor dx = l->out[op->in];

    switch (op->kind) {
    case OP_INPUT: break;
    case OP_CONV: return run_conv(l, i, accumulate);
    case OP_NORM: run_norm(l, i, accumulate); break;
    case OP_MAXPOOL: run_maxpool(l, i); break;
    case OP_AVGPOOL:
        dx.data = l->routes[i].dx;
        pool_average_gradient(l->routes[i].dy, &dx);
        break;
    case OP_LINEAR: run_linear(l, i, accumulate); break;
    case OP_JOIN: run_join(l, i); break;
    }
    return true;
}

bool learner_backward(struct learner *l, const float *dz, bool accumulate, struct err *e)
{
    size_t last = l->g.n - 1;

    assert(l->forward_done);
    l->forward_done = false; /* gradients have been written over what was kept */
    if (!l->g.ops[last].needs_gradient)
        return true;
    memcpy(l->routes[last].dy, dz, tensor_count(&l->out[last]) * sizeof *dz);
    for (size_t i = last; i > 0; i--) {
        double start = clock_s();
        if (l->g.ops[i].needs_gradient && !run_op(l, i, accumulate || l->g.ops[i].again))
            return err_set(e, ERR_INTERNAL, "a convolution failed");
        learner_count(l, i, true, start);
    }
    return true;
}
