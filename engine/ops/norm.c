/* norm.c - batch norm (kernels/batchnorm.h has the formulas).
 *
 * When training it absorbs the addition and the ReLU that follow: the way back needs its input all the same, but not
 * what is between.  Frozen, it goes by its running statistics.  When serving a convolution before it takes it in; alone
 * it is a factor and a shift.
 */
#include <math.h>
#include <stdlib.h>

#include "base/num.h"
#include "engine/kernels/batchnorm.h"
#include "engine/ops/op.h"

enum { SCALE, SHIFT, MEAN, VARIANCE, WEIGHTS };

static const double momentum = 0.1; /* of running statistics; PyTorch's */

static size_t weights(const struct op_settings *s, size_t c, struct weight out[OP_WEIGHTS_MAX])
{
    const struct weight list[WEIGHTS] = {
        [SCALE] = {"weight", 1, {(uint32_t)c}, .start = 1},
        [SHIFT] = {.name = "bias", .rank = 1, .shape = {(uint32_t)c}},
        [MEAN] = {"running_mean", 1, {(uint32_t)c}, .kind = WEIGHT_STATISTIC},
        [VARIANCE] = {"running_var", 1, {(uint32_t)c}, .kind = WEIGHT_VARIANCE, .start = 1},
    };
    UNUSED(s);
    memcpy(out, list, sizeof list);
    return WEIGHTS;
}

static bool absorbs(const struct node *n, const struct op *next, enum graph_mode mode)
{
    if (mode == GRAPH_SERVES || node_absorbed(n, &op_relu))
        return false;
    return next == &op_relu || (next == &op_add && !node_absorbed(n, &op_add));
}

static void affine(const struct applied *s, const struct weight *all, size_t k, double *scale, double *shift)
{
    const struct weight *w = &all[s->weight];
    *scale = (double)w[SCALE].data[k] / sqrt((double)w[VARIANCE].data[k] + (double)s->set.epsilon);
    *shift = (double)w[SHIFT].data[k] - (double)w[MEAN].data[k] * *scale;
}

static struct norm_shape shape_of(const struct tensor *y)
{
    return (struct norm_shape){y->dtype, y->n * y->h * y->w, y->c};
}

/* ---- serving ---- */

/* [3, c]: nothing to take away, the factor, the shift. */
static void *pack(const struct site *s, const struct weight *all, enum backend b, struct err *e)
{
    size_t c = s->y.c;
    float *packed = mem_new(3 * c, sizeof *packed);
    UNUSED(b), UNUSED(e);
    for (size_t k = 0; k < c; k++) {
        double scale, shift;
        affine(&s->node->does, all, k, &scale, &shift);
        packed[c + k] = (float)scale;
        packed[2 * c + k] = (float)shift;
    }
    return packed;
}

static bool infer(struct site *s, struct err *e)
{
    const struct norm_shape shape = shape_of(&s->y);
    const float *p = s->packed;
    UNUSED(e);
    norm_apply(&shape, s->x[0].data, p, p + shape.c, p + 2 * shape.c, NULL, false, s->y.data);
    return true;
}

/* ---- training ---- */

struct kept { /* [c] each */
    float *mean, *variance, *inverse, *factor;
};

static struct kept kept_of(const struct site *s)
{
    float *at = s->kept;
    size_t c = s->y.c;
    return (struct kept){at, at + c, at + 2 * c, at + 3 * c};
}

static size_t kept(const struct site *s)
{
    return 4 * s->y.c * sizeof(float);
}

/* For the sums, and then for the gradients of scale and shift. */
static size_t scratch(const struct site *s)
{
    const struct norm_shape shape = shape_of(&s->y);
    return (norm_work(&shape) + 2 * shape.c) * sizeof(float);
}

static unsigned back_reads(const struct site *s)
{
    return (s->gradients[SCALE] ? BACK_READS_X : 0u) | (node_absorbed(s->node, &op_relu) ? BACK_READS_Y : 0u);
}

static bool forward(struct site *s)
{
    const struct norm_shape shape = shape_of(&s->y);
    const struct kept k = kept_of(s);
    const struct weight *w = s->weights;
    const void *x = s->x[0].data, *other = s->node->n_in > 1 ? s->x[1].data : NULL;

    if (!s->frozen) {
        norm_moments(&shape, x, s->scratch, k.mean, k.variance);
        norm_track(&shape, k.mean, k.variance, momentum, w[MEAN].data, w[VARIANCE].data);
    } else {
        memcpy(k.mean, w[MEAN].data, shape.c * sizeof *k.mean);
        memcpy(k.variance, w[VARIANCE].data, shape.c * sizeof *k.variance);
    }
    norm_factors(shape.c, k.variance, (double)s->node->does.set.epsilon, w[SCALE].data, k.inverse, k.factor);
    norm_apply(&shape, x, k.mean, k.factor, w[SHIFT].data, other, node_absorbed(s->node, &op_relu), s->y.data);
    return true;
}

static bool backward(struct site *s)
{
    const struct norm_shape shape = shape_of(&s->y);
    const struct kept k = kept_of(s);
    const void *x = s->x[0].data, *y = node_absorbed(s->node, &op_relu) ? s->y.data : NULL;
    float *work = s->scratch, *dscale = work + norm_work(&shape), *dshift = dscale + shape.c;

    if (!s->gradients[SCALE]) {
        norm_mask(&shape, s->dy[0], s->dy[1], y);
        if (s->dx[0])
            norm_frozen_gradient(&shape, s->dy[0], k.factor, s->dx[0]);
        return true;
    }
    norm_reduce(&shape, s->dy[0], s->dy[1], y, x, k.mean, k.inverse, work, dshift, dscale);
    train_deliver(s, SCALE, dscale);
    train_deliver(s, SHIFT, dshift);
    if (s->dx[0])
        norm_input_gradient(&shape, s->dy[0], x, k.mean, k.inverse, k.factor, dshift, dscale, work, s->dx[0]);
    return true;
}

const struct op op_norm = {
    .name = "norm",
    .in_place = true,
    .gradients = 2,
    .weights = weights,
    .absorbs = absorbs,
    .affine = affine,
    .pack = pack,
    .unpack = free,
    .infer = infer,
    .kept = kept,
    .train_scratch = scratch,
    .back_reads = back_reads,
    .forward = forward,
    .backward = backward,
};
