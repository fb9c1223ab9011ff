/* optimizer.c - SGD, LARS and AdamW. */
#include "engine/learning/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { PIECE = 1 << 14 }; /* values that one thread works on at once */

struct optimizer {
    struct optimizer_settings s;
    struct parameter *parameters;
    size_t n;
    uint64_t steps;
    float **first;   /* momentum, or the mean of the gradient */
    float **second;  /* AdamW: the mean of its square */
    double *squares; /* of each gradient; added in order, whatever thread was first */
};

const char *const optimizer_names[] = {"sgd", "lars", "adamw", NULL};

struct optimizer_settings optimizer_defaults(enum optimizer_kind kind)
{
    return (struct optimizer_settings){.kind = kind,
                                       .momentum = 0.9,
                                       .eta = 0.001,
                                       .beta1 = 0.9,
                                       .beta2 = 0.999,
                                       .epsilon = 1e-8,
                                       .weight_decay = 1e-4};
}

static bool in_range(double x, double lo, double hi, const char *name, struct err *e)
{
    return (x >= lo && x <= hi) || err_field(e, name, "must be from %g to %g", lo, hi);
}

static bool check(const struct optimizer_settings *s, struct err *e)
{
    return in_range(s->momentum, 0, 0.9999, "momentum", e) && in_range(s->eta, 1e-6, 1, "eta", e) &&
           in_range(s->beta1, 0, 0.9999, "beta1", e) && in_range(s->beta2, 0, 0.999999, "beta2", e) &&
           in_range(s->epsilon, 1e-16, 1, "epsilon", e) && in_range(s->weight_decay, 0, 1, "weight_decay", e);
}

struct optimizer *optimizer_new(const struct optimizer_settings *s, const struct parameter *parameters, size_t n,
                                struct err *e)
{
    if (!check(s, e))
        return NULL;
    struct optimizer *o = mem_new(1, sizeof *o);
    *o = (struct optimizer){.s = *s, .n = n};
    o->parameters = mem_dup(parameters, n * sizeof *parameters);
    o->first = mem_new(n, sizeof *o->first);
    o->second = mem_new(n, sizeof *o->second);
    o->squares = mem_new(n, sizeof *o->squares);
    for (size_t i = 0; i < n; i++) {
        o->first[i] = mem_new(parameters[i].count, sizeof(float));
        if (s->kind == OPTIMIZER_ADAMW)
            o->second[i] = mem_new(parameters[i].count, sizeof(float));
    }
    return o;
}

void optimizer_free(struct optimizer *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n; i++) {
        free(o->first[i]);
        free(o->second[i]);
    }
    free(o->first);
    free(o->second);
    free(o->squares);
    free(o->parameters);
    free(o);
}

HOT_LOOP static void sgd(float *restrict w, const float *restrict g, float *restrict v, size_t n, float lr, float mu,
                         float wd, float ratio, bool nesterov)
{
    for (size_t i = 0; i < n; i++) {
        float d = ratio * (g[i] + wd * w[i]);
        v[i] = mu * v[i] + d;
        w[i] -= lr * (nesterov ? d + mu * v[i] : v[i]);
    }
}

/* eta |w| / |g + wd w|; 1 where either is zero. */
static double trust_ratio(const struct optimizer_settings *s, const struct parameter *p, double lr)
{
    double w2 = 0, d2 = 0;
    for (size_t i = 0; i < p->count; i++) {
        double w = (double)p->value[i], d = (double)p->gradient[i] + s->weight_decay * w;
        w2 += w * w;
        d2 += d * d;
    }
    if (!(w2 > 0 && d2 > 0))
        return 1;
    double q = s->eta * sqrt(w2 / d2);
    return s->clip && lr > 0 ? fmin(q / lr, 1) : q;
}

HOT_LOOP static void adamw(float *restrict w, const float *restrict g, float *restrict m, float *restrict v, size_t n,
                           const float c[6])
{
    const float decay = c[0], b1 = c[1], b2 = c[2], step = c[3], root = c[4], eps = c[5];
    for (size_t i = 0; i < n; i++) {
        m[i] = b1 * m[i] + (1 - b1) * g[i];
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        w[i] = w[i] * decay - step * m[i] / (sqrtf(v[i]) * root + eps);
    }
}

