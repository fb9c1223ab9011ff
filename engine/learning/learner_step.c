/* learner_step.c - a batch through the network, and from the gradient of z to those of all weights. */
#include <assert.h>

#include "base/clock.h"
#include "engine/kernels/pointwise.h"
#include "engine/learning/learner_parts.h"

static bool refused(const struct node *n, struct err *e)
{
    return err_set(e, ERR_INTERNAL, "the operation %s failed", n->does.op->name);
}

bool learner_forward(struct learner *l, const float *pixels, float *z, struct err *e)
{
    const struct tensor *last = &l->sites[l->g.graph.n - 1].y;

    for (size_t i = 0; i < l->g.graph.n; i++) {
        struct site *s = &l->sites[i];
        double start = clock_s();
        if (s->node->n_in == 0) {
            tensor_fill(&s->y, pixels);
            pixels += tensor_count(&s->y);
        }
        if (!s->node->does.op->forward(s))
            return refused(s->node, e);
        l->seconds[i][false] += clock_s() - start;
    }
    memcpy(z, last->data, tensor_bytes(last));
    l->forward_done = true;
    return true;
}

static void add_extras(const struct learner *l, size_t i)
{
    const struct site *s = &l->sites[i];
    struct tensor sum = s->y, part = s->y;

    sum.data = s->dy[1] ? s->dy[1] : s->dy[0];
    for (size_t k = 0; k < l->n_extras; k++) {
        part.data = l->extras[k].from;
        if (l->extras[k].node == i)
            pointwise_add(&sum, &part, &sum);
    }
}

bool learner_backward(struct learner *l, const float *dz, bool accumulate, struct err *e)
{
    size_t last = l->g.graph.n - 1;

    assert(l->forward_done);
    l->forward_done = false; /* gradients have been written over what was kept */
    if (!l->g.marks[last].wants_gradient)
        return true;
    memcpy(l->sites[last].dy[0], dz, tensor_bytes(&l->sites[last].y));
    for (size_t i = last + 1; i-- > 0;) {
        struct site *s = &l->sites[i];
        double start = clock_s();
        if (!l->g.marks[i].wants_gradient)
            continue;
        s->accumulate = accumulate || l->g.marks[i].again;
        add_extras(l, i);
        if (!s->node->does.op->backward(s))
            return refused(s->node, e);
        l->seconds[i][true] += clock_s() - start;
    }
    return true;
}
