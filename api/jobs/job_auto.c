/* job_auto.c - settles batch, recipe, optimiser and the objective's own settings.
 *
 * An objective with profiles brings head, recipe, optimiser and rates along: that for fine-tuning for a trained model, that of its size of
 * pictures for one with random weights.  The others get those that fine-tuning on a processor is known to work with.  The objective
 * then makes its profile suit the number of pictures, and what was asked for beats both.
 */
#include "api/jobs/job_auto.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/data/manifest.h"

enum { AUTO_BATCH = 64, AUTO_STEPS = 1000, AUTO_EPOCHS_MOST = 100, EACH_LABEL = 4, LEAST_BATCH = 4 };
static const double PROFILE_BATCH = 256; /* that the rates of SGD and LARS are meant for */

/* The text, or NULL for auto. */
static const char *text_of(const struct json *values, const char *key)
{
    const char *text = json_as_text(json_member(values, key), NULL);
    return text && strcmp(text, "auto") != 0 ? text : NULL;
}

/* Leaves *out alone for auto. */
static bool number_of(const struct json *values, const char *key, double *out)
{
    return json_as_number(json_member(values, key), out);
}

/* ---- the ground ---- */

void job_ground_count(struct job_ground *g, const size_t *each, size_t labels)
{
    g->images = each[0];
    g->spared = manifest_spared(each[0], JOB_HELD_OUT);
    g->kinds = labels;
    g->labels = 0;
    for (size_t l = 1; l <= labels; l++) {
        g->images += each[l];
        g->spared += manifest_spared(each[l], JOB_HELD_OUT);
        g->labels += each[l] >= 2;
    }
}

/* ---- the profile ---- */

/* For objectives without profiles: a trained encoder keeps its space, so one linear layer is enough; a fresh one wants something to
 * throw away. */
static struct objective_profile standard_profile(const struct objective *o, bool trained)
{
    struct objective_profile p = {
        .settings = o->defaults, .optimizer = "adamw", .weight_decay = 1e-4, .warmup = USUAL_WARMUP};
    p.learning_rate = trained ? 1e-4 : 1e-3;
    p.head_rate = trained ? 10 : 1;
    if (!trained)
        p.head.projector[p.head.n_projector++] = (struct head_layer){512, true, true};
    p.head.projector[p.head.n_projector++] = (struct head_layer){128, false, false};
    return p;
}

static struct objective_profile profile_of(const struct objective *o, const struct job_ground *g)
{
    enum use use = g->trained ? USE_FINETUNE : g->small ? USE_SMALL : USE_SCRATCH;
    return o->profiles ? o->profiles[use] : standard_profile(o, g->trained);
}

/* The objective's own settings that were asked for; "auto" is no value of any. */
static void take_own(struct objective_settings *out, const struct objective *o, const struct json *values)
{
    for (size_t i = 0; i < o->n_settings; i++)
        (void)setting_set(&o->settings[i], out, json_member(values, o->settings[i].name));
}

/* ---- positives: labels, where the objective can use them and there are some ---- */

/* The field at fault is `positives`; where the objective leaves no choice, it is the collection. */
static bool refuse_labels(const struct objective *o, const char *need, struct err *e)
{
    if (o->needs_labels)
        return err_set(e, ERR_BAD_INPUT, "%s needs %s: label the pictures, or take another method", o->name, need);
    return err_field(e, "positives", "needs %s", need);
}

static bool settle_positives(struct job_choices *c, const struct job *j, const struct job_ground *g,
                             const struct json *values, struct err *e)
{
    enum positives *p = &c->profile.settings.positives;
    bool judged = g->validation || g->spared > 0;
    if (!setting_find(j->objective->settings, j->objective->n_settings, "positives"))
        *p = j->objective->defaults.positives;
    else if (!text_of(values, "positives"))
        *p = g->labels >= 2 && judged ? POSITIVES_LABELS : POSITIVES_VIEWS;
    if (*p == POSITIVES_VIEWS)
        return true;
    if (g->kinds < 2 || g->labels == 0)
        return refuse_labels(j->objective, "two labels, and one of them with two pictures or more", e);
    return judged || refuse_labels(j->objective,
                                   "a label with four different pictures, of which two are held out to judge by", e);
}

/* ---- batches ---- */

/* P x K batches: the largest K that the batch and the labels allow. */
static int64_t images_of_a_label(int64_t batch, size_t labels)
{
    for (int64_t k = EACH_LABEL; k >= 2; k--)
        if (batch % k == 0 && (size_t)(batch / k) <= labels && batch / k >= 2)
            return k;
    return 0;
}

/* As the trainer splits: where no label can spare any, labels are not looked at. */
static size_t count_learned(const struct job_ground *g)
{
    if (g->validation)
        return g->images;
    return g->images - (g->spared ? g->spared : manifest_spared(g->images, JOB_HELD_OUT));
}

