/* dino.c - DINO: the student's distribution over prototypes is to be the teacher's of another view.
 *
 * Caron et al. 2021, "Emerging properties in self-supervised vision transformers" (arXiv:2104.14294), for convolutional networks.  With unit
 * embeddings u (student) and t (teacher, a slowly moving copy) and prototypes C and C_t (its copy),
 *
 *     loss = mean over pairs (i, v), i != v, and pictures of  -sum_k w^i_k log softmax(u^v C' / temperature)_k
 *     w^i = softmax((t^i C_t' - centre) / teacher_temperature)
 *
 * Two forces hold each other: a small teacher temperature keeps the distributions from being flat, the centre (a moving average of the
 * teacher's scores) keeps one prototype from winning everything.  With iterations w are Sinkhorn's codes of the taught rows together in its
 * place, as in DINOv2 (Oquab et al. 2023, arXiv:2304.07193).  The prototypes are made unit length again after each step, in
 * the place of the authors' weight normalisation.
 */
#include "engine/objectives/contrast.h"
#include "engine/objectives/objective_parts.h"
#include "engine/objectives/prototypes.h"
#include "engine/objectives/unit_rows.h"

enum { PROTOTYPES, TEACHER, CENTRE };

static bool check(const struct objective_settings *s, struct err *e)
{
    return setting_in_range("temperature", s->temperature, 0.0005, 10, e) &&
           setting_in_range("teacher_temperature", s->teacher_temperature, 0.0005, 10, e) &&
           setting_is_count("prototypes", s->prototypes, 2, 65536, e) &&
           setting_in_range("centre_momentum", s->centre_momentum, 0, 1, e) &&
           setting_is_count("iterations", s->iterations, 0, 100, e) &&
           setting_in_range("momentum", s->momentum, 0, 1, e) &&
           setting_in_range("momentum_end", s->momentum_end, 0, 1, e) &&
           setting_in_range("freeze_prototypes", s->freeze_prototypes, 0, 1, e);
}

static bool open(struct loss *l, struct err *e)
{
    size_t k = (size_t)l->settings.prototypes, d = l->shape.d;
    UNUSED(e);
    prototypes_start(loss_add(l, "prototypes", k * d, true), k, d, l->shape.seed);
    memcpy(loss_add(l, "teacher_prototypes", k * d, false), l->tensors[PROTOTYPES].data, k * d * sizeof(float));
    loss_add(l, "centre", k, false);
    return true;
}

static size_t workspace(const struct loss *l)
{
    size_t n = l->shape.n, k = (size_t)l->settings.prototypes;
    return 2 * n * l->shape.d + n + 3 * n * k;
}

/* s [n, k]: the teacher's scores of the views that it sees; t [n, d] is workspace. */
static void teach(const struct loss *l, const struct loss_batch *b, size_t n, float *t, float *norms, float *s)
{
    unit_rows_forward(b->target, n, b->d, t, norms);
    prototypes_logits(t, l->tensors[TEACHER].data, n, (size_t)l->settings.prototypes, b->d, 1, s);
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    const struct objective_settings *s = &l->settings;
    size_t n = b->n, d = b->d, k = (size_t)s->prototypes, views = l->shape.views, rows = n / views;
    size_t taught = l->shape.full * rows; /* the teacher sees the full crops alone */
    float *u = l->work, *t = u + n * d, *norms = t + n * d, *scores = norms + n, *w = scores + n * k, *q = w + n * k;
    struct loss_tensor *c = &l->tensors[PROTOTYPES];
    const float *centre = l->tensors[CENTRE].data;

    teach(l, b, taught, t, norms, q);
    for (size_t i = 0; i < taught * k; i++)
        q[i] = (q[i] - centre[i % k]) / (float)s->teacher_temperature;
    prototypes_codes(q, taught, k,
                     (size_t)s->iterations); /* to a balance the centre is nothing: one more factor of the columns */
    size_t pairs = prototypes_swap(q, l->shape.full, views, rows, k, w);
    unit_rows_forward(b->z, n, d, u, norms);
    prototypes_logits(u, c->data, n, k, d, s->temperature, scores);
    double share = 1 / ((double)rows * (double)pairs), loss = share * contrast_targets(scores, w, n, k);
    memset(grad, 0, n * d * sizeof *grad);
    prototypes_backward(scores, u, c->data, n, k, d, share / s->temperature, grad, c->gradient);
    if (loss_early(l, b->step, s->freeze_prototypes))
        memset(c->gradient, 0, c->count * sizeof *c->gradient);
    unit_rows_backward(u, norms, n, d, grad);
    return (struct loss_report){.loss = loss, .anchors = n, .active = 1};
}

