/* graph.c - nodes and weights of a network, and operations that absorb others.
 *
 * Fusing keeps the order of nodes: an operation that is absorbed happens where the absorbing one stands.  So all its
 * other inputs must be there by then.  When serving they are also overwritten (the sum takes the place of the
 * shortcut), so nobody may read them later.
 */
#include "engine/ops/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define OP(name) &op_##name,
const struct op *const all_ops[] = {
#include "engine/ops/ops.def"
    NULL};
#undef OP

void graph_clear(struct graph *g)
{
    free(g->nodes);
    free(g->weights);
    arena_clear(&g->names);
    *g = (struct graph){0};
}

bool node_absorbed(const struct node *n, const struct op *op)
{
    for (size_t i = 0; i < n->n_then; i++)
        if (n->then[i].op == op)
            return true;
    return false;
}

struct tensor node_tensor(const struct node *n, size_t batch, enum dtype dtype)
{
    return (struct tensor){n->fp32 ? DTYPE_F32 : dtype, batch * n->rows, n->h, n->w, n->c, NULL};
}

static size_t window_out(size_t side, const struct op_settings *s)
{
    assert(side + 2 * s->pad >= s->window);
    return (side + 2 * s->pad - s->window) / s->stride + 1;
}

void node_slide(struct node *n, const struct node *x)
{
    n->h = window_out(x->h, &n->does.set);
    n->w = window_out(x->w, &n->does.set);
}

/* ---- building ---- */

static size_t append(struct graph *g, struct node n)
{
    if ((g->n & (g->n - 1)) == 0) /* full at each power of two */
        g->nodes = mem_grow(g->nodes, g->n ? 2 * g->n : 1, sizeof *g->nodes);
    g->nodes[g->n] = n;
    return g->n++;
}

size_t graph_input(struct graph *g, size_t rows, size_t h, size_t w, size_t c)
{
    return append(g, (struct node){.does.op = &op_input, .rows = rows, .h = h, .w = w, .c = c});
}

static size_t list_weights(const struct op *op, const struct op_settings *set, size_t c, struct weight *out)
{
    return op->weights ? op->weights(set, c, out) : 0;
}

size_t graph_add(struct graph *g, const struct op *op, struct op_settings set, size_t weight, size_t n_in,
                 const size_t *in)
{
    struct weight list[OP_WEIGHTS_MAX];
    const struct node *x = &g->nodes[in[0]];
    struct node n = {.does = {op, set, weight, list_weights(op, &set, x->c, list)}, .n_own = n_in, .n_in = n_in};

    assert(n_in > 0 && n_in <= OP_INPUTS_MAX);
    for (size_t i = 0; i < n_in; i++) {
        assert(in[i] < g->n);
        n.in[i] = in[i];
    }
    n.rows = x->rows;
    n.h = x->h;
    n.w = x->w;
    n.c = x->c;
    n.fp32 = x->fp32 || op->fp32;
    if (op->shape)
        op->shape(&n, g);
    return append(g, n);
}

size_t graph_then(struct graph *g, const struct op *op, struct op_settings set, const char *name, size_t x)
{
    size_t weight = name ? graph_declare(g, op, set, g->nodes[x].c, name) : 0;
    return graph_add(g, op, set, weight, 1, &x);
}

static size_t find_weight(const struct graph *g, const char *name)
{
    size_t i = 0;
    while (i < g->n_weights && strcmp(g->weights[i].name, name) != 0)
        i++;
    return i;
}

size_t graph_declare(struct graph *g, const struct op *op, struct op_settings set, size_t c, const char *name)
{
    struct weight list[OP_WEIGHTS_MAX];
    size_t n = list_weights(op, &set, c, list);

    for (size_t i = 0; i < n; i++) {
        list[i].name = arena_print(&g->names, "%s.%s", name, list[i].name);
        list[i].stage = g->stage;
        list[i].count = 1;
        for (size_t k = 0; k < list[i].rank; k++)
            list[i].count *= list[i].shape[k];
    }
    size_t first = n ? find_weight(g, list[0].name) : 0;
    if (first < g->n_weights || n == 0)
        return first;
    g->weights = mem_grow(g->weights, g->n_weights + n, sizeof *g->weights);
    memcpy(g->weights + g->n_weights, list, n * sizeof *list);
    g->n_weights += n;
    return first;
}

