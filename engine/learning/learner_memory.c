/* learner_memory.c - when each buffer of a step is needed, and so where it lies.
 *
 * A step of n nodes has 2n + 1 moments: node i runs forward at moment i and backward at moment 2n - i.  Every buffer is
 * a span of moments, and layout_place() lets buffers share memory whose spans do not meet.  There are three kinds:
 *
 *     activation   from the node that gives it to the last that reads it: forward as an input, and backward
 *                  where an operation says that it reads its input or its output again (back_reads)
 *     kept         what an operation keeps for its way back; to its own forward moment where it has none
 *     gradient     from the node that writes it to the node whose output it belongs to
 *
 * A tensor that several nodes read has one gradient from each of them.  They arrive one after the other, at the moments
 * of their writers, and wait in places of their own until the moment of the tensor's own node.  The operation there
 * adds up as many as it can in one go (op.gradients: batch norm and ReLU take two, since they pass over the tensor
 * anyway); the others are added to the last of those before it runs.
 *
 * Most gradients need no place of their own.  An operation that is in_place writes the gradient of one input over that
 * of its output.  Where two inputs want one (a batch norm that has absorbed a shortcut), the last takes the place over.
 * The first gets a new one: the gradient of a sum is its output's, as it stands, while that of the norm's input is
 * computed from it.  So a gradient may pass through the places of a whole stage without moving.
 *
 * What the last node gives, and what the head gives, is lent to the caller until the way back begins.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/layout.h"
#include "engine/learning/learner_parts.h"

#define NONE SIZE_MAX

struct gradient { /* one part of what node `of` gets */
    size_t of, span;
};

struct planner {
    struct learner *l;
    size_t n; /* nodes; span i is the output of node i */
    struct span *spans;
    size_t n_spans;
    size_t *kept;                /* span of each node, or NONE */
    size_t (*dx)[OP_INPUTS_MAX]; /* spans of each node, or NONE */
    struct gradient *parts;
    size_t n_parts;
};

static size_t add_span(struct planner *p, size_t bytes, size_t first)
{
    p->spans[p->n_spans] = (struct span){bytes, first, first, 0};
    return p->n_spans++;
}

static void use(struct planner *p, size_t span, size_t moment)
{
    p->spans[span].last = max_size(p->spans[span].last, moment);
}

static bool wants_gradient(const struct planner *p, size_t node)
{
    return p->l->g.marks[node].wants_gradient;
}

static const struct op *op_of(const struct site *s)
{
    return s->node->does.op;
}

static void plan_forward(struct planner *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct site *s = &p->l->sites[i];
        add_span(p, tensor_bytes(&s->y), i); /* span i */
        for (size_t k = 0; k < s->node->n_in; k++)
            use(p, s->node->in[k], i);
    }
    for (size_t i = 0; i < p->n; i++) {
        const struct site *s = &p->l->sites[i];
        if (op_of(s)->kept)
            p->kept[i] = add_span(p, op_of(s)->kept(s), i);
    }
    use(p, p->l->g.projection, p->n);
    use(p, p->n - 1, p->n);
}

static void add_part(struct planner *p, size_t node, size_t span)
{
    p->parts[p->n_parts++] = (struct gradient){node, span};
}

/* The first part of the gradient of what node i gives; all of them are used at `moment`. */
static size_t use_parts(struct planner *p, size_t i, size_t moment)
{
    size_t first = NONE;
    for (size_t k = 0; k < p->n_parts; k++) {
        if (p->parts[k].of != i)
            continue;
        use(p, p->parts[k].span, moment);
        first = first == NONE ? p->parts[k].span : first;
    }
    assert(first != NONE);
    return first;
}

static void plan_gradients(struct planner *p, size_t i)
{
    const struct site *s = &p->l->sites[i];
    const struct node *n = s->node;
    size_t moment = 2 * p->n - i, dy = use_parts(p, i, moment);
    unsigned reads = op_of(s)->back_reads ? op_of(s)->back_reads(s) : 0;
    bool free_place = op_of(s)->in_place;

    if (reads & BACK_READS_Y)
        use(p, i, moment);
    if (p->kept[i] != NONE)
        use(p, p->kept[i], moment);
    for (size_t k = n->n_in; k-- > 0;) {
        if (reads & BACK_READS_X)
            use(p, n->in[k], moment);
        if (!wants_gradient(p, n->in[k]))
            continue;
        assert(!free_place || tensor_bytes(&s->x[k]) == tensor_bytes(&s->y));
        p->dx[i][k] = free_place ? dy : add_span(p, tensor_bytes(&s->x[k]), moment);
        add_part(p, n->in[k], p->dx[i][k]);
        free_place = false;
    }
}

static void plan_backward(struct planner *p)
{
    size_t last = p->n - 1;

    if (!wants_gradient(p, last))
        return;
    add_part(p, last, add_span(p, tensor_bytes(&p->l->sites[last].y), p->n));
    for (size_t i = p->n; i-- > 0;)
        if (wants_gradient(p, i))
            plan_gradients(p, i);
}

static void *address(const struct planner *p, size_t span)
{
    return span == NONE ? NULL : (char *)p->l->memory + p->spans[span].offset;
}

static void set_addresses(struct planner *p)
{
    for (size_t i = 0; i < p->n; i++)
        p->l->sites[i].y.data = address(p, i);
    for (size_t i = 0; i < p->n; i++) {
        struct site *s = &p->l->sites[i];
        s->kept = address(p, p->kept[i]);
        for (size_t k = 0; k < s->node->n_in; k++) {
            s->x[k].data = p->l->sites[s->node->in[k]].y.data;
            s->dx[k] = address(p, p->dx[i][k]);
        }
    }
    for (size_t k = 0; k < p->n_parts; k++) {
        struct site *s = &p->l->sites[p->parts[k].of];
        void *from = address(p, p->parts[k].span);
        if (!s->dy[0])
            s->dy[0] = from;
        else if (!s->dy[1] && op_of(s)->gradients > 1)
            s->dy[1] = from;
        else
            p->l->extras[p->l->n_extras++] = (struct extra_gradient){p->parts[k].of, from};
    }
}

void learner_place(struct learner *l)
{
    struct planner p = {.l = l, .n = l->g.graph.n};
    size_t inputs = 1;

    for (size_t i = 0; i < p.n; i++)
        inputs += l->g.graph.nodes[i].n_in;
    p.spans = mem_new(2 * p.n + inputs, sizeof *p.spans);
    p.parts = mem_new(inputs, sizeof *p.parts);
    p.kept = mem_new(p.n, sizeof *p.kept);
    p.dx = mem_new(p.n, sizeof *p.dx);
    l->extras = mem_new(inputs, sizeof *l->extras);
    for (size_t i = 0; i < p.n; i++) {
        p.kept[i] = NONE;
        for (size_t k = 0; k < OP_INPUTS_MAX; k++)
            p.dx[i][k] = NONE;
    }
    plan_forward(&p);
    plan_backward(&p);
    l->memory_size = layout_place(p.spans, p.n_spans);
    l->memory = mem_aligned(l->memory_size, 1);
    memset(l->memory, 0, l->memory_size); /* what kernels are measured on */
    set_addresses(&p);
    free(p.spans);
    free(p.parts);
    free(p.kept);
    free(p.dx);
}
