/* train_step.c - what happens to one batch. */
#include "engine/learning/train_step.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/spread.h"

struct train_step {
    struct learner *learner;
    struct learner *target; /* TARGET_MOMENTUM */
    const struct objective *objective;
    struct objective_settings settings;
    struct run_length length;
    struct loss *loss;
    struct optimizer *optimizer;
    size_t rows, chunk, d; /* of a batch, of one go through the network; columns of z */
    size_t taught;         /* rows of full crops: what the target branch sees */
    size_t pixels;         /* values of one row of these */
    double clip_norm, ema;
    float *z, *dz;    /* [rows, d] */
    float *goal;      /* [taught, d]: z of the target branch; NULL: none */
    float **averages; /* one for each of learner_weights(); NULL: none */
};

static void make_averages(struct train_step *s)
{
    size_t n;
    const struct weight *t = learner_weights(s->learner, &n);
    s->averages = mem_new(n, sizeof *s->averages);
    for (size_t i = 0; s->ema > 0 && i < n; i++)
        if (!weight_is_head(&t[i]))
            s->averages[i] = mem_dup(t[i].data, t[i].count * sizeof(float));
}

/* One for each run of neighbouring groups of one size. */
static size_t passes_of(const struct crops *c, size_t batch, struct learner_pass *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (i == 0 || c->groups[i].size != c->groups[i - 1].size)
            out[n++] = (struct learner_pass){0, c->groups[i].size};
        out[n - 1].rows += c->groups[i].count * batch;
    }
    return n;
}

/* chunk: rows that go at once, of a batch with one pass. */
static struct learner_options learner_options_of(const struct train_config *c, const struct crops *crops, size_t chunk,
                                                 const char *picks)
{
    struct learner_options o = {.precision = c->precision,
                                .backend = c->backend,
                                .n_head = c->n_head,
                                .freeze_norm = c->freeze_norm,
                                .freeze_stages = c->freeze_stages,
                                .head_rate = c->head_rate,
                                .seed = c->seed,
                                .picks = picks};
    memcpy(o.head, c->head, sizeof o.head);
    memcpy(o.predictor, c->predictor, sizeof o.predictor);
    o.n_predictor = c->n_predictor;
    _Static_assert((int)CROP_GROUPS_MAX <= (int)LEARNER_PASSES_MAX, "each group may be a pass");
    o.n_passes = passes_of(crops, c->batch, o.passes);
    if (o.n_passes == 1)
        o.passes[0].rows = chunk;
    return o;
}

/* The tensors of the target are the first of the learner's: all but the predictor's. */
static bool open_target(struct train_step *s, const struct model *m, struct learner_options o, struct err *e)
{
    size_t n, all;
    if (s->objective->target == TARGET_NONE)
        return true;
    s->goal = mem_aligned(s->taught * s->d, sizeof *s->goal);
    if (s->objective->target == TARGET_SELF)
        return true;
    o.n_predictor = 0;
    o.n_passes = 1;
    o.passes[0].rows = min_size(s->chunk, s->taught);
    o.forward_only = true;
    o.picks = learner_picks(s->learner);
    s->target = learner_new(m, &o, e);
    if (!s->target)
        return err_wrap(e, "the target branch");
    const struct weight *to = learner_weights(s->target, &n), *from = learner_weights(s->learner, &all);
    for (size_t i = 0; i < n; i++) {
        assert(i < all && strcmp(to[i].name, from[i].name) == 0);
        memcpy(to[i].data, from[i].data, to[i].count * sizeof(float));
    }
    return true;
}

/* What the optimiser moves: the network's parameters, then the objective's own. */
static bool open_optimizer(struct train_step *s, const struct train_config *c, struct err *e)
{
    size_t n, own, all;
    const struct parameter *p = learner_parameters(s->learner, &n);
    const struct loss_tensor *t = loss_tensors(s->loss, &own);
    struct parameter *list = mem_new(n + own + 1, sizeof *list);
    memcpy(list, p, n * sizeof *list);
    all = n;
    for (size_t i = 0; i < own; i++)
        if (t[i].gradient)
            list[all++] = (struct parameter){t[i].data, t[i].gradient, t[i].count, true, c->head_rate};
    s->optimizer = optimizer_new(&c->optimizer, list, all, e);
    free(list);
    return s->optimizer != NULL;
}

static bool open_loss(struct train_step *s, const struct train_config *c, struct err *e)
{
    const struct loss_shape shape = {.n = s->rows,
                                     .d = s->d,
                                     .views = c->views,
                                     .full = c->crops.groups[0].count,
                                     .items = s->length.items,
                                     .learned = s->length.learned,
                                     .labels = s->length.labels,
                                     .steps = s->length.steps,
                                     .per_epoch = s->length.per_epoch,
                                     .seed = c->seed};
    s->loss = loss_new(c->objective, &c->settings, &shape, e);
    return s->loss != NULL;
}

struct train_step *train_step_new(const struct train_config *c, const struct model *m, const struct run_length *length,
                                  const char *picks, struct err *e)
{
    struct train_step *s = mem_new(1, sizeof *s);

    *s = (struct train_step){.rows = c->batch * c->views,
                             .clip_norm = c->clip_norm,
                             .ema = c->ema,
                             .objective = c->objective,
                             .settings = c->settings};
    if (length)
        s->length = *length;
    struct crops crops = c->crops;
    crops_settle(&crops, m->pre.size);
    s->chunk = c->chunk && c->chunk < s->rows ? c->chunk : s->rows;
    s->taught = c->batch * crops.groups[0].count;
    s->pixels = (size_t)crops.groups[0].size * crops.groups[0].size * 3;
    const struct learner_options o = learner_options_of(c, &crops, s->chunk, picks);
    s->learner = learner_new(m, &o, e);
    if (!s->learner)
        goto failed;
    s->d = learner_outputs(s->learner);
    s->z = mem_aligned(s->rows * s->d, sizeof *s->z);
    s->dz = mem_aligned(s->rows * s->d, sizeof *s->dz);
    make_averages(s);
    if (open_target(s, m, o, e) && open_loss(s, c, e) && open_optimizer(s, c, e))
        return s;
failed:
    train_step_free(s);
    return NULL;
}

