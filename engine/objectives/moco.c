/* moco.c - MoCo: tell the other view's key from a queue of keys of pictures before.
 *
 * He et al. 2020, "Momentum contrast for unsupervised visual representation learning" (arXiv:1911.05722); Chen et al. 2020,
 * "Improved baselines with momentum contrastive learning" (arXiv:2003.04297): MoCo v2 is the same loss with an MLP for a head,
 * stronger views and a softer temperature.
 *
 * Here both views are queries and keys (as MoCo v3 does), and the loss is the mean over both.  With unit vectors u of the
 * online branch, k of the target and the queue Q,
 *
 *     logits_i = [u_i k_i', u_i Q_1, ... u_i Q_K] / temperature,    loss_i = -log softmax(logits_i)_0
 *
 * where k_i' is the key of the other view.  Keys enter the queue after the step, both views together: a batch's own keys are
 * never its negatives.  The queue begins with random directions.
 */
#include "base/rng.h"
#include "engine/kernels/gemm.h"
#include "engine/objectives/contrast.h"
#include "engine/objectives/objective_parts.h"
#include "engine/objectives/ring.h"
#include "engine/objectives/unit_rows.h"

enum { QUEUE, CURSOR };

static bool check(const struct objective_settings *s, struct err *e)
{
    return setting_in_range("temperature", s->temperature, 0.0005, 10, e) &&
           setting_in_range("momentum", s->momentum, 0, 1, e) &&
           setting_in_range("momentum_end", s->momentum_end, 0, 1, e) &&
           setting_is_count("queue", s->queue, 1, 262144, e);
}

static struct ring queue_of(const struct loss *l)
{
    return (struct ring){l->tensors[QUEUE].data, l->tensors[CURSOR].data, (size_t)l->settings.queue, l->shape.d};
}

static bool open(struct loss *l, struct err *e)
{
    size_t k = (size_t)l->settings.queue, d = l->shape.d;
    struct rng r = rng_for(l->shape.seed, 0x6d6f636f, 0);
    float *rows = loss_add(l, "queue", k * d, false), norm[1];
    UNUSED(e);
    loss_add(l, "cursor", 2, false);
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < d; j++)
            rows[i * d + j] = (float)rng_normal(&r);
        unit_rows_forward(rows + i * d, 1, d, rows + i * d, norm);
    }
    return true;
}

static size_t workspace(const struct loss *l)
{
    size_t n = l->shape.n, d = l->shape.d;
    return 3 * n * d + n + n * (1 + (size_t)l->settings.queue);
}

static enum contrast_column column(const void *context, size_t i, size_t j)
{
    UNUSED(context);
    UNUSED(i);
    return j == 0 ? CONTRAST_POSITIVE : CONTRAST_NEGATIVE;
}

/* [n, k] at the end of s moves apart to [n, 1 + k]; column 0 is left for the own key.  No row overtakes one that is unread. */
static void spread(float *s, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++)
        memmove(s + i * (k + 1) + 1, s + n + i * k, k * sizeof *s);
}

/* The way back: column 0 is dropped, the others lie densely at the beginning. */
static void gather(float *s, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++)
        memmove(s + i * k, s + i * (k + 1) + 1, k * sizeof *s);
}

static float dot(const float *a, const float *b, size_t d)
{
    double sum = 0;
    for (size_t j = 0; j < d; j++)
        sum += (double)a[j] * (double)b[j];
    return (float)sum;
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    size_t n = b->n, d = b->d, k = (size_t)l->settings.queue;
    float *u = l->work, *keys = u + n * d, *norms = keys + n * d, *logits = norms + n, *own = logits + n * (k + 1);
    const float *queue = l->tensors[QUEUE].data, scale = (float)(1 / l->settings.temperature);
    struct loss_report r = {.active = 1};

    unit_rows_forward(b->target, n, d, keys, norms);
    unit_rows_forward(b->z, n, d, u, norms);
    gemm_nt(n, k, d, scale, u, queue, 0, logits + n);
    spread(logits, n, k);
    for (size_t i = 0; i < n; i++)
        logits[i * (k + 1)] = scale * dot(u + i * d, keys + other_view(i, n) * d, d);
    r.loss = contrast(logits, n, k + 1, CONTRAST_OUT, column, NULL, &r.anchors);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            own[i * d + j] = scale * logits[i * (k + 1)] * keys[other_view(i, n) * d + j];
    gather(logits, n, k);
    memcpy(grad, own, n * d * sizeof *grad);
    gemm_nn(n, d, k, scale, logits, queue, 1, grad);
    unit_rows_backward(u, norms, n, d, grad);
    return r;
}

