/* probe_linear.c - multinomial logistic regression on cached features. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "engine/judging/lbfgs.h"
#include "engine/judging/probe.h"
#include "engine/kernels/gemm.h"

enum { ITERATIONS = 200 };

struct scale { /* of the training features: (x - mean) * factor */
    float *mean, *factor;
};

static struct scale measure_scale(const struct features *f)
{
    struct scale s = {mem_new(f->d, sizeof(float)), mem_new(f->d, sizeof(float))};
    for (size_t k = 0; k < f->d; k++) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < f->n; i++) {
            sum += (double)f->x[i * f->d + k];
            square += (double)f->x[i * f->d + k] * (double)f->x[i * f->d + k];
        }
        double mean = sum / (double)f->n, var = square / (double)f->n - mean * mean;
        s.mean[k] = (float)mean;
        s.factor[k] = var > 1e-12 ? (float)(1 / sqrt(var)) : 0.0f;
    }
    return s;
}

/* Standardised features with a column of ones behind them: [n, d + 1]; the caller's. */
static float *standardise(const struct features *f, const struct scale *s)
{
    size_t d = f->d, width = d + 1;
    float *out = mem_aligned(f->n * width, sizeof *out);
    for (size_t i = 0; i < f->n; i++) {
        for (size_t k = 0; k < d; k++)
            out[i * width + k] = (f->x[i * d + k] - s->mean[k]) * s->factor[k];
        out[i * width + d] = 1;
    }
    return out;
}

struct regression {
    const float *x; /* [n, width] */
    const int32_t *labels;
    size_t n, width, classes;
    double decay;
    float *w, *logits, *grad, *logits_t; /* scratch; logits_t [classes, n] */
};

/* Rows of logits become softmax - one-hot, over n; gives the mean cross-entropy. */
static double softmax_rows(struct regression *r)
{
    double loss = 0;
    for (size_t i = 0; i < r->n; i++) {
        float *row = r->logits + i * r->classes, most = row[0];
        double sum = 0;
        for (size_t c = 1; c < r->classes; c++)
            most = fmaxf(most, row[c]);
        for (size_t c = 0; c < r->classes; c++)
            sum += exp((double)row[c] - (double)most);
        loss += log(sum) - ((double)row[r->labels[i]] - (double)most);
        for (size_t c = 0; c < r->classes; c++) {
            double p = exp((double)row[c] - (double)most) / sum;
            r->logits_t[c * r->n + i] = (float)((p - (r->labels[i] == (int32_t)c)) / (double)r->n);
        }
    }
    return loss / (double)r->n;
}

/* Mean cross-entropy + decay / 2 |w|^2, the bias column left out of the penalty. */
static double objective(const double *w, double *gradient, size_t n, void *context)
{
    struct regression *r = context;
    for (size_t i = 0; i < n; i++)
        r->w[i] = (float)w[i];
    gemm_nt(r->n, r->classes, r->width, 1, r->x, r->w, 0, r->logits);
    double loss = softmax_rows(r);
    gemm_nn(r->classes, r->width, r->n, 1, r->logits_t, r->x, 0, r->grad);
    for (size_t i = 0; i < n; i++) {
        bool bias = i % r->width == r->width - 1;
        gradient[i] = (double)r->grad[i] + (bias ? 0 : r->decay * w[i]);
        loss += bias ? 0 : r->decay / 2 * w[i] * w[i];
    }
    return loss;
}

/* Fits w [classes, width] from where it is. */
static void fit(const float *x, const int32_t *labels, size_t n, size_t width, size_t classes, double decay, double *w)
{
    struct regression r = {.x = x, .labels = labels, .n = n, .width = width, .classes = classes, .decay = decay};
    r.w = mem_aligned(classes * width, sizeof *r.w);
    r.grad = mem_aligned(classes * width, sizeof *r.grad);
    r.logits = mem_aligned(n * classes, sizeof *r.logits);
    r.logits_t = mem_aligned(n * classes, sizeof *r.logits_t);
    lbfgs_minimise(objective, &r, w, classes * width, 1e-5, ITERATIONS);
    free(r.w);
    free(r.grad);
    free(r.logits);
    free(r.logits_t);
}

static double accuracy(const double *w, const float *x, const int32_t *labels, size_t n, size_t width, size_t classes)
{
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        size_t best = 0;
        double most = -HUGE_VAL;
        for (size_t c = 0; c < classes; c++) {
            double score = 0;
            for (size_t k = 0; k < width; k++)
                score += w[c * width + k] * (double)x[i * width + k];
            if (score > most) {
                most = score;
                best = c;
            }
        }
        right += labels[i] == (int32_t)best;
    }
    return n ? (double)right / (double)n : 0;
}

/* Shuffles rows and labels together, so that the last fifth is a fair sample. */
static void shuffle_rows(float *x, int32_t *labels, size_t n, size_t width, uint64_t seed)
{
    struct rng r = rng_new(seed);
    float *row = mem_new(width, sizeof *row);
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(&r, i), bytes = width * sizeof *row;
        int32_t label = labels[i - 1];
        labels[i - 1] = labels[j];
        labels[j] = label;
        memcpy(row, x + (i - 1) * width, bytes);
        memmove(x + (i - 1) * width, x + j * width, bytes);
        memcpy(x + j * width, row, bytes);
    }
    free(row);
}

struct linear_probe linear_probe(const struct features *train, const struct features *test, size_t grid, uint64_t seed)
{
    struct linear_probe best = {.accuracy = -1};
    size_t width = train->d + 1, classes = train->classes, part = train->n - train->n / 5;
    struct scale scale = measure_scale(train);
    float *x = standardise(train, &scale), *t = standardise(test, &scale);
    int32_t *labels = mem_dup(train->labels, train->n * sizeof *labels);
    double *w = mem_new(classes * width, sizeof *w);
    shuffle_rows(x, labels, train->n, width, seed);
    for (size_t i = 0; i < grid; i++) { /* strongest penalty first: each fit starts from the last */
        double decay = pow(10, grid > 1 ? 2 - 8.0 * (double)i / (double)(grid - 1) : -3);
        fit(x, labels, part, width, classes, decay, w);
        double a = accuracy(w, x + part * width, labels + part, train->n - part, width, classes);
        if (a > best.accuracy)
            best = (struct linear_probe){a, decay};
    }
    memset(w, 0, classes * width * sizeof *w);
    fit(x, labels, train->n, width, classes, best.weight_decay, w);
    best.accuracy = accuracy(w, t, test->labels, test->n, width, classes);
    free(w);
    free(labels);
    free(x);
    free(t);
    free(scale.mean);
    free(scale.factor);
    return best;
}
