/* learner.c - the weights of a network that learns: made from a model, handed out, brought back into one. */
#include "engine/learning/learner.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "engine/learning/learner_parts.h"

static bool check_head(const struct learner_options *o, struct err *e)
{
    if (o->n_head > HEAD_LAYERS_MAX)
        return err_field(e, "head", "must have at most %d layers", HEAD_LAYERS_MAX);
    for (size_t i = 0; i < o->n_head; i++)
        if (o->head[i].outputs < 1 || o->head[i].outputs > 8192)
            return err_field(e, "head", "layers have 1 to 8192 outputs");
    return true;
}

/* What it predicts are the head's outputs. */
static bool check_predictor(const struct learner *l, const struct learner_options *o, struct err *e)
{
    const struct graph *g = &l->g.graph;
    if (o->n_predictor && g->nodes[g->n - 1].c != g->nodes[l->g.projection].c)
        return err_field(e, "predictor", "must end with as many outputs as the head, which are %zu",
                         g->nodes[l->g.projection].c);
    return true;
}

static bool has_moving_statistics(const struct train_graph *t)
{
    const struct graph *g = &t->graph;
    for (size_t i = 0; i < g->n; i++)
        for (size_t k = 0; !t->marks[i].frozen && k < g->nodes[i].does.n_weights; k++)
            if (weight_is_statistic(&g->weights[g->nodes[i].does.weight + k]))
                return true;
    return false;
}

/* Of two rows a batch norm makes +1 and -1, whatever they are; of one, nothing. */
static bool check(const struct learner *l, const struct learner_options *o, struct err *e)
{
    size_t least = o->batch;
    for (size_t i = 0; i < o->n_passes; i++)
        least = min_size(least, o->passes[i].rows);
    if (least < 1 || o->batch > 65536)
        return err_field(e, "batch", "must be from 1 to 65536");
    if (least < 3 && has_moving_statistics(&l->g))
        return err_field(e, "batch", "must be at least 3 where a batch norm learns");
    return true;
}

/* One pass at least, and `batch` is their sum. */
static struct learner_options settle_passes(struct learner_options o, uint32_t size)
{
    assert(o.n_passes <= LEARNER_PASSES_MAX);
    if (o.n_passes == 0)
        o.passes[o.n_passes++] = (struct learner_pass){o.batch, size};
    o.batch = 0;
    for (size_t i = 0; i < o.n_passes; i++)
        o.batch += o.passes[i].rows;
    return o;
}

/* Models have filters [out, in, height, width], kernels want [out, height, width, in]. */
static void turn_shape(struct weight *w)
{
    if (w->rank == 4)
        memcpy(w->shape, (const uint32_t[]){w->shape[0], w->shape[2], w->shape[3], w->shape[1]}, sizeof w->shape);
}

static void place_weights(struct learner *l, double head_rate)
{
    struct graph *g = &l->g.graph;
    size_t all = 0, learning = 0, g_at = 0, at = 0;

    for (size_t i = 0; i < g->n_weights; i++) {
        all += g->weights[i].count;
        learning += l->g.learns[i] ? g->weights[i].count : 0;
        l->n_parameters += l->g.learns[i];
    }
    l->storage = mem_aligned(all, sizeof(float));
    l->gradient_storage = mem_new(learning + 1, sizeof(float));
    l->gradients = mem_new(g->n_weights, sizeof *l->gradients);
    l->parameters = mem_new(l->n_parameters + 1, sizeof *l->parameters);
    l->n_parameters = 0;
    for (size_t i = 0; i < g->n_weights; i++) {
        struct weight *w = &g->weights[i];
        turn_shape(w);
        w->data = l->storage + at;
        at += w->count;
        if (!l->g.learns[i])
            continue;
        l->gradients[i] = l->gradient_storage + g_at;
        g_at += w->count;
        l->parameters[l->n_parameters++] =
            (struct parameter){w->data, l->gradients[i], w->count, w->rank > 1, weight_is_head(w) ? head_rate : 1};
    }
}

