/* train_config.c - reading a run's settings, each with its bounds. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/learning/train_config_parts.h"

enum { SETTINGS_MAX = 24 };
static const double LEARNING_RATE = 0.1;

/* ---- the objects ---- */

static const char *const stems[] = {"imagenet", "small1", "small2", NULL};
static const char *const precisions[] = {"auto", "fp32", "bf16", NULL};
static const char *const backends[] = {"auto", "blas", "dnnl", NULL};

static bool read_arch(struct train_config *c, const struct json *v, struct err *e)
{
    const char *name = "resnet18";
    int stem = STEM_IMAGENET;
    uint64_t width = 64, projection = 0, size = 0;
    const struct field fields[] = {
        {"name", FIELD_OTHER, NULL, 0, 0, NULL},      {"stem", FIELD_CHOICE, &stem, 0, 0, stems},
        {"width", FIELD_COUNT, &width, 8, 256, NULL}, {"projection", FIELD_COUNT, &projection, 0, 4096, NULL},
        {"size", FIELD_COUNT, &size, 16, 1024, NULL},
    };
    if (!config_fields(v, "arch", fields, COUNT(fields), e) || !json_get_text(v, "name", 16, &name, e) ||
        !arch_parse(name, &c->arch, e))
        return false;
    c->arch.stem = (enum stem)stem;
    c->arch.width = (uint32_t)width;
    c->arch.projection = (uint32_t)projection;
    c->size = (uint32_t)size ? (uint32_t)size : model_preprocess(c->arch.stem, 0).size;
    return arch_check(&c->arch, e);
}

/* The objective's own table, as fields of the settings. */
static bool read_settings(struct train_config *c, const struct json *v, const char *where, struct err *e)
{
    static const enum field_kind kinds[] = {
        [SETTING_REAL] = FIELD_REAL, [SETTING_FLAG] = FIELD_FLAG, [SETTING_CHOICE] = FIELD_CHOICE};
    struct field fields[SETTINGS_MAX];
    size_t n = c->objective->n_settings;
    assert(n <= SETTINGS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct setting *s = &c->objective->settings[i];
        fields[i] = (struct field){s->name, kinds[s->kind], (char *)&c->settings + s->offset, s->lo, s->hi, s->choices};
    }
    return config_fields(v, where, fields, n, e);
}

/* What the objective's authors, or experience, give along with it; the parts that are read later may change it. */
static void apply_profile(struct train_config *c)
{
    enum use use = c->model ? USE_FINETUNE : c->arch.stem == STEM_IMAGENET ? USE_SCRATCH : USE_SMALL;
    if (!c->objective->profiles)
        return;
    const struct objective_profile *p = &c->objective->profiles[use];
    size_t kind = 0;
    while (strcmp(optimizer_names[kind], p->optimizer) != 0)
        kind++;
    c->settings = p->settings;
    c->optimizer = optimizer_defaults((enum optimizer_kind)kind);
    c->optimizer.weight_decay = p->weight_decay;
    c->learning_rate = p->learning_rate;
    c->head_rate = p->head_rate;
    c->warmup = p->warmup;
    memcpy(c->head, p->head.projector, sizeof c->head);
    memcpy(c->predictor, p->head.predictor, sizeof c->predictor);
    c->n_head = p->head.n_projector;
    c->n_predictor = p->head.n_predictor;
    snprintf(c->recipe, sizeof c->recipe, "%s", p->recipe);
    memcpy(c->augment, recipe_find(p->recipe)->view, sizeof c->augment);
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
    c->objective = type ? objective_find(type) : NULL;
    if (!c->objective)
        return err_field(e, "method.type", "must name an objective, such as infonce, triplet, mocov2 or byol");
    const struct field fields[] = {{"type", FIELD_OTHER, NULL, 0, 0, NULL}, {type, FIELD_OTHER, NULL, 0, 0, NULL}};
    if (!config_fields(v, "method", fields, COUNT(fields), e))
        return false;
    char where[64];
    config_path(where, "method", type);
    c->settings = c->objective->defaults;
    apply_profile(c);
    const struct json *own = json_member(v, type);
    return (!own || read_settings(c, own, where, e)) && check_method(c, where, e);
}