void train_step_free(struct train_step *s)
{
    size_t n = 0;
    if (!s)
        return;
    if (s->averages)
        learner_weights(s->learner, &n);
    for (size_t i = 0; i < n; i++)
        free(s->averages[i]);
    free(s->averages);
    optimizer_free(s->optimizer);
    loss_free(s->loss);
    learner_free(s->learner);
    learner_free(s->target);
    free(s->goal);
    free(s->z);
    free(s->dz);
    free(s);
}

/* ---- a step ---- */

static bool forward(struct train_step *s, const struct batch *b, size_t row, struct err *e)
{
    return learner_forward(s->learner, b->pixels + row * s->pixels, s->z + row * s->d, e);
}

static struct loss_batch loss_batch_of(const struct train_step *s, const struct batch *b)
{
    return (struct loss_batch){
        .z = s->z, .target = s->goal, .groups = b->groups, .items = b->items, .n = s->rows, .d = s->d, .step = b->step};
}

static bool forward_target(struct train_step *s, const struct batch *b, size_t row, struct err *e)
{
    float *goal = s->goal + row * s->d;
    if (s->target)
        return learner_forward(s->target, b->pixels + row * s->pixels, goal, e);
    if (s->goal)
        memcpy(goal, learner_projection(s->learner), min_size(s->chunk, s->taught) * s->d * sizeof *goal);
    return true;
}

/* z, the target's and dz of all rows; only with one chunk the network still holds what the way back needs. */
static bool measure(struct train_step *s, const struct batch *b, struct step_report *out, struct err *e)
{
    for (size_t row = 0; row < s->rows; row += s->chunk)
        if (!forward(s, b, row, e) || !forward_target(s, b, row, e))
            return false;
    const struct loss_batch batch = loss_batch_of(s, b);
    struct loss_report r = loss_run(s->loss, &batch, s->dz);
    out->loss = r.loss;
    out->looking = r.looking;
    out->active = r.active;
    out->anchors = r.anchors;
    out->std = unit_std(s->z, s->rows, s->d);
    out->dimensions = used_dimensions(s->z, s->rows, s->d);
    return true;
}

static bool backward(struct train_step *s, const struct batch *b, struct err *e)
{
    bool whole = s->chunk == s->rows;
    for (size_t row = 0; row < s->rows; row += s->chunk)
        if ((!whole && !forward(s, b, row, e)) || !learner_backward(s->learner, s->dz + row * s->d, row > 0, e))
            return false;
    return true;
}

static void average(struct train_step *s)
{
    size_t n;
    const struct weight *t = learner_weights(s->learner, &n);
    double steps = (double)*optimizer_steps(s->optimizer), keep = fmin(s->ema, steps / (steps + 1));
    for (size_t i = 0; i < n; i++)
        if (s->averages[i])
            ema_update(s->averages[i], t[i].data, t[i].count, keep);
}

/* The target goes a little of the way to the weights. */
static void follow(struct train_step *s, uint64_t step)
{
    size_t n, all;
    const double m = objective_momentum(&s->settings, step, s->length.steps);
    const struct weight *to = learner_weights(s->target, &n), *from = learner_weights(s->learner, &all);
    for (size_t i = 0; i < n; i++)
        if (!weight_is_statistic(&to[i]))
            ema_update(to[i].data, from[i].data, to[i].count, m);
}

bool train_step_run(struct train_step *s, const struct batch *b, double learning_rate, struct step_report *out,
                    struct err *e)
{
    *out = (struct step_report){0};
    const struct loss_batch batch = loss_batch_of(s, b);
    if (!measure(s, b, out, e))
        return false;
    if (out->looking) {
        loss_after_step(s->loss, &batch);
        return true;
    }
    if (!backward(s, b, e))
        return false;
    out->gradient_norm = optimizer_clip(s->optimizer, s->clip_norm);
    if (!isfinite(out->loss) || !isfinite(out->gradient_norm))
        return true; /* weights stay as they were: the caller decides */
    optimizer_step(s->optimizer, learning_rate);
    loss_after_step(s->loss, &batch);
    if (s->target)
        follow(s, b->step);
    if (s->ema > 0)
        average(s);
    return true;
}

/* ---- in and out ---- */

static void swap_averages(struct train_step *s)
{
    size_t n;
    const struct weight *t = learner_weights(s->learner, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; s->averages[i] && k < t[i].count; k++) {
            float x = t[i].data[k];
            t[i].data[k] = s->averages[i][k];
            s->averages[i][k] = x;
        }
}

void train_step_export(struct train_step *s, struct model *m)
{
    swap_averages(s);
    learner_export(s->learner, m);
    swap_averages(s);
}

struct learner *train_step_learner(struct train_step *s)
{
    return s->learner;
}

struct optimizer *train_step_optimizer(struct train_step *s)
{
    return s->optimizer;
}

float *train_step_average(struct train_step *s, size_t i)
{
    return s->averages[i];
}

struct learner *train_step_target(struct train_step *s)
{
    return s->target;
}

struct loss *train_step_loss(struct train_step *s)
{
    return s->loss;
}

size_t train_step_memory(const struct train_step *s)
{
    return learner_memory(s->learner) + (s->target ? learner_memory(s->target) : 0);
}
