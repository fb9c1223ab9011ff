/* trainer_events.c - the lines of a run's log. */
#include <stdio.h>

#include "base/clock.h"
#include "engine/training/trainer_parts.h"

static struct json_writer *begin(struct trainer *t, enum run_event event)
{
    struct json_writer *w = run_log_begin(&t->log, event);
    jw_int(w, "step", (int64_t)t->state.step);
    return w;
}

void trainer_log_start(struct trainer *t)
{
    struct json_writer *w = begin(t, EVENT_START);
    size_t n, parameters = 0;
    const struct parameter *p = learner_parameters(train_step_learner(t->step), &n);
    for (size_t i = 0; i < n; i++)
        parameters += p[i].count;
    jw_int(w, "time", clock_unix());
    jw_text(w, "method", t->c->objective->name);
    jw_text(w, "arch", arch_text(&t->model->arch, ARCH_TEXT_TITLE).text);
    jw_int(w, "size", t->model->pre.size);
    jw_text(w, "model", t->model->fingerprint);
    jw_int(w, "parameters", (int64_t)parameters);
    jw_int(w, "memory_bytes", (int64_t)train_step_memory(t->step));
    jw_int(w, "images", (int64_t)t->trained_on);
    jw_int(w, "held_out", (int64_t)t->held_out);
    jw_int(w, "left_out", (int64_t)t->left_out);
    jw_int(w, "labels", (int64_t)t->labels);
    jw_int(w, "damaged", (int64_t)dataset_damaged(t->dataset));
    jw_int(w, "steps", (int64_t)t->total);
    jw_int(w, "steps_per_epoch", (int64_t)t->per_epoch);
    jw_int(w, "threads", (int64_t)t->ground.threads);
    jw_text(w, "precision", t->ground.precision);
    jw_text(w, "backend", t->ground.backend);
    jw_text(w, "processor", t->ground.processor);
    jw_raw(w, "picks", learner_picks(train_step_learner(t->step)));
    jw_raw(w, "config", t->c->text);
    run_log_end(&t->log);
}

void trainer_log_resume(struct trainer *t)
{
    jw_int(begin(t, EVENT_RESUME), "time", clock_unix());
    run_log_end(&t->log);
}

void trainer_log_step(struct trainer *t, const struct step_report *r, double learning_rate, double rate)
{
    struct json_writer *w = begin(t, EVENT_STEP);
    jw_short(w, "epoch", trainer_epoch(t));
    jw_short(w, "loss", r->loss);
    jw_short(w, "active", r->active);
    jw_int(w, "anchors", (int64_t)r->anchors);
    jw_short(w, "learning_rate", learning_rate);
    jw_short(w, "gradient_norm", r->gradient_norm);
    jw_short(w, "std", r->std);
    jw_short(w, "dimensions", r->dimensions);
    jw_short(w, "images_per_second", rate);
    jw_short(w, "seconds", t->state.seconds);
    run_log_end(&t->log);
}

void trainer_log_evaluation(struct trainer *t, const struct judgement *j, bool best)
{
    struct json_writer *w = begin(t, EVENT_EVALUATION);
    jw_short(w, "epoch", trainer_epoch(t));
    jw_short(w, "seconds", t->state.seconds);
    judgement_write(j, w, "figures");
    jw_bool(w, "best", best);
    run_log_end(&t->log);
}

void trainer_log_checkpoint(struct trainer *t)
{
    begin(t, EVENT_SAVED);
    run_log_end(&t->log);
}

void trainer_log_warning(struct trainer *t, const char *code, const char *message)
{
    struct json_writer *w = begin(t, EVENT_WARNING);
    jw_text(w, "code", code);
    jw_text(w, "message", message);
    run_log_end(&t->log);
}

void trainer_log_end(struct trainer *t, const struct train_outcome *out, const struct judgement *before,
                     const struct judgement *after, const struct interval *gain)
{
    struct json_writer *w = begin(t, EVENT_END);
    jw_text(w, "reason", train_end_name(out->end));
    jw_short(w, "seconds", t->state.seconds);
    jw_int(w, "best_step", (int64_t)out->best_step);
    jw_int(w, "left_out", (int64_t)t->left_out);
    if (before && after) {
        judgement_write(before, w, "before");
        judgement_write(after, w, "after");
        jw_object(w, "gain");
        jw_short(w, "mean", gain->mean);
        jw_short(w, "low", gain->low);
        jw_short(w, "high", gain->high);
        jw_end(w);
        struct err why = {0};
        jw_bool(w, "certain", judge_may_promote(before, after, &why)); /* enough for `if_better` */
        jw_text(w, "doubt", why.code ? why.text : NULL);
    }
    jw_text(w, "message", out->message);
    run_log_end(&t->log);
}
