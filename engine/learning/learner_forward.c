/* learner_forward.c - a batch through the network, everything kept that the way back needs. */
#include "engine/kernels/gemm.h"
#include "engine/kernels/pool.h"
#include "engine/learning/learner_parts.h"

static const double momentum = 0.1; /* of running statistics; PyTorch's */

static bool run_conv(struct learner *l, size_t i)
{
    const struct op *op = &l->g.ops[i];
    const struct conv_pick *p = &l->picks[l->pick_of[i]];
    const struct conv_operands o = {l->out[op->in].data, l->out[i].data, learner_weights(l, op->tensor), l->scratch};
    return p->methods[CONV_FORWARD]->run(p->jobs[CONV_FORWARD], &o);
}

static void run_norm(struct learner *l, size_t i)
{
    const struct op *op = &l->g.ops[i];
    const struct norm_shape s = learner_norm_shape(l, i);
    struct norm_state *n = &l->norms[i];
    const void *x = l->out[op->in].data, *residual = op->residual != NO_OP ? l->out[op->residual].data : NULL;
    float *running_mean = learner_weights(l, op->tensor + 2), *running_variance = learner_weights(l, op->tensor + 3);

    if (!op->frozen) {
        norm_moments(&s, x, l->scratch, n->mean, n->variance);
        norm_track(&s, n->mean, n->variance, momentum, running_mean, running_variance);
    } else {
        memcpy(n->mean, running_mean, s.c * sizeof *n->mean);
        memcpy(n->variance, running_variance, s.c * sizeof *n->variance);
    }
    norm_factors(s.c, n->variance, (double)ARCH_BN_EPSILON, learner_weights(l, op->tensor), n->inverse, n->factor);
    norm_apply(&s, x, n->mean, n->factor, learner_weights(l, op->tensor + 1), residual, op->relu, l->out[i].data);
}

static void add_bias(float *y, size_t rows, size_t c, const float *bias, bool relu)
{
    for (size_t r = 0; r < rows; r++, y += c)
        for (size_t k = 0; k < c; k++) {
            float value = y[k] + (bias ? bias[k] : 0.0f);
            y[k] = relu && value < 0.0f ? 0.0f : value;
        }
}

static void run_linear(struct learner *l, size_t i)
{
    const struct op *op = &l->g.ops[i];
    const struct tensor *x = &l->out[op->in], *y = &l->out[i];

    gemm_nt(y->n, y->c, x->c, 1, x->data, learner_weights(l, op->tensor), 0, y->data);
    if (op->bias || op->relu)
        add_bias(y->data, y->n, y->c, op->bias ? learner_weights(l, op->tensor + 1) : NULL, op->relu);
}

static void run_join(struct learner *l, size_t i)
{
    const struct op *op = &l->g.ops[i];
    const struct tensor *first = &l->out[op->in], *second = &l->out[op->residual];
    float *y = l->out[i].data;

    memcpy(y, first->data, tensor_count(first) * sizeof *y);
    memcpy(y + tensor_count(first), second->data, tensor_count(second) * sizeof *y);
}

static bool run_op(struct learner *l, size_t i)
{
    const struct op *op = &l->g.ops[i];
    const struct tensor *x = &l->out[op->in], *y = &l->out[i];

    switch (op->kind) {
    case OP_INPUT: break;
    case OP_CONV: return run_conv(l, i);
    case OP_NORM: run_norm(l, i); break;
    case OP_MAXPOOL: pool_max_marked(x, op->window, op->stride, op->pad, y, l->marks[i]); break;
    case OP_AVGPOOL: pool_average(x, y->data); break;
    case OP_LINEAR: run_linear(l, i); break;
    case OP_JOIN: run_join(l, i); break;
    }
    return true;
}

bool learner_forward(struct learner *l, const float *pixels, float *z, struct err *e)
{
    const struct tensor *last = &l->out[l->g.n - 1];

    for (size_t i = 0; i < l->g.n; i++) {
        if (l->g.ops[i].kind == OP_INPUT) {
            tensor_fill(&l->out[i], pixels);
            pixels += tensor_count(&l->out[i]);
            continue;
        }
        double start = clock_s();
        if (!run_op(l, i))
            return err_set(e, ERR_INTERNAL, "a convolution failed");
        learner_count(l, i, false, start);
    }
    memcpy(z, last->data, tensor_count(last) * sizeof *z);
    l->forward_done = true;
    return true;
}
