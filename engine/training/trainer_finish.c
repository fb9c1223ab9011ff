/* trainer_finish.c - the end of a run: what it came to, in files and in words. */
#include <stdio.h>

#include "base/file.h"
#include "engine/training/report.h"
#include "engine/training/run_folder.h"
#include "engine/training/trainer_parts.h"

enum { SHEET_ROWS = 12 };

struct verdict { /* on the first and the best model */
    struct judgement before, after;
    struct interval gain;
    struct buf sheet; /* PNG */
};

static bool judge_file(struct trainer *t, const char *name, struct judgement *out, struct err *e)
{
    char path[PATH_MAX];
    struct model *m = model_load(path_join(path, t->c->out, "%s", name), NULL, e);
    bool ok = m && judge_run_thoroughly(t->judge, m, out, e);
    model_free(m);
    return ok || err_wrap(e, "judging %s", name);
}

static bool reach_verdict(struct trainer *t, struct verdict *v, struct err *e)
{
    if (!judge_file(t, RUN_FIRST, &v->before, e) || !judge_file(t, RUN_BEST, &v->after, e))
        return false;
    v->gain = judge_gain(&v->before, &v->after);
    return judge_sheet(t->judge, &v->before, &v->after, SHEET_ROWS, &v->sheet, e);
}

static void describe(const struct trainer *t, const struct verdict *v, struct train_outcome *out)
{
    unsigned long long step = (unsigned long long)out->step, best = (unsigned long long)out->best_step;

    out->score = v->before.labelled ? "recall@1" : "instance_recall@1";
    out->before = v->before.score;
    out->after = v->after.score;
    out->gain_low = v->gain.low;
    if (out->end == TRAIN_STOPPED)
        snprintf(out->message, sizeof out->message, "stopped after step %llu of %llu; --resume goes on from there",
                 step, (unsigned long long)t->total);
    else if (out->end == TRAIN_DIVERGED)
        snprintf(out->message, sizeof out->message, "stopped: %.200s", t->watch.message);
    else
        snprintf(out->message, sizeof out->message,
                 "%s %.4f before, %.4f after (gain %+.4f, from %+.4f to %+.4f in 95 %%; best at step %llu of %llu)",
                 out->score, out->before, out->after, v->gain.mean, v->gain.low, v->gain.high, best, step);
}

static bool keep_sheet(const struct trainer *t, const struct verdict *v, struct err *e)
{
    char path[PATH_MAX];
    return file_replace(path_join(path, t->c->out, RUN_SHEET), v->sheet.data, v->sheet.len, e);
}

/* The weights as they are at the end; those of a run that diverged are nothing to keep. */
static bool keep_last(struct trainer *t, struct err *e)
{
    train_step_export(t->step, t->model);
    return trainer_save_model(t, RUN_LAST, NULL, e);
}

bool trainer_finish(struct trainer *t, struct train_outcome *out, struct err *e)
{
    struct verdict v = {0};
    bool whole = train_end_is_whole(out->end), judged = out->end != TRAIN_STOPPED;
    bool ok = (!whole || keep_last(t, e)) && (!judged || reach_verdict(t, &v, e));

    out->step = t->state.step;
    out->best_step = t->state.best_step;
    describe(t, &v, out);
    if (ok)
        trainer_log_end(t, out, judged ? &v.before : NULL, judged ? &v.after : NULL, &v.gain);
    ok = ok && (!judged || keep_sheet(t, &v, e)) && report_write(t->c->out, NULL, e);
    judgement_clear(&v.before);
    judgement_clear(&v.after);
    buf_clear(&v.sheet);
    return ok;
}