static void adamw_step(struct optimizer *o, size_t i, double lr)
{
    const struct parameter *p = &o->parameters[i];
    double t = (double)o->steps, correct1 = 1 - pow(o->s.beta1, t), correct2 = 1 - pow(o->s.beta2, t);
    const float c[6] = {(float)(1 - (p->decay ? lr * o->s.weight_decay : 0)),
                        (float)o->s.beta1,
                        (float)o->s.beta2,
                        (float)(lr / correct1),
                        (float)(1 / sqrt(correct2)),
                        (float)o->s.epsilon};
#pragma omp parallel for schedule(static) if (p->count > PIECE)
    for (size_t at = 0; at < p->count; at += PIECE)
        adamw(p->value + at, p->gradient + at, o->first[i] + at, o->second[i] + at, min_size(PIECE, p->count - at), c);
}

static void sgd_step(struct optimizer *o, size_t i, double lr, double ratio)
{
    const struct parameter *p = &o->parameters[i];
    float decay = p->decay ? (float)o->s.weight_decay : 0;
    bool nesterov = o->s.nesterov && o->s.kind == OPTIMIZER_SGD;
#pragma omp parallel for schedule(static) if (p->count > PIECE)
    for (size_t at = 0; at < p->count; at += PIECE)
        sgd(p->value + at, p->gradient + at, o->first[i] + at, min_size(PIECE, p->count - at), (float)lr,
            (float)o->s.momentum, decay, (float)ratio, nesterov);
}

void optimizer_step(struct optimizer *o, double learning_rate)
{
    o->steps++;
    for (size_t i = 0; i < o->n; i++) {
        const struct parameter *p = &o->parameters[i];
        double lr = learning_rate * p->rate_scale, ratio = 1;
        if (o->s.kind == OPTIMIZER_ADAMW) {
            adamw_step(o, i, lr);
            continue;
        }
        if (o->s.kind == OPTIMIZER_LARS && p->decay)
            ratio = trust_ratio(&o->s, p, lr);
        sgd_step(o, i, lr, ratio);
    }
}

size_t optimizer_state_count(const struct optimizer *o)
{
    return o->s.kind == OPTIMIZER_ADAMW ? 2 * o->n : o->n;
}

float *optimizer_state(struct optimizer *o, size_t i, size_t *count)
{
    *count = o->parameters[i % o->n].count;
    return i < o->n ? o->first[i] : o->second[i - o->n];
}

uint64_t *optimizer_steps(struct optimizer *o)
{
    return &o->steps;
}

static double sum_of_squares(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

HOT_LOOP static void scale(float *x, size_t n, float factor)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

double optimizer_clip(struct optimizer *o, double max_norm)
{
    double square = 0;

#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < o->n; i++)
        o->squares[i] = sum_of_squares(o->parameters[i].gradient, o->parameters[i].count);
    for (size_t i = 0; i < o->n; i++)
        square += o->squares[i];
    double norm = sqrt(square);
    if (max_norm > 0 && norm > max_norm)
        for (size_t i = 0; i < o->n; i++)
            scale(o->parameters[i].gradient, o->parameters[i].count, (float)(max_norm / norm));
    return norm;
}

double schedule_cosine(uint64_t step, uint64_t warmup, uint64_t total, double peak, double end)
{
    if (step < warmup)
        return peak * (double)(step + 1) / (double)warmup;
    if (step >= total)
        return end;
    double t = (double)(step - warmup) / (double)(total - warmup);
    return end + (peak - end) * (1 + cos(M_PI * t)) / 2;
}

void ema_update(float *target, const float *online, size_t count, double m)
{
#pragma omp parallel for schedule(static) if (count > PIECE)
    for (size_t i = 0; i < count; i++)
        target[i] = (float)(m * (double)target[i] + (1 - m) * (double)online[i]);
}
