/* cmd_eval.c - `anchord eval`: a model judged on a folder of folders, one JSON object on standard output, or on several (eval_transfer.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "server/commands/command.h"
#include "server/commands/eval_transfer.h"
#include "server/commands/labelled.h"
#include "server/process/app_settings.h"

/* recall@1 of finding each picture by an altered copy of itself, as a JSON object. */
static bool measure_invariance(const struct labelled *j, struct encoder *enc, struct pool *pool, struct buf *out,
                               struct err *e)
{
    float *altered = mem_aligned(j->n * encoder_dimensions(enc), sizeof *altered);
    struct json_writer w = jw_to(out);
    bool ok = true;
    jw_object(&w, NULL);
    for (enum alteration a = ALTER_CROP; ok && a < ALTERATIONS; a++) {
        ok = evaluate_embed_altered(enc, j->dataset, j->items, j->n, a, pool, altered, e);
        if (ok)
            jw_real(&w, alteration_name(a),
                    instance_measure(altered, j->x, j->n, encoder_dimensions(enc), NULL).recall_1);
    }
    jw_end(&w);
    free(altered);
    return ok;
}

static void print(const char *model, const struct labelled *test, const struct evaluation *v,
                  const struct buf *invariance)
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
    const char *train;  /* folder of the bank; NULL: none */
    double temperature; /* of kNN */
    bool no_probe, invariance;
};

static bool eval_data(const struct conf *conf, const struct options *opt, struct err *e)
{
    struct labelled test = {0}, bank = {0};
    struct encoder_options o = encoder_settings(conf);
    struct encoder *enc = NULL;
    struct buf invariance = {0};
    struct pool *pool =
        pool_new(&(struct pool_options){.name = "eval", .threads = cores_usable(), .capacity = cores_usable()}, e);
    struct model *m = pool ? model_load(conf->model, NULL, e) : NULL;
    bool ok = m && (enc = encoder_new(m, &o, e)) && labelled_open(&test, conf->data, conf, enc, pool, e) &&
              (!opt->train || (labelled_open(&bank, opt->train, conf, enc, pool, e) &&
                               labelled_agree(&bank, "--train", &test, "--data", e))) &&
              (!opt->invariance || measure_invariance(&test, enc, pool, &invariance, e));
    if (ok) {
        struct evaluation v = evaluate(&(struct evaluate_input){.x = test.x,
                                                                .labels = test.labels,
                                                                .n = test.n,
                                                                .d = encoder_dimensions(enc),
                                                                .classes = test.manifest.n_labels,
                                                                .bank = bank.x,
                                                                .bank_labels = bank.labels,
                                                                .n_bank = bank.n,
                                                                .knn_temperature = opt->temperature,
                                                                .probe_grid = opt->no_probe ? 0 : 9,
                                                                .episodes = 600,
                                                                .seed = 1});
        print(conf->model, &test, &v, &invariance);
    }
    buf_clear(&invariance);
    labelled_clear(&test);
    labelled_clear(&bank);
    model_free(m);
    encoder_release(enc);
    pool_free(pool);
    return ok;
}

/* ---- the command line ---- */

struct asked {
    struct options opt;
    const char *protocol, *temperature;
    bool json;
};

/* What does not go together; n: operands. */
static bool check_asked(struct asked *a, const struct conf *conf, int n, struct err *e)
{
    bool transfer = a->protocol && strcmp(a->protocol, "transfer") == 0;
    if (a->protocol && !transfer)
        return err_set(e, ERR_BAD_INPUT, "--protocol knows only transfer");
    if (transfer && (n == 0 || !conf->model[0]))
        return err_set(e, ERR_BAD_INPUT, "eval --protocol transfer needs --model FILE and folders");
    if (transfer && (a->opt.train || a->opt.no_probe || a->opt.invariance))
        return err_set(e, ERR_BAD_INPUT, "--train, --no-probe and --invariance do not go with --protocol transfer");
    if (!transfer && (n > 0 || !conf->model[0]))
        return err_set(e, ERR_BAD_INPUT, "eval needs --model FILE and --data DIR");
    return flag_real("temperature", a->temperature, 0.001, 10, &a->opt.temperature, e);
}

int cmd_eval(int argc, char **argv)
{
    struct conf conf;
    struct err e = {0};
    struct asked a = {0};
    const struct flag flags[] = {
        {.name = "train", .text = &a.opt.train},     {.name = "temperature", .text = &a.temperature},
        {.name = "protocol", .text = &a.protocol},   {.name = "json", .on = &a.json},
        {.name = "no-probe", .on = &a.opt.no_probe}, {.name = "invariance", .on = &a.opt.invariance}};
    int code = command_begin("eval", &conf, &argc, argv, flags, COUNT(flags));
    if (code == EXIT_DONE && !check_asked(&a, &conf, argc, &e))
        code = command_misused("eval", &e);
    else if (code == EXIT_DONE &&
             !(a.protocol ? eval_transfer(&conf, (const char *const *)argv, (size_t)argc, a.opt.temperature, a.json, &e)
                          : eval_data(&conf, &a.opt, &e)))
        code = command_failed(&e);
    conf_clear(&conf);
    return code;
}