/* The centre moves by the scores that this batch was taught with, and then the teacher's prototypes follow. */
static void after_step(struct loss *l, const struct loss_batch *b)
{
    const struct objective_settings *s = &l->settings;
    size_t n = l->shape.full * (b->n / l->shape.views), k = (size_t)s->prototypes;
    float *t = l->work, *norms = t + n * b->d, *scores = norms + n, *centre = l->tensors[CENTRE].data;
    float *online = l->tensors[PROTOTYPES].data, *teacher = l->tensors[TEACHER].data;
    double m = objective_momentum(s, b->step, l->shape.steps);

    teach(l, b, n, t, norms, scores);
    for (size_t j = 0; j < k; j++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)scores[i * k + j];
        centre[j] = (float)(s->centre_momentum * (double)centre[j] + (1 - s->centre_momentum) * sum / (double)n);
    }
    prototypes_unit(online, k, b->d);
    for (size_t i = 0; i < k * b->d; i++)
        teacher[i] = (float)(m * (double)teacher[i] + (1 - m) * (double)online[i]);
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(shape);
    return log(s->prototypes);
}

static void fit(struct objective_profile *p, size_t pictures, size_t batch)
{
    UNUSED(batch);
    p->settings.prototypes = fmin(p->settings.prototypes, fmax(2, (double)pictures));
}

static const struct setting settings[] = {
    SETTING_PROTOTYPES,
    SETTING_TEMPERATURE,
    SETTING_NUMBER(teacher_temperature, 0.0005, 10, "of the teacher's distributions; smaller than the student's"),
    SETTING_NUMBER(centre_momentum, 0, 1, "how slowly the centre follows the teacher's scores"),
    SETTING_NUMBER(iterations, 0, 100, "of Sinkhorn's balance, in place of the centre; 0: the centre; a whole number"),
    SETTING_MOMENTUM,
    SETTING_FREEZE_PROTOTYPES,
};

#define SETTINGS(k, sharp, rounds, m, freeze)                                                                          \
    {                                                                                                                  \
        .temperature = 0.1, .teacher_temperature = sharp, .centre_momentum = 0.9, .iterations = rounds,                \
        .prototypes = k, .momentum = m, .momentum_end = 1, .freeze_prototypes = freeze                                 \
    }
#define HEAD(hidden, outputs)                                                                                          \
    {                                                                                                                  \
        .projector = {{hidden, true, true}, {hidden, true, true}, {outputs, false, false}}, .n_projector = 3           \
    }

static const struct objective_profile profiles[USES] = {
    [USE_SCRATCH] = {.settings = SETTINGS(4096, 0.04, 0, 0.996, 0.01),
                     .head = HEAD(2048, 256),
                     .recipe = "byol",
                     .optimizer = "sgd",
                     .learning_rate = 0.03,
                     .weight_decay = 1e-4,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.settings = SETTINGS(128, 0.02, 3, 0.95, 0.01),
                   .head = {.projector = {{2048, true, true}, {128, true, false}}, .n_projector = 2},
                   SMALL_RUN},
    [USE_FINETUNE] = {.settings = SETTINGS(256, 0.04, 0, 0.99, 0.05),
                      .head = {.projector = {{512, true, true}, {128, false, false}}, .n_projector = 2},
                      FINETUNE_RUN},
};

const struct objective objective_dino = {
    .name = "dino",
    .paper = "Caron et al. 2021, arXiv:2104.14294",
    .help = "match a slowly moving teacher's distribution over prototypes for another view",
    .defaults = SETTINGS(256, 0.04, 0, 0.99, 0.05),
    .profiles = profiles,
    .settings = settings,
    .n_settings = COUNT(settings),
    .target = TARGET_MOMENTUM,
    .least_batch = BATCH_NORM_PICTURES,
    .fit = fit,
    .multicrop = true,
    .check = check,
    .open = open,
    .workspace = workspace,
    .run = run,
    .after_step = after_step,
    .collapsed = collapsed,
};
