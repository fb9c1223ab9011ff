/* train_config.c - reading a run's settings, each with its bounds. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/learning/train_auto.h"
#include "engine/learning/train_config_parts.h"

#define IN(member) AT(struct train_config, member)

/* ---- the objects ---- */

static bool read_part(struct train_config *c, const struct json *v, const char *where, const struct setting *table,
                      size_t n, struct err *e)
{
    return settings_read(v, where, &(struct settings_of){table, n, c}, 1, e);
}

/* Which settings there are, the name tells; without one that is known, any arch does until it is refused. */
static bool read_arch(struct train_config *c, const struct json *v, struct err *e)
{
    static const struct setting table[] = {
        {.name = "name"},
        {"projection", SETTING_INT, IN(arch.projection), .lo = 0, .hi = ARCH_PROJECTION_MAX},
        {"size", SETTING_INT, IN(size), .lo = 16, .hi = 1024},
    };
    const char *name = json_as_text(json_member(v, "name"), NULL);
    struct arch named;
    size_t n;
    if (!name || !arch_parse(name, &c->arch, NULL))
        c->arch = arch_usual();
    const struct setting *settings = arch_settings(&c->arch, &n);
    const struct settings_of parts[] = {{table, COUNT(table), c}, {settings, n, &c->arch}};
    name = arch_name(&c->arch);
    c->size = 0;
    if (!settings_read(v, "arch", parts, COUNT(parts), e) || !json_get_text(v, "name", 16, &name, e) ||
        !arch_parse(name, &named, e))
        return false;
    if (!c->size)
        c->size = model_preprocess(&c->arch, 0).size;
    return arch_check(&c->arch, e);
}

bool config_refuse(const struct err *why, const char *where, struct err *e)
{
    char path[SETTING_PATH];
    return err_field(e, setting_path(path, where, why->param), "%s", why->text);
}

static bool check_method(const struct train_config *c, const char *where, struct err *e)
{
    struct err why = {0};
    return c->objective->check(&c->settings, &why) || config_refuse(&why, where, e);
}

/* {"type": T, T: {hyper-parameters}} */
static bool read_method(struct train_config *c, const struct json *v, struct err *e)
{
    const char *type = json_as_text(json_member(v, "type"), NULL);
    const struct objective *o = type ? objective_find(type) : NULL;
    if (!o)
        return err_field(e, "method.type", "must name an objective, such as infonce, triplet, mocov2 or byol");
    const struct setting table[] = {{.name = "type"}, {.name = type}};
    if (!read_part(c, v, "method", table, COUNT(table), e))
        return false;
    char where[SETTING_PATH];
    setting_path(where, "method", type);
    train_defaults_of(c, o, c->model != NULL, arch_is_small(&c->arch));
    const struct json *own = json_member(v, type);
    const struct settings_of settings = {o->settings, o->n_settings, &c->settings};
    return (!own || settings_read(own, where, &settings, 1, e)) && check_method(c, where, e);
}

static const struct setting optimizer_table[] = {
    {"type", SETTING_CHOICE, IN(optimizer.kind), .choices = optimizer_names},
    {"learning_rate", SETTING_REAL, IN(learning_rate), .lo = 1e-8, .hi = 100},
    {"head_rate", SETTING_REAL, IN(head_rate), .lo = 0.01, .hi = 1000},
    {"warmup", SETTING_REAL, IN(warmup), .lo = 0, .hi = 0.5},
    {"end_rate", SETTING_REAL, IN(end_rate), .lo = 0, .hi = 1},
    {"momentum", SETTING_REAL, IN(optimizer.momentum), .lo = 0, .hi = 0.9999},
    {"nesterov", SETTING_FLAG, IN(optimizer.nesterov)},
    {"eta", SETTING_REAL, IN(optimizer.eta), .lo = 1e-6, .hi = 1},
    {"clip", SETTING_FLAG, IN(optimizer.clip)},
    {"beta1", SETTING_REAL, IN(optimizer.beta1), .lo = 0, .hi = 0.9999},
    {"beta2", SETTING_REAL, IN(optimizer.beta2), .lo = 0, .hi = 0.999999},
    {"epsilon", SETTING_REAL, IN(optimizer.epsilon), .lo = 1e-16, .hi = 1},
    {"weight_decay", SETTING_REAL, IN(optimizer.weight_decay), .lo = 0, .hi = 1},
};

