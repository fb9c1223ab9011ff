/* trainer_models.c - judging a run's weights, and putting them into files. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/training/run_folder.h"
#include "engine/training/trainer_parts.h"

/* What the model came from, for whoever finds the file later; no paths. */
static char *lineage(const struct trainer *t, const struct judgement *j)
{
    struct buf text = {0};
    struct json_writer w = jw_to(&text);
    jw_object(&w, NULL);
    jw_text(&w, "objective", t->c->objective->name);
    jw_text(&w, "augmentation", t->c->recipe);
    jw_int(&w, "step", (int64_t)t->state.step);
    jw_real(&w, "epoch", trainer_epoch(t));
    jw_int(&w, "batch_size", (int64_t)t->c->batch);
    jw_int(&w, "seed", (int64_t)t->c->seed);
    jw_object(&w, "data");
    jw_int(&w, "images", (int64_t)t->trained_on);
    jw_int(&w, "held_out", (int64_t)t->held_out);
    jw_int(&w, "labels", (int64_t)t->labels);
    jw_text(&w, "digest", t->ground.pictures);
    jw_end(&w);
    if (j)
        judgement_write(j, &w, "metrics");
    jw_end(&w);
    return buf_take(&text, NULL);
}

bool trainer_save_model(struct trainer *t, const char *name, const struct judgement *j, struct err *e)
{
    struct model *m = t->model;
    char path[PATH_MAX];

    m->trained = m->trained || t->state.step > 0;
    m->created_at = clock_unix();
    memcpy(m->parent, t->parent, sizeof m->parent);
    free(m->lineage);
    m->lineage = lineage(t, j);
    return encoder_make_goldens(m, e) && model_save(m, path_join(path, t->c->out, "%s", name), e);
}

/* The model as it came is what the best one is compared with in the end: it sees pictures by its own fit. */
static bool keep_first(struct trainer *t, const struct judgement *j, struct err *e)
{
    if (t->first.fit == t->pre.fit)
        return trainer_save_model(t, RUN_FIRST, j, e);
    t->model->pre = t->first;
    model_seal(t->model);
    const bool ok = trainer_save_model(t, RUN_FIRST, j, e);
    t->model->pre = t->pre;
    model_seal(t->model);
    return ok;
}

static bool judge_and_keep(struct trainer *t, struct judgement *j, struct err *e)
{
    if (!judge_run(t->judge, t->model, j, e))
        return false;
    bool best = j->score > t->state.best_score;
    if (best) {
        t->state.best_score = j->score;
        t->state.best_step = t->state.step;
    }
    trainer_log_evaluation(t, j, best);
    if (t->state.step == 0 && !keep_first(t, j, e))
        return false;
    return !best || trainer_save_model(t, RUN_BEST, j, e);
}

bool trainer_judge(struct trainer *t, struct err *e)
{
    struct judgement j = {0};
    const struct train_progress p = {.doing = "judging", .done = t->state.step, .all = t->total};
    if (t->o->progress)
        t->o->progress(&p, t->o->context);
    train_step_export(t->step, t->model);
    bool ok = judge_and_keep(t, &j, e);
    judgement_clear(&j);
    t->judged_step = t->state.step;
    return ok || err_wrap(e, "judging step %llu", (unsigned long long)t->state.step);
}

bool trainer_save_checkpoint(struct trainer *t, struct err *e)
{
    if (t->saved_step == t->state.step)
        return true;
    char path[PATH_MAX];
    path_join(path, t->c->out, RUN_CHECKPOINT);
    if (!checkpoint_save(path, &t->state, t->c, &t->ground, t->step, e))
        return err_wrap(e, "the checkpoint of step %llu (the one before it is whole)",
                        (unsigned long long)t->state.step);
    t->saved_step = t->state.step;
    trainer_log_checkpoint(t);
    return true;
}