static void after_step(struct loss *l, const struct loss_batch *b)
{
    float *keys = l->work, *norms = keys + b->n * b->d;
    const struct ring q = queue_of(l);
    unit_rows_forward(b->target, b->n, b->d, keys, norms);
    ring_push(&q, keys, b->n);
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(shape);
    return log(1 + s->queue);
}

/* A longer queue holds the positives themselves; and of fewer pictures a batch norm tells nothing. */
static void fit(struct objective_profile *p, size_t pictures, size_t batch)
{
    for (size_t i = 0; batch < BATCH_NORM_PICTURES && i < p->head.n_projector; i++)
        p->head.projector[i].norm = false;
    p->settings.queue = fmin(p->settings.queue, fmax(1, (double)(pictures / 2)));
}

static bool check_run(const struct objective_settings *s, size_t pictures, struct err *e)
{
    return setting_has_pictures("queue", s->queue, pictures, e);
}

static const struct setting settings[] = {
    SETTING_TEMPERATURE,
    SETTING_NUMBER(queue, 1, 262144,
                   "keys that are remembered as negatives; a whole number, at most about half of the pictures"),
    SETTING_MOMENTUM,
};

#define FINETUNE_V1                                                                                                    \
    {                                                                                                                  \
        .temperature = 0.1, .queue = 1024, .momentum = 0.99, .momentum_end = 0.99                                      \
    }
#define FINETUNE_V2                                                                                                    \
    {                                                                                                                  \
        .temperature = 0.2, .queue = 1024, .momentum = 0.99, .momentum_end = 0.99                                      \
    }
#define LINEAR(norm)                                                                                                   \
    {                                                                                                                  \
        .projector = {{128, norm, false}}, .n_projector = 1                                                            \
    }
#define MLP(hidden, norm)                                                                                              \
    {                                                                                                                  \
        .projector = {{hidden, norm, true}, {128, norm, false}}, .n_projector = 2                                      \
    }

static const struct objective_profile profiles_v1[USES] = {
    [USE_SCRATCH] = {.settings = {.temperature = 0.07, .queue = 65536, .momentum = 0.999, .momentum_end = 0.999},
                     .head = LINEAR(false),
                     .recipe = "moco",
                     .optimizer = "sgd",
                     .learning_rate = 0.03,
                     .weight_decay = 1e-4,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.settings = {.temperature = 0.1, .queue = 4096, .momentum = 0.99, .momentum_end = 0.99},
                   .head = LINEAR(true),
                   SMALL_RUN},
    [USE_FINETUNE] = {.settings = FINETUNE_V1, .head = LINEAR(false), FINETUNE_RUN},
};

static const struct objective_profile profiles_v2[USES] = {
    [USE_SCRATCH] = {.settings = {.temperature = 0.2, .queue = 65536, .momentum = 0.999, .momentum_end = 0.999},
                     .head = MLP(2048, false),
                     .recipe = "moco",
                     .optimizer = "sgd",
                     .learning_rate = 0.03,
                     .weight_decay = 1e-4,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.settings = {.temperature = 0.2, .queue = 4096, .momentum = 0.99, .momentum_end = 0.999},
                   .head = MLP(512, true),
                   SMALL_RUN},
    [USE_FINETUNE] = {.settings = FINETUNE_V2, .head = MLP(512, false), FINETUNE_RUN},
};

const struct objective objective_moco = {
    .name = "moco",
    .paper = "He et al. 2020, arXiv:1911.05722",
    .help = "tell a picture's other view from a long queue of pictures before; a slowly moving copy makes the keys",
    .defaults = FINETUNE_V1,
    .profiles = profiles_v1,
    .settings = settings,
    .n_settings = COUNT(settings),
    .target = TARGET_MOMENTUM,
    .fit = fit,
    .check_run = check_run,
    .check = check,
    .open = open,
    .workspace = workspace,
    .run = run,
    .after_step = after_step,
    .collapsed = collapsed,
};

const struct objective objective_mocov2 = {
    .name = "mocov2",
    .paper = "Chen et al. 2020, arXiv:2003.04297",
    .help = "MoCo with a head of two layers and a softer temperature",
    .defaults = FINETUNE_V2,
    .profiles = profiles_v2,
    .settings = settings,
    .n_settings = COUNT(settings),
    .target = TARGET_MOMENTUM,
    .fit = fit,
    .check_run = check_run,
    .check = check,
    .open = open,
    .workspace = workspace,
    .run = run,
    .after_step = after_step,
    .collapsed = collapsed,
};