/* Between the model's layout and ours. */
static void copy_weight(const struct weight *ours, float *model, bool back)
{
    size_t area = (size_t)ours->shape[1] * ours->shape[2], in = ours->shape[3];

    if (ours->rank != 4) {
        memcpy(back ? model : ours->data, back ? ours->data : model, ours->count * sizeof(float));
        return;
    }
    for (size_t k = 0; k < ours->shape[0]; k++)
        for (size_t i = 0; i < area; i++)
            for (size_t c = 0; c < in; c++) {
                float *a = &model[(k * in + c) * area + i], *b = &ours->data[(k * area + i) * in + c];
                if (back)
                    *a = *b;
                else
                    *b = *a;
            }
}

static void import_weights(struct learner *l, const struct model *m)
{
    for (size_t i = 0; i < m->n_weights; i++) {
        const struct weight *w = &l->g.graph.weights[i];
        assert(m->weights[i].count == w->count && strcmp(m->weights[i].name, w->name) == 0);
        copy_weight(w, m->weights[i].data, false);
    }
}

/* Linear layers: uniform with variance 1 / (3 in), PyTorch's default; biases 0; batch norms at identity. */
static void init_head(struct learner *l, uint64_t seed)
{
    for (size_t i = 0; i < l->g.graph.n_weights; i++) {
        const struct weight *w = &l->g.graph.weights[i];
        struct rng r = rng_for(seed, i, 0);
        double bound = w->rank == 2 ? 1 / sqrt((double)w->shape[1]) : 0;
        for (size_t k = 0; weight_is_head(w) && k < w->count; k++)
            w->data[k] = w->rank == 2 ? (float)rng_between(&r, -bound, bound) : w->start;
    }
}

static void make_sites(struct learner *l)
{
    const struct graph *g = &l->g.graph;

    l->sites = mem_new(g->n, sizeof *l->sites);
    l->seconds = mem_new(g->n, sizeof *l->seconds);
    for (size_t i = 0; i < g->n; i++) {
        const struct node *n = &g->nodes[i];
        struct site *s = &l->sites[i];
        *s = (struct site){.node = n,
                           .y = node_tensor(n, 1, l->dtype),
                           .weights = g->weights + n->does.weight,
                           .gradients = l->gradients + n->does.weight,
                           .frozen = l->g.marks[i].frozen};
        for (size_t k = 0; k < n->n_in; k++)
            s->x[k] = l->sites[n->in[k]].y;
    }
}

static bool pick_kernels(struct learner *l, const char *picks, struct err *e)
{
    l->picks = mem_new(l->g.graph.n, sizeof *l->picks);
    for (size_t i = 0; i < l->g.graph.n; i++) {
        struct site *s = &l->sites[i];
        s->spare = l->spare;
        if (!s->node->does.op->conv_trial)
            continue;
        s->node->does.op->conv_trial(s, &l->picks[l->n_picks]);
        s->pick = &l->picks[l->n_picks++];
    }
    bool ok = picks ? conv_picks_read(l->picks, l->n_picks, l->backend, picks, e)
                    : conv_picks_measure(l->picks, l->n_picks, l->backend, e);
    if (!ok || !conv_picks_open(l->picks, l->n_picks, &l->scratch_size, e))
        return false;
    conv_picks_write(l->picks, l->n_picks, &l->picks_text);
    return true;
}

/* Room for the gradient of any one weight, and for whatever runs. */
static bool prepare(struct learner *l, const char *picks, struct err *e)
{
    const struct graph *g = &l->g.graph;

    make_sites(l);
    learner_place(l);
    l->spare_count = 1;
    for (size_t i = 0; i < g->n_weights; i++)
        l->spare_count = max_size(l->spare_count, g->weights[i].count);
    l->spare = mem_new(l->spare_count, sizeof(float));
    if (!pick_kernels(l, picks, e))
        return false;
    for (size_t i = 0; i < g->n; i++) {
        const struct op *op = g->nodes[i].does.op;
        l->scratch_size = max_size(l->scratch_size, op->train_scratch ? op->train_scratch(&l->sites[i]) : 0);
    }
    l->scratch = mem_aligned(l->scratch_size, 1);
    for (size_t i = 0; i < g->n; i++)
        l->sites[i].scratch = l->scratch;
    return true;
}

