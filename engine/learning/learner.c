/* learner.c - the tensors of a network that learns: made from a model, handed out, brought back into one. */
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
    if (o->n_predictor && l->g.ops[l->g.n - 1].c != l->g.ops[l->g.projection].c)
        return err_field(e, "predictor", "must end with as many outputs as the head, which are %zu",
                         l->g.ops[l->g.projection].c);
    return true;
}

static bool has_learning_norm(const struct train_graph *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->ops[i].kind == OP_NORM && !g->ops[i].frozen)
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
    if (least < 3 && has_learning_norm(&l->g))
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

static void place_tensors(struct learner *l, double head_rate)
{
    size_t all = 0, learning = 0, g_at = 0, at = 0;

    for (size_t i = 0; i < l->g.n_tensors; i++) {
        const struct op_tensor *t = &l->g.tensors[i];
        all += t->count;
        learning += t->learns ? t->count : 0;
        l->n_parameters += t->learns;
    }
    l->storage = mem_aligned(all, sizeof(float));
    l->gradient_storage = mem_new(learning + 1, sizeof(float));
    l->parameters = mem_new(l->n_parameters + 1, sizeof *l->parameters);
    l->n_parameters = 0;
    for (size_t i = 0; i < l->g.n_tensors; i++) {
        const struct op_tensor *t = &l->g.tensors[i];
        struct learner_tensor *to = &l->tensors[i];
        *to = (struct learner_tensor){.data = l->storage + at,
                                      .count = t->count,
                                      .rank = t->rank,
                                      .head = t->head,
                                      .statistic = t->kind == WEIGHT_BN_MEAN || t->kind == WEIGHT_BN_VARIANCE};
        memcpy(to->name, t->name, sizeof to->name);
        memcpy(to->shape, t->shape, sizeof to->shape);
        at += t->count;
        if (!t->learns)
            continue;
        l->gradients[i] = l->gradient_storage + g_at;
        g_at += t->count;
        l->parameters[l->n_parameters++] =
            (struct parameter){to->data, l->gradients[i], t->count, t->rank > 1, t->head ? head_rate : 1};
    }
}

/* [out, in, height, width] of the model to our [out, height, width, in], or back. */
static void transpose_filters(const struct learner_tensor *t, float *model, float *ours, bool back)
{
    size_t area = (size_t)t->shape[1] * t->shape[2], in = t->shape[3];

    for (size_t k = 0; k < t->shape[0]; k++)
        for (size_t i = 0; i < area; i++)
            for (size_t c = 0; c < in; c++) {
                float *a = &model[(k * in + c) * area + i], *b = &ours[(k * area + i) * in + c];
                if (back)
                    *a = *b;
                else
                    *b = *a;
            }
}

static void import_weights(struct learner *l, const struct model *m)
{
    for (size_t i = 0; i < m->n_weights; i++) {
        assert(m->weights[i].count == l->tensors[i].count);
        if (l->g.tensors[i].kind == WEIGHT_CONV)
            transpose_filters(&l->tensors[i], m->weights[i].data, l->tensors[i].data, false);
        else
            memcpy(l->tensors[i].data, m->weights[i].data, m->weights[i].count * sizeof(float));
    }
}

/* Linear layers: uniform with variance 1 / (3 in), PyTorch's default; biases 0; batch norms at identity. */
static void init_head(struct learner *l, uint64_t seed)
{
    for (size_t i = 0; i < l->g.n_tensors; i++) {
        const struct op_tensor *t = &l->g.tensors[i];
        struct rng r = rng_for(seed, i, 0);
        double bound = t->rank == 2 ? 1 / sqrt((double)t->shape[1]) : 0;
        bool one = t->kind == WEIGHT_BN_SCALE || t->kind == WEIGHT_BN_VARIANCE;
        for (size_t k = 0; t->head && k < t->count; k++)
            l->tensors[i].data[k] = t->rank == 2 ? (float)rng_between(&r, -bound, bound) : one ? 1.0f : 0.0f;
    }
}

static void list_convs(struct learner *l)
{
    for (size_t i = 0; i < l->g.n; i++) {
        const struct op *op = &l->g.ops[i];
        if (op->kind != OP_CONV)
            continue;
        const struct tensor *x = &l->out[op->in];
        l->pick_of[i] = l->n_picks;
        l->picks[l->n_picks++] = (struct conv_pick){
            .name = l->tensors[op->tensor].name,
            .spec = {.dtype = l->dtype,
                     .n = x->n,
                     .h = x->h,
                     .w = x->w,
                     .c = x->c,
                     .k = op->c,
                     .window = op->window,
                     .stride = op->stride,
                     .pad = op->pad},
            .wanted = {true, l->routes[i].dx != NULL, op->needs_gradient && !op->frozen},
            .trial = {x->data, l->out[i].data, l->spare, NULL},
        };
    }
}

