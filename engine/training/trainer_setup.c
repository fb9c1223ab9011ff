/* trainer_setup.c - everything that a run needs before its first step. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/cores.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/data/preview.h"
#include "engine/kernels/gemm.h"
#include "engine/training/run_folder.h"
#include "engine/training/trainer_parts.h"

enum { EVALUATIONS_MOST = 50, /* in a run that says nothing else */ PICKS_MAX = 1 << 20, LOCK_PAUSE_US = 50000 };

/* ---- the folder ---- */

/* A process that was killed holds its folder until it is gone. */
static int lock_folder(const char *dir, double seconds, struct err *e)
{
    for (double until = clock_s() + seconds;; usleep(LOCK_PAUSE_US)) {
        struct err why = {0};
        int fd = file_lock_dir(dir, &why);
        if (fd >= 0)
            return fd;
        if (why.code != ERR_BUSY || clock_s() >= until) {
            err_move(e, &why);
            return -1;
        }
    }
}

static bool open_folder(struct trainer *t, struct checkpoint **checkpoint, struct err *e)
{
    char path[PATH_MAX];
    struct err why = {0};
    path_join(path, t->c->out, RUN_CHECKPOINT);
    bool ok = file_make_dirs(t->c->out, e) && (t->lock_fd = lock_folder(t->c->out, t->o->lock_seconds, e)) >= 0;
    if (ok && access(path, F_OK) == 0) {
        *checkpoint = checkpoint_open(path, &why);
        if (!t->o->resume)
            ok = err_set(e, ERR_CONFLICT, "%s holds a run already: go on with --resume, or choose another `out`",
                         t->c->out);
        else if (!*checkpoint)
            ok = err_move(e, &why);
    }
    return ok;
}

static bool begin_log(struct trainer *t, bool fresh, struct err *e)
{
    const char *out = t->c->out;
    char path[PATH_MAX];
    if (fresh) { /* what a run without a checkpoint left */
        unlink(path_join(path, out, RUN_LOG));
        unlink(path_join(path, out, RUN_SHEET));
    }
    return (!fresh || file_replace(path_join(path, out, RUN_CONFIG), t->c->text, strlen(t->c->text), e)) &&
           run_log_open(&t->log, path_join(path, out, RUN_LOG), t->o->listener, t->o->context, e);
}

/* ---- the model and the ground ---- */

static bool load_model(struct trainer *t, bool fresh, struct err *e)
{
    if (!fresh) {
        char path[PATH_MAX];
        t->model = model_load(path_join(path, t->c->out, RUN_FIRST), NULL, e);
        if (t->model)
            memcpy(t->parent, t->model->parent, sizeof t->parent);
        return t->model || err_wrap(e, "the model that the run began with");
    }
    if (t->c->model) {
        t->model = model_load(t->c->model, NULL, e);
        if (t->model && t->c->size)
            model_resize(t->model, t->c->size);
        if (t->model && t->model->trained)
            memcpy(t->parent, t->model->fingerprint, sizeof t->parent);
        return t->model || err_wrap(e, "`model`");
    }
    struct preprocess p = model_preprocess(&t->c->arch, t->c->size);
    if (t->c->fit >= 0)
        p = model_fit(&p, &t->c->arch, (enum fit)t->c->fit);
    t->model = model_new_random(&t->c->arch, &p, t->c->seed, e);
    return t->model != NULL;
}

static bool open_model(struct trainer *t, bool fresh, struct err *e)
{
    if (!load_model(t, fresh, e))
        return false;
    t->first = t->model->pre;
    if (t->c->fit >= 0)
        t->model->pre = model_fit(&t->first, &t->model->arch, (enum fit)t->c->fit);
    t->pre = t->model->pre;
    return true;
}