static bool read_optimizer(struct train_config *c, const struct json *v, struct err *e)
{
    int chosen = (int)c->optimizer.kind; /* SGD, or the profile's */
    const struct field kind = {"type", FIELD_CHOICE, &chosen, 0, 0, optimizer_names};
    const struct json *type = json_member(v, "type"); /* first: the defaults of the others depend on it */
    if (type && !config_choice(type, &kind, "optimizer.type", e))
        return false;
    if (chosen != (int)c->optimizer.kind) {
        c->optimizer = optimizer_defaults((enum optimizer_kind)chosen);
        c->learning_rate = LEARNING_RATE;
    }
    struct optimizer_settings *o = &c->optimizer;
    const struct field fields[] = {
        {"type", FIELD_OTHER, NULL, 0, 0, NULL},
        {"learning_rate", FIELD_REAL, &c->learning_rate, 1e-8, 100, NULL},
        {"head_rate", FIELD_REAL, &c->head_rate, 0.01, 1000, NULL},
        {"warmup", FIELD_REAL, &c->warmup, 0, 0.5, NULL},
        {"end_rate", FIELD_REAL, &c->end_rate, 0, 1, NULL},
        {"momentum", FIELD_REAL, &o->momentum, 0, 0.9999, NULL},
        {"nesterov", FIELD_FLAG, &o->nesterov, 0, 0, NULL},
        {"eta", FIELD_REAL, &o->eta, 1e-6, 1, NULL},
        {"clip", FIELD_FLAG, &o->clip, 0, 0, NULL},
        {"beta1", FIELD_REAL, &o->beta1, 0, 0.9999, NULL},
        {"beta2", FIELD_REAL, &o->beta2, 0, 0.999999, NULL},
        {"epsilon", FIELD_REAL, &o->epsilon, 1e-16, 1, NULL},
        {"weight_decay", FIELD_REAL, &o->weight_decay, 0, 1, NULL},
    };
    return config_fields(v, "optimizer", fields, COUNT(fields), e);
}

