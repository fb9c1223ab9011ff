/* barlow.c - Barlow Twins: the views' cross-correlation is to be the identity.
 *
 * Zbontar et al. 2021, "Barlow Twins: self-supervised learning via redundancy reduction" (arXiv:2103.03230).  With each view's
 * columns brought to mean 0 and variance 1 over the N pictures of a batch (A and B, no scale and shift),
 *
 *     C = A' B / N,    loss = sum_i (1 - C_ii)^2 + off_diagonal * sum_{i != j} C_ij^2
 *
 * A sum over the d columns, so its size grows with them; noise alone gives the second term off_diagonal d^2 / N.  Without it
 * all columns come to say the same.
 */
#include "engine/kernels/gemm.h"
#include "engine/objectives/columns.h"
#include "engine/objectives/objective_parts.h"

static bool check(const struct objective_settings *s, struct err *e)
{
    return setting_in_range("off_diagonal", s->off_diagonal, 0, 10, e) &&
           setting_in_range("epsilon", s->epsilon, 0, 1, e);
}

static size_t workspace(const struct loss *l)
{
    size_t d = l->shape.d;
    return l->shape.n * d + d * d + 2 * d;
}

/* z [n, d] -> x [n, d] with inverse [d] = 1 / sqrt(variance + epsilon); a constant column gives zeros. */
static void standardise(const float *z, size_t n, size_t d, double epsilon, float *mean, float *x, float *inverse)
{
    column_moments(z, n, d, mean, inverse);
    for (size_t j = 0; j < d; j++) {
        double variance = (double)inverse[j] + epsilon;
        inverse[j] = variance > 0 ? (float)(1 / sqrt(variance)) : 0.0f;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            x[i * d + j] = (z[i * d + j] - mean[j]) * inverse[j];
}

/* c [d, d]: the correlation, and then d loss / d correlation. */
static double correlation_loss(float *c, size_t d, double off_diagonal)
{
    double on = 0, off = 0;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j < d; j++) {
            double x = (double)c[i * d + j];
            if (i == j)
                on += (1 - x) * (1 - x);
            else
                off += x * x;
            c[i * d + j] = (float)(i == j ? 2 * (x - 1) : 2 * off_diagonal * x);
        }
    return on + off_diagonal * off;
}

enum { WIDE = 64 }; /* columns at a time, so that rows are read as they lie */

static void standardise_backward_block(float *g, const float *x, size_t n, size_t d, size_t wide, const float *inverse)
{
    double along[WIDE] = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < wide; j++)
            along[j] += (double)g[i * d + j] * (double)x[i * d + j];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < wide; j++)
            g[i * d + j] = inverse[j] * (g[i * d + j] - x[i * d + j] * (float)(along[j] / (double)n));
}

/* In place: g [n, d] with respect to x becomes the one with respect to z.  Its columns have the mean 0 already, as those of the other
 * view have, which it is made of. */
static void standardise_backward(float *g, const float *x, size_t n, size_t d, const float *inverse)
{
    for (size_t j = 0; j < d; j += WIDE)
        standardise_backward_block(g + j, x + j, n, d, min_size(WIDE, d - j), inverse + j);
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    size_t n = b->n / 2, d = b->d;
    double epsilon = l->settings.epsilon;
    float *xa = l->work, *xb = xa + n * d, *c = xb + n * d, *inverse_a = c + d * d, *inverse_b = inverse_a + d;
    float *ga = grad, *gb = grad + n * d, scale = 1 / (float)n;

    standardise(b->z, n, d, epsilon, ga, xa, inverse_a); /* the means lie where the gradient will */
    standardise(b->z + n * d, n, d, epsilon, ga, xb, inverse_b);
    gemm_tn(d, d, n, scale, xa, xb, 0, c);
    double loss = correlation_loss(c, d, l->settings.off_diagonal);
    gemm_nt(n, d, d, scale, xb, c, 0, ga); /* B dC' / N */
    gemm_nn(n, d, d, scale, xa, c, 0, gb); /* A dC / N */
    standardise_backward(ga, xa, n, d, inverse_a);
    standardise_backward(gb, xb, n, d, inverse_b);
    return (struct loss_report){.loss = loss, .anchors = n, .active = 1};
}

/* Columns without variance correlate with nothing: C = 0. */
static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(s);
    return (double)shape->d;
}

static void fit(struct objective_profile *p, size_t pictures, size_t batch)
{
    UNUSED(pictures);
    head_narrow(&p->head, COLUMNS_A_PICTURE * batch);
}

static const struct setting settings[] = {
    SETTING_NUMBER(off_diagonal, 0, 10, "weight of the correlations between different columns"),
    SETTING_NUMBER(epsilon, 0, 1, "added to a column's variance before the root"),
};

#define SETTINGS                                                                                                       \
    {                                                                                                                  \
        .off_diagonal = 0.0051, .epsilon = 1e-5                                                                        \
    }
#define HEAD(c)                                                                                                        \
    {                                                                                                                  \
        .projector = {{c, true, true}, {c, true, true}, {c, false, false}}, .n_projector = 3                           \
    }

/* AdamW, since the authors' LARS needs another rate for biases than for weights. */
static const struct objective_profile profiles[USES] = {
    [USE_SCRATCH] = {.settings = SETTINGS,
                     .head = HEAD(8192),
                     .recipe = "byol",
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

const struct objective objective_barlow = {
    .name = "barlow",
    .paper = "Zbontar et al. 2021, arXiv:2103.03230",
    .help = "make the views agree in every column, and the columns differ from each other; no negatives",
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