/* Another kind than SGD, or the profile's, has other defaults. */
static bool read_optimizer(struct train_config *c, const struct json *v, struct err *e)
{
    int chosen = choice_find(optimizer_names, json_as_text(json_member(v, "type"), NULL));
    if (chosen >= 0 && chosen != (int)c->optimizer.kind)
        train_defaults_optimizer(c, (enum optimizer_kind)chosen);
    return read_part(c, v, "optimizer", optimizer_table, COUNT(optimizer_table), e);
}

/* open_end: the last layer may leave out its outputs. */
static bool read_layers(const struct json *list, const char *name, bool open_end, struct head_layer *layers, size_t *n,
                        struct err *e)
{
    static const struct setting table[] = {
        {"outputs", SETTING_INT, AT(struct head_layer, outputs), .lo = 2, .hi = 8192},
        {"norm", SETTING_FLAG, AT(struct head_layer, norm)},
        {"relu", SETTING_FLAG, AT(struct head_layer, relu)},
    };
    *n = json_count(list);
    if (json_kind(list) != JSON_KIND_LIST || *n > HEAD_LAYERS_MAX)
        return err_field(e, name, "must be an array of at most %d layers", HEAD_LAYERS_MAX);
    for (size_t i = 0; i < *n; i++) {
        char where[SETTING_PATH];
        snprintf(where, sizeof where, "%s[%zu]", name, i);
        layers[i] = (struct head_layer){0};
        if (!settings_read(json_item(list, i), where, &(struct settings_of){table, COUNT(table), &layers[i]}, 1, e))
            return false;
        if (!layers[i].outputs && !(open_end && i + 1 == *n))
            return err_field(e, where, "must have `outputs`");
    }
    return true;
}

static bool read_head(struct train_config *c, const struct json *list, struct err *e)
{
    return read_layers(list, "head", false, c->head, &c->n_head, e);
}

static bool read_predictor(struct train_config *c, const struct json *list, struct err *e)
{
    return read_layers(list, "predictor", true, c->predictor, &c->n_predictor, e);
}

#define PATH(member) IN(member), .lo = 1, .hi = INT_MAX, .wanted = "a path"
static const struct setting top_table[] = {
    {"data", SETTING_TEXT, PATH(data)},
    {"validation", SETTING_TEXT, PATH(validation)},
    {"manifest", SETTING_TEXT, PATH(manifest)},
    {"collection", SETTING_TEXT, PATH(collection)},
    {"store", SETTING_TEXT, PATH(store)},
    {"out", SETTING_TEXT, PATH(out)},
    {"model", SETTING_TEXT, PATH(model)},
    {"picks", SETTING_TEXT, PATH(picks)},
    {.name = "arch"},
    {.name = "method"},
    {.name = "augmentation"},
    {.name = "crops"},
    {.name = "optimizer"},
    {.name = "head"},
    {.name = "predictor"},
    {"fit", SETTING_CHOICE, IN(fit), .choices = fit_names},
    {"size", SETTING_INT, IN(size), .lo = 16, .hi = 1024},
    {"views", SETTING_INT, IN(views), .lo = 1, .hi = 2},
    {"batch_size", SETTING_INT, IN(batch), .lo = 3, .hi = 65536},
    {"per_label", SETTING_INT, IN(per_label), .lo = 0, .hi = 1024},
    {"chunk", SETTING_INT, IN(chunk), .lo = 0, .hi = 65536},
    {"epochs", SETTING_INT, IN(epochs), .lo = 1, .hi = 100000},
    {"steps", SETTING_INT, IN(steps), .lo = 1, .hi = 1e9},
    {"max_minutes", SETTING_REAL, IN(max_minutes), .lo = 0, .hi = 1e6},
    {"clip_norm", SETTING_REAL, IN(clip_norm), .lo = 0, .hi = 1e6},
    {"ema", SETTING_REAL, IN(ema), .lo = 0, .hi = 0.99999},
    {"freeze_norm", SETTING_FLAG, IN(freeze_norm)},
    {"freeze_stages", SETTING_INT, IN(freeze_stages), .lo = 0, .hi = 5},
    {"held_out", SETTING_REAL, IN(held_out), .lo = 0, .hi = 0.5},
    {"evaluate_every", SETTING_INT, IN(evaluate_every), .lo = 0, .hi = 1e9},
    {"checkpoint_every", SETTING_INT, IN(checkpoint_every), .lo = 0, .hi = 1e9},
    {"seed", SETTING_INT, IN(seed), .lo = 0, .hi = 9e15},
    {"precision", SETTING_CHOICE, IN(precision), .choices = conf_precisions},
    {"backend", SETTING_CHOICE, IN(backend), .choices = conf_backends},
    {"threads", SETTING_INT, IN(threads), .lo = 0, .hi = 256},
    {"cache_bytes", SETTING_INT, IN(cache_bytes), .lo = 0, .hi = 1e12},
};

