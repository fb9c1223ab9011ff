/* app.c - opening: the store, the models, and what an empty data folder lacks. */
#include "api/services/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/services/models.h"
#include "api/services/reembed.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    BODY_MAX = 32 << 20,
    MODEL_MAX = 256 << 20,
    DECODE_MEMORY = 512 << 20,
    ANSWER_MEMORY = 256 << 20,
    ITEMS_MAX = 256,
    FIRST_SEED = 1,
    QUERY_SECONDS = 10,
    QUERY_ROWS = 10000000
};

static const char standard_id[] = "anchord-base";

static void fill_defaults(struct app_options *o)
{
    if (!o->limits.bytes)
        o->limits = image_default_limits;
    if (o->arch.family == ARCH_NONE) {
        o->arch = arch_usual();
        o->preprocess = preprocess_imagenet;
    }
    o->body_max = o->body_max ? o->body_max : BODY_MAX;
    o->json_max = o->json_max ? o->json_max : BODY_MAX;
    o->model_max = o->model_max ? o->model_max : MODEL_MAX;
    o->decode_memory = o->decode_memory ? o->decode_memory : DECODE_MEMORY;
    o->answer_memory = o->answer_memory ? o->answer_memory : ANSWER_MEMORY;
    o->items_max = o->items_max ? o->items_max : ITEMS_MAX;
    o->query_seconds = o->query_seconds > 0 ? o->query_seconds : QUERY_SECONDS;
    o->query_rows = o->query_rows ? o->query_rows : QUERY_ROWS;
}

/* "models/flowers.safetensors" -> "flowers" */
static bool id_of_file(const char *path, char *id, size_t size, struct err *e)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    const char *dot = strrchr(name, '.');
    snprintf(id, size, "%.*s", (int)(dot && dot != name ? dot - name : (ptrdiff_t)strlen(name)), name);
    return id_is_valid(id) || err_set(e, ERR_BAD_INPUT, "\"%.80s\" is no model id: rename the file", id);
}

static bool add_model(struct app *app, struct model *m, struct err *e)
{
    const struct model_terms terms = {.encoder = &app->options.encoder, .needed = true};
    return model_keep(app->store, m, app->default_model, &terms, e);
}

/* 1: there is such a model, 0: there is none, -1: it could not be found out. */
static int has_model(struct app *app, struct model_row *row, struct err *e)
{
    struct err why = {0};
    if (store_model(app->store, app->default_model, row, &why))
        return 1;
    if (why.code == ERR_NOT_FOUND)
        return 0;
    err_move(e, &why);
    return -1;
}

/* The model of --model: copied into the data folder the first time. */
static bool adopt_file(struct app *app, const char *file, struct err *e)
{
    struct model_row row;
    bool foreign, ok = false;
    if (!id_of_file(file, app->default_model, sizeof app->default_model, e))
        return false;
    struct model *m = model_load(file, &foreign, e);
    if (!m)
        return false;
    int known = has_model(app, &row, e);
    if (known == 0) {
        ok = add_model(app, m, e);
    } else if (known == 1) {
        ok = strcmp(row.fingerprint, m->fingerprint) == 0 ||
             err_set(e, ERR_CONFLICT, "another model is kept as %s already: rename the file", app->default_model);
        model_row_clear(&row);
    }
    model_free(m);
    return ok;
}

static struct model *make_untrained(struct app *app, struct err *e)
{
    struct model *m = model_new_random(&app->options.arch, &app->options.preprocess, FIRST_SEED, e);
    if (m)
        log_warn("untrained_model",
                 "id=%s there was no model, so this one has random weights (seed %d): "
                 "it tells pictures apart by colour and texture only",
                 standard_id, FIRST_SEED);
    return m;
}

/* Folders keep the model that they began with, for their vectors are of that one. */
static void warn_of_random_weights(const struct app *app)
{
    if (app->options.shipped_file)
        log_warn("untrained_model",
                 "id=%s has random weights: POST %s to /v1/models?id=NAME, and change the collections to it",
                 standard_id, app->options.shipped_file);
    else
        log_warn("untrained_model", "id=%s has random weights: give a trained one with --model", standard_id);
}

/* Without --model: the one of the catalogue; in a new data folder the file that somebody has put there, else the one that
 * comes with the program, else random weights. */
static bool find_standard(struct app *app, struct err *e)
{
    struct model_row row;
    char path[4096];
    bool foreign;
    snprintf(app->default_model, sizeof app->default_model, "%s", standard_id);
    int known = has_model(app, &row, e);
    if (known == 1) {
        if (!row.trained)
            warn_of_random_weights(app);
        model_row_clear(&row);
        return true;
    }
    store_model_path(app->store, standard_id, path, sizeof path);
    const char *file = access(path, F_OK) == 0 ? path : app->options.shipped_file;
    struct model *m = known < 0 ? NULL : file ? model_load(file, &foreign, e) : make_untrained(app, e);
    bool ok = m && add_model(app, m, e);
    model_free(m);
    return ok;
}

static bool make_default_collection(struct app *app, struct encoder *enc, struct err *e)
{
    struct collection_row row;
    struct err why = {0};
    if (store_collection(app->store, "default", &row, &why))
        return true;
    if (why.code != ERR_NOT_FOUND)
        return err_move(e, &why);
    struct write w = {.kind = WRITE_COLLECTION_CREATE, .needed = true};
    collection_describe(enc, "default", app->default_model, &w.new_collection);
    bool ok = store_write(app->store, &w, e);
    write_clear(&w);
    return ok;
}

/* The default model is loaded now, so that the first request finds it ready and a damaged file is told
 * before anything is served. */
static bool prepare(struct app *app, struct err *e)
{
    const char *file = app->options.model_file;
    if (!(file ? adopt_file(app, file, e) : find_standard(app, e)))
        return false;
    struct encoder *enc = model_cache_get(app->models, app->default_model, PRECISION_AUTO, e);
    bool ok = enc && make_default_collection(app, enc, e);
    encoder_release(enc);
    return ok;
}

static bool start_reembed(struct app *app, struct err *e)
{
    size_t threads = app->options.reembed_threads;
    app->reembed = threads ? reembed_start(app, threads, e) : NULL;
    return app->reembed || threads == 0;
}

struct app *app_open(const struct app_options *o, struct err *e)
{
    struct app *app = mem_new(1, sizeof *app);
    app->options = *o;
    app->started_at = clock_unix();
    fill_defaults(&app->options);
    app->options.limits.memory = app->decode_memory = budget_new(app->options.decode_memory);
    quota_init(&app->answers, app->options.answer_memory);
    app->options.store.check_model = model_check_file;
    app->store = store_open(&app->options.store, e);
    if (app->store) {
        app->models = model_cache_new(app->store, &o->encoder);
        bool prepared = prepare(app, e);
        if (prepared)
            store_set_models_aside(app->store);
        if (prepared && start_reembed(app, e)) {
            app->options.model_file = app->options.shipped_file = NULL;
            app->options.store.dir = NULL;
            return app;
        }
    }
    app_close(app);
    return NULL;
}

void app_close(struct app *app)
{
    if (!app)
        return;
    reembed_stop(app->reembed);
    model_cache_free(app->models);
    store_close(app->store);
    budget_free(app->decode_memory);
    free(app);
}
