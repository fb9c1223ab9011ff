/* vicreg.c - VICReg: views agree, columns vary, columns do not covary.
 *
 * Bardes et al. 2022, "VICReg: variance-invariance-covariance regularization" (arXiv:2105.04906).  For views a and b [N, D],
 *
 *     loss = invariance mean (a - b)^2 + variance (h(a) + h(b)) / 2 + covariance (c(a) + c(b))
 *     h = mean over the columns of max(0, 1 - sqrt(var + epsilon)),    c = sum_{i != j} cov_ij^2 / D
 *
 * with var and cov over N - 1.  The half of the variance term is the authors' code; their paper and others leave it out.
 * Nothing is normalised: the variance term alone keeps the outputs from becoming one point.
 */
#include "engine/kernels/gemm.h"
#include "engine/objectives/columns.h"
#include "engine/objectives/objective_parts.h"

static bool check(const struct objective_settings *s, struct err *e)
{
    return setting_in_range("invariance", s->invariance, 0, 1000, e) &&
           setting_in_range("variance", s->variance, 0, 1000, e) &&
           setting_in_range("covariance", s->covariance, 0, 1000, e) &&
           setting_in_range("epsilon", s->epsilon, 1e-12, 1, e);
}

static size_t workspace(const struct loss *l)
{
    size_t d = l->shape.d;
    return l->shape.n / 2 * d + d * d + 2 * d;
}

/* Adds the variance and the covariance term of one view to grad; gives them. */
static double spread(struct loss *l, const float *z, size_t n, size_t d, float *grad)
{
    const struct objective_settings *s = &l->settings;
    float *x = l->work, *cov = x + n * d, *mean = cov + d * d, *variance = mean + d;
    double hinge = 0, off = 0, free_rows = (double)n - 1, width = (double)d;

    column_moments(z, n, d, mean, variance);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            x[i * d + j] = z[i * d + j] - mean[j];
    gemm_tn(d, d, n, (float)(1 / free_rows), x, x, 0, cov);
    for (size_t i = 0; i < d; i++) {
        cov[i * d + i] = 0;
        for (size_t j = 0; j < d; j++)
            off += (double)cov[i * d + j] * (double)cov[i * d + j];
    }
    for (size_t j = 0; j < d; j++) { /* mean[j]: by what a centred value pulls its own column */
        double std = sqrt((double)variance[j] * (double)n / free_rows + s->epsilon);
        hinge += fmax(0, 1 - std);
        mean[j] = std < 1 ? (float)(-0.5 * s->variance / (width * free_rows * std)) : 0.0f;
    }
    gemm_nn(n, d, d, (float)(4 * s->covariance / (width * free_rows)), x, cov, 1, grad);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            grad[i * d + j] += mean[j] * x[i * d + j];
    return 0.5 * s->variance * hinge / width + s->covariance * off / width;
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    size_t n = b->n / 2, d = b->d, half = n * d;
    double apart = 0, scale = l->settings.invariance / (double)half;
    for (size_t i = 0; i < half; i++) {
        double x = (double)b->z[i] - (double)b->z[half + i];
        apart += x * x;
        grad[i] = (float)(2 * scale * x);
        grad[half + i] = -grad[i];
    }
    double loss = scale * apart + spread(l, b->z, n, d, grad) + spread(l, b->z + half, n, d, grad + half);
    return (struct loss_report){.loss = loss, .anchors = n, .active = 1};
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(shape);
    return s->variance * (1 - sqrt(s->epsilon));
}

static void fit(struct objective_profile *p, size_t pictures, size_t batch)
{
    UNUSED(pictures);
    head_narrow(&p->head, COLUMNS_A_PICTURE * batch);
}

static const struct setting settings[] = {
    SETTING_NUMBER(invariance, 0, 1000, "weight of the distance between the views"),
    SETTING_NUMBER(variance, 0, 1000, "weight of keeping each column's deviation at 1 or above"),
    SETTING_NUMBER(covariance, 0, 1000, "weight of the covariances between different columns"),
    SETTING_NUMBER(epsilon, 1e-12, 1, "added to a column's variance before the root"),
};

#define SETTINGS                                                                                                       \
    {                                                                                                                  \
        .invariance = 25, .variance = 25, .covariance = 1, .epsilon = 1e-4                                             \
    }
#define HEAD(c)                                                                                                        \
    {                                                                                                                  \
        .projector = {{c, true, true}, {c, true, true}, {c, false, false}}, .n_projector = 3                           \
    }

static const struct objective_profile profiles[USES] = {
    [USE_SCRATCH] = {.settings = SETTINGS,
                     .head = HEAD(8192),
                     .recipe = "vicreg",
                     .optimizer = "adamw",
                     .learning_rate = 1e-3,
                     .weight_decay = 1e-4,
                     .head_rate = 1,
                     .warmup = USUAL_WARMUP},
    [USE_SMALL] = {.settings = SETTINGS, .head = HEAD(2048), SMALL_RUN},
    [USE_FINETUNE] = {.settings = SETTINGS,
                      .head = {.projector = {{512, true, true}, {512, false, false}}, .n_projector = 2},
                      FINETUNE_RUN},
};

const struct objective objective_vicreg = {
    .name = "vicreg",
    .paper = "Bardes et al. 2022, arXiv:2105.04906",
    .help = "make the views agree while every column keeps its variance and says something of its own; no negatives",
    .defaults = SETTINGS,
    .profiles = profiles,
    .settings = settings,
    .n_settings = COUNT(settings),
    .least_batch = BATCH_NORM_PICTURES,
    .fit = fit,
    .check = check,
    .workspace = workspace,
    .run = run,
    .collapsed = collapsed,
};
