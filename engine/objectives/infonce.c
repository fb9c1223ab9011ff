/* infonce.c - InfoNCE over a batch: NT-Xent when the positives are views, SupCon when they are labels.
 *
 * NT-Xent: Chen et al. 2020, "A simple framework for contrastive learning" (arXiv:2002.05709).
 * SupCon: Khosla et al. 2020, "Supervised contrastive learning" (arXiv:2004.11362), without its factor
 * tau / 0.07.  Every row is an anchor; every other row is a candidate; rows of the same group are positives.
 */
#include "engine/kernels/gemm.h"
#include "engine/objectives/contrast.h"
#include "engine/objectives/objective_parts.h"
#include "engine/objectives/unit_rows.h"

static bool check(const struct objective_settings *s, struct err *e)
{
    if (!(s->temperature >= 0.0005 && s->temperature <= 1e6))
        return err_field(e, "temperature", "must be from 0.0005 to 1e6");
    return true;
}

static size_t workspace(const struct loss *l)
{
    size_t n = l->shape.n, d = l->shape.d;
    return n * d + n + n * n;
}

static enum contrast_column column(const void *context, size_t i, size_t j)
{
    const int32_t *groups = context;
    if (i == j)
        return CONTRAST_MASKED;
    return groups[i] == groups[j] ? CONTRAST_POSITIVE : CONTRAST_NEGATIVE;
}

/* G + G' in place: rows and columns are the same vectors, so each pair is met twice. */
static void add_transpose(float *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g[i * n + i] *= 2;
        for (size_t j = i + 1; j < n; j++)
            g[i * n + j] = g[j * n + i] = g[i * n + j] + g[j * n + i];
    }
}

static struct loss_report run(struct loss *l, const struct loss_batch *b, float *grad)
{
    const struct objective_settings *s = &l->settings;
    size_t n = b->n, d = b->d;
    float *u = l->work, *norms = u + n * d, *logits = norms + n, scale = (float)(1 / s->temperature);
    struct loss_report r = {.active = 1};

    unit_rows_forward(b->z, n, d, u, norms);
    gemm_nt(n, n, d, scale, u, u, 0, logits); /* [n, n] = u u' / temperature */
    r.loss =
        contrast(logits, n, n, s->form == CONTRAST_FORM_IN ? CONTRAST_IN : CONTRAST_OUT, column, b->groups, &r.anchors);
    add_transpose(logits, n);
    gemm_nn(n, d, n, scale, logits, u, 0, grad); /* [n, d] = (G + G') u / temperature */
    unit_rows_backward(u, norms, n, d, grad);
    return r;
}

static double collapsed(const struct objective_settings *s, const struct loss_shape *shape)
{
    UNUSED(s);
    return log((double)shape->n - 1);
}

static const char *const forms[] = {[CONTRAST_FORM_OUT] = "out", [CONTRAST_FORM_IN] = "in", NULL};

static const struct setting settings[] = {
    SETTING_POSITIVES,
    SETTING_TEMPERATURE,
    {"form", SETTING_CHOICE, AT(struct objective_settings, form), .choices = forms,
     .help = "with several positives: the mean outside of the logarithm, or inside"},
};

const struct objective objective_infonce = {
    .name = "infonce",
    .paper = "Chen et al. 2020, arXiv:2002.05709; Khosla et al. 2020, arXiv:2004.11362",
    .help = "pull positives together against all others in the batch",
    .defaults = {.positives = POSITIVES_VIEWS, .temperature = 0.1},
    .settings = settings,
    .n_settings = COUNT(settings),
    .check = check,
    .workspace = workspace,
    .run = run,
    .collapsed = collapsed,
};