static bool read_top(struct train_config *c, const struct json *v, struct err *e)
{
    if (!read_part(c, v, "", top_table, COUNT(top_table), e))
        return false;
    if (c->model && !json_member(v, "size"))
        c->size = 0;
    return true;
}

/* Exact large batches: over a part of the rows a batch norm that learns would be another function. */
static bool check_chunk(const struct train_config *c, struct err *e)
{
    size_t rows = c->batch * c->views;
    if (!c->chunk || c->chunk >= rows)
        return true;
    if (rows % c->chunk)
        return err_field(e, "chunk", "must divide the %zu rows of a batch", rows);
    if (!c->freeze_norm && c->freeze_stages < 5)
        return err_field(e, "chunk", "needs `freeze_norm`: batch norm over a part of the batch is another loss");
    for (size_t i = 0; i < c->n_head; i++)
        if (c->head[i].norm)
            return err_field(e, "chunk",
                             "needs a `head` without `norm`: batch norm over a part of the batch is another loss");
    for (size_t i = 0; i < c->n_predictor; i++)
        if (c->predictor[i].norm)
            return err_field(e, "chunk",
                             "needs a `predictor` without `norm`: batch norm over a part of the batch is another loss");
    return true;
}

/* Two views of a picture say little more than one where rows are not compared with each other: other pictures do. */
static void settle_views(struct train_config *c, const struct json *doc)
{
    if (c->objective->needs_labels && !json_member(doc, "views") && !json_member(doc, "crops"))
        c->views = 1;
}

/* What only makes sense together. */
static bool check_whole(struct train_config *c, const struct json *doc, struct err *e)
{
    settle_views(c, doc);
    if (!c->data + !c->manifest + !c->collection != 2)
        return err_field(e, "data", "give one of `data` (a folder of pictures), `manifest` and `collection`");
    if (c->store && !c->collection)
        return err_field(e, "store", "is the data folder of a `collection`");
    if (c->collection && !c->store)
        c->store = mem_text("data");
    if (!c->out)
        return err_field(e, "out", "is missing: the folder of the run");
    if (c->model && json_member(doc, "arch"))
        return err_field(e, "arch", "cannot be given beside `model`, which has its own");
    if (!c->model && json_member(doc, "size"))
        return err_field(e, "size", "goes with `model`; a fresh network has `arch.size`");
    if (!c->epochs == !c->steps)
        return err_field(e, c->steps ? "steps" : "epochs", "give one of `epochs` and `steps`");
    if (json_member(doc, "views") && json_member(doc, "crops"))
        return err_field(e, "views", "cannot be given beside `crops`, which say how many there are");
    if (c->settings.positives == POSITIVES_VIEWS && c->views < 2)
        return err_field(e, "views", "must be 2 when the positives are views");
    if (c->n_predictor && c->objective->target == TARGET_NONE)
        return err_field(e, "predictor", "has nothing to predict: %s has no target", c->objective->name);
    return config_check_crops(c, e) && check_chunk(c, e);
}

/* Without white space, so that two texts compare and fit a line. */
static char *compact(const struct json *doc)
{
    struct buf text = {0};
    json_dump(doc, &text);
    return buf_take(&text, NULL);
}

bool train_config_parse(struct train_config *c, const char *text, size_t len, struct err *e)
{
    static const struct {
        const char *name;
        bool (*read)(struct train_config *c, const struct json *v, struct err *e);
    } parts[] = {{"arch", read_arch},          {"method", read_method},       {"augmentation", config_augmentation},
                 {"crops", config_crops},      {"optimizer", read_optimizer}, {"head", read_head},
                 {"predictor", read_predictor}};
    train_defaults(c);
    struct json *doc = json_parse(text, len, 0, e);
    bool ok = doc && read_top(c, doc, e);
    for (size_t i = 0; ok && i < COUNT(parts); i++) {
        const struct json *v = json_member(doc, parts[i].name);
        ok = !v || parts[i].read(c, v, e);
    }
    ok = ok && check_whole(c, doc, e);
    if (ok)
        c->text = compact(doc);
    json_free(doc);
    return ok;
}

void train_config_clear(struct train_config *c)
{
    free(c->data);
    free(c->manifest);
    free(c->collection);
    free(c->store);
    free(c->validation);
    free(c->out);
    free(c->model);
    free(c->picks);
    free(c->text);
    *c = (struct train_config){0};
}
