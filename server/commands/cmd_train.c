/* cmd_train.c - `anchord train`: a folder of pictures, and a better encoder. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/num.h"
#include "engine/training/run_folder.h"
#include "engine/training/trainer.h"
#include "server/commands/command.h"
#include "server/commands/train_data.h"
#include "server/commands/train_display.h"
#include "server/commands/train_stages.h"

enum { CONFIG_MAX = 1 << 20 };

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    stopping = 1;
    signal(number, SIG_DFL); /* the second one ends it at once */
}

static bool asked_to_stop(void *context)
{
    UNUSED(context);
    return stopping != 0;
}

static void show_progress(const struct train_progress *p, void *context)
{
    train_display_progress(context, p);
}

static void show_line(const char *line, void *context)
{
    train_display_line(context, line);
}

struct run { /* what the command was asked for, and what it reads */
    struct train_stages stages;
    struct train_config configs[STAGES_MAX];
    struct train_config *config; /* of the stage that runs */
    struct manifest pictures, validation;
    struct manifest learned; /* in the stages before */
    bool resume, inexact, json;
    const char *preview;
};

/* All stages are looked at before the first begins. */
static bool read_configs(const char *path, struct run *r, struct err *e)
{
    void *text;
    size_t len;
    if (!file_read(path, CONFIG_MAX, &text, &len, e))
        return false;
    bool ok = train_stages_read(&r->stages, text, len, e);
    for (size_t i = 0; ok && i < r->stages.n; i++) {
        ok = train_config_parse(&r->configs[i], r->stages.texts[i], strlen(r->stages.texts[i]), e);
        if (!ok && r->stages.n > 1)
            err_wrap(e, "stage %zu", i + 1);
    }
    free(text);
    return ok;
}

static bool read_manifests(struct run *r, struct err *e)
{
    return train_data_read(r->config, r->resume, &r->pictures, e) &&
           (!r->config->validation || manifest_read_folder(&r->validation, r->config->validation, e));
}

/* What a person must mend in the configuration is told as such. */
static int failed(const struct err *e)
{
    int code = command_failed(e);
    return e->param[0] && code == EXIT_FAILED ? EXIT_BAD_CONFIG : code;
}

static struct trainer_options options_of(struct run *r, struct train_display *display)
{
    return (struct trainer_options){.config = r->config,
                                    .manifest = &r->pictures,
                                    .validation = r->config->validation ? &r->validation : NULL,
                                    .learned = &r->learned,
                                    .limits = image_default_limits,
                                    .resume = r->resume,
                                    .allow_inexact = r->inexact,
                                    .stop = asked_to_stop,
                                    .progress = show_progress,
                                    .listener = show_line,
                                    .context = display};
}

static int train(struct run *r)
{
    struct train_display display = train_display_start(r->json);
    const struct trainer_options o = options_of(r, &display);
    struct train_outcome out;
    struct err e = {0};
    bool ok = trainer_run(&o, &out, &e);
    train_display_end(&display);
    if (!ok)
        return failed(&e);
    fprintf(stderr, "%s\n", out.message);
    if (out.end == TRAIN_STOPPED)
        return EXIT_TRY_AGAIN;
    fprintf(stderr, "%s/" RUN_BEST " is the model, %s/" RUN_REPORT " tells how it came about\n", r->config->out,
            r->config->out);
    return out.end == TRAIN_DIVERGED ? EXIT_FAILED : EXIT_DONE;
}

static int preview(struct run *r)
{
    struct train_display display = train_display_start(true);
    const struct trainer_options o = options_of(r, &display);
    struct err e = {0};
    if (!trainer_preview(&o, r->preview, &e))
        return failed(&e);
    fprintf(stderr, "%s shows what the network would see\n", r->preview);
    return EXIT_DONE;
}

/* OUT/learned.jsonl: what the stages up to this one learned from. */
static const char *learned_path(const struct run *r, char out[PATH_MAX])
{
    return path_join(out, r->config->out, RUN_LEARNED);
}

static bool keep_learned(struct run *r, struct err *e)
{
    char path[PATH_MAX];
    manifest_add_trained(&r->learned, &r->pictures);
    manifest_seal(&r->learned);
    return manifest_write(&r->learned, learned_path(r, path), e);
}

static int one_stage(struct run *r)
{
    struct err e = {0};
    int code = !read_manifests(r, &e) ? command_failed(&e) : r->preview ? preview(r) : train(r);
    if (code == EXIT_DONE && r->stages.n > 1 && !r->preview && !keep_learned(r, &e))
        code = command_failed(&e);
    manifest_clear(&r->pictures);
    manifest_clear(&r->validation);
    return code;
}

/* A stage that has its last model, and the list of what it learned from, is done. */
static bool is_done(struct run *r)
{
    char path[PATH_MAX];
    struct manifest all = {0};
    if (r->stages.n == 1 || !r->resume || access(path_join(path, r->config->out, RUN_LAST), F_OK) != 0)
        return false;
    if (!manifest_read(&all, learned_path(r, path), NULL))
        return false;
    manifest_clear(&r->learned);
    r->learned = all;
    return true;
}

static int run_stages(struct run *r)
{
    int code = EXIT_DONE;
    for (size_t i = 0; code == EXIT_DONE && i < (r->preview ? 1 : r->stages.n); i++) {
        r->config = &r->configs[i];
        if (is_done(r))
            continue;
        if (r->stages.n > 1)
            fprintf(stderr, "stage %zu of %zu, in %s\n", i + 1, r->stages.n, r->config->out);
        code = one_stage(r);
    }
    return code;
}

static int refused(const char *config, struct err *e)
{
    bool bad = e->code == ERR_BAD_INPUT;
    err_unfield(e);
    err_wrap(e, "%s", config);
    int code = command_failed(e);
    return bad ? EXIT_BAD_CONFIG : code;
}

int cmd_train(int argc, char **argv)
{
    struct run r = {0};
    struct err e = {0};
    const char *config = NULL;
    const struct flag flags[] = {{.name = "config", .text = &config},
                                 {.name = "resume", .on = &r.resume},
                                 {.name = "allow-inexact", .on = &r.inexact},
                                 {.name = "json", .on = &r.json},
                                 {.name = "preview", .text = &r.preview}};
    log_set_level(LOG_WARN);
    if (!flags_take(&argc, argv, flags, COUNT(flags), &e))
        return command_misused("train", &e);
    if (argc > 0 || !config) {
        err_set(&e, ERR_BAD_INPUT, "train needs --config FILE and nothing else");
        return command_misused("train", &e);
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    int code = read_configs(config, &r, &e) ? run_stages(&r) : refused(config, &e);
    for (size_t i = 0; i < r.stages.n; i++)
        train_config_clear(&r.configs[i]);
    train_stages_clear(&r.stages);
    manifest_clear(&r.learned);
    return code;
}