static bool find_ground(struct trainer *t, struct err *e)
{
    enum precision precision = t->c->precision;
    enum backend backend = t->c->backend;
    if (!backend_settle(&backend, &precision, e))
        return false;
    t->ground.threads = t->c->threads ? t->c->threads : cores_usable();
    snprintf(t->ground.precision, sizeof t->ground.precision, "%s", conf_precisions[precision]);
    snprintf(t->ground.backend, sizeof t->ground.backend, "%s", conf_backends[backend]);
    processor_describe(t->ground.processor);
    gemm_use_threads(t->ground.threads);
    t->pool = pool_new(
        &(struct pool_options){.name = "train", .threads = t->ground.threads, .capacity = t->ground.threads}, e);
    return t->pool != NULL;
}

/* ---- the pictures ---- */

static void tell_reading(size_t done, size_t all, void *context)
{
    const struct trainer *t = context;
    const struct train_progress p = {.doing = "reading", .done = done, .all = all};
    if (t->o->progress)
        t->o->progress(&p, t->o->context);
}

static uint32_t largest_size(const struct trainer *t)
{
    uint32_t size = t->model->pre.resize;
    for (size_t i = 0; i < t->crops.n; i++)
        size = t->crops.groups[i].size > size ? t->crops.groups[i].size : size;
    return size;
}

static struct dataset *read_pictures(struct trainer *t, struct manifest *m, struct err *e)
{
    const struct dataset_options o = {.size = largest_size(t),
                                      .memory = t->c->cache_bytes,
                                      .limits = t->o->limits,
                                      .pool = t->pool,
                                      .progress = tell_reading,
                                      .context = t};
    return dataset_open(m, &o, e);
}

static size_t count_labels(const struct manifest *m, size_t *with_two)
{
    size_t *count = mem_new(m->n_labels + 1, sizeof *count), labels = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].label != NO_LABEL && !m->items[i].held_out)
            count[m->items[i].label]++;
    *with_two = 0;
    for (size_t l = 0; l < m->n_labels; l++) {
        labels += count[l] > 0;
        *with_two += count[l] > 1;
    }
    free(count);
    return labels;
}

static size_t count_held_out(const struct manifest *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += m->items[i].held_out;
    return n;
}

static bool hold_out(struct trainer *t, struct err *e)
{
    struct manifest *m = t->o->manifest;
    bool by_labels = t->c->settings.positives == POSITIVES_LABELS;
    if (t->o->validation)
        return true;
    manifest_split(m, t->c->held_out, t->c->seed);
    if (count_held_out(m) == 0 && m->n_labels && !by_labels) {
        t->labels_forgotten = true;
        manifest_forget_labels(m);
        manifest_split(m, t->c->held_out, t->c->seed);
    }
    t->left_out = t->o->learned ? manifest_give_back(m, t->o->learned) : 0;
    if (t->left_out && count_held_out(m) == 0)
        return err_field(
            e, "held_out",
            "holds out only what an earlier stage learned from: keep `seed`, `held_out` and `data`, or name a "
            "`validation` folder");
    return count_held_out(m) > 0 ||
           err_set(e, ERR_BAD_INPUT,
                   "none of %zu pictures can be held out to judge by: %s, or name a `validation` folder", m->n,
                   by_labels ? "some label needs four different ones" : "there must be four different ones");
}

static bool check_labels(struct trainer *t, struct err *e)
{
    size_t with_two;
    t->labels = count_labels(t->o->manifest, &with_two);
    if (t->c->settings.positives != POSITIVES_LABELS)
        return true;
    if (t->labels < 2 && t->c->objective->needs_labels)
        return err_field(e, "method.type",
                         "is %s, which needs two labels or more, and there %s: one sub-folder for each label, or take "
                         "another method",
                         t->c->objective->name, t->labels ? "is one" : "is none");
    if (t->labels < 2)
        return err_set(e, ERR_BAD_INPUT,
                       "positives from labels need two labels or more, and there %s: one sub-folder for each "
                       "label, or take \"positives\": \"views\"",
                       t->labels ? "is one" : "is none");
    return with_two > 0 || t->c->objective->needs_labels ||
           err_set(e, ERR_BAD_INPUT,
                   "every label has one picture only, so no two are positives of each other: "
                   "take \"positives\": \"views\"");
}

