/* train_auto.c - profiles, defaults, and what suits the pictures. */
#include "engine/learning/train_auto.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "engine/data/manifest.h"

enum {
    AUTO_BATCH = 64,
    AUTO_STEPS = 1000,
    AUTO_EPOCHS_MOST = 100,
    EACH_LABEL = 4,
    LEAST_BATCH = 4,
    EVALUATIONS = 12,
    LEAST_STEPS = 10 /* from one evaluation to the next */
};
static const double usual_rate = 0.1, held_out = 0.1;
static const double profile_batch = 256; /* that the rates of SGD and LARS are meant for */

const char *const freeze_names[] = {"none", "norm", "stem", "stage1", "stage2", "stage3", "stage4", NULL};

/* ---- profiles ---- */

static const struct objective_profile *profile_of(const struct objective *o, bool trained, bool small)
{
    return o->profiles ? &o->profiles[trained ? USE_FINETUNE : small ? USE_SMALL : USE_SCRATCH] : NULL;
}

/* As SimCLR's authors do. */
static struct objective_profile plain_profile(const struct objective *o)
{
    return (struct objective_profile){.settings = o->defaults,
                                      .head = {.projector = {{512, true, true}, {128, false, false}}, .n_projector = 2},
                                      .recipe = "simclr",
                                      .optimizer = "sgd",
                                      .learning_rate = usual_rate,
                                      .weight_decay = 1e-4,
                                      .head_rate = 1,
                                      .warmup = USUAL_WARMUP};
}

/* What fine-tuning on a processor is known to work with: a trained encoder keeps its space, so one linear layer is enough; a fresh one
 * wants something to throw away.  The recipe depends on the positives. */
static struct objective_profile careful_profile(const struct objective *o, bool trained)
{
    struct objective_profile p = plain_profile(o);
    p.optimizer = "adamw";
    p.learning_rate = trained ? 1e-4 : 1e-3;
    p.head_rate = trained ? 10 : 1;
    p.recipe = NULL;
    if (trained)
        p.head = (struct head_layers){.projector = {{128, false, false}}, .n_projector = 1};
    return p;
}

static void use_profile(struct train_config *c, const struct objective *o, const struct objective_profile *p)
{
    const struct recipe *views = recipe_find(p->recipe);
    c->objective = o;
    c->settings = p->settings;
    c->optimizer = optimizer_defaults((enum optimizer_kind)choice_find(optimizer_names, p->optimizer));
    c->optimizer.weight_decay = p->weight_decay;
    c->learning_rate = p->learning_rate;
    c->head_rate = p->head_rate;
    c->warmup = p->warmup;
    memcpy(c->head, p->head.projector, sizeof c->head);
    memcpy(c->predictor, p->head.predictor, sizeof c->predictor);
    c->n_head = p->head.n_projector;
    c->n_predictor = p->head.n_predictor;
    snprintf(c->recipe, sizeof c->recipe, "%s", p->recipe);
    if (views)
        memcpy(c->augment, views->view, sizeof c->augment);
}

/* ---- a configuration's gaps ---- */

void train_defaults(struct train_config *c)
{
    *c = (struct train_config){.arch = arch_usual(),
                               .size = 224,
                               .views = 2,
                               .batch = 256,
                               .end_rate = 0.001,
                               .held_out = held_out,
                               .seed = 1,
                               .fit = -1};
    train_defaults_of(c, objective_find("infonce"), false, false);
}

void train_defaults_of(struct train_config *c, const struct objective *o, bool trained, bool small)
{
    const struct objective_profile *own = profile_of(o, trained, small), plain = plain_profile(o);
    use_profile(c, o, own ? own : &plain);
}

void train_defaults_optimizer(struct train_config *c, enum optimizer_kind kind)
{
    c->optimizer = optimizer_defaults(kind);
    c->learning_rate = usual_rate;
}

/* ---- a job: the ground ---- */

