/* job_plan.c - what "auto" comes to, and the configuration of a job's run.
 *
 * The profile is that of fine-tuning on a processor (AdamW, batch norms frozen, clipped gradients, averaged weights); a model with
 * random weights gets that of training from scratch.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jobs/job_settings.h"
#include "base/num.h"

enum { AUTO_BATCH = 64, AUTO_STEPS = 1000, AUTO_EPOCHS_MOST = 100, EVALUATIONS = 12, EACH_LABEL = 4, LEAST_BATCH = 4 };

struct plan { /* the values, settled */
    int64_t epochs, batch, per_label;
    double rate, minutes;
    const char *recipe, *freeze, *positives;
};

/* The text, or NULL for auto. */
static const char *text_of(const struct json *values, const char *key)
{
    const char *text = json_as_text(json_member(values, key), NULL);
    return text && strcmp(text, "auto") != 0 ? text : NULL;
}

/* Leaves *out alone for auto. */
static void number_of(const struct json *values, const char *key, double *out)
{
    double x;
    if (json_as_number(json_member(values, key), &x))
        *out = x;
}

/* P x K batches: the largest K that the batch and the labels allow. */
static int64_t images_of_a_label(int64_t batch, size_t labels)
{
    for (int64_t k = EACH_LABEL; k >= 2; k--)
        if (batch % k == 0 && (size_t)(batch / k) <= labels && batch / k >= 2)
            return k;
    return 0;
}

static bool settle_batch(struct plan *p, const struct json *values, const struct job_ground *g, struct err *e)
{
    bool by_labels = strcmp(p->positives, "labels") == 0;
    double batch = 0;
    /* Held-out pictures are not trained on: a tenth, or two of each label. */
    size_t most = by_labels ? min_size(AUTO_BATCH, g->labels * EACH_LABEL) : min_size(AUTO_BATCH, g->images / 2);
    number_of(values, "batch_size", &batch);
    p->batch = batch > 0 ? (int64_t)batch : (int64_t)most;
    p->per_label = by_labels ? images_of_a_label(p->batch, g->labels) : 0;
    if (p->batch < LEAST_BATCH)
        return err_set(e, ERR_BAD_INPUT, "%zu pictures are too few to train on", g->images);
    return true;
}

static bool settle(struct plan *p, const struct json *values, const struct job_ground *g, struct err *e)
{
    const char *positives = text_of(values, "positives");
    p->positives = positives ? positives : g->labels >= 2 ? "labels" : "views";
    if (!settle_batch(p, values, g, e))
        return false;
    double steps = fmax(1, floor(0.9 * (double)g->images / (double)p->batch)), epochs = round(AUTO_STEPS / steps);
    epochs = fmin(fmax(epochs, 1), AUTO_EPOCHS_MOST);
    number_of(values, "n_epochs", &epochs);
    p->epochs = (int64_t)epochs;
    p->rate = g->trained ? 1e-4 : 1e-3;
    number_of(values, "learning_rate", &p->rate);
    p->minutes = g->max_minutes;
    number_of(values, "max_minutes", &p->minutes);
    p->recipe = text_of(values, "augmentation");
    if (!p->recipe)
        p->recipe = strcmp(p->positives, "labels") == 0 ? "finetune" : "finetune-views";
    p->freeze = text_of(values, "freeze");
    if (!p->freeze)
        p->freeze = g->trained ? "norm" : "none";
    return true;
}

/* ---- the objective's own, those that are not auto ---- */

static void write_own(struct json_writer *w, const struct job *j, const struct json *values, const struct plan *p)
{
    for (size_t i = 0; i < j->objective->n_settings; i++) {
        const struct setting *s = &j->objective->settings[i];
        const struct json *v = json_member(values, s->name);
        double x;
        bool flag;
        if (strcmp(s->name, "positives") == 0)
            jw_text(w, s->name, p->positives);
        else if (json_as_number(v, &x))
            job_settings_number(w, s->name, x);
        else if (json_as_bool(v, &flag))
            jw_bool(w, s->name, flag);
        else if (text_of(values, s->name))
            jw_text(w, s->name, text_of(values, s->name));
    }
}

