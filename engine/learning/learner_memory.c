/* learner_memory.c - when each activation and each gradient of a step is needed, and so where it lies.
 *
 * Op i runs forward at time i and backward at time 2n - i.  An activation lives until the last op that reads it, in
 * either direction, has run; a gradient from the op that writes it to the op that consumes it.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/layout.h"
#include "engine/learning/learner_parts.h"

enum { SPANS_MAX = 4 * OPS_MAX };
#define NONE (SIZE_MAX / 2)

struct planner {
    const struct train_graph *g;
    struct learner *l;
    struct span spans[SPANS_MAX];
    size_t n;
    size_t dy[OPS_MAX][2], parts[OPS_MAX];            /* spans of the gradient of each op's output, and how many */
    size_t dx[OPS_MAX], dx2[OPS_MAX], marks[OPS_MAX]; /* spans, or NONE */
};

static size_t add_span(struct planner *p, size_t bytes, size_t first)
{
    assert(p->n < SPANS_MAX);
    p->spans[p->n] = (struct span){bytes, first, first, 0};
    return p->n++;
}

static void use(struct planner *p, size_t span, size_t time)
{
    p->spans[span].last = max_size(p->spans[span].last, time);
}

static size_t bytes_of(const struct tensor *t)
{
    return tensor_count(t) * dtype_size(t->dtype);
}

static void plan_forward_pass(struct planner *p)
{
    struct learner *l = p->l;

    for (size_t i = 0; i < p->g->n; i++) {
        const struct op *op = &p->g->ops[i];
        l->out[i] = (struct tensor){op->head ? DTYPE_F32 : l->dtype, op->rows, op->h, op->w, op->c, NULL};
        add_span(p, bytes_of(&l->out[i]), i); /* span i */
        if (op->kind == OP_INPUT)
            continue;
        use(p, op->in, i);
        if (op->residual != NO_OP)
            use(p, op->residual, i);
    }
    for (size_t i = 0; i < p->g->n; i++)
        if (p->g->ops[i].kind == OP_MAXPOOL)
            p->marks[i] = add_span(p, tensor_count(&l->out[i]), i);
    use(p, p->g->features, 2 * p->g->n); /* lent to the caller */
    use(p, p->g->projection, p->g->n);
    use(p, p->g->n - 1, p->g->n);
}

/* The activations that op i reads when its gradients are computed. */
static void use_again(struct planner *p, size_t i, size_t time)
{
    const struct op *op = &p->g->ops[i];
    bool learns = !op->frozen && (op->kind == OP_CONV || op->kind == OP_NORM || op->kind == OP_LINEAR);

    if (learns)
        use(p, op->in, time);
    if (op->relu)
        use(p, i, time);
    if (op->kind == OP_MAXPOOL)
        use(p, p->marks[i], time);
}

static void add_part(struct planner *p, size_t op, size_t span)
{
    assert(p->parts[op] < 2);
    p->dy[op][p->parts[op]++] = span;
}

/* A place of its own for the gradient of what op `in` gives. */
static size_t add_gradient(struct planner *p, size_t in, size_t time)
{
    if (!p->g->ops[in].needs_gradient)
        return NONE;
    size_t span = add_span(p, bytes_of(&p->l->out[in]), time);
    add_part(p, in, span);
    return span;
}

static void plan_gradients(struct planner *p, size_t i)
{
    const struct op *op = &p->g->ops[i];
    size_t time = 2 * p->g->n - i;
    bool taken = op->kind == OP_NORM && op->residual != NO_OP && p->g->ops[op->residual].needs_gradient;

    assert(p->parts[i] > 0 && (p->parts[i] == 1 || op->kind == OP_NORM || op->kind == OP_MAXPOOL));
    use_again(p, i, time);
    for (size_t k = 0; k < p->parts[i]; k++)
        use(p, p->dy[i][k], time);
    if (taken)
        add_part(p, op->residual, p->dy[i][0]);
    if (op->kind == OP_JOIN)
        p->dx2[i] = add_gradient(p, op->residual, time);
    if (op->kind != OP_NORM || taken) {
        p->dx[i] = add_gradient(p, op->in, time);
    } else if (p->g->ops[op->in].needs_gradient) {
        p->dx[i] = p->dy[i][0];
        add_part(p, op->in, p->dx[i]);
    }
}

static void plan_backward_pass(struct planner *p)
{
    size_t last = p->g->n - 1;

    if (!p->g->ops[last].needs_gradient)
        return;
    add_part(p, last, add_span(p, bytes_of(&p->l->out[last]), p->g->n));
    for (size_t i = last; i > 0; i--)
        if (p->g->ops[i].needs_gradient)
            plan_gradients(p, i);
}

static void *address(const struct planner *p, size_t span)
{
    return span == NONE ? NULL : (char *)p->l->memory + p->spans[span].offset;
}

static void place_norms(struct learner *l)
{
    size_t floats = 0;

    for (size_t i = 0; i < l->g.n; i++)
        floats += l->g.ops[i].kind == OP_NORM ? 4 * l->g.ops[i].c : 0;
    l->state = mem_new(floats + 1, sizeof(float));
    float *at = l->state;
    for (size_t i = 0; i < l->g.n; i++) {
        size_t c = l->g.ops[i].c;
        if (l->g.ops[i].kind != OP_NORM)
            continue;
        l->norms[i] = (struct norm_state){at, at + c, at + 2 * c, at + 3 * c};
        at += 4 * c;
    }
}

void learner_place(struct learner *l)
{
    struct planner *p = mem_new(1, sizeof *p);

    p->g = &l->g;
    p->l = l;
    for (size_t i = 0; i < OPS_MAX; i++)
        p->dy[i][0] = p->dy[i][1] = p->dx[i] = p->dx2[i] = p->marks[i] = NONE;
    plan_forward_pass(p);
    plan_backward_pass(p);
    l->memory_size = layout_place(p->spans, p->n);
    l->memory = mem_aligned(l->memory_size, 1);
    memset(l->memory, 0, l->memory_size); /* what kernels are measured on */
    for (size_t i = 0; i < l->g.n; i++) {
        l->out[i].data = address(p, i);
        l->marks[i] = address(p, p->marks[i]);
        l->routes[i] = (struct route){address(p, p->dy[i][0]), address(p, p->dy[i][1]), address(p, p->dx[i]),
                                      address(p, p->dx2[i])};
    }
    place_norms(l);
    free(p);
}