static bool settle_batch(struct job_choices *c, const struct job *j, const struct job_ground *g,
                         const struct json *values, struct err *e)
{
    const size_t least = max_size(LEAST_BATCH, j->objective->least_batch);
    bool by_labels = c->profile.settings.positives == POSITIVES_LABELS && !j->objective->needs_labels;
    c->learned = count_learned(g);
    size_t most = by_labels ? min_size(g->labels * EACH_LABEL, c->learned / EACH_LABEL * EACH_LABEL)
                            : max_size(c->learned / 2, min_size(least, c->learned));
    double batch = (double)min_size(AUTO_BATCH, most);
    bool asked = number_of(values, "batch_size", &batch);
    c->batch = (int64_t)batch;
    c->per_label = by_labels ? images_of_a_label(c->batch, g->labels) : 0;
    size_t room = c->per_label ? (size_t)c->batch : c->learned;
    if (!g->validation && c->learned == g->images)
        return err_set(e, ERR_BAD_INPUT, "%zu pictures are too few to train on: none can be held out to judge by",
                       g->images);
    if (asked && (size_t)c->batch > room)
        return err_field(e, "batch_size", "must not be more than the %zu pictures that are learned from", c->learned);
    if (asked && (size_t)c->batch < least)
        return err_field(e, "batch_size", "must be at least %zu for %s, which compares the pictures of a batch", least,
                         j->objective->name);
    return ((size_t)c->batch >= least && (size_t)c->batch <= room) ||
           err_set(e, ERR_BAD_INPUT, "%zu pictures are too few to train on: %s needs batches of %zu", g->images,
                   j->objective->name, least);
}

static void settle_length(struct job_choices *c, const struct job_ground *g, const struct json *values)
{
    double steps = fmax(1, floor((double)c->learned / (double)c->batch));
    double epochs = fmin(fmax(round(AUTO_STEPS / steps), 1), AUTO_EPOCHS_MOST);
    number_of(values, "n_epochs", &epochs);
    c->epochs = (int64_t)epochs;
    c->minutes = g->max_minutes;
    number_of(values, "max_minutes", &c->minutes);
}

/* ---- the rest of the profile ---- */

static bool settle_own(struct job_choices *c, const struct job *j, const struct json *values, struct err *e)
{
    const struct objective *o = j->objective;
    if (o->fit)
        o->fit(&c->profile, c->learned, (size_t)c->batch);
    take_own(&c->profile.settings, o, values);
    return o->check(&c->profile.settings, e) && (!o->check_run || o->check_run(&c->profile.settings, c->learned, e));
}

/* The rates of SGD and LARS grow with the batch; AdamW's do not depend on the gradient's size, and stay. */
static double auto_rate(const struct objective_profile *p, const char *optimizer, const struct job_choices *c,
                        bool trained)
{
    double scale = (double)c->batch / PROFILE_BATCH, rate = p->learning_rate;
    bool other = strcmp(optimizer, p->optimizer) != 0;
    if (strcmp(optimizer, "adamw") == 0)
        return !other ? rate : trained ? 1e-4 : 1e-3;
    return scale * (!other ? rate : strcmp(optimizer, "lars") == 0 ? 0.3 : 0.03);
}

static void settle_optimizer(struct job_choices *c, const struct job_ground *g, const struct json *values)
{
    struct objective_profile *p = &c->profile;
    const char *asked = text_of(values, "optimizer"), *optimizer = asked ? asked : p->optimizer;
    p->learning_rate = auto_rate(p, optimizer, c, g->trained);
    p->optimizer = optimizer;
    number_of(values, "learning_rate", &p->learning_rate);
}

bool job_choose(const struct job *j, const struct job_ground *g, const struct json *values, struct job_choices *out,
                struct err *e)
{
    *out = (struct job_choices){.profile = profile_of(j->objective, g)};
    struct objective_profile *p = &out->profile;
    take_own(&p->settings, j->objective, values);
    if (!settle_positives(out, j, g, values, e) || !settle_batch(out, j, g, values, e) ||
        !settle_own(out, j, values, e))
        return false;
    json_as_int(json_member(values, "small_crops"), &out->small_crops);
    settle_length(out, g, values);
    settle_optimizer(out, g, values);
    const char *recipe = text_of(values, "augmentation"), *freeze = text_of(values, "freeze");
    p->recipe = recipe                                      ? recipe
                : p->recipe                                 ? p->recipe
                : p->settings.positives == POSITIVES_LABELS ? "finetune"
                                                            : "finetune-views";
    /* Heads have batch norms of their own, which always learn. */
    out->fit = text_of(values, "fit");
    out->freeze = freeze ? freeze : g->trained ? "norm" : "none";
    return true;
}