void train_ground_count(struct train_ground *g, const size_t *each, size_t labels)
{
    g->images = each[0];
    g->spared = manifest_spared(each[0], held_out);
    g->kinds = labels;
    g->labels = 0;
    for (size_t l = 1; l <= labels; l++) {
        g->images += each[l];
        g->spared += manifest_spared(each[l], held_out);
        g->labels += each[l] >= 2;
    }
}

struct choice { /* what is being chosen */
    const struct objective *o;
    const struct train_ground *g;
    const struct train_asked *asked;
    struct objective_profile profile;
    size_t learned, batch,
        per_label; /* pictures that are learned from, of a batch, of a label in it (0: as they come) */
};

/* The objective's own settings that were asked for; "auto" is no value of any. */
static void take_own(struct choice *c)
{
    for (size_t i = 0; i < c->o->n_settings; i++)
        (void)setting_set(&c->o->settings[i], &c->profile.settings, json_member(c->asked->own, c->o->settings[i].name));
}

/* ---- positives: labels, where the objective can use them and there are some ---- */

/* The field at fault is `positives`; where the objective leaves no choice, it is the collection. */
static bool refuse_labels(const struct objective *o, const char *need, struct err *e)
{
    if (o->needs_labels)
        return err_set(e, ERR_BAD_INPUT, "%s needs %s: label the pictures, or take another method", o->name, need);
    return err_field(e, "positives", "needs %s", need);
}

static bool settle_positives(struct choice *c, struct err *e)
{
    const struct train_ground *g = c->g;
    const struct setting *own = setting_find(c->o->settings, c->o->n_settings, "positives");
    enum positives *p = &c->profile.settings.positives;
    bool judged = g->validation || g->spared > 0;
    if (!own)
        *p = c->o->defaults.positives;
    else if (!setting_set(own, &c->profile.settings, json_member(c->asked->own, "positives")))
        *p = g->labels >= 2 && judged ? POSITIVES_LABELS : POSITIVES_VIEWS;
    if (*p == POSITIVES_VIEWS)
        return true;
    if (g->kinds < 2 || g->labels == 0)
        return refuse_labels(c->o, "two labels, and one of them with two pictures or more", e);
    return judged ||
           refuse_labels(c->o, "a label with four different pictures, of which two are held out to judge by", e);
}

/* ---- batches ---- */

/* P x K batches: the largest K that the batch and the labels allow. */
static size_t images_of_a_label(size_t batch, size_t labels)
{
    for (size_t k = EACH_LABEL; k >= 2; k--)
        if (batch % k == 0 && batch / k <= labels && batch / k >= 2)
            return k;
    return 0;
}

/* As the trainer splits: where no label can spare any, labels are not looked at. */
static size_t count_learned(const struct train_ground *g)
{
    if (g->validation)
        return g->images;
    return g->images - (g->spared ? g->spared : manifest_spared(g->images, held_out));
}

static bool settle_batch(struct choice *c, struct err *e)
{
    const struct train_ground *g = c->g;
    const size_t least = max_size(LEAST_BATCH, c->o->least_batch), asked = (size_t)c->asked->batch;
    bool by_labels = c->profile.settings.positives == POSITIVES_LABELS && !c->o->needs_labels;
    c->learned = count_learned(g);
    size_t most = by_labels ? min_size(g->labels * EACH_LABEL, c->learned / EACH_LABEL * EACH_LABEL)
                            : max_size(c->learned / 2, min_size(least, c->learned));
    c->batch = asked ? asked : min_size(AUTO_BATCH, most);
    c->per_label = by_labels ? images_of_a_label(c->batch, g->labels) : 0;
    size_t room = c->per_label ? c->batch : c->learned;
    if (!g->validation && c->learned == g->images)
        return err_set(e, ERR_BAD_INPUT, "%zu pictures are too few to train on: none can be held out to judge by",
                       g->images);
    if (asked && c->batch > room)
        return err_field(e, "batch_size", "must not be more than the %zu pictures that are learned from", c->learned);
    if (asked && c->batch < least)
        return err_field(e, "batch_size", "must be at least %zu for %s, which compares the pictures of a batch", least,
                         c->o->name);
    return (c->batch >= least && c->batch <= room) ||
           err_set(e, ERR_BAD_INPUT, "%zu pictures are too few to train on: %s needs batches of %zu", g->images,
                   c->o->name, least);
}

