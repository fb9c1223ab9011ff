/* job_settings.c - checks hyper-parameters, describes them, and turns them into the configuration of a run. */
#include "api/jobs/job_settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/augment.h"

/* Those that all objectives have; the last one only those that take more than two views. */
static const struct setting common[] = {
    {"n_epochs", SETTING_INT, AT(struct train_asked, epochs), .lo = 1, .hi = 10000,
     .help = "times that all pictures are seen; auto: about 1,000 steps"},
    {"batch_size", SETTING_INT, AT(struct train_asked, batch), .lo = 4, .hi = 4096,
     .help = "pictures of a step; auto: 64, or what there is"},
    {"optimizer", SETTING_CHOICE, AT(struct train_asked, optimizer), .choices = optimizer_names,
     .help = "auto: the one that goes with the objective"},
    {"learning_rate", SETTING_REAL, AT(struct train_asked, learning_rate), .lo = 1e-7, .hi = 1,
     .help = "auto: the one that goes with objective and optimizer, for fresh models larger than for trained ones"},
    {"max_minutes", SETTING_REAL, AT(struct train_asked, max_minutes), .lo = 0.05, .hi = 10080,
     .help = "of training; auto: the server's setting"},
    {"augmentation", SETTING_TEXT, /* a recipe */
     .wanted = "the name of a recipe, such as finetune or simclr",
     .help = "how views are made; auto: what goes with the objective, for a trained model finetune with labels and "
             "finetune-views without"},
    {"freeze", SETTING_CHOICE, AT(struct train_asked, freeze), .choices = freeze_names,
     .help =
         "what of the encoder stays: its batch norms, and the stages up to this one; those of the head always learn; "
         "auto: none for a fresh model, norm for a trained one"},
    {"fit", SETTING_CHOICE, AT(struct train_asked, fit), .choices = fit_names,
     .help = "how a picture that is no square becomes one: its middle, all of it between bars, or all of it squashed; "
             "auto: the model's"},
    {"small_crops", SETTING_INT, AT(struct train_asked, small_crops), .lo = 0, .hi = 16,
     .help = "of each picture, beside two full ones: they cost little and predict what those show; auto: none"},
};

static size_t common_of(const struct objective *o)
{
    return COUNT(common) - !o->multicrop;
}

static bool is_common(const struct setting *s)
{
    return s >= common && s < common + COUNT(common);
}

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

static bool is_recipe(const struct json *v)
{
    const char *name = json_as_text(v, NULL);
    return name && recipe_find(name);
}

static bool check_one(const struct objective *o, const char *key, const struct json *v, const char *where,
                      struct err *e)
{
    char values[SETTING_VALUES], text[SETTING_VALUES + 24];
    union {
        struct train_asked common;
        struct objective_settings own;
    } scratch;
    const struct setting *s = setting_find(common, common_of(o), key);
    if (!s)
        s = setting_find(o->settings, o->n_settings, key);
    if (!s)
        return fail(e, where, key,
                    "this objective has no such hyper-parameter: GET /v1/fine_tuning/objectives lists them");
    if (is_auto(v) || (s->kind == SETTING_TEXT ? is_recipe(v) : setting_set(s, &scratch, v)))
        return true;
    snprintf(text, sizeof text, "must be \"auto\"%s %s", s->kind == SETTING_FLAG ? "," : " or",
             setting_values(s, 6, " or ", values));
    return fail(e, where, key, text);
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

/* ---- reading ---- */

void job_settings_read(const struct json *values, struct train_asked *out)
{
    const struct json *recipe = json_member(values, "augmentation");
    *out = (struct train_asked){.optimizer = -1, .freeze = -1, .fit = -1, .own = values};
    if (!is_auto(recipe))
        out->recipe = json_as_text(recipe, NULL);
    for (size_t i = 0; i < COUNT(common); i++) /* "auto" is no value of any */
        if (common[i].kind != SETTING_TEXT)
            (void)setting_set(&common[i], out, json_member(values, common[i].name));
}

/* ---- describing ---- */

/* Whether its default depends on the pictures or the model. */
static bool is_settled_later(const struct objective *o, const struct setting *s)
{
    bool later = is_common(s) || strcmp(s->name, "positives") == 0;
    for (size_t u = 0; s->kind == SETTING_REAL && o->profiles && u < USES; u++)
        later |= *(const double *)(const void *)((const char *)&o->profiles[u].settings + s->offset) !=
                 *(const double *)(const void *)((const char *)&o->defaults + s->offset);
    return later;
}

static void write_choices(struct json_writer *w, const struct setting *s)
{
    size_t n;
    const struct recipe *recipes = recipe_list(&n);
    jw_array(w, "choices");
    for (size_t i = 0; s->choices && s->choices[i]; i++)
        jw_text(w, NULL, s->choices[i]);
    for (size_t i = 0; !s->choices && i < n; i++)
        jw_text(w, NULL, recipes[i].name);
    jw_end(w);
}

static void write_setting(struct json_writer *w, const struct setting *s, const struct objective *o)
{
    static const char *const types[] = {[SETTING_INT] = "integer",
                                        [SETTING_REAL] = "number",
                                        [SETTING_FLAG] = "boolean",
                                        [SETTING_CHOICE] = "string",
                                        [SETTING_TEXT] = "string"};
    struct setting standard = *s;
    standard.name = "default";
    jw_object(w, NULL);
    jw_text(w, "name", s->name);
    jw_text(w, "type", types[s->kind]);
    if (is_settled_later(o, s))
        jw_text(w, "default", "auto");
    else
        setting_write(&standard, &o->defaults, w);
    if (s->kind == SETTING_INT || s->kind == SETTING_REAL) {
        jw_real(w, "minimum", s->lo);
        jw_real(w, "maximum", s->hi);
    }
    if (s->kind == SETTING_CHOICE || s->kind == SETTING_TEXT)
        write_choices(w, s);
    jw_text(w, "help", s->help);
    jw_end(w);
}

void job_settings_write(struct json_writer *w, const char *key, const struct objective *o)
{
    jw_array(w, key);
    for (size_t i = 0; i < common_of(o); i++)
        write_setting(w, &common[i], o);
    for (size_t i = 0; i < o->n_settings; i++)
        write_setting(w, &o->settings[i], o);
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
            jw_short(&w, key, x);
        else if (json_as_bool(v, &flag))
            jw_bool(&w, key, flag);
        else
            jw_text(&w, key, json_as_text(v, NULL));
    }
    jw_end(&w);
}
