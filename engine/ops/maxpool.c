/* maxpool.c - the largest of each window; training remembers which pixel that was. */
#include "base/num.h"
#include "engine/kernels/pool.h"
#include "engine/ops/op.h"

static void shape(struct node *n, const struct graph *g)
{
    node_slide(n, &g->nodes[n->in[0]]);
}

static bool infer(struct site *s, struct err *e)
{
    const struct op_settings *o = &s->node->does.set;
    UNUSED(e);
    pool_max(&s->x[0], o->window, o->stride, o->pad, &s->y);
    return true;
}

/* Of each output, the number of the pixel in its window. */
static size_t kept(const struct site *s)
{
    return tensor_count(&s->y);
}

static bool forward(struct site *s)
{
    const struct op_settings *o = &s->node->does.set;
    pool_max_marked(&s->x[0], o->window, o->stride, o->pad, &s->y, s->kept);
    return true;
}

static bool backward(struct site *s)
{
    const struct op_settings *o = &s->node->does.set;
    struct tensor dy = s->y, dx = s->x[0];
    dy.data = s->dy[0];
    dx.data = s->dx[0];
    pool_max_gradient(&dy, s->kept, o->window, o->stride, o->pad, &dx);
    return true;
}

const struct op op_maxpool = {
    .name = "maxpool",
    .shape = shape,
    .infer = infer,
    .kept = kept,
    .forward = forward,
    .backward = backward,
};