/* The validation set without what is trained on. */
static bool open_validation(struct trainer *t, struct err *e)
{
    struct manifest *v = t->o->validation;
    t->left_out = manifest_leave_out(v, t->o->manifest) + (t->o->learned ? manifest_leave_out(v, t->o->learned) : 0);
    if (v->n < 2 && t->left_out)
        return err_field(e, "validation", "has %zu pictures, of which %zu are trained on: too few are left to judge by",
                         v->n + t->left_out, t->left_out);
    t->validation = read_pictures(t, v, e);
    return t->validation || err_wrap(e, "`validation`");
}

static bool open_pictures(struct trainer *t, struct err *e)
{
    struct manifest *m = t->o->manifest;
    t->crops = t->c->crops;
    crops_settle(&t->crops, t->model->pre.size);
    t->dataset = read_pictures(t, m, e);
    if (!t->dataset || !hold_out(t, e) || !check_labels(t, e))
        return false;
    if (t->o->validation && !open_validation(t, e))
        return false;
    t->held_out = t->validation ? t->o->validation->n : count_held_out(m);
    manifest_digest(m, t->ground.pictures);

    size_t *items = manifest_side(m, false, &t->trained_on);
    t->sampler = sampler_new(m, items, t->trained_on, t->c->batch, t->c->per_label, t->c->seed, e);
    free(items);
    return t->sampler != NULL;
}

/* ---- the rest ---- */

static void plan_steps(struct trainer *t)
{
    t->per_epoch = sampler_batches(t->sampler);
    t->total = t->c->steps ? t->c->steps : t->c->epochs * t->per_epoch;
    t->warmup = (uint64_t)(t->c->warmup * (double)t->total + 0.5);
    /* Each epoch, but not so often that judging costs more than training. */
    uint64_t standard = max_size(t->per_epoch, (t->total + EVALUATIONS_MOST - 1) / EVALUATIONS_MOST);
    t->evaluate_every = t->c->evaluate_every ? t->c->evaluate_every : standard;
    t->checkpoint_every = t->c->checkpoint_every ? t->c->checkpoint_every : standard;
    t->log_every = t->total < 2000 ? 1 : 10;
}

static bool open_judge(struct trainer *t, struct err *e)
{
    const struct judge_options o = {.manifest = t->o->manifest,
                                    .dataset = t->dataset,
                                    .validation = t->validation ? t->o->validation : NULL,
                                    .validation_dataset = t->validation,
                                    .pool = t->pool,
                                    .precision = t->c->precision,
                                    .backend = t->c->backend,
                                    .seed = t->c->seed};
    t->judge = judge_new(&o, e);
    return t->judge != NULL;
}

/* The picks of the checkpoint, else those that the configuration names, else NULL: to be measured. */
static bool find_picks(const struct trainer *t, const struct checkpoint *from, char **picks, struct err *e)
{
    size_t len;
    *picks = NULL;
    if (from && !t->o->allow_inexact)
        *picks = mem_text(checkpoint_picks(from));
    else if (t->c->picks)
        return file_read(t->c->picks, PICKS_MAX, (void **)picks, &len, e) || err_wrap(e, "`picks`");
    return true;
}

static bool keep_picks(const struct trainer *t, struct err *e)
{
    const char *text = learner_picks(train_step_learner(t->step));
    char path[PATH_MAX];
    return file_replace(path_join(path, t->c->out, RUN_PICKS), text, strlen(text), e);
}

static bool open_step(struct trainer *t, const struct checkpoint *from, struct err *e)
{
    const struct run_length length = {t->total, t->per_epoch, t->o->manifest->n, t->trained_on,
                                      t->o->manifest->n_labels};
    char *picks;
    if (!find_picks(t, from, &picks, e))
        return false;
    t->step = train_step_new(t->c, t->model, &length, picks, e);
    free(picks);
    if (!t->step || !keep_picks(t, e) || (from && !checkpoint_load(from, t->step, e)))
        return false;
    if (from) {
        t->state = *checkpoint_state(from);
        t->saved_step = t->state.step;
    }
    t->watch = watch_new(t->c, loss_shape(train_step_loss(t->step)), t->warmup, t->total);
    return true;
}