/* ---- the rest of the profile ---- */

static bool settle_own(struct choice *c, struct err *e)
{
    if (c->o->fit)
        c->o->fit(&c->profile, c->learned, c->batch);
    take_own(c);
    return c->o->check(&c->profile.settings, e) &&
           (!c->o->check_run || c->o->check_run(&c->profile.settings, c->learned, e));
}

/* The rates of SGD and LARS grow with the batch; AdamW's do not depend on the gradient's size, and stay. */
static double auto_rate(const struct choice *c, enum optimizer_kind kind, bool own)
{
    double scale = (double)c->batch / profile_batch, rate = c->profile.learning_rate;
    if (kind == OPTIMIZER_ADAMW)
        return own ? rate : c->g->trained ? 1e-4 : 1e-3;
    return scale * (own ? rate : kind == OPTIMIZER_LARS ? 0.3 : 0.03);
}

static void settle_optimizer(struct choice *c)
{
    struct objective_profile *p = &c->profile;
    int of_profile = choice_find(optimizer_names, p->optimizer);
    int kind = c->asked->optimizer >= 0 ? c->asked->optimizer : of_profile;
    p->learning_rate = c->asked->learning_rate > 0 ? c->asked->learning_rate
                                                   : auto_rate(c, (enum optimizer_kind)kind, kind == of_profile);
    p->optimizer = optimizer_names[kind];
}

/* Heads have batch norms of their own, which always learn. */
static void settle_freeze(struct train_config *out, const struct choice *c)
{
    int freeze = c->asked->freeze >= 0 ? c->asked->freeze : c->g->trained;
    out->freeze_norm = freeze > 0;
    out->freeze_stages = freeze > 0 ? (uint32_t)freeze - 1 : 0;
}

static void settle_length(struct train_config *out, const struct choice *c)
{
    size_t steps = max_size(c->learned / c->batch, 1);
    double epochs = fmin(fmax(round(AUTO_STEPS / (double)steps), 1), AUTO_EPOCHS_MOST);
    out->epochs = (uint64_t)(c->asked->epochs ? c->asked->epochs : (int64_t)epochs);
    out->max_minutes = c->asked->max_minutes > 0 ? c->asked->max_minutes : c->g->max_minutes;
    out->evaluate_every = out->checkpoint_every = max_size(steps * out->epochs / EVALUATIONS, LEAST_STEPS);
}

/* Small crops come beside two full ones. */
static void settle_crops(struct train_config *out, const struct choice *c)
{
    if (c->asked->small_crops)
        out->crops = (struct crops){.groups = {{.count = 2}, {.count = (size_t)c->asked->small_crops}}, .n = 2};
}

static const char *recipe_of(const struct choice *c)
{
    if (c->asked->recipe || c->profile.recipe)
        return c->asked->recipe ? c->asked->recipe : c->profile.recipe;
    return c->profile.settings.positives == POSITIVES_LABELS ? "finetune" : "finetune-views";
}

bool train_auto(struct train_config *out, const struct objective *o, const struct train_ground *g,
                const struct train_asked *asked, struct err *e)
{
    const struct objective_profile *own = profile_of(o, g->trained, g->small);
    struct choice c = {.o = o, .g = g, .asked = asked, .profile = own ? *own : careful_profile(o, g->trained)};
    train_defaults(out);
    take_own(&c);
    if (!settle_positives(&c, e) || !settle_batch(&c, e) || !settle_own(&c, e))
        return false;
    settle_optimizer(&c);
    c.profile.recipe = recipe_of(&c);
    use_profile(out, o, &c.profile);
    out->batch = c.batch;
    out->per_label = c.per_label;
    settle_length(out, &c);
    settle_crops(out, &c);
    settle_freeze(out, &c);
    out->fit = asked->fit;
    out->end_rate = 0.01;
    out->clip_norm = 1;
    out->ema = 0.99;
    return true;
}