/* open_end: the last layer may leave out its outputs. */
static bool read_layers(const struct json *list, const char *name, bool open_end, struct head_layer *layers, size_t *n,
                        struct err *e)
{
    *n = json_count(list);
    if (json_kind(list) != JSON_KIND_LIST || *n > HEAD_LAYERS_MAX)
        return err_field(e, name, "must be an array of at most %d layers", HEAD_LAYERS_MAX);
    for (size_t i = 0; i < *n; i++) {
        uint64_t outputs = 0;
        char where[64];
        snprintf(where, sizeof where, "%s[%zu]", name, i);
        layers[i] = (struct head_layer){0};
        const struct field fields[] = {
            {"outputs", FIELD_COUNT, &outputs, 2, 8192, NULL},
            {"norm", FIELD_FLAG, &layers[i].norm, 0, 0, NULL},
            {"relu", FIELD_FLAG, &layers[i].relu, 0, 0, NULL},
        };
        if (!config_fields(json_item(list, i), where, fields, COUNT(fields), e))
            return false;
        if (!outputs && !(open_end && i + 1 == *n))
            return err_field(e, where, "must have `outputs`");
        layers[i].outputs = (uint32_t)outputs;
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

static void set_defaults(struct train_config *c)
{
    *c = (struct train_config){.views = 2,
                               .batch = 256,
                               .learning_rate = LEARNING_RATE,
                               .head_rate = 1,
                               .warmup = USUAL_WARMUP,
                               .end_rate = 0.001,
                               .held_out = 0.1,
                               .seed = 1,
                               .fit = -1};
    c->arch = (struct arch){.depth = 18, .stem = STEM_IMAGENET, .width = 64};
    c->size = 224;
    c->objective = objective_find("infonce");
    c->settings = c->objective->defaults;
    c->optimizer = optimizer_defaults(OPTIMIZER_SGD);
    snprintf(c->recipe, sizeof c->recipe, "simclr");
    memcpy(c->augment, recipe_find("simclr")->view, sizeof c->augment);
    c->head[0] = (struct head_layer){512, true, true};
    c->head[1] = (struct head_layer){128, false, false};
    c->n_head = 2;
}

static bool read_top(struct train_config *c, const struct json *v, struct err *e)
{
    int precision = 0, backend = 0;
    uint64_t stages = 0, views = 2, batch = c->batch, per_label = 0, chunk = 0, threads = 0, cache = 0, size = 0;
    const struct field fields[] = {
        {"data", FIELD_PATH, &c->data, 0, 0, NULL},
        {"validation", FIELD_PATH, &c->validation, 0, 0, NULL},
        {"manifest", FIELD_PATH, &c->manifest, 0, 0, NULL},
        {"collection", FIELD_PATH, &c->collection, 0, 0, NULL},
        {"store", FIELD_PATH, &c->store, 0, 0, NULL},
        {"out", FIELD_PATH, &c->out, 0, 0, NULL},
        {"model", FIELD_PATH, &c->model, 0, 0, NULL},
        {"picks", FIELD_PATH, &c->picks, 0, 0, NULL},
        {"arch", FIELD_OTHER, NULL, 0, 0, NULL},
        {"method", FIELD_OTHER, NULL, 0, 0, NULL},
        {"augmentation", FIELD_OTHER, NULL, 0, 0, NULL},
        {"crops", FIELD_OTHER, NULL, 0, 0, NULL},
        {"optimizer", FIELD_OTHER, NULL, 0, 0, NULL},
        {"head", FIELD_OTHER, NULL, 0, 0, NULL},
        {"predictor", FIELD_OTHER, NULL, 0, 0, NULL},
        {"fit", FIELD_CHOICE, &c->fit, 0, 0, fit_names},
        {"size", FIELD_COUNT, &size, 16, 1024, NULL},
        {"views", FIELD_COUNT, &views, 1, 2, NULL},
        {"batch_size", FIELD_COUNT, &batch, 3, 65536, NULL},
        {"per_label", FIELD_COUNT, &per_label, 0, 1024, NULL},
        {"chunk", FIELD_COUNT, &chunk, 0, 65536, NULL},
        {"epochs", FIELD_COUNT, &c->epochs, 1, 100000, NULL},
        {"steps", FIELD_COUNT, &c->steps, 1, 1e9, NULL},
        {"max_minutes", FIELD_REAL, &c->max_minutes, 0, 1e6, NULL},
        {"clip_norm", FIELD_REAL, &c->clip_norm, 0, 1e6, NULL},
        {"ema", FIELD_REAL, &c->ema, 0, 0.99999, NULL},
        {"freeze_norm", FIELD_FLAG, &c->freeze_norm, 0, 0, NULL},
        {"freeze_stages", FIELD_COUNT, &stages, 0, 5, NULL},
        {"held_out", FIELD_REAL, &c->held_out, 0, 0.5, NULL},
        {"evaluate_every", FIELD_COUNT, &c->evaluate_every, 0, 1e9, NULL},
        {"checkpoint_every", FIELD_COUNT, &c->checkpoint_every, 0, 1e9, NULL},
        {"seed", FIELD_COUNT, &c->seed, 0, 9e15, NULL},
        {"precision", FIELD_CHOICE, &precision, 0, 0, precisions},
        {"backend", FIELD_CHOICE, &backend, 0, 0, backends},
        {"threads", FIELD_COUNT, &threads, 0, 256, NULL},
        {"cache_bytes", FIELD_COUNT, &cache, 0, 1e12, NULL},
    };
    if (!config_fields(v, "", fields, COUNT(fields), e))
        return false;
    c->precision = (enum precision)precision;
    c->backend = (enum backend)backend;
    c->freeze_stages = (uint32_t)stages;
    c->size = c->model ? (uint32_t)size : c->size;
    c->views = views;
    c->batch = batch;
    c->per_label = per_label;
    c->chunk = chunk;
    c->threads = threads;
    c->cache_bytes = cache;
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
    set_defaults(c);
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
