/* job_plan.c - the configuration of a job's run, and its hyper-parameters once none is "auto". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jobs/job_settings.h"
#include "base/file.h"
#include "engine/training/run_folder.h"

/* ---- parts of a configuration ---- */

static void write_own(struct json_writer *w, const struct train_config *c)
{
    for (size_t i = 0; i < c->objective->n_settings; i++)
        setting_write(&c->objective->settings[i], &c->settings, w);
}

static void write_optimizer(struct json_writer *w, const struct train_config *c)
{
    jw_object(w, "optimizer");
    jw_text(w, "type", optimizer_names[c->optimizer.kind]);
    jw_short(w, "learning_rate", c->learning_rate);
    jw_short(w, "weight_decay", c->optimizer.weight_decay);
    jw_short(w, "head_rate", c->head_rate);
    jw_short(w, "warmup", c->warmup);
    jw_short(w, "end_rate", c->end_rate);
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
static void write_crops(struct json_writer *w, const struct crops *crops)
{
    if (!crops->n)
        return;
    jw_array(w, "crops");
    for (size_t i = 0; i < crops->n; i++) {
        jw_object(w, NULL);
        jw_int(w, "count", (int64_t)crops->groups[i].count);
        jw_end(w);
    }
    jw_end(w);
}

static void write_paths(struct json_writer *w, const struct train_ground *g)
{
    char path[PATH_MAX];
    jw_text(w, "manifest", path_join(path, g->folder, RUN_MANIFEST));
    jw_text(w, "out", g->folder);
    jw_text(w, "model", g->model);
    path_join(path, g->folder, RUN_VALIDATION);
    jw_text(w, "validation", g->validation ? path : NULL);
}

static void write_method(struct json_writer *w, const struct train_config *c)
{
    jw_object(w, "method");
    jw_text(w, "type", c->objective->name);
    jw_object(w, c->objective->name);
    write_own(w, c);
    jw_end(w);
    jw_end(w);
}

/* ---- the two texts ---- */

static void write_config(const struct job *j, const struct train_ground *g, const struct train_config *c,
                         struct buf *out)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    write_paths(&w, g);
    write_method(&w, c);
    jw_text(&w, "augmentation", c->recipe);
    write_crops(&w, &c->crops);
    jw_int(&w, "batch_size", (int64_t)c->batch);
    jw_int(&w, "per_label", (int64_t)c->per_label);
    jw_int(&w, "epochs", (int64_t)c->epochs);
    jw_short(&w, "max_minutes", c->max_minutes);
    write_optimizer(&w, c);
    write_layers(&w, "head", c->head, c->n_head);
    write_layers(&w, "predictor", c->predictor, c->n_predictor);
    if (c->freeze_norm) {
        jw_bool(&w, "freeze_norm", true);
        jw_int(&w, "freeze_stages", c->freeze_stages);
    }
    if (c->fit >= 0)
        jw_text(&w, "fit", fit_names[c->fit]);
    jw_short(&w, "clip_norm", c->clip_norm);
    jw_short(&w, "ema", c->ema);
    jw_short(&w, "held_out", c->held_out);
    jw_int(&w, "evaluate_every", (int64_t)c->evaluate_every);
    jw_int(&w, "checkpoint_every", (int64_t)c->checkpoint_every);
    jw_int(&w, "seed", (int64_t)j->seed);
    jw_int(&w, "threads", (int64_t)g->threads);
    jw_end(&w);
}

static void write_settled(const struct train_config *c, struct buf *out)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    jw_int(&w, "n_epochs", (int64_t)c->epochs);
    jw_int(&w, "batch_size", (int64_t)c->batch);
    jw_text(&w, "optimizer", optimizer_names[c->optimizer.kind]);
    jw_short(&w, "learning_rate", c->learning_rate);
    jw_short(&w, "max_minutes", c->max_minutes);
    jw_text(&w, "augmentation", c->recipe);
    jw_text(&w, "freeze", freeze_names[c->freeze_norm ? c->freeze_stages + 1 : 0]);
    if (c->fit >= 0)
        jw_text(&w, "fit", fit_names[c->fit]);
    if (c->objective->multicrop)
        jw_int(&w, "small_crops", c->crops.n ? (int64_t)c->crops.groups[1].count : 0);
    write_own(&w, c);
    jw_end(&w);
}

bool job_plan(const struct job *j, const struct train_ground *g, struct buf *config, struct buf *settled, struct err *e)
{
    struct train_config c;
    struct train_asked asked;
    struct json *values = json_parse(j->hyperparameters, strlen(j->hyperparameters), 0, e);
    if (values)
        job_settings_read(values, &asked);
    bool ok = values && train_auto(&c, j->objective, g, &asked, e);
    if (ok && config)
        write_config(j, g, &c, config);
    if (ok && settled)
        write_settled(&c, settled);
    json_free(values);
    return ok;
}
