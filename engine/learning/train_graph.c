/* train_graph.c - from nodes to what training runs. */
#include "engine/learning/train_graph.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

static size_t add_op(struct train_graph *g, struct op op)
{
    assert(g->n < OPS_MAX);
    g->ops[g->n] = op;
    return g->n++;
}

static void add_tensor(struct train_graph *g, struct op_tensor t)
{
    assert(g->n_tensors < OP_TENSORS_MAX);
    t.count = 1;
    for (size_t i = 0; i < t.rank; i++)
        t.count *= t.shape[i];
    g->tensors[g->n_tensors++] = t;
}

static void add_arch_tensors(struct train_graph *g, const struct arch *a)
{
    struct weight_spec specs[ARCH_WEIGHTS_MAX];
    size_t n = arch_weights(a, specs);

    for (size_t i = 0; i < n; i++) {
        const uint32_t *from = specs[i].shape;
        struct op_tensor t = {.rank = specs[i].rank, .kind = specs[i].kind};
        snprintf(t.name, sizeof t.name, "%s", specs[i].name);
        memcpy(t.shape, from, sizeof t.shape);
        if (t.kind == WEIGHT_CONV) {
            const uint32_t ohwi[4] = {from[0], from[2], from[3], from[1]};
            memcpy(t.shape, ohwi, sizeof ohwi);
        }
        add_tensor(g, t);
    }
}

static enum op_kind kind_of(enum node_kind k)
{
    switch (k) {
    case NODE_CONV: return OP_CONV;
    case NODE_NORM: return OP_NORM;
    case NODE_MAXPOOL: return OP_MAXPOOL;
    case NODE_AVGPOOL: return OP_AVGPOOL;
    case NODE_LINEAR: return OP_LINEAR;
    case NODE_INPUT:
    case NODE_RELU:
    case NODE_ADD:
    case NODE_UNIT: break;
    }
    return OP_INPUT;
}

/* Additions and ReLUs go into the batch norm that they follow; at[i]: the op that gives what node i gives.  Gives the last op. */
static size_t add_encoder(struct train_graph *g, const struct graph *raw, size_t rows, bool again)
{
    size_t at[GRAPH_NODES_MAX];

    for (size_t i = 0; i < raw->n; i++) {
        const struct node *n = &raw->nodes[i];
        struct op *before = n->n_in ? &g->ops[at[n->in[0]]] : NULL;
        switch (n->kind) {
        case NODE_ADD:
            assert(before->kind == OP_NORM && !before->relu && before->residual == NO_OP);
            before->residual = at[n->in[1]];
            at[i] = at[n->in[0]];
            break;
        case NODE_RELU:
            assert(before->kind == OP_NORM && !before->relu);
            before->relu = true;
            at[i] = at[n->in[0]];
            break;
        case NODE_UNIT: break;
        default:
            at[i] = add_op(g, (struct op){.kind = kind_of(n->kind),
                                          .in = n->n_in ? at[n->in[0]] : NO_OP,
                                          .h = n->h,
                                          .w = n->w,
                                          .c = n->c,
                                          .window = n->window,
                                          .stride = n->stride,
                                          .pad = n->pad,
                                          .tensor = n->weight,
                                          .rows = rows,
                                          .again = again,
                                          .head = n->kind == NODE_AVGPOOL || n->kind == NODE_LINEAR});
        }
    }
    return g->n - 1;
}

static void add_passes(struct train_graph *g, const struct arch *a, const struct learner_options *o)
{
    struct graph raw;

    for (size_t i = 0; i < o->n_passes; i++) {
        graph_build(a, o->passes[i].size, &raw);
        size_t last = add_encoder(g, &raw, o->passes[i].rows, i + 1 < o->n_passes);
        if (i > 0)
            last = add_op(g, (struct op){.kind = OP_JOIN,
                                         .in = g->features,
                                         .residual = last,
                                         .h = 1,
                                         .w = 1,
                                         .c = g->ops[last].c,
                                         .rows = g->ops[g->features].rows + g->ops[last].rows,
                                         .head = true});
        g->features = last;
    }
}

static void add_head_tensor(struct train_graph *g, const char *layer, const char *name, enum weight_kind kind,
                            size_t rows, size_t columns)
{
    struct op_tensor t = {
        .rank = columns ? 2 : 1, .shape = {(uint32_t)rows, (uint32_t)columns}, .kind = kind, .head = true};
    snprintf(t.name, sizeof t.name, "%s.%s", layer, name);
    add_tensor(g, t);
}