/* ---- fusing ---- */

struct fusing {
    const struct graph *raw;
    enum graph_mode mode;
    struct graph *out;
    size_t *at;
};

static size_t readers(const struct graph *g, size_t i)
{
    size_t n = g->nodes[i].lent;
    for (size_t j = i + 1; j < g->n; j++)
        for (size_t k = 0; k < g->nodes[j].n_in; k++)
            n += g->nodes[j].in[k] == i;
    return n;
}

/* Whether node `other` of the raw graph can be an input of node x of the new one, where node i read it. */
static bool joins(const struct fusing *f, size_t other, size_t i, size_t x)
{
    if (f->at[other] >= x || f->raw->nodes[other].fp32 != f->out->nodes[x].fp32)
        return false;
    if (f->mode == GRAPH_TRAINS)
        return true;
    for (size_t j = other + 1; j < f->raw->n; j++)
        for (size_t k = 0; k < f->raw->nodes[j].n_in; k++)
            if (f->raw->nodes[j].in[k] == other && j != i && (j > i || f->at[j] >= x))
                return false;
    return !f->raw->nodes[other].lent;
}

/* Puts node i into what gives its first input, if it can go there. */
static bool absorb(const struct fusing *f, size_t i)
{
    const struct node *n = &f->raw->nodes[i];
    size_t at = f->at[n->in[0]];
    struct node *x = &f->out->nodes[at];

    if (readers(f->raw, n->in[0]) != 1 || !x->does.op->absorbs || x->n_then == OP_ABSORBED_MAX ||
        x->n_in + n->n_in - 1 > OP_INPUTS_MAX || !x->does.op->absorbs(x, n->does.op, f->mode))
        return false;
    for (size_t k = 1; k < n->n_in; k++)
        if (!joins(f, n->in[k], i, at))
            return false;
    for (size_t k = 1; k < n->n_in; k++)
        x->in[x->n_in++] = f->at[n->in[k]];
    x->then[x->n_then++] = n->does;
    x->lent = n->lent;
    return true;
}

static void copy_weights(const struct graph *from, struct graph *to)
{
    to->n_weights = from->n_weights;
    to->weights = mem_new(from->n_weights, sizeof *to->weights);
    for (size_t i = 0; i < to->n_weights; i++) {
        to->weights[i] = from->weights[i];
        to->weights[i].name = arena_text(&to->names, from->weights[i].name);
    }
}

void graph_fuse(const struct graph *raw, enum graph_mode mode, struct graph *out, size_t *at)
{
    struct fusing f = {raw, mode, out, mem_new(raw->n, sizeof *f.at)};

    for (size_t i = 0; i < raw->n; i++) {
        struct node n = raw->nodes[i];
        if (n.n_in > 0 && absorb(&f, i)) {
            f.at[i] = f.at[n.in[0]];
            continue;
        }
        for (size_t k = 0; k < n.n_in; k++)
            n.in[k] = f.at[n.in[k]];
        f.at[i] = append(out, n);
    }
    copy_weights(raw, out);
    if (at)
        memcpy(at, f.at, raw->n * sizeof *at);
    free(f.at);
}

size_t graph_last_use(const struct graph *g, size_t i)
{
    size_t last = i;
    for (size_t j = i + 1; j < g->n; j++)
        for (size_t k = 0; k < g->nodes[j].n_in; k++)
            if (g->nodes[j].in[k] == i)
                last = j;
    return last;
}

/* ---- gradients ---- */

HOT_LOOP static void add(float *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

void train_deliver(const struct site *s, size_t k, const float *gradient)
{
    size_t n = s->weights[k].count;
    if (s->accumulate)
        add(s->gradients[k], gradient, n);
    else
        memcpy(s->gradients[k], gradient, n * sizeof *gradient);
}