struct learner *learner_over(struct graph *raw, size_t projection, const struct model *m,
                             const struct learner_options *o, struct err *e)
{
    struct learner *l = mem_new(1, sizeof *l);
    enum precision precision = o->precision;

    l->batch = o->batch;
    l->backend = o->backend;
    train_graph_settle(raw, projection, o, &l->g);
    if (!backend_settle(&l->backend, &precision, e) || !check(l, o, e) || !check_predictor(l, o, e))
        goto failed;
    l->dtype = precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
    place_weights(l, o->head_rate != 0 ? o->head_rate : 1);
    if (m)
        import_weights(l, m);
    init_head(l, o->seed);
    if (prepare(l, o->picks, e))
        return l;
failed:
    learner_free(l);
    return NULL;
}

struct learner *learner_new(const struct model *m, const struct learner_options *options, struct err *e)
{
    const struct learner_options o = settle_passes(*options, m->pre.size);
    struct graph raw = {0};

    if (!check_head(&o, e))
        return NULL;
    size_t projection = train_graph_build(&m->arch, &o, &raw);
    struct learner *l = learner_over(&raw, projection, m, &o, e);
    graph_clear(&raw);
    return l;
}

void learner_free(struct learner *l)
{
    if (!l)
        return;
    conv_picks_close(l->picks, l->n_picks);
    free(l->picks);
    buf_clear(&l->picks_text);
    train_graph_clear(&l->g);
    free(l->storage);
    free(l->gradient_storage);
    free(l->gradients);
    free(l->parameters);
    free(l->memory);
    free(l->sites);
    free(l->extras);
    free(l->seconds);
    free(l->scratch);
    free(l->spare);
    free(l);
}

uint32_t learner_outputs(const struct learner *l)
{
    return (uint32_t)l->g.graph.nodes[l->g.graph.n - 1].c;
}

const float *learner_projection(const struct learner *l)
{
    return l->sites[l->g.projection].y.data;
}

const struct parameter *learner_parameters(const struct learner *l, size_t *n)
{
    *n = l->n_parameters;
    return l->parameters;
}

const struct weight *learner_weights(const struct learner *l, size_t *n)
{
    *n = l->g.graph.n_weights;
    return l->g.graph.weights;
}

void learner_export(const struct learner *l, struct model *m)
{
    for (size_t i = 0; i < m->n_weights; i++) {
        const struct weight *w = &l->g.graph.weights[i];
        assert(m->weights[i].count == w->count && strcmp(m->weights[i].name, w->name) == 0);
        copy_weight(w, m->weights[i].data, true);
    }
    m->compact = false; /* what was learned is no bf16 */
    model_seal(m);
}

const char *learner_picks(const struct learner *l)
{
    return l->picks_text.data;
}

size_t learner_memory(const struct learner *l)
{
    size_t all = 0, learning = 0;
    for (size_t i = 0; i < l->g.graph.n_weights; i++) {
        all += l->g.graph.weights[i].count;
        learning += l->gradients[i] ? l->g.graph.weights[i].count : 0;
    }
    return l->memory_size + l->scratch_size + (all + learning + l->spare_count) * sizeof(float);
}

double learner_seconds(const struct learner *l, const struct op *op, bool backward)
{
    double sum = 0;
    for (size_t i = 0; i < l->g.graph.n; i++)
        if (!op || l->g.graph.nodes[i].does.op == op)
            sum += l->seconds[i][backward];
    return sum;
}