static void add_head_layer(struct train_graph *g, const char *part, size_t i, const struct head_layer *layer)
{
    static const struct {
        const char *name;
        enum weight_kind kind;
    } norm[] = {{"norm.weight", WEIGHT_BN_SCALE},
                {"norm.bias", WEIGHT_BN_SHIFT},
                {"norm.running_mean", WEIGHT_BN_MEAN},
                {"norm.running_var", WEIGHT_BN_VARIANCE}};
    size_t in = g->n - 1, rows = g->ops[in].rows, columns = g->ops[in].c,
           c = layer->outputs ? layer->outputs : g->ops[g->projection].c;
    char name[24];
    snprintf(name, sizeof name, "%s.%zu", part, i);

    size_t linear = add_op(g, (struct op){.kind = OP_LINEAR,
                                          .in = in,
                                          .rows = rows,
                                          .h = 1,
                                          .w = 1,
                                          .c = c,
                                          .tensor = g->n_tensors,
                                          .head = true,
                                          .bias = !layer->norm,
                                          .relu = layer->relu && !layer->norm});
    add_head_tensor(g, name, "weight", WEIGHT_LINEAR, c, columns);
    if (!layer->norm) {
        add_head_tensor(g, name, "bias", WEIGHT_BN_SHIFT, c, 0);
        return;
    }
    add_op(g, (struct op){.kind = OP_NORM,
                          .in = linear,
                          .rows = rows,
                          .h = 1,
                          .w = 1,
                          .c = c,
                          .tensor = g->n_tensors,
                          .head = true,
                          .relu = layer->relu});
    for (size_t k = 0; k < COUNT(norm); k++)
        add_head_tensor(g, name, norm[k].name, norm[k].kind, c, 0);
}

/* 1: the stem; 2 to 5: layer1 to layer4; 6: the projection; 7: the head. */
static uint32_t stage_of(const struct op_tensor *t)
{
    if (t->head)
        return 7;
    if (strncmp(t->name, "layer", 5) == 0)
        return (uint32_t)(t->name[5] - '0') + 1;
    return strncmp(t->name, "projection", 10) == 0 ? 6 : 1;
}

/* `freeze_stages` 5 is the whole encoder, its projection with it. */
static bool is_frozen(const struct op_tensor *t, const struct learner_options *o)
{
    uint32_t stage = stage_of(t);
    return stage <= o->freeze_stages || (stage == 6 && o->freeze_stages == 5);
}

static void mark_tensors(struct train_graph *g, const struct op *op, const struct learner_options *o)
{
    static const size_t counts[] = {[OP_CONV] = 1, [OP_NORM] = 2, [OP_LINEAR] = 1};
    size_t n = op->kind == OP_LINEAR && op->bias ? 2 : counts[op->kind];
    for (size_t i = 0; i < n; i++)
        g->tensors[op->tensor + i].learns = !op->frozen && !o->forward_only;
}

static void mark_learning(struct train_graph *g, const struct learner_options *o)
{
    for (size_t i = 1; i < g->n; i++) {
        struct op *op = &g->ops[i];
        bool has_tensors = op->kind == OP_CONV || op->kind == OP_NORM || op->kind == OP_LINEAR;
        if (has_tensors) {
            op->frozen = is_frozen(&g->tensors[op->tensor], o) ||
                         (op->kind == OP_NORM && !g->tensors[op->tensor].head && o->freeze_norm);
            mark_tensors(g, op, o);
        }
        if (o->forward_only)
            continue;
        op->needs_gradient = (has_tensors && !op->frozen) || g->ops[op->in].needs_gradient ||
                             (op->residual != NO_OP && g->ops[op->residual].needs_gradient);
    }
}

void train_graph_build(const struct arch *a, const struct learner_options *o, struct train_graph *out)
{
    *out = (struct train_graph){0};
    add_arch_tensors(out, a);
    add_passes(out, a, o);
    for (size_t i = 0; i < o->n_head; i++)
        add_head_layer(out, "head", i, &o->head[i]);
    out->projection = out->n - 1;
    for (size_t i = 0; i < o->n_predictor; i++)
        add_head_layer(out, "predictor", i, &o->predictor[i]);
    mark_learning(out, o);
}
