/* swav.c - SwAV: predict from one view which prototypes the other view was assigned to.
 *
 * Caron et al. 2020, "Unsupervised learning of visual features by contrasting cluster assignments" (arXiv:2006.09882).  The codes
 * q of the full crops come from their scores U C' / sharpness by Sinkhorn's iterations, without gradient; every view predicts
 * the codes of the others:
 *
 *     loss = mean over pairs (i, v), i != v, and pictures of  -sum_k q^i_k log softmax(U^v C' / temperature)_k
 *
 * The prototypes are learned and made unit length again after each step.  Small batches take codes together with a queue of earlier
 * embeddings, one for each assigned view, from when it is full.  Without Sinkhorn's balance (iterations 0: codes are a softmax of each
 * row) all pictures may share one prototype, and do.
 */
#include "engine/objectives/contrast.h"
#include "engine/objectives/objective_parts.h"
#include "engine/objectives/prototypes.h"
#include "engine/objectives/ring.h"
#include "engine/objectives/unit_rows.h"

enum { PROTOTYPES, QUEUE, CURSOR };

static bool check(const struct objective_settings *s, struct err *e)
{
    return setting_in_range("temperature", s->temperature, 0.0005, 10, e) &&
           setting_is_count("prototypes", s->prototypes, 2, 65536, e) &&
           setting_in_range("sharpness", s->sharpness, 0.001, 10, e) &&
           setting_is_count("iterations", s->iterations, 0, 100, e) &&
           setting_is_count("queue", s->queue, 0, 65536, e) &&
           setting_in_range("queue_after", s->queue_after, 0, 1, e) &&
           setting_in_range("freeze_prototypes", s->freeze_prototypes, 0, 1, e);
}

static bool open(struct loss *l, struct err *e)
{
    size_t k = (size_t)l->settings.prototypes, d = l->shape.d, queue = (size_t)l->settings.queue;
    UNUSED(e);
    prototypes_start(loss_add(l, "prototypes", k * d, true), k, d, l->shape.seed);
    if (!queue)
        return true;
    loss_add(l, "queue", l->shape.full * queue * d, false);
    loss_add(l, "cursor", l->shape.full * 2, false);
    return true;
}

static struct ring queue_of(const struct loss *l, size_t view)
{
    size_t capacity = (size_t)l->settings.queue, d = l->shape.d;
    return (struct ring){l->tensors[QUEUE].data + view * capacity * d, l->tensors[CURSOR].data + 2 * view, capacity, d};
}

static size_t workspace(const struct loss *l)
{
    size_t n = l->shape.n, d = l->shape.d, k = (size_t)l->settings.prototypes;
    return n * d + n + 2 * n * k + (n + (size_t)l->settings.queue) * k;
}

/* q [rows, k] from u [rows, d] of one view; q has room for the queue's rows behind them. */
static void assign(const struct loss *l, size_t view, uint64_t step, const float *u, size_t rows, float *q)
{
    const struct objective_settings *s = &l->settings;
    size_t k = (size_t)s->prototypes, d = l->shape.d, n = rows;
    const float *c = l->tensors[PROTOTYPES].data;

    prototypes_logits(u, c, rows, k, d, s->sharpness, q);
    if (s->queue > 0 && !loss_early(l, step, s->queue_after)) {
        const struct ring r = queue_of(l, view);
        if (ring_full(&r)) {
            prototypes_logits(r.rows, c, r.capacity, k, d, s->sharpness, q + rows * k);
            n += r.capacity;
        }
    }
    prototypes_codes(q, n, k, (size_t)s->iterations);
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    const struct objective_settings *s = &l->settings;
    size_t n = b->n, d = b->d, k = (size_t)s->prototypes, views = l->shape.views, rows = n / views;
    float *u = l->work, *norms = u + n * d, *scores = norms + n, *w = scores + n * k, *q = w + n * k;
    struct loss_tensor *c = &l->tensors[PROTOTYPES];

    unit_rows_forward(b->z, n, d, u, norms);
    for (size_t v = 0; v < l->shape.full; v++)
        assign(l, v, b->step, u + v * rows * d, rows, q + v * rows * k);
    size_t pairs = prototypes_swap(q, l->shape.full, views, rows, k, w);
    prototypes_logits(u, c->data, n, k, d, s->temperature, scores);
    double share = 1 / ((double)rows * (double)pairs), loss = share * contrast_targets(scores, w, n, k);
    memset(grad, 0, n * d * sizeof *grad);
    prototypes_backward(scores, u, c->data, n, k, d, share / s->temperature, grad, c->gradient);
    if (loss_early(l, b->step, s->freeze_prototypes))
        memset(c->gradient, 0, c->count * sizeof *c->gradient);
    unit_rows_backward(u, norms, n, d, grad);
    return (struct loss_report){.loss = loss, .anchors = n, .active = 1};
}

