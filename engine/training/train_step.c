/* train_step.c - what happens to one batch. */
#include "engine/training/train_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/training/retrieval.h"

struct train_step {
    struct learner *learner;
    struct loss *loss;
    struct optimizer *optimizer;
    size_t rows, chunk, d; /* of a batch, of one pass through the network; columns of z */
    size_t pixels;         /* values of one row */
    double clip_norm, ema;
    float *z, *dz;         /* [rows, d] */
    float **averages;      /* one for each of learner_tensors(); NULL: none */
};

static void make_averages(struct train_step *s)
{
    size_t n;
    const struct learner_tensor *t = learner_tensors(s->learner, &n);
    s->averages = mem_new(n, sizeof *s->averages);
    for (size_t i = 0; s->ema > 0 && i < n; i++)
        if (strncmp(t[i].name, "head.", 5) != 0)
            s->averages[i] = mem_dup(t[i].data, t[i].count * sizeof(float));
}

static struct learner_options learner_options_of(const struct train_config *c, size_t rows, const char *picks)
{
    struct learner_options o = {.precision = c->precision, .backend = c->backend, .batch = rows, .n_head = c->n_head,
                                .freeze_norm = c->freeze_norm, .freeze_stages = c->freeze_stages,
                                .head_rate = c->head_rate, .seed = c->seed, .picks = picks};
    memcpy(o.head, c->head, sizeof o.head);
    return o;
}

struct train_step *train_step_new(const struct train_config *c, const struct model *m, const char *picks,
                                  struct err *e)
{
    struct train_step *s = mem_new(1, sizeof *s);
    size_t n;

    *s = (struct train_step){.rows = c->batch * c->views, .clip_norm = c->clip_norm, .ema = c->ema};
    s->chunk = c->chunk && c->chunk < s->rows ? c->chunk : s->rows;
    s->pixels = (size_t)m->pre.size * m->pre.size * 3;
    const struct learner_options o = learner_options_of(c, s->chunk, picks);
    s->learner = learner_new(m, &o, e);
    if (!s->learner)
        goto failed;
    s->d = learner_outputs(s->learner);
    s->z = mem_aligned(s->rows * s->d, sizeof *s->z);
    s->dz = mem_aligned(s->rows * s->d, sizeof *s->dz);
    make_averages(s);
    s->loss = loss_new(c->objective, &c->settings, &(struct loss_shape){.n = s->rows, .d = s->d}, e);
    if (!s->loss)
        goto failed;
    const struct parameter *p = learner_parameters(s->learner, &n);
    s->optimizer = optimizer_new(&c->optimizer, p, n, e);
    if (s->optimizer)
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
        learner_tensors(s->learner, &n);
    for (size_t i = 0; i < n; i++)
        free(s->averages[i]);
    free(s->averages);
    optimizer_free(s->optimizer);
    loss_free(s->loss);
    learner_free(s->learner);
    free(s->z);
    free(s->dz);
    free(s);
}

/* ---- a step ---- */

static bool forward(struct train_step *s, const struct batch *b, size_t row, struct err *e)
{
    return learner_forward(s->learner, b->pixels + row * s->pixels, s->z + row * s->d, e);
}

/* z and dz of all rows; only with one chunk the network still holds what the way back needs. */
static bool measure(struct train_step *s, const struct batch *b, struct step_report *out, struct err *e)
{
    for (size_t row = 0; row < s->rows; row += s->chunk)
        if (!forward(s, b, row, e))
            return false;
    struct loss_report r = loss_run(s->loss, &(struct loss_batch){.z = s->z, .groups = b->groups, .n = s->rows, .d = s->d}, s->dz);
    out->loss = r.loss;
    out->active = r.active;
    out->anchors = r.anchors;
    out->std = unit_std(s->z, s->rows, s->d);
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
    const struct learner_tensor *t = learner_tensors(s->learner, &n);
    double steps = (double)*optimizer_steps(s->optimizer), keep = fmin(s->ema, steps / (steps + 1));
    for (size_t i = 0; i < n; i++)
        if (s->averages[i])
            ema_update(s->averages[i], t[i].data, t[i].count, keep);
}

bool train_step_run(struct train_step *s, const struct batch *b, double learning_rate, struct step_report *out,
                    struct err *e)
{
    *out = (struct step_report){0};
    if (!measure(s, b, out, e) || !backward(s, b, e))
        return false;
    out->gradient_norm = optimizer_clip(s->optimizer, s->clip_norm);
    if (!isfinite(out->loss) || !isfinite(out->gradient_norm))
        return true; /* weights stay as they were: the caller decides */
    optimizer_step(s->optimizer, learning_rate);
    if (s->ema > 0)
        average(s);
    return true;
}

/* ---- in and out ---- */

static void swap_averages(struct train_step *s)
{
    size_t n;
    const struct learner_tensor *t = learner_tensors(s->learner, &n);
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

size_t train_step_outputs(const struct train_step *s)
{
    return s->d;
}
