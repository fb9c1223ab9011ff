/* cmd_eval.c - `anchord eval`: a model judged on a folder of folders, one JSON object on standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/training/evaluate.h"
#include "server/app_settings.h"
#include "server/commands/command.h"

struct judged { /* one labelled folder with its vectors */
    struct manifest manifest;
    struct dataset *dataset;
    size_t *items;   /* of the manifest, [n]; owned */
    float *x;        /* [n, dimensions]; owned */
    int32_t *labels; /* [n]; owned */
    size_t n;
};

static void judged_clear(struct judged *j)
{
    dataset_close(j->dataset);
    manifest_clear(&j->manifest);
    free(j->items);
    free(j->x);
    free(j->labels);
}

/* A picture that lies beside the sub-folders has no label, so nothing to be judged by. */
static size_t *labelled_items(const struct manifest *m, size_t *n)
{
    size_t all, *items = manifest_side(m, false, &all);
    *n = 0;
    for (size_t i = 0; i < all; i++)
        if (m->items[items[i]].label != NO_LABEL)
            items[(*n)++] = items[i];
    return items;
}

static bool open_folder(struct judged *j, const char *dir, const struct conf *conf, struct encoder *enc,
                        struct pool *pool, struct err *e)
{
    const struct dataset_options o = {.size = encoder_preprocess(enc)->resize, .limits = image_settings(conf), .pool = pool};
    if (!manifest_read_folder(&j->manifest, dir, e) || !(j->dataset = dataset_open(&j->manifest, &o, e)))
        return false;
    if (!j->manifest.n_labels)
        return err_set(e, ERR_BAD_INPUT, "%s has no sub-folders: a picture's label is its folder's name", dir);
    j->items = labelled_items(&j->manifest, &j->n);
    j->x = mem_aligned(j->n * encoder_dimensions(enc), sizeof *j->x);
    j->labels = mem_new(j->n, sizeof *j->labels);
    for (size_t i = 0; i < j->n; i++)
        j->labels[i] = j->manifest.items[j->items[i]].label;
    return evaluate_embed(enc, j->dataset, j->items, j->n, pool, j->x, e);
}

/* The bank's labels in the numbering of the judged folder; a label that only one of them has is refused. */
static bool same_labels(const struct judged *bank, const struct judged *test, struct err *e)
{
    if (bank->manifest.n_labels != test->manifest.n_labels)
        return err_set(e, ERR_BAD_INPUT, "--train has %zu labels, --data has %zu", bank->manifest.n_labels,
                       test->manifest.n_labels);
    for (size_t i = 0; i < bank->manifest.n_labels; i++)
        if (strcmp(bank->manifest.labels[i], test->manifest.labels[i]) != 0)
            return err_set(e, ERR_BAD_INPUT, "--train and --data differ in the label %s", bank->manifest.labels[i]);
    return true;
}

/* recall@1 of finding each picture by an altered copy of itself, as a JSON object. */
static bool measure_invariance(const struct judged *j, struct encoder *enc, struct pool *pool, struct buf *out, struct err *e)
{
    float *altered = mem_aligned(j->n * encoder_dimensions(enc), sizeof *altered);
    struct json_writer w = jw_to(out);
    bool ok = true;
    jw_object(&w, NULL);
    for (enum alteration a = ALTER_CROP; ok && a < ALTERATIONS; a++) {
        ok = evaluate_embed_altered(enc, j->dataset, j->items, j->n, a, pool, altered, e);
        if (ok)
            jw_real(&w, alteration_name(a), instance_measure(altered, j->x, j->n, encoder_dimensions(enc), NULL).recall_1);
    }
    jw_end(&w);
    free(altered);
    return ok;
}

static void print(const char *model, const struct judged *test, const struct evaluation *v, const struct buf *invariance)
{
    struct buf figures = {0}, out = {0};
    struct json_writer w = jw_to(&out);
    evaluation_write(v, &figures);
    jw_object(&w, NULL);
    jw_text(&w, "model", model);
    jw_int(&w, "pictures", (int64_t)test->n);
    jw_int(&w, "damaged", (int64_t)dataset_damaged(test->dataset));
    jw_int(&w, "labels", (int64_t)test->manifest.n_labels);
    jw_raw(&w, "figures", figures.data);
    if (invariance->len)
        jw_raw(&w, "invariance", invariance->data);
    jw_end(&w);
    puts(out.data);
    buf_clear(&figures);
    buf_clear(&out);
}

struct options {
    const char *train;   /* folder of the bank; NULL: none */
    double temperature;  /* of kNN */
    bool no_probe, invariance;
};

static bool run(const struct conf *conf, const struct options *opt, struct err *e)
{
    struct judged test = {0}, bank = {0};
    struct encoder_options o = encoder_settings(conf);
    struct encoder *enc = NULL;
    struct buf invariance = {0};
    struct pool *pool = pool_new(&(struct pool_options){.name = "eval", .threads = cores_usable(),
                                                        .capacity = cores_usable()}, e);
    struct model *m = pool ? model_load(conf->model, NULL, e) : NULL;
    bool ok = m && (enc = encoder_new(m, &o, e)) && open_folder(&test, conf->data, conf, enc, pool, e) &&
              (!opt->train || (open_folder(&bank, opt->train, conf, enc, pool, e) && same_labels(&bank, &test, e))) &&
              (!opt->invariance || measure_invariance(&test, enc, pool, &invariance, e));
    if (ok) {
        struct evaluation v = evaluate(&(struct evaluate_input){
            .x = test.x, .labels = test.labels, .n = test.n, .d = encoder_dimensions(enc),
            .classes = test.manifest.n_labels, .bank = bank.x, .bank_labels = bank.labels, .n_bank = bank.n,
            .knn_temperature = opt->temperature, .probe_grid = opt->no_probe ? 0 : 9, .episodes = 600, .seed = 1});
        print(conf->model, &test, &v, &invariance);
    }
    buf_clear(&invariance);
    judged_clear(&test);
    judged_clear(&bank);
    model_free(m);
    encoder_release(enc);
    pool_free(pool);
    return ok;
}

int cmd_eval(int argc, char **argv)
{
    struct conf conf;
    struct err e = {0};
    struct options opt = {0};
    const char *temperature = NULL;
    const struct flag flags[] = {{.name = "train", .text = &opt.train},
                                 {.name = "temperature", .text = &temperature},
                                 {.name = "no-probe", .on = &opt.no_probe},
                                 {.name = "invariance", .on = &opt.invariance}};
    int code = command_begin("eval", &conf, &argc, argv, flags, COUNT(flags));
    if (code == EXIT_DONE && (argc > 0 || !conf.model[0])) {
        err_set(&e, ERR_BAD_INPUT, "eval needs --model FILE and --data DIR");
        code = command_misused("eval", &e);
    } else if (code == EXIT_DONE && !flag_real("temperature", temperature, 0.001, 10, &opt.temperature, &e)) {
        code = command_misused("eval", &e);
    } else if (code == EXIT_DONE && !run(&conf, &opt, &e)) {
        code = command_failed(&e);
    }
    conf_clear(&conf);
    return code;
}
