/* eval_transfer.c - folders to features, features to rows. */
#include "server/commands/eval_transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cores.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/judging/transfer.h"
#include "server/commands/command.h"
#include "server/commands/labelled.h"
#include "server/process/app_settings.h"

enum { SEED = 1, NAME_LEAST = 6 };
static const double test_part = 0.2;

struct judge { /* what is the same for all folders */
    const struct conf *conf;
    struct encoder *encoder;
    struct pool *pool;
    double temperature;
};

struct row {
    const char *dir; /* borrowed */
    size_t n_train, n_test, labels;
    struct transfer t;
};

/* ---- one folder ---- */

static bool has_part(const char *dir, const char *part, char out[PATH_MAX])
{
    struct stat st;
    return stat(path_join(out, dir, "%s", part), &st) == 0 && S_ISDIR(st.st_mode);
}

/* x [n_train + n_test, d] and its labels, those to train on first. */
static bool measure(const struct judge *j, const float *x, const int32_t *labels, struct row *r, struct err *e)
{
    if (r->labels < 2)
        return err_set(e, ERR_BAD_INPUT, "there is one label only, so nothing to tell apart");
    if (!r->n_train || !r->n_test)
        return err_set(
            e, ERR_BAD_INPUT,
            "no label has four different pictures, so none can be held out to test on: lay `train` and `test` folders");
    r->t = transfer_measure(&(struct transfer_input){.x = x,
                                                     .labels = labels,
                                                     .n_train = r->n_train,
                                                     .n = r->n_train + r->n_test,
                                                     .d = encoder_dimensions(j->encoder),
                                                     .classes = r->labels,
                                                     .knn_temperature = j->temperature,
                                                     .seed = SEED});
    return true;
}

/* Rows of `from`: all, or those on one side of its split. */
static size_t append(const struct labelled *from, size_t d, int side, float *x, int32_t *labels, size_t at)
{
    for (size_t i = 0; i < from->n; i++) {
        if (side >= 0 && from->manifest.items[from->items[i]].held_out != (side == 1))
            continue;
        memcpy(x + at * d, from->x + i * d, d * sizeof *x);
        labels[at++] = from->labels[i];
    }
    return at;
}

/* b NULL: a is split. */
static bool measure_parts(const struct judge *j, struct labelled *a, const struct labelled *b, struct row *r,
                          struct err *e)
{
    size_t n = a->n + (b ? b->n : 0), d = encoder_dimensions(j->encoder);
    float *x = mem_aligned(n * d, sizeof *x);
    int32_t *labels = mem_new(n, sizeof *labels);
    if (!b)
        manifest_split(&a->manifest, test_part, SEED);
    r->labels = a->manifest.n_labels;
    r->n_train = append(a, d, b ? -1 : 0, x, labels, 0);
    r->n_test = append(b ? b : a, d, b ? -1 : 1, x, labels, r->n_train) - r->n_train;
    bool ok = measure(j, x, labels, r, e);
    free(labels);
    free(x);
    return ok;
}

static bool judge_folder(const struct judge *j, const char *dir, struct row *r, struct err *e)
{
    struct labelled train = {0}, test = {0};
    char train_dir[PATH_MAX], test_dir[PATH_MAX];
    bool parts = has_part(dir, "train", train_dir) && has_part(dir, "test", test_dir);
    *r = (struct row){.dir = dir};
    bool ok = labelled_open(&train, parts ? train_dir : dir, j->conf, j->encoder, j->pool, e) &&
              (!parts || (labelled_open(&test, test_dir, j->conf, j->encoder, j->pool, e) &&
                          labelled_agree(&train, "train", &test, "test", e))) &&
              measure_parts(j, &train, parts ? &test : NULL, r, e);
    labelled_clear(&train);
    labelled_clear(&test);
    return ok || err_wrap(e, "%.80s", dir);
}

/* ---- the table ---- */

static void print_name(const char *name, size_t width)
{
    char *copy = mem_text(name);
    make_printable(copy);
    printf("%-*s", (int)width, copy);
    free(copy);
}

static void print_row(const struct row *r, size_t width)
{
    const struct few_shot *f = &r->t.few_shot;
    print_name(r->dir, width);
    printf("  %7zu  %7zu  %6zu     %.4f", r->n_train, r->n_test, r->labels, r->t.many_shot.accuracy);
    if (f->episodes)
        printf("  %.4f +- %.4f", f->accuracy, f->interval);
    else
        printf("  %16s", "too few");
    printf("  %.4f\n", r->t.knn);
    fflush(stdout);
}

