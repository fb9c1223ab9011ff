/* train_graph.c - the passes of the encoder, the head, and what of them learns. */
#include "engine/learning/train_graph.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static size_t add_passes(struct graph *g, const struct arch *a, const struct learner_options *o)
{
    size_t x = arch_build(a, o->passes[0].rows, o->passes[0].size, g);
    for (size_t i = 1; i < o->n_passes; i++) {
        size_t next = arch_build(a, o->passes[i].rows, o->passes[i].size, g);
        x = graph_add(g, &op_join, (struct op_settings){0}, 0, 2, (size_t[]){x, next});
    }
    return x;
}

/* outputs: of a layer that says none. */
static size_t add_layer(struct graph *g, const char *part, size_t i, const struct head_layer *layer, size_t outputs,
                        size_t x)
{
    const struct op_settings linear = {.channels = layer->outputs ? layer->outputs : outputs, .bias = !layer->norm};
    char name[32];

    snprintf(name, sizeof name, "%s.%zu", part, i);
    x = graph_then(g, &op_linear, linear, name, x);
    snprintf(name, sizeof name, "%s.%zu.norm", part, i);
    if (layer->norm)
        x = graph_then(g, &op_norm, (struct op_settings){.epsilon = 1e-5f}, name, x);
    return layer->relu ? graph_then(g, &op_relu, (struct op_settings){0}, NULL, x) : x;
}

static bool has_statistics(const struct graph *g, const struct applied *s)
{
    for (size_t i = 0; i < s->n_weights; i++)
        if (weight_is_statistic(&g->weights[s->weight + i]))
            return true;
    return false;
}

static bool is_frozen(const struct graph *g, const struct applied *s, const struct learner_options *o)
{
    const struct weight *w = &g->weights[s->weight];
    if (s->n_weights == 0 || weight_is_head(w))
        return false;
    return w->stage <= o->freeze_stages || (o->freeze_norm && has_statistics(g, s));
}

static bool is_used_later(const struct graph *g, size_t i)
{
    const struct applied *s = &g->nodes[i].does;
    for (size_t j = i + 1; s->n_weights && j < g->n; j++)
        if (g->nodes[j].does.n_weights && g->nodes[j].does.weight == s->weight)
            return true;
    return false;
}

static void mark(struct train_graph *t, size_t i, const struct learner_options *o)
{
    const struct graph *g = &t->graph;
    const struct node *n = &g->nodes[i];
    struct train_mark *m = &t->marks[i];

    m->frozen = is_frozen(g, &n->does, o);
    m->again = is_used_later(g, i);
    if (o->forward_only)
        return;
    m->wants_gradient = n->does.n_weights > 0 && !m->frozen;
    for (size_t k = 0; k < n->n_in; k++)
        m->wants_gradient |= t->marks[n->in[k]].wants_gradient;
    for (size_t k = n->does.weight; k < n->does.weight + n->does.n_weights; k++)
        t->learns[k] = !m->frozen && !weight_is_statistic(&g->weights[k]);
}

size_t train_graph_build(const struct arch *a, const struct learner_options *o, struct graph *g)
{
    size_t projection, x = add_passes(g, a, o);

    g->stage = STAGE_HEAD;
    for (size_t i = 0; i < o->n_head; i++)
        x = add_layer(g, "head", i, &o->head[i], 0, x);
    projection = x;
    for (size_t i = 0; i < o->n_predictor; i++)
        x = add_layer(g, "predictor", i, &o->predictor[i], g->nodes[projection].c, x);
    return projection;
}

void train_graph_settle(struct graph *raw, size_t projection, const struct learner_options *o, struct train_graph *out)
{
    size_t *at = mem_new(raw->n, sizeof *at);

    *out = (struct train_graph){0};
    raw->nodes[projection].lent = true;
    graph_fuse(raw, GRAPH_TRAINS, &out->graph, at);
    out->projection = at[projection];
    out->marks = mem_new(out->graph.n, sizeof *out->marks);
    out->learns = mem_new(out->graph.n_weights, sizeof *out->learns);
    for (size_t i = 0; i < out->graph.n; i++)
        mark(out, i, o);
    free(at);
}

void train_graph_clear(struct train_graph *g)
{
    graph_clear(&g->graph);
    free(g->marks);
    free(g->learns);
    *g = (struct train_graph){0};
}
