/* job_plan.c - the configuration of a job's run, and its hyper-parameters once none is "auto". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jobs/job_auto.h"
#include "base/file.h"
#include "base/num.h"
#include "engine/training/run_folder.h"

enum { EVALUATIONS = 12, LEAST_STEPS = 10 };

/* ---- parts of a configuration ---- */

static void write_own(struct json_writer *w, const struct objective *o, const struct objective_settings *settings)
{
    for (size_t i = 0; i < o->n_settings; i++)
        setting_write(&o->settings[i], settings, w);
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

static void write_optimizer(struct json_writer *w, const struct objective_profile *p)
{
    jw_object(w, "optimizer");
    jw_text(w, "type", p->optimizer);
    job_settings_number(w, "learning_rate", p->learning_rate);
    job_settings_number(w, "weight_decay", p->weight_decay);
    job_settings_number(w, "head_rate", p->head_rate);
    job_settings_number(w, "warmup", p->warmup);
    job_settings_number(w, "end_rate", 0.01);
    jw_end(w);
}

static void write_layers(struct json_writer *w, const char *key, const struct head_layer *layers, size_t n)
{
    jw_array(w, key);
    for (size_t i = 0; i < n; i++) {
        jw_object(w, NULL);
        if (layers[i].outputs)
            jw_int(w, "outputs", layers[i].outputs);
        jw_bool(w, "norm", layers[i].norm);
        jw_bool(w, "relu", layers[i].relu);
        jw_end(w);
    }
    jw_end(w);
}

/* Their sizes and areas are those of train_config.h. */
static void write_crops(struct json_writer *w, int64_t small)
{
    if (!small)
        return;
    jw_array(w, "crops");
    for (int group = 0; group < 2; group++) {
        jw_object(w, NULL);
        jw_int(w, "count", group ? small : 2);
        jw_end(w);
    }
    jw_end(w);
}

static void write_paths(struct json_writer *w, const struct job_ground *g)
{
    char path[PATH_MAX];
    jw_text(w, "manifest", path_join(path, g->folder, RUN_MANIFEST));
    jw_text(w, "out", g->folder);
    jw_text(w, "model", g->model);
    path_join(path, g->folder, RUN_VALIDATION);
    jw_text(w, "validation", g->validation ? path : NULL);
}

static void write_method(struct json_writer *w, const struct objective *o, const struct objective_settings *settings)
{
    jw_object(w, "method");
    jw_text(w, "type", o->name);
    jw_object(w, o->name);
    write_own(w, o, settings);
    jw_end(w);
    jw_end(w);
}

/* ---- the two texts ---- */

static void write_config(const struct job *j, const struct job_ground *g, const struct job_choices *c, struct buf *out)
{
    const struct objective_profile *p = &c->profile;
    struct json_writer w = jw_to(out);
    size_t steps = max_size(c->learned / (size_t)c->batch, 1) * (size_t)c->epochs,
           every = max_size(steps / EVALUATIONS, LEAST_STEPS);
    jw_object(&w, NULL);
    write_paths(&w, g);
    write_method(&w, j->objective, &p->settings);
    jw_text(&w, "augmentation", p->recipe);
    write_crops(&w, c->small_crops);
    jw_int(&w, "batch_size", c->batch);
    jw_int(&w, "per_label", c->per_label);
    jw_int(&w, "epochs", c->epochs);
    job_settings_number(&w, "max_minutes", c->minutes);
    write_optimizer(&w, p);
    write_layers(&w, "head", p->head.projector, p->head.n_projector);
    write_layers(&w, "predictor", p->head.predictor, p->head.n_predictor);
    write_freeze(&w, c->freeze);
    if (c->fit)
        jw_text(&w, "fit", c->fit);
    job_settings_number(&w, "clip_norm", 1);
    job_settings_number(&w, "ema", 0.99);
    job_settings_number(&w, "held_out", JOB_HELD_OUT);
    jw_int(&w, "evaluate_every", (int64_t)every);
    jw_int(&w, "checkpoint_every", (int64_t)every);
    jw_int(&w, "seed", (int64_t)j->seed);
    jw_int(&w, "threads", (int64_t)g->threads);
    jw_end(&w);
}

static void write_settled(const struct job *j, const struct job_choices *c, struct buf *out)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    jw_int(&w, "n_epochs", c->epochs);
    jw_int(&w, "batch_size", c->batch);
    jw_text(&w, "optimizer", c->profile.optimizer);
    job_settings_number(&w, "learning_rate", c->profile.learning_rate);
    job_settings_number(&w, "max_minutes", c->minutes);
    jw_text(&w, "augmentation", c->profile.recipe);
    jw_text(&w, "freeze", c->freeze);
    if (c->fit)
        jw_text(&w, "fit", c->fit);
    if (j->objective->multicrop)
        jw_int(&w, "small_crops", c->small_crops);
    write_own(&w, j->objective, &c->profile.settings);
    jw_end(&w);
}

bool job_plan(const struct job *j, const struct job_ground *g, struct buf *config, struct buf *settled, struct err *e)
{
    struct job_choices c;
    struct json *values = json_parse(j->hyperparameters, strlen(j->hyperparameters), 0, e);
    bool ok = values && job_choose(j, g, values, &c, e);
    if (ok && config) {
        write_config(j, g, &c, config);
        write_settled(j, &c, settled);
    }
    json_free(values);
    return ok;
}