static void print_mean(const struct transfer_mean *m, size_t width)
{
    char few[32] = "";
    if (m->n_few_shot == m->n)
        snprintf(few, sizeof few, "%.4f          ", m->few_shot); /* below the accuracies */
    else if (m->n_few_shot)
        snprintf(few, sizeof few, "%.4f (of %zu)", m->few_shot, m->n_few_shot);
    printf("%-*s  %7s  %7s  %6s     %.4f  %-16s  %.4f\n", (int)width, "mean", "", "", "", m->many_shot, few, m->knn);
}

/* Why a folder has no few-shot figure. */
static void explain(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct few_shot *f = &rows[i].t.few_shot;
        if (f->episodes)
            continue;
        print_name(rows[i].dir, 0);
        printf(": too few for few-shot: %zu labels have %zu pictures or more, and %d are needed\n", f->classes,
               f->least, TRANSFER_WAYS);
    }
}

static size_t name_width(const char *const *dirs, size_t n)
{
    size_t width = NAME_LEAST;
    for (size_t i = 0; i < n; i++)
        width = max_size(width, strlen(dirs[i]));
    return width;
}

/* ---- JSON ---- */

static void figure(struct json_writer *w, const char *key, double value, bool measured)
{
    if (measured)
        jw_short(w, key, value);
    else
        jw_null(w, key);
}

static void write_row(struct json_writer *w, const struct row *r)
{
    const struct few_shot *f = &r->t.few_shot;
    jw_object(w, NULL);
    jw_text(w, "folder", r->dir);
    jw_int(w, "train", (int64_t)r->n_train);
    jw_int(w, "test", (int64_t)r->n_test);
    jw_int(w, "labels", (int64_t)r->labels);
    figure(w, "many_shot", r->t.many_shot.accuracy, true);
    figure(w, "weight_decay", r->t.many_shot.weight_decay, true);
    figure(w, "few_shot", f->accuracy, f->episodes > 0);
    figure(w, "few_shot_interval", f->interval, f->episodes > 0);
    jw_int(w, "few_shot_labels", (int64_t)f->classes);
    figure(w, "knn", r->t.knn, true);
    jw_end(w);
}

static void print_json(const char *model, const struct row *rows, size_t n, const struct transfer_mean *m)
{
    struct buf out = {0};
    struct json_writer w = jw_to(&out);
    jw_object(&w, NULL);
    jw_text(&w, "model", model);
    jw_text(&w, "protocol", "transfer");
    jw_array(&w, "folders");
    for (size_t i = 0; i < n; i++)
        write_row(&w, &rows[i]);
    jw_end(&w);
    jw_object(&w, "mean");
    figure(&w, "many_shot", m->many_shot, true);
    figure(&w, "few_shot", m->few_shot, m->n_few_shot > 0);
    jw_int(&w, "few_shot_folders", (int64_t)m->n_few_shot);
    figure(&w, "knn", m->knn, true);
    jw_end(&w);
    jw_end(&w);
    puts(out.data);
    buf_clear(&out);
}

/* ---- all of it ---- */

static struct transfer_mean average(const struct row *rows, size_t n)
{
    struct transfer *t = mem_new(n, sizeof *t);
    for (size_t i = 0; i < n; i++)
        t[i] = rows[i].t;
    struct transfer_mean m = transfer_average(t, n);
    free(t);
    return m;
}

static bool judge_all(const struct judge *j, const char *const *dirs, size_t n, bool json, struct err *e)
{
    struct row *rows = mem_new(n, sizeof *rows);
    size_t width = name_width(dirs, n), done = 0;
    if (!json)
        printf("%-*s  %7s  %7s  %6s  %9s  %-16s  %s\n", (int)width, "folder", "train", "test", "labels", "many-shot",
               "few-shot (5 x 5)", "kNN");
    for (; done < n && judge_folder(j, dirs[done], &rows[done], e); done++)
        if (!json)
            print_row(&rows[done], width);
    if (done == n) {
        struct transfer_mean m = average(rows, n);
        if (json)
            print_json(j->conf->model, rows, n, &m);
        else
            print_mean(&m, width);
    }
    if (!json)
        explain(rows, done);
    free(rows);
    return done == n;
}

bool eval_transfer(const struct conf *conf, const char *const *dirs, size_t n, double temperature, bool json,
                   struct err *e)
{
    const struct encoder_options o = encoder_settings(conf);
    struct judge j = {.conf = conf, .temperature = temperature};
    struct model *m = model_load(conf->model, NULL, e);
    bool ok = m && (j.encoder = encoder_new(m, &o, e)) &&
              (j.pool = pool_new(
                   &(struct pool_options){.name = "eval", .threads = cores_usable(), .capacity = cores_usable()}, e)) &&
              judge_all(&j, dirs, n, json, e);
    pool_free(j.pool);
    encoder_release(j.encoder);
    model_free(m);
    return ok;
}
