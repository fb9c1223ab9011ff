/* lbfgs.c - the two-loop recursion over the last few steps. */
#include "engine/judging/lbfgs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { MEMORY = 10, HALVINGS = 40 };

struct history { /* a ring of steps s and changes of the gradient y */
    double *s[MEMORY], *y[MEMORY], rho[MEMORY];
    size_t used, next;
};

struct state {
    double *x, *g, *direction, *trial, *trial_g;
    struct history h;
};

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add(double *out, double factor, const double *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] += factor * in[i];
}

static double largest(const double *g, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(g[i]));
    return most;
}

static struct state state_new(size_t n)
{
    struct state s = {.x = mem_new(n, sizeof(double)),
                      .g = mem_new(n, sizeof(double)),
                      .direction = mem_new(n, sizeof(double)),
                      .trial = mem_new(n, sizeof(double)),
                      .trial_g = mem_new(n, sizeof(double))};
    for (size_t i = 0; i < MEMORY; i++) {
        s.h.s[i] = mem_new(n, sizeof(double));
        s.h.y[i] = mem_new(n, sizeof(double));
    }
    return s;
}

static void state_clear(struct state *s)
{
    for (size_t i = 0; i < MEMORY; i++) {
        free(s->h.s[i]);
        free(s->h.y[i]);
    }
    free(s->x);
    free(s->g);
    free(s->direction);
    free(s->trial);
    free(s->trial_g);
}

/* direction = - H g, H the inverse Hessian that the history stands for. */
static void find_direction(const struct history *h, const double *g, double *direction, size_t n)
{
    double alpha[MEMORY];
    for (size_t i = 0; i < n; i++)
        direction[i] = -g[i];
    for (size_t k = 0; k < h->used; k++) { /* newest first */
        size_t i = (h->next + MEMORY - 1 - k) % MEMORY;
        alpha[i] = h->rho[i] * dot(h->s[i], direction, n);
        add(direction, -alpha[i], h->y[i], n);
    }
    if (h->used) {
        size_t i = (h->next + MEMORY - 1) % MEMORY;
        double scale = 1 / (h->rho[i] * dot(h->y[i], h->y[i], n));
        for (size_t k = 0; k < n; k++)
            direction[k] *= scale;
    }
    for (size_t k = h->used; k-- > 0;) {
        size_t i = (h->next + MEMORY - 1 - k) % MEMORY;
        add(direction, alpha[i] - h->rho[i] * dot(h->y[i], direction, n), h->s[i], n);
    }
}

/* Remembers the step from (x, g) to the trial; pairs without positive curvature are of no use. */
static void remember(struct history *h, const struct state *s, size_t n)
{
    size_t i = h->next;
    for (size_t k = 0; k < n; k++) {
        h->s[i][k] = s->trial[k] - s->x[k];
        h->y[i][k] = s->trial_g[k] - s->g[k];
    }
    double curvature = dot(h->s[i], h->y[i], n);
    if (!(curvature > 1e-300))
        return;
    h->rho[i] = 1 / curvature;
    h->next = (i + 1) % MEMORY;
    h->used = min_size(h->used + 1, MEMORY);
}

/* Halves the step until the value falls enough (Armijo); false when it never does. */
static bool line_search(lbfgs_function *f, void *context, struct state *s, size_t n, double *value,
                        struct lbfgs_report *r)
{
    double slope = dot(s->g, s->direction, n), step = r->iterations ? 1 : fmin(1, 1 / (largest(s->g, n) + 1e-300));
    for (int i = 0; i < HALVINGS && slope < 0; i++, step /= 2) {
        memcpy(s->trial, s->x, n * sizeof *s->x);
        add(s->trial, step, s->direction, n);
        double v = f(s->trial, s->trial_g, n, context);
        r->evaluations++;
        if (v <= *value + 1e-4 * step * slope) {
            *value = v;
            return true;
        }
    }
    return false;
}

struct lbfgs_report lbfgs_minimise(lbfgs_function *f, void *context, double *x, size_t n, double tolerance,
                                   size_t iterations)
{
    struct state s = state_new(n);
    struct lbfgs_report r = {.evaluations = 1};
    memcpy(s.x, x, n * sizeof *x);
    double value = f(s.x, s.g, n, context);
    while (r.iterations < iterations && largest(s.g, n) > tolerance) {
        find_direction(&s.h, s.g, s.direction, n);
        if (!line_search(f, context, &s, n, &value, &r))
            break;
        remember(&s.h, &s, n);
        memcpy(s.x, s.trial, n * sizeof *x);
        memcpy(s.g, s.trial_g, n * sizeof *x);
        r.iterations++;
    }
    memcpy(x, s.x, n * sizeof *x);
    r.value = value;
    r.gradient_norm = largest(s.g, n);
    state_clear(&s);
    return r;
}
