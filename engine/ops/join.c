/* join.c - the rows of one tensor, then those of another: several passes meet here. */
#include <assert.h>

#include "base/num.h"
#include "engine/ops/op.h"

static void shape(struct node *n, const struct graph *g)
{
    const struct node *a = &g->nodes[n->in[0]], *b = &g->nodes[n->in[1]];
    assert(n->n_in == 2 && a->h == b->h && a->w == b->w && a->c == b->c && a->fp32 == b->fp32);
    n->rows = a->rows + b->rows;
}

static bool forward(struct site *s)
{
    size_t first = tensor_bytes(&s->x[0]);
    memcpy(s->y.data, s->x[0].data, first);
    memcpy((char *)s->y.data + first, s->x[1].data, tensor_bytes(&s->x[1]));
    return true;
}

static bool backward(struct site *s)
{
    size_t first = tensor_bytes(&s->x[0]);
    if (s->dx[0])
        memcpy(s->dx[0], s->dy[0], first);
    if (s->dx[1])
        memcpy(s->dx[1], (const char *)s->dy[0] + first, tensor_bytes(&s->x[1]));
    return true;
}

const struct op op_join = {
    .name = "join",
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
