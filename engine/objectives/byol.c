/* byol.c - BYOL: predict what a slowly moving copy of the network makes of the other view.
 *
 * Grill et al. 2020, "Bootstrap your own latent" (arXiv:2006.07733).  With p the predictor's output and t the target's,
 *
 *     loss = mean_i (2 - 2 cos(p_i, t_i')), the two directions summed; from 4 (unrelated) to 0 (the same)
 *
 * There are no negatives: that the copy lags behind and only the online branch has a predictor is all that keeps every picture from
 * getting one vector.  Without the predictor that is what happens.
 */
#include "engine/objectives/cosine.h"
#include "engine/objectives/objective_parts.h"

static bool check(const struct objective_settings *s, struct err *e)
{
    return setting_in_range("momentum", s->momentum, 0, 1, e) &&
           setting_in_range("momentum_end", s->momentum_end, 0, 1, e);
}

static size_t workspace(const struct loss *l)
{
    return cosine_workspace(l->shape.n, l->shape.d);
}

/* Over n = 2N rows the mean of both directions is the mean cosine: their sum is 4 - 4 of it. */
static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    double cosine = cosine_to_other_view(b, -4, l->work, grad);
    return (struct loss_report){.loss = 4 - 4 * cosine, .anchors = b->n, .active = 1};
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(s);
    UNUSED(shape);
    return 0;
}

static const struct setting settings[] = {SETTING_MOMENTUM};

#define HEAD(hidden, outputs, norm)                                                                                    \
    {                                                                                                                  \
        .projector = {{hidden, true, true}, {outputs, norm, false}}, .n_projector = 2,                                 \
        .predictor = {{hidden, true, true}, {0, false, false}}, .n_predictor = 2                                       \
    }
#define FINETUNE                                                                                                       \
    {                                                                                                                  \
        .momentum = 0.99, .momentum_end = 1                                                                            \
    }

static const struct objective_profile profiles[USES] = {
    [USE_SCRATCH] = {.settings = {.momentum = 0.99, .momentum_end = 1},
                     .head = HEAD(4096, 256, false),
                     .recipe = "byol",
                     .optimizer = "lars",
                     .learning_rate = 0.3,
                     .weight_decay = 1e-6,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.settings = {.momentum = 0.99, .momentum_end = 1}, .head = HEAD(1024, 256, true), SMALL_RUN},
    [USE_FINETUNE] = {.settings = FINETUNE, .head = HEAD(512, 128, false), FINETUNE_RUN},
};

const struct objective objective_byol = {
    .name = "byol",
    .paper = "Grill et al. 2020, arXiv:2006.07733",
    .help = "predict what a slowly moving copy makes of the other view; no negatives",
    .defaults = FINETUNE,
    .profiles = profiles,
    .settings = settings,
    .n_settings = COUNT(settings),
    .target = TARGET_MOMENTUM,
    .least_batch = BATCH_NORM_PICTURES,
    .check = check,
    .workspace = workspace,
    .run = run,
    .collapsed = collapsed,
};
