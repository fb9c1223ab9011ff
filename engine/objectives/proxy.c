/* proxy.c - a learned direction stands for each label, and pictures are told apart by them.
 *
 * Movshovitz-Attias et al. 2017, "No fuss distance metric learning using proxies" (arXiv:1703.07464), in the form that Zhai and Wu 2018
 * (arXiv:1811.12649) and Teh et al. 2020 (ProxyNCA++, arXiv:2004.01113) found to be the better one: a softmax over all proxies, the own one
 * among them, with a temperature.
 *
 *     loss = mean over the rows with a label of  -log softmax(U C' / temperature)_label
 *
 * Each row is compared with all labels of the collection, not with those that happen to be in its batch: it needs no pairs, is never without
 * a negative, and learns sooner than InfoNCE by labels does.  Proxies are learned by the optimiser and stay unit vectors.
 */
#include <assert.h>

#include "engine/objectives/contrast.h"
#include "engine/objectives/objective_parts.h"
#include "engine/objectives/prototypes.h"
#include "engine/objectives/unit_rows.h"

enum { PROXIES };

static bool check(const struct objective_settings *s, struct err *e)
{
    return setting_in_range("temperature", s->temperature, 0.0005, 10, e);
}

static bool open(struct loss *l, struct err *e)
{
    size_t k = l->shape.labels, d = l->shape.d;
    if (k < 2)
        return err_set(e, ERR_BAD_INPUT, "proxies stand for labels, and there are fewer than two");
    prototypes_start(loss_add(l, "proxies", k * d, true), k, d, l->shape.seed);
    return true;
}

static size_t workspace(const struct loss *l)
{
    size_t n = l->shape.n;
    return n * l->shape.d + n + n * l->shape.labels;
}

/* A row without a label has no positive, and so is no anchor. */
static enum contrast_column column(const void *context, size_t i, size_t j)
{
    const int32_t *labels = context;
    return labels[i] == (int32_t)j ? CONTRAST_POSITIVE : CONTRAST_NEGATIVE;
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    size_t n = b->n, d = b->d, k = l->shape.labels;
    float *u = l->work, *norms = u + n * d, *scores = norms + n;
    struct loss_tensor *c = &l->tensors[PROXIES];
    struct loss_report r = {.active = 1};

    for (size_t i = 0; i < n; i++)
        assert(b->groups[i] < (int32_t)k);
    unit_rows_forward(b->z, n, d, u, norms);
    prototypes_logits(u, c->data, n, k, d, l->settings.temperature, scores);
    r.loss = contrast(scores, n, k, CONTRAST_OUT, column, b->groups, &r.anchors);
    memset(grad, 0, n * d * sizeof *grad);
    prototypes_backward(scores, u, c->data, n, k, d, 1 / l->settings.temperature, grad, c->gradient);
    unit_rows_backward(u, norms, n, d, grad);
    return r;
}

static void after_step(struct loss *l, const struct loss_batch *b)
{
    prototypes_unit(l->tensors[PROXIES].data, l->shape.labels, b->d);
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(s);
    return log((double)shape->labels);
}

static const struct setting settings[] = {SETTING_TEMPERATURE};

/* No head: proxies stand in the space that is searched.  They begin at random whatever the encoder knows, so `head_rate`, which is theirs
 * too, is above 1 for a trained one. */
#define SETTINGS                                                                                                       \
    {                                                                                                                  \
        .positives = POSITIVES_LABELS, .temperature = 0.05                                                             \
    }

static const struct objective_profile profiles[USES] = {
    [USE_SCRATCH] = {.settings = SETTINGS,
                     .recipe = "finetune",
                     .optimizer = "adamw",
                     .learning_rate = 3e-3,
                     .weight_decay = 0.05,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.settings = SETTINGS,
                   .recipe = "finetune",
                   .optimizer = "adamw",
                   .learning_rate = 3e-3,
                   .weight_decay = 0.05,
                   .head_rate = 1,
                   .warmup = USUAL_WARMUP},
    [USE_FINETUNE] = {.settings = SETTINGS,
                      .recipe = "finetune",
                      .optimizer = "adamw",
                      .learning_rate = 1e-4,
                      .weight_decay = 1e-4,
                      .head_rate = 10,
                      .warmup = USUAL_WARMUP},
};

const struct objective objective_proxy = {
    .name = "proxy",
    .paper = "Movshovitz-Attias et al. 2017, arXiv:1703.07464; Zhai and Wu 2018, arXiv:1811.12649",
    .help = "tell labels apart by a learned direction for each",
    .defaults = SETTINGS,
    .profiles = profiles,
    .settings = settings,
    .n_settings = COUNT(settings),
    .needs_labels = true,
    .check = check,
    .open = open,
    .workspace = workspace,
    .run = run,
    .after_step = after_step,
    .collapsed = collapsed,
};
