/* simsiam.c - SimSiam: BYOL without the copy; the network predicts its own other view.
 *
 * Chen and He 2021, "Exploring simple siamese representation learning" (arXiv:2011.10566).  With p the predictor's output and z the
 * projector's of the same weights, taken as a constant,
 *
 *     loss = mean_i -cos(p_i, z_i'), the mean of the two directions; from 0 (unrelated) to -1 (the same)
 *
 * The constant is what keeps it from collapsing; the authors found it sensitive to the head and to its batch norms.  Their last
 * batch norm of the projector has no scale and shift; here it has.
 */
#include "engine/objectives/cosine.h"
#include "engine/objectives/objective_parts.h"

static bool check(const struct objective_settings *s, struct err *e)
{
    UNUSED(s);
    UNUSED(e);
    return true;
}

static size_t workspace(const struct loss *l)
{
    return cosine_workspace(l->shape.n, l->shape.d);
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    double cosine = cosine_to_other_view(b, -1, l->work, grad);
    return (struct loss_report){.loss = -cosine, .anchors = b->n, .active = 1};
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(s);
    UNUSED(shape);
    return -1;
}

#define HEAD(outputs, hidden)                                                                                          \
    {                                                                                                                  \
        .projector = {{outputs, true, true}, {outputs, true, true}, {outputs, true, false}}, .n_projector = 3,         \
        .predictor = {{hidden, true, true}, {0, false, false}}, .n_predictor = 2                                       \
    }

/* The authors' head for small pictures has two layers too. */
#define TWO_LAYERS                                                                                                     \
    {                                                                                                                  \
        .projector = {{1024, true, true}, {256, true, false}}, .n_projector = 2,                                       \
        .predictor = {{256, true, true}, {0, false, false}}, .n_predictor = 2                                          \
    }

static const struct objective_profile profiles[USES] = {
    [USE_SCRATCH] = {.head = HEAD(2048, 512),
                     .recipe = "moco",
                     .optimizer = "sgd",
                     .learning_rate = 0.05,
                     .weight_decay = 1e-4,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.head = TWO_LAYERS,
                   .recipe = "small",
                   .optimizer = "sgd",
                   .learning_rate = 0.03,
                   .weight_decay = 5e-4,
                   .head_rate = 1,
                   .warmup = SMALL_WARMUP},
    [USE_FINETUNE] = {.head = HEAD(512, 128), FINETUNE_RUN},
};

const struct objective objective_simsiam = {
    .name = "simsiam",
    .paper = "Chen and He 2021, arXiv:2011.10566",
    .help = "predict the network's own output for the other view; no negatives and no second network",
    .profiles = profiles,
    .target = TARGET_SELF,
    .least_batch = BATCH_NORM_PICTURES,
    .check = check,
    .workspace = workspace,
    .run = run,
    .collapsed = collapsed,
};
