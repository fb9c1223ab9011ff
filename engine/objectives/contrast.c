/* contrast.c - row softmax against a target distribution. */
#include "engine/objectives/contrast.h"

#include <math.h>
#include <string.h>

struct row {
    double max, sum; /* over the allowed columns: the largest logit, sum of exp(s - max) */
    double positive_max, positive_sum, positive_mean;
    size_t positives;
};

/* Two passes: maxima first, then the sums that are shifted by them. */
static struct row measure(const float *s, size_t i, size_t cols, contrast_kind *kind, const void *context)
{
    struct row r = {.max = -HUGE_VAL, .positive_max = -HUGE_VAL};
    for (size_t j = 0; j < cols; j++) {
        enum contrast_column c = kind(context, i, j);
        double x = (double)s[j];
        if (c == CONTRAST_MASKED)
            continue;
        r.max = fmax(r.max, x);
        if (c == CONTRAST_POSITIVE) {
            r.positive_max = fmax(r.positive_max, x);
            r.positive_mean += x;
            r.positives++;
        }
    }
    for (size_t j = 0; r.positives && j < cols; j++) {
        enum contrast_column c = kind(context, i, j);
        if (c != CONTRAST_MASKED)
            r.sum += exp((double)s[j] - r.max);
        if (c == CONTRAST_POSITIVE)
            r.positive_sum += exp((double)s[j] - r.positive_max);
    }
    if (r.positives)
        r.positive_mean /= (double)r.positives;
    return r;
}

static double row_loss(const struct row *r, enum contrast_target target)
{
    double all = r->max + log(r->sum);
    if (target == CONTRAST_OUT)
        return all - r->positive_mean;
    return all - (r->positive_max + log(r->positive_sum) - log((double)r->positives));
}

/* P - W, not yet divided by the number of anchors. */
static void row_gradient(float *s, size_t i, size_t cols, const struct row *r, enum contrast_target target,
                         contrast_kind *kind, const void *context)
{
    for (size_t j = 0; j < cols; j++) {
        enum contrast_column c = kind(context, i, j);
        double x = (double)s[j], g = 0;
        if (c != CONTRAST_MASKED)
            g = exp(x - r->max) / r->sum;
        if (c == CONTRAST_POSITIVE)
            g -= target == CONTRAST_OUT ? 1 / (double)r->positives : exp(x - r->positive_max) / r->positive_sum;
        s[j] = (float)g;
    }
}

double contrast(float *s, size_t rows, size_t cols, enum contrast_target target, contrast_kind *kind,
                const void *context, size_t *anchors)
{
    double loss = 0;
    size_t kept = 0;
    for (size_t i = 0; i < rows; i++) {
        float *si = s + i * cols;
        struct row r = measure(si, i, cols, kind, context);
        if (!r.positives) {
            memset(si, 0, cols * sizeof *si);
            continue;
        }
        loss += row_loss(&r, target);
        row_gradient(si, i, cols, &r, target, kind, context);
        kept++;
    }
    *anchors = kept;
    if (!kept)
        return 0;
    for (size_t i = 0; i < rows * cols; i++)
        s[i] /= (float)kept;
    return loss / (double)kept;
}

/* max + log sum exp(s - max) of one row. */
static double log_sum_exp(const float *s, size_t cols)
{
    double max = -HUGE_VAL, sum = 0;
    for (size_t j = 0; j < cols; j++)
        max = fmax(max, (double)s[j]);
    for (size_t j = 0; j < cols; j++)
        sum += exp((double)s[j] - max);
    return max + log(sum);
}

double contrast_targets(float *s, const float *w, size_t rows, size_t cols)
{
    double loss = 0;
    for (size_t i = 0; i < rows; i++, s += cols, w += cols) {
        double all = log_sum_exp(s, cols), weight = 0;
        for (size_t j = 0; j < cols; j++) {
            weight += (double)w[j];
            loss += (double)w[j] * (all - (double)s[j]);
        }
        for (size_t j = 0; j < cols; j++)
            s[j] = (float)(weight * exp((double)s[j] - all)) - w[j];
    }
    return loss;
}

void contrast_softmax(float *s, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++, s += cols) {
        double all = log_sum_exp(s, cols);
        for (size_t j = 0; j < cols; j++)
            s[j] = (float)exp((double)s[j] - all);
    }
}
