/* plan.c - lays out the buffers of a network and runs its nodes in order; what they do is their operations' affair. */
#include "engine/plan.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/layout.h"

/* For one picture.  A ResNet-50 at 1,024 pixels takes 200 MB; what a file may ask for takes gigabytes. */
enum { PICTURE_MB_MAX = 384 };

struct plan {
    const struct network *net;
    size_t batch;
    void *memory;       /* all activations */
    void *scratch;      /* of whatever runs */
    struct site *sites; /* of each node */
};

static const struct op *op_of(const struct plan *p, size_t i)
{
    return p->net->graph.nodes[i].does.op;
}

static bool check_bytes(const struct plan *p, size_t bytes, struct err *e)
{
    size_t each = bytes / p->batch >> 20;
    return each <= PICTURE_MB_MAX ||
           err_set(e, ERR_TOO_LARGE, "the network needs %zu MB of memory for one picture, the limit is %d MB", each,
                   PICTURE_MB_MAX);
}

/* A node that has absorbed one with a second input writes over that input, whose last reader it is (graph.h). */
static size_t overwritten(const struct node *n)
{
    assert(n->n_in <= n->n_own + 1);
    return n->n_in > n->n_own ? n->in[n->n_own] : SIZE_MAX;
}

static bool place_tensors(struct plan *p, struct err *e)
{
    const struct graph *g = &p->net->graph;
    struct span *spans = mem_new(g->n, sizeof *spans);
    size_t *home = mem_new(g->n, sizeof *home); /* the node whose span holds the output of node i */

    for (size_t i = 0; i < g->n; i++) {
        size_t over = overwritten(&g->nodes[i]);
        p->sites[i] = network_site(p->net, i, p->batch);
        spans[i] = (struct span){tensor_bytes(&p->sites[i].y), i, graph_last_use(g, i), 0};
        home[i] = i;
        if (over != SIZE_MAX) {
            assert(graph_last_use(g, over) == i);
            home[i] = home[over];
            spans[home[i]].last = spans[i].last;
            spans[i].size = 0;
        }
    }
    size_t bytes = layout_place(spans, g->n);
    bool ok = check_bytes(p, bytes, e);
    p->memory = ok ? mem_aligned(bytes, 1) : NULL;
    for (size_t i = 0; ok && i < g->n; i++) {
        struct site *s = &p->sites[i];
        s->y.data = (char *)p->memory + spans[home[i]].offset;
        for (size_t k = 0; k < g->nodes[i].n_in; k++)
            s->x[k].data = p->sites[g->nodes[i].in[k]].y.data;
    }
    free(spans);
    free(home);
    return ok;
}

static bool prepare(struct plan *p, struct err *e)
{
    size_t scratch = LAYOUT_ALIGN, n = p->net->graph.n;

    for (size_t i = 0; i < n; i++) {
        if (op_of(p, i)->open && !op_of(p, i)->open(&p->sites[i], e))
            return false;
        scratch = max_size(scratch, p->sites[i].scratch_size);
    }
    if (!check_bytes(p, scratch, e))
        return false;
    p->scratch = mem_aligned(scratch, 1);
    for (size_t i = 0; i < n; i++) {
        p->sites[i].scratch = p->scratch;
        if (op_of(p, i)->bind && !op_of(p, i)->bind(&p->sites[i], e))
            return false;
    }
    return true;
}

struct plan *plan_new(const struct network *net, size_t batch, struct err *e)
{
    struct plan *p = mem_new(1, sizeof *p);

    assert(batch > 0);
    p->net = net;
    p->batch = batch;
    p->sites = mem_new(net->graph.n, sizeof *p->sites);
    if (place_tensors(p, e) && prepare(p, e))
        return p;
    plan_free(p);
    return NULL;
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->net->graph.n; i++)
        if (op_of(p, i)->close)
            op_of(p, i)->close(&p->sites[i]);
    free(p->sites);
    free(p->memory);
    free(p->scratch);
    free(p);
}

size_t plan_batch(const struct plan *p)
{
    return p->batch;
}

static bool run(struct site *s, struct err *e)
{
    const struct op *op = s->node->does.op;
    if (op->infer)
        return op->infer(s, e);
    return op->forward(s) || err_set(e, ERR_INTERNAL, "the operation %s failed", op->name);
}

bool plan_forward(struct plan *p, const float *pixels, float *vectors, struct err *e)
{
    size_t n = p->net->graph.n;
    const struct tensor *last = &p->sites[n - 1].y;

    tensor_fill(&p->sites[0].y, pixels);
    for (size_t i = 0; i < n; i++)
        if (!run(&p->sites[i], e))
            return false;
    memcpy(vectors, last->data, tensor_bytes(last));
    return true;
}
