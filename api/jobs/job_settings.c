/* job_settings.c - checks hyper-parameters, describes them, and turns them into the configuration of a run. */
#include "api/jobs/job_settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/learning/train_config.h"
#include "engine/pictures/augment.h"

enum kind { KIND_COUNT, KIND_REAL, KIND_RECIPE, KIND_CHOICE };

/* How much of the encoder stays as it is; the index: stages, once batch norms are frozen. */
static const char *const freezes[] = {"none", "norm", "stem", "stage1", "stage2", "stage3", "stage4", NULL};

static const struct common {
    const char *name;
    enum kind kind;
    double lo, hi;
    const char *const *choices;
    const char *help;
    bool multicrop; /* of the objectives that take more than two views */
} common[] = {
    {"n_epochs", KIND_COUNT, 1, 10000, NULL, "times that all pictures are seen; auto: about 1,000 steps", false},
    {"batch_size", KIND_COUNT, 4, 4096, NULL, "pictures of a step; auto: 64, or what there is", false},
    {"optimizer", KIND_CHOICE, 0, 0, optimizer_names, "auto: the one that goes with the objective", false},
    {"learning_rate", KIND_REAL, 1e-7, 1, NULL,
     "auto: the one that goes with objective and optimizer, for fresh models larger than for trained ones", false},
    {"max_minutes", KIND_REAL, 0.05, 10080, NULL, "of training; auto: the server's setting", false},
    {"augmentation", KIND_RECIPE, 0, 0, NULL,
     "how views are made; auto: what goes with the objective, for a trained model finetune with labels and "
     "finetune-views without",
     false},
    {"freeze", KIND_CHOICE, 0, 0, freezes,
     "what of the encoder stays: its batch norms, and the stages up to this one; those of the head always learn; auto: "
     "none for a fresh "
     "model, norm for a trained one",
     false},
    {"fit", KIND_CHOICE, 0, 0, fit_names,
     "how a picture that is no square becomes one: its middle, all of it between bars, or all of it squashed; auto: "
     "the model's",
     false},
    {"small_crops", KIND_COUNT, 0, 16, NULL,
     "of each picture, beside two full ones: they cost little and predict what those show; auto: none", true},
};

/* ---- checking ---- */

static bool is_auto(const struct json *v)
{
    const char *text = json_as_text(v, NULL);
    return !v || (text && strcmp(text, "auto") == 0);
}

static bool fail(struct err *e, const char *where, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%.80s.%.40s", where, name);
    return err_field(e, path, "%s", text);
}

static bool fail_range(struct err *e, const char *where, const char *name, const char *kind, double lo, double hi)
{
    char text[96];
    snprintf(text, sizeof text, "must be \"auto\" or a %s from %g to %g", kind, lo, hi);
    return fail(e, where, name, text);
}

static bool fail_choice(struct err *e, const char *where, const char *name, const char *const *choices)
{
    char text[160] = "must be \"auto\"";
    for (size_t i = 0; choices[i]; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, " or %s", choices[i]);
    }
    return fail(e, where, name, text);
}

static bool is_choice(const struct json *v, const char *const *choices)
{
    const char *text = json_as_text(v, NULL);
    for (size_t i = 0; text && choices[i]; i++)
        if (strcmp(text, choices[i]) == 0)
            return true;
    return false;
}

static bool check_common(const struct common *c, const struct json *v, const char *where, struct err *e)
{
    double x;
    int64_t whole;
    switch (c->kind) {
    case KIND_COUNT:
        return (json_as_int(v, &whole) && (double)whole >= c->lo && (double)whole <= c->hi) ||
               fail_range(e, where, c->name, "whole number", c->lo, c->hi);
    case KIND_REAL:
        return (json_as_number(v, &x) && x >= c->lo && x <= c->hi) ||
               fail_range(e, where, c->name, "number", c->lo, c->hi);
    case KIND_RECIPE:
        return (json_as_text(v, NULL) && recipe_find(json_as_text(v, NULL))) ||
               fail(e, where, c->name, "must be \"auto\" or the name of a recipe, such as finetune or simclr");
    case KIND_CHOICE: break;
    }
    return is_choice(v, c->choices) || fail_choice(e, where, c->name, c->choices);
}

static bool check_own(const struct setting *s, const struct json *v, const char *where, struct err *e)
{
    double x;
    bool flag;
    switch (s->kind) {
    case SETTING_REAL:
        return (json_as_number(v, &x) && x >= s->lo && x <= s->hi) ||
               fail_range(e, where, s->name, "number", s->lo, s->hi);
    case SETTING_FLAG: return json_as_bool(v, &flag) || fail(e, where, s->name, "must be \"auto\", true or false");
    case SETTING_CHOICE: break;
    }
    return is_choice(v, s->choices) || fail_choice(e, where, s->name, s->choices);
}

static bool has_common(const struct objective *o, const struct common *c)
{
    return !c->multicrop || o->multicrop;
}