static void after_step(struct loss *l, const struct loss_batch *b)
{
    size_t rows = b->n / l->shape.views, d = b->d;
    float *u = l->work, *norms = u + b->n * d;
    prototypes_unit(l->tensors[PROTOTYPES].data, (size_t)l->settings.prototypes, d);
    if (!(l->settings.queue > 0))
        return;
    unit_rows_forward(b->z, l->shape.full * rows, d, u, norms);
    for (size_t v = 0; v < l->shape.full; v++) {
        const struct ring r = queue_of(l, v);
        ring_push(&r, u + v * rows * d, rows);
    }
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(shape);
    return log(s->prototypes);
}

/* Some pictures for each prototype, and where a batch has fewer rows than there are prototypes, a queue that has more. */
static void fit(struct objective_profile *p, size_t pictures, size_t batch)
{
    struct objective_settings *s = &p->settings;
    s->prototypes = fmin(s->prototypes, fmax(2, (double)(pictures / 4)));
    if (s->prototypes > fmax(s->queue, (double)batch))
        s->queue = 2 * s->prototypes;
    s->queue = fmin(s->queue, (double)(pictures / 2));
}

static bool check_run(const struct objective_settings *s, size_t pictures, struct err *e)
{
    return setting_has_pictures("prototypes", s->prototypes, pictures, e) &&
           setting_has_pictures("queue", s->queue, pictures, e);
}

static const struct setting settings[] = {
    SETTING_PROTOTYPES,
    SETTING_TEMPERATURE,
    SETTING_NUMBER(sharpness, 0.001, 10, "Sinkhorn's epsilon: smaller ones make codes that name one prototype"),
    SETTING_NUMBER(iterations, 0, 100, "of Sinkhorn's balancing; 0: none, and the run collapses; a whole number"),
    SETTING_NUMBER(queue, 0, 65536,
                   "earlier embeddings of each view that help to balance small batches; a whole number"),
    SETTING_NUMBER(queue_after, 0, 1, "part of the run before the queue is used"),
    SETTING_FREEZE_PROTOTYPES,
};

#define SETTINGS(k, e, rows, after, freeze)                                                                            \
    {                                                                                                                  \
        .temperature = 0.1, .sharpness = e, .iterations = 3, .prototypes = k, .queue = rows, .queue_after = after,     \
        .freeze_prototypes = freeze                                                                                    \
    }
#define HEAD(hidden, norm)                                                                                             \
    {                                                                                                                  \
        .projector = {{hidden, true, true}, {128, norm, false}}, .n_projector = 2                                      \
    }

static const struct objective_profile profiles[USES] = {
    [USE_SCRATCH] = {.settings = SETTINGS(3000, 0.05, 3840, 0.15, 0.01),
                     .head = HEAD(2048, false),
                     .recipe = "simclr",
                     .optimizer = "adamw",
                     .learning_rate = 1e-3,
                     .weight_decay = 1e-6,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.settings = SETTINGS(128, 0.02, 0, 0, 0.01), .head = HEAD(2048, true), SMALL_RUN},
    [USE_FINETUNE] = {.settings = SETTINGS(128, 0.05, 1024, 0.1, 0.05), .head = HEAD(512, false), FINETUNE_RUN},
};

const struct objective objective_swav = {
    .name = "swav",
    .paper = "Caron et al. 2020, arXiv:2006.09882",
    .help = "predict from one view which of many learned prototypes the other view belongs to",
    .defaults = SETTINGS(128, 0.05, 1024, 0.1, 0.05),
    .profiles = profiles,
    .settings = settings,
    .n_settings = COUNT(settings),
    .least_batch = BATCH_NORM_PICTURES,
    .fit = fit,
    .check_run = check_run,
    .multicrop = true,
    .check = check,
    .open = open,
    .workspace = workspace,
    .run = run,
    .after_step = after_step,
    .collapsed = collapsed,
};