static bool open_loader(struct trainer *t, struct err *e)
{
    const struct loader_options o = {.manifest = t->o->manifest,
                                     .dataset = t->dataset,
                                     .sampler = t->sampler,
                                     .batch = t->c->batch,
                                     .crops = &t->crops,
                                     .preprocess = &t->pre,
                                     .positives = t->c->settings.positives,
                                     .seed = t->c->seed,
                                     .first_step = t->state.step,
                                     .threads = t->ground.threads};
    t->loader = loader_new(&o, e);
    return t->loader != NULL;
}

static void warn(struct trainer *t, const char *code, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void warn(struct trainer *t, const char *code, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_warn("train", "%s", text);
    trainer_log_warning(t, code, text);
}

/* What is judged, where it is not what one would expect. */
static void warn_of_judging(struct trainer *t)
{
    if (t->left_out)
        warn(t, "shared_pictures",
             "%zu of the %zu pictures to judge by are trained on too%s: they are left out of the judgement",
             t->left_out, t->left_out + t->held_out,
             t->o->learned && t->o->learned->n ? ", or were in an earlier stage" : "");
    if (t->labels_forgotten)
        warn(t, "labels_ignored",
             "no label has four different pictures, of which some could be held out: the labels are ignored, and "
             "it is judged by instance_recall@1 (is a picture found by a view of itself?)");
    else if (t->labels && !judge_is_labelled(t->judge))
        warn(t, "labels_not_judged",
             "it is judged by instance_recall@1 (is a picture found by a view of itself?): recall@1 needs pictures "
             "to judge by of two labels, and two of one of them");
}

static bool open_all(struct trainer *t, struct checkpoint **from, struct err *e)
{
    if (!open_folder(t, from, e) || !open_model(t, !*from, e) || !find_ground(t, e) || !open_pictures(t, e))
        return false;
    plan_steps(t);
    if ((*from && !checkpoint_matches(*from, t->c, &t->ground, t->o->allow_inexact, e)) || !begin_log(t, !*from, e) ||
        !open_judge(t, e) || !open_step(t, *from, e) || !open_loader(t, e))
        return false;
    if (*from) {
        trainer_log_resume(t);
    } else {
        trainer_log_start(t);
        warn_of_judging(t);
    }
    return true;
}

bool trainer_preview(const struct trainer_options *o, const char *path, struct err *e)
{
    struct trainer t = {.o = o, .c = o->config, .lock_fd = -1, .log = {.fd = -1}};
    const struct batch *b = NULL;
    bool ok = open_model(&t, true, e) && find_ground(&t, e) && open_pictures(&t, e) && open_loader(&t, e) &&
              (b = loader_take(t.loader, e));
    if (ok) {
        ok = preview_write(
            &(struct preview_options){.batch = b, .crops = &t.crops, .preprocess = &t.model->pre, .dataset = t.dataset},
            path, e);
        loader_give_back(t.loader, b);
    }
    trainer_close(&t);
    return ok;
}

bool trainer_open(struct trainer *t, const struct trainer_options *o, struct err *e)
{
    struct checkpoint *from = NULL;
    t->o = o;
    t->c = o->config;
    t->state.best_score = -1;
    t->judged_step = t->saved_step = NO_STEP;
    bool ok = open_all(t, &from, e);
    checkpoint_close(from);
    return ok;
}

void trainer_close(struct trainer *t)
{
    loader_free(t->loader);
    sampler_free(t->sampler);
    train_step_free(t->step);
    judge_free(t->judge);
    dataset_close(t->validation);
    dataset_close(t->dataset);
    model_free(t->model);
    pool_free(t->pool);
    run_log_close(&t->log);
    if (t->lock_fd >= 0)
        close(t->lock_fd);
}
