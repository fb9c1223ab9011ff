/* relu.c - max(x, 0), where nothing before it absorbs it. */
#include "base/num.h"
#include "engine/kernels/batchnorm.h"
#include "engine/kernels/pointwise.h"
#include "engine/ops/op.h"

static unsigned back_reads(const struct site *s)
{
    UNUSED(s);
    return BACK_READS_Y;
}

static bool forward(struct site *s)
{
    pointwise_relu(&s->x[0], &s->y);
    return true;
}

/* In place: dx is dy. */
static bool backward(struct site *s)
{
    const struct norm_shape shape = {s->y.dtype, s->y.n * s->y.h * s->y.w, s->y.c};
    norm_mask(&shape, s->dy[0], s->dy[1], s->y.data);
    return true;
}

const struct op op_relu = {
    .name = "relu",
    .in_place = true,
    .gradients = 2,
    .back_reads = back_reads,
    .forward = forward,
    .backward = backward,
};
