/* trainer.c - the loop. */
#include "engine/training/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "engine/training/trainer_parts.h"

enum {
    RATE_STEPS = 20, /* the rate that is told is an average over about so many */
    TIME_PARTS = 12  /* of `max_minutes`: after each the run is judged and saved, however many steps were planned */
};

/* Part of the time that may be spent; 0 without a limit. */
static double time_spent(const struct trainer *t)
{
    return t->c->max_minutes > 0 ? t->state.seconds / (60 * t->c->max_minutes) : 0;
}

/* A part of the time has ended since so much of it was spent. */
static bool part_ended(const struct trainer *t, double spent)
{
    return floor(TIME_PARTS * fmin(time_spent(t), 1)) > floor(TIME_PARTS * spent);
}

static double learning_rate(const struct trainer *t)
{
    uint64_t by_time = (uint64_t)(fmin(time_spent(t), 1) * (double)t->total);
    uint64_t at = by_time > t->state.step ? by_time : t->state.step;
    return schedule_cosine(at, t->warmup, t->total, t->c->learning_rate, t->c->learning_rate * t->c->end_rate);
}

static void tell_progress(struct trainer *t, double loss, double rate)
{
    double steps_left = (double)(t->total - t->state.step), batch = (double)t->c->batch;
    double left = rate > 0 ? steps_left * batch / rate : 0, allowed = 60 * t->c->max_minutes - t->state.seconds;
    struct train_progress p = {"training", t->state.step, t->total,
                               loss,       rate,          t->c->max_minutes > 0 ? fmin(left, fmax(allowed, 0)) : left};
    if (t->o->progress)
        t->o->progress(&p, t->o->context);
}

/* One step; *found: what the watch says of it. */
static bool run_step(struct trainer *t, double *rate, enum watch_finding *found, struct err *e)
{
    struct step_report r;
    double start = clock_s(), lr = learning_rate(t);
    const struct batch *b = loader_take(t->loader, e);
    if (!b || !train_step_run(t->step, b, lr, &r, e))
        return false;
    loader_give_back(t->loader, b);
    double seconds = clock_s() - start, now = (double)t->c->batch / fmax(seconds, 1e-9);
    *rate = *rate > 0 ? *rate + (now - *rate) / RATE_STEPS : now;
    t->state.seconds += seconds;
    *found = watch_step(&t->watch, t->state.step, &r);
    t->state.step++;
    bool last = t->state.step == t->total || time_spent(t) >= 1 || *found == WATCH_DIVERGED;
    if (last || t->state.step % t->log_every == 0)
        trainer_log_step(t, &r, lr, *rate);
    if (*found != WATCH_FINE)
        trainer_log_warning(t, watch_code(*found), t->watch.message);
    tell_progress(t, r.loss, *rate);
    if (t->o->pace)
        t->o->pace(seconds, t->o->context);
    return true;
}

static bool over(const struct trainer *t, enum train_end *end)
{
    if (t->state.step >= t->total)
        *end = TRAIN_DONE;
    else if (t->c->max_minutes > 0 && time_spent(t) >= 1)
        *end = TRAIN_MAX_MINUTES;
    else if (t->o->stop && t->o->stop(t->o->context))
        *end = TRAIN_STOPPED;
    else
        return false;
    return true;
}

/* A network that gives a picture no direction at all is as dead as one of NaN. */
static bool judge_now(struct trainer *t, bool *dead, struct err *e)
{
    struct err why = {0};
    if (trainer_judge(t, &why))
        return true;
    *dead = why.code == ERR_UNDECODABLE && t->state.step > 0;
    if (!*dead)
        return err_move(e, &why);
    snprintf(t->watch.message, sizeof t->watch.message, "%.160s: lower the learning rate", why.text);
    trainer_log_warning(t, watch_code(WATCH_DIVERGED), t->watch.message);
    return true;
}

static bool run_steps(struct trainer *t, enum train_end *end, struct err *e)
{
    double rate = 0;
    while (!over(t, end)) {
        enum watch_finding found;
        bool dead = false;
        double spent = time_spent(t);
        if (!run_step(t, &rate, &found, e))
            return false;
        bool part = part_ended(t, spent);
        if (found != WATCH_DIVERGED && (part || t->state.step % t->evaluate_every == 0) && !judge_now(t, &dead, e))
            return false;
        if (found == WATCH_DIVERGED || dead) {
            *end = TRAIN_DIVERGED;
            return true;
        }
        if ((part || t->state.step % t->checkpoint_every == 0) && !trainer_save_checkpoint(t, e))
            return false;
    }
    return true;
}

static bool run(struct trainer *t, struct train_outcome *out, struct err *e)
{
    bool dead = false;
    if ((t->state.step == 0 && !trainer_judge(t, e)) || !run_steps(t, &out->end, e))
        return false;
    if (train_end_is_whole(out->end) && t->judged_step != t->state.step && !judge_now(t, &dead, e))
        return false;
    if (dead)
        out->end = TRAIN_DIVERGED;
    /* A network of NaN is nothing to go on from. */
    if (out->end != TRAIN_DIVERGED && !trainer_save_checkpoint(t, e))
        return false;
    return trainer_finish(t, out, e);
}

bool trainer_run(const struct trainer_options *o, struct train_outcome *out, struct err *e)
{
    struct trainer t = {.lock_fd = -1, .log = {.fd = -1}};
    *out = (struct train_outcome){.score = "recall@1"};
    bool ok = trainer_open(&t, o, e) && run(&t, out, e);
    trainer_close(&t);
    return ok;
}