static bool check_one(const struct objective *o, const char *key, const struct json *v, const char *where,
                      struct err *e)
{
    for (size_t i = 0; i < COUNT(common); i++)
        if (has_common(o, &common[i]) && strcmp(common[i].name, key) == 0)
            return is_auto(v) || check_common(&common[i], v, where, e);
    for (size_t i = 0; i < o->n_settings; i++)
        if (strcmp(o->settings[i].name, key) == 0)
            return is_auto(v) || check_own(&o->settings[i], v, where, e);
    return fail(e, where, key, "this objective has no such hyper-parameter: GET /v1/fine_tuning/objectives lists them");
}

bool job_settings_check(const struct objective *o, const struct json *values, const char *where, struct err *e)
{
    const char *key;
    const struct json *v;
    if (values && json_kind(values) != JSON_KIND_OBJECT)
        return err_field(e, where, "must be an object");
    for (void *it = NULL; values && (it = json_next(values, it, &key, &v));)
        if (json_kind(v) != JSON_KIND_NULL && !check_one(o, key, v, where, e))
            return false;
    return true;
}

/* ---- describing ---- */

static void write_choices(struct json_writer *w, const char *const *choices)
{
    jw_array(w, "choices");
    for (size_t i = 0; choices[i]; i++)
        jw_text(w, NULL, choices[i]);
    jw_end(w);
}

static void write_recipes(struct json_writer *w)
{
    size_t n;
    const struct recipe *r = recipe_list(&n);
    jw_array(w, "choices");
    for (size_t i = 0; i < n; i++)
        jw_text(w, NULL, r[i].name);
    jw_end(w);
}

void job_settings_number(struct json_writer *w, const char *key, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", value);
    jw_raw(w, key, text);
}

static void write_range(struct json_writer *w, double lo, double hi)
{
    job_settings_number(w, "minimum", lo);
    job_settings_number(w, "maximum", hi);
}

static void write_common(struct json_writer *w, const struct common *c)
{
    static const char *const types[] = {
        [KIND_COUNT] = "integer", [KIND_REAL] = "number", [KIND_RECIPE] = "string", [KIND_CHOICE] = "string"};
    jw_object(w, NULL);
    jw_text(w, "name", c->name);
    jw_text(w, "type", types[c->kind]);
    jw_text(w, "default", "auto");
    if (c->kind == KIND_RECIPE)
        write_recipes(w);
    else if (c->kind == KIND_CHOICE)
        write_choices(w, c->choices);
    else
        write_range(w, c->lo, c->hi);
    jw_text(w, "help", c->help);
    jw_end(w);
}

/* Whether its default depends on the pictures or the model. */
static bool is_settled_later(const struct objective *o, const struct setting *s)
{
    bool later = strcmp(s->name, "positives") == 0;
    for (size_t u = 0; s->kind == SETTING_REAL && o->profiles && u < USES; u++)
        later |= *(const double *)(const void *)((const char *)&o->profiles[u].settings + s->offset) !=
                 *(const double *)(const void *)((const char *)&o->defaults + s->offset);
    return later;
}

static void write_own(struct json_writer *w, const struct setting *s, const struct objective *o)
{
    static const char *const types[] = {
        [SETTING_REAL] = "number", [SETTING_FLAG] = "boolean", [SETTING_CHOICE] = "string"};
    const void *at = (const char *)&o->defaults + s->offset;
    jw_object(w, NULL);
    jw_text(w, "name", s->name);
    jw_text(w, "type", types[s->kind]);
    if (is_settled_later(o, s))
        jw_text(w, "default", "auto");
    else if (s->kind == SETTING_REAL)
        job_settings_number(w, "default", *(const double *)at);
    else if (s->kind == SETTING_FLAG)
        jw_bool(w, "default", *(const bool *)at);
    else
        jw_text(w, "default", s->choices[*(const unsigned *)at]);
    if (s->kind == SETTING_REAL)
        write_range(w, s->lo, s->hi);
    if (s->kind == SETTING_CHOICE)
        write_choices(w, s->choices);
    jw_text(w, "help", s->help);
    jw_end(w);
}

void job_settings_write(struct json_writer *w, const char *key, const struct objective *o)
{
    jw_array(w, key);
    for (size_t i = 0; i < COUNT(common); i++)
        if (has_common(o, &common[i]))
            write_common(w, &common[i]);
    for (size_t i = 0; i < o->n_settings; i++)
        write_own(w, &o->settings[i], o);
    jw_end(w);
}

void job_settings_copy(const struct json *values, struct buf *out)
{
    struct json_writer w = jw_to(out);
    const char *key;
    const struct json *v;
    jw_object(&w, NULL);
    for (void *it = NULL; values && (it = json_next(values, it, &key, &v));) {
        double x;
        bool flag;
        if (json_as_number(v, &x))
            job_settings_number(&w, key, x);
        else if (json_as_bool(v, &flag))
            jw_bool(&w, key, flag);
        else
            jw_text(&w, key, json_as_text(v, NULL));
    }
    jw_end(&w);
}