/* "norm" is 0 stages with frozen batch norms, "stem" 1, "stage4" 5. */
static void write_freeze(struct json_writer *w, const char *freeze)
{
    static const char *const stages[] = {"norm", "stem", "stage1", "stage2", "stage3", "stage4"};
    for (size_t i = 0; i < COUNT(stages); i++)
        if (strcmp(freeze, stages[i]) == 0) {
            jw_bool(w, "freeze_norm", true);
            jw_int(w, "freeze_stages", (int64_t)i);
        }
}

static void write_optimizer(struct json_writer *w, const struct plan *p, bool trained)
{
    jw_object(w, "optimizer");
    jw_text(w, "type", "adamw");
    job_settings_number(w, "learning_rate", p->rate);
    job_settings_number(w, "weight_decay", 1e-4);
    job_settings_number(w, "head_rate", trained ? 10 : 1);
    job_settings_number(w, "warmup", 0.05);
    job_settings_number(w, "end_rate", 0.01);
    jw_end(w);
}

/* A trained encoder keeps its space: one linear layer is enough; a fresh one wants something to throw away. */
static void write_head(struct json_writer *w, bool trained)
{
    jw_array(w, "head");
    if (!trained) {
        jw_object(w, NULL);
        jw_int(w, "outputs", 512);
        jw_bool(w, "norm", true);
        jw_bool(w, "relu", true);
        jw_end(w);
    }
    jw_object(w, NULL);
    jw_int(w, "outputs", 128);
    jw_end(w);
    jw_end(w);
}

static void write_paths(struct json_writer *w, const struct job_ground *g)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/manifest.jsonl", g->folder);
    jw_text(w, "manifest", path);
    jw_text(w, "out", g->folder);
    jw_text(w, "model", g->model);
    snprintf(path, sizeof path, "%s/validation.jsonl", g->folder);
    jw_text(w, "validation", g->validation ? path : NULL);
}

static void write_config(const struct job *j, const struct job_ground *g, const struct plan *p, const struct json *values,
                         struct buf *out)
{
    struct json_writer w = jw_to(out);
    int64_t steps = (int64_t)fmax(1, floor(0.9 * (double)g->images / (double)p->batch)) * p->epochs;
    int64_t every = steps / EVALUATIONS > 10 ? steps / EVALUATIONS : 10;
    jw_object(&w, NULL);
    write_paths(&w, g);
    jw_object(&w, "method");
    jw_text(&w, "type", j->objective->name);
    jw_object(&w, j->objective->name);
    write_own(&w, j, values, p);
    jw_end(&w);
    jw_end(&w);
    jw_text(&w, "augmentation", p->recipe);
    jw_int(&w, "batch_size", p->batch);
    jw_int(&w, "per_label", p->per_label);
    jw_int(&w, "epochs", p->epochs);
    job_settings_number(&w, "max_minutes", p->minutes);
    write_optimizer(&w, p, g->trained);
    write_head(&w, g->trained);
    write_freeze(&w, p->freeze);
    job_settings_number(&w, "clip_norm", 1);
    job_settings_number(&w, "ema", 0.99);
    jw_int(&w, "evaluate_every", every);
    jw_int(&w, "checkpoint_every", every);
    jw_int(&w, "seed", (int64_t)j->seed);
    jw_int(&w, "threads", (int64_t)g->threads);
    jw_end(&w);
}

static void write_settled(const struct job *j, const struct plan *p, const struct json *values, struct buf *out)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    jw_int(&w, "n_epochs", p->epochs);
    jw_int(&w, "batch_size", p->batch);
    job_settings_number(&w, "learning_rate", p->rate);
    job_settings_number(&w, "max_minutes", p->minutes);
    jw_text(&w, "augmentation", p->recipe);
    jw_text(&w, "freeze", p->freeze);
    write_own(&w, j, values, p);
    jw_end(&w);
}

bool job_plan(const struct job *j, const struct job_ground *g, struct buf *config, struct buf *settled, struct err *e)
{
    struct plan p;
    struct json *values = json_parse(j->hyperparameters, strlen(j->hyperparameters), 0, e);
    bool ok = values && settle(&p, values, g, e);
    if (ok) {
        write_config(j, g, &p, values, config);
        write_settled(j, &p, values, settled);
    }
    json_free(values);
    return ok;
}