static bool pick_kernels(struct learner *l, const char *picks, struct err *e)
{
    list_convs(l);
    bool ok = picks ? conv_picks_read(l->picks, l->n_picks, l->backend, picks, e)
                    : conv_picks_measure(l->picks, l->n_picks, l->backend, e);
    if (!ok || !conv_picks_open(l->picks, l->n_picks, &l->scratch_size, e))
        return false;
    conv_picks_write(l->picks, l->n_picks, &l->picks_text);
    return true;
}

static size_t largest_tensor(const struct train_graph *g)
{
    size_t largest = 1;
    for (size_t i = 0; i < g->n_tensors; i++)
        largest = max_size(largest, g->tensors[i].count);
    return largest;
}

/* Room for the gradients of a batch norm or of any one tensor, and for whatever runs. */
static bool prepare(struct learner *l, const char *picks, struct err *e)
{
    size_t channels = 0, work = 0;

    learner_place(l);
    for (size_t i = 0; i < l->g.n; i++) {
        const struct norm_shape s = learner_norm_shape(l, i);
        channels = max_size(channels, s.c);
        work = max_size(work, norm_work(&s));
    }
    l->spare_count = max_size(largest_tensor(&l->g), 2 * channels);
    l->spare = mem_new(l->spare_count, sizeof(float));
    if (!pick_kernels(l, picks, e))
        return false;
    l->scratch_size = max_size(l->scratch_size, work * sizeof(float));
    l->scratch = mem_aligned(l->scratch_size, 1);
    return true;
}

struct learner *learner_new(const struct model *m, const struct learner_options *options, struct err *e)
{
    struct learner *l = mem_new(1, sizeof *l);
    const struct learner_options o = settle_passes(*options, m->pre.size);
    enum precision precision = o.precision;

    l->arch = m->arch;
    l->batch = o.batch;
    l->backend = o.backend;
    if (!encoder_settle(&l->backend, &precision, e) || !check_head(&o, e))
        goto failed;
    l->dtype = precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
    train_graph_build(&l->arch, &o, &l->g);
    if (!check(l, &o, e) || !check_predictor(l, &o, e))
        goto failed;
    place_tensors(l, o.head_rate != 0 ? o.head_rate : 1);
    import_weights(l, m);
    init_head(l, o.seed);
    if (prepare(l, o.picks, e))
        return l;
failed:
    learner_free(l);
    return NULL;
}

void learner_free(struct learner *l)
{
    if (!l)
        return;
    conv_picks_close(l->picks, l->n_picks);
    buf_clear(&l->picks_text);
    free(l->storage);
    free(l->gradient_storage);
    free(l->parameters);
    free(l->memory);
    free(l->state);
    free(l->scratch);
    free(l->spare);
    free(l);
}

uint32_t learner_outputs(const struct learner *l)
{
    return (uint32_t)l->g.ops[l->g.n - 1].c;
}

uint32_t learner_dimensions(const struct learner *l)
{
    return (uint32_t)l->g.ops[l->g.features].c;
}

const float *learner_features(const struct learner *l)
{
    return l->out[l->g.features].data;
}

const float *learner_projection(const struct learner *l)
{
    return l->out[l->g.projection].data;
}

const struct parameter *learner_parameters(const struct learner *l, size_t *n)
{
    *n = l->n_parameters;
    return l->parameters;
}

const struct learner_tensor *learner_tensors(struct learner *l, size_t *n)
{
    *n = l->g.n_tensors;
    return l->tensors;
}

void learner_export(const struct learner *l, struct model *m)
{
    for (size_t i = 0; i < m->n_weights; i++) {
        const struct learner_tensor *t = &l->tensors[i];
        assert(m->weights[i].count == t->count && strcmp(m->weights[i].name, t->name) == 0);
        if (l->g.tensors[i].kind == WEIGHT_CONV)
            transpose_filters(t, m->weights[i].data, t->data, true);
        else
            memcpy(m->weights[i].data, t->data, t->count * sizeof(float));
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
    for (size_t i = 0; i < l->g.n_tensors; i++) {
        all += l->tensors[i].count;
        learning += l->gradients[i] ? l->tensors[i].count : 0;
    }
    return l->memory_size + l->scratch_size + (all + learning + l->spare_count) * sizeof(float);
}

double learner_seconds(const struct learner *l, enum learner_part part, bool backward)
{
    return l->seconds[part][backward];
}
