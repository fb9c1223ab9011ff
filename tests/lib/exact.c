/* exact.c - plain loops in double over the nodes of a learner. */
#include "tests/lib/exact.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

static const struct site *site(const struct exact *x, size_t i)
{
    return &x->l->sites[i];
}

static size_t count_of(const struct exact *x, size_t i)
{
    return tensor_count(&site(x, i)->y);
}

struct exact *exact_new(const struct learner *l)
{
    struct exact *x = mem_new(1, sizeof *x);
    const struct graph *g = &l->g.graph;

    x->l = l;
    x->tensors = mem_new(g->n_weights, sizeof *x->tensors);
    x->out = mem_new(g->n, sizeof *x->out);
    x->sides = mem_new(g->n, sizeof *x->sides);
    for (size_t i = 0; i < g->n_weights; i++) {
        x->tensors[i] = mem_new(g->weights[i].count, sizeof(double));
        for (size_t k = 0; k < g->weights[i].count; k++)
            x->tensors[i][k] = (double)g->weights[i].data[k];
    }
    for (size_t i = 0; i < g->n; i++)
        x->out[i] = mem_new(count_of(x, i), sizeof(double));
    return x;
}

void exact_free(struct exact *x)
{
    for (size_t i = 0; i < x->l->g.graph.n_weights; i++)
        free(x->tensors[i]);
    for (size_t i = 0; i < x->l->g.graph.n; i++) {
        free(x->out[i]);
        free(x->sides[i]);
    }
    free(x->tensors);
    free(x->out);
    free(x->sides);
    free(x);
}

const double *exact_output(const struct exact *x)
{
    return x->out[x->l->g.graph.n - 1];
}

HOT_LOOP static void add_scaled(double *restrict y, const double *restrict w, double by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += by * w[i];
}

/* w [k, taps] -> [taps, k] */
static double *turned(const double *w, size_t k, size_t taps)
{
    double *t = mem_new(k * taps, sizeof *t);
    for (size_t i = 0; i < k * taps; i++)
        t[i % taps * k + i / taps] = w[i];
    return t;
}

static void run_conv(struct exact *x, size_t i)
{
    const struct node *n = site(x, i)->node;
    const struct op_settings *o = &n->does.set;
    const struct tensor *in = &site(x, i)->x[0], *out = &site(x, i)->y;
    double *w = turned(x->tensors[n->does.weight], out->c, o->window * o->window * in->c);

    bool large = count_of(x, i) * o->window * o->window * in->c > 50000000;
    UNUSED(large); /* by a compiler without OpenMP */

    memset(x->out[i], 0, count_of(x, i) * sizeof(double));
#pragma omp parallel for schedule(static) if (large)
    for (size_t row = 0; row < out->n * out->h * out->w; row++)
        for (size_t t = 0; t < o->window * o->window; t++) {
            size_t iy = row / out->w % out->h * o->stride + t / o->window - o->pad;
            size_t ix = row % out->w * o->stride + t % o->window - o->pad;
            const double *pixel = x->out[n->in[0]] + ((row / out->w / out->h * in->h + iy) * in->w + ix) * in->c;
            for (size_t c = 0; iy < in->h && ix < in->w && c < in->c; c++)
                add_scaled(x->out[i] + row * out->c, w + (t * in->c + c) * out->c, pixel[c], out->c);
        }
    free(w);
}

static bool is_relu(const struct node *n)
{
    return n->does.op == &op_relu || node_absorbed(n, &op_relu);
}

static void channel_moments(const double *x, size_t rows, size_t c, double *mean, double *variance)
{
    *mean = *variance = 0;
    for (size_t r = 0; r < rows; r++)
        *mean += x[r * c] / (double)rows;
    for (size_t r = 0; r < rows; r++)
        *variance += (x[r * c] - *mean) * (x[r * c] - *mean) / (double)rows;
}

static void run_norm(struct exact *x, size_t i)
{
    const struct node *n = site(x, i)->node;
    double *const *t = x->tensors + n->does.weight, *y = x->out[i];
    size_t c = n->c, rows = count_of(x, i) / c;

    for (size_t k = 0; k < c; k++) {
        const double *in = x->out[n->in[0]] + k;
        double mean = t[2][k], variance = t[3][k];
        if (!site(x, i)->frozen)
            channel_moments(in, rows, c, &mean, &variance);
        double factor = t[0][k] / sqrt(variance + (double)n->does.set.epsilon);
        for (size_t r = 0; r < rows; r++)
            y[r * c + k] = (in[r * c] - mean) * factor + t[1][k];
    }
}

static void run_add(struct exact *x, size_t i)
{
    const struct node *n = site(x, i)->node;
    for (size_t k = 0; k < count_of(x, i); k++)
        x->out[i][k] = x->out[n->in[0]][k] + x->out[n->in[1]][k];
}

static void run_relu(struct exact *x, size_t i)
{
    memcpy(x->out[i], x->out[site(x, i)->node->in[0]], count_of(x, i) * sizeof(double));
}

/* The learner's own winners where sides are taken: equal and nearly equal pixels are corners too. */
static void run_maxpool(struct exact *x, size_t i)
{
    const struct node *n = site(x, i)->node;
    const struct op_settings *o = &n->does.set;
    const struct tensor *in = &site(x, i)->x[0], *out = &site(x, i)->y;

    for (size_t k = 0; k < count_of(x, i); k++) {
        size_t row = k / n->c, oy = row / out->w % out->h, ox = row % out->w;
        double most = -HUGE_VAL;
        for (size_t t = 0; t < o->window * o->window; t++) {
            size_t iy = oy * o->stride + t / o->window - o->pad, ix = ox * o->stride + t % o->window - o->pad;
            bool wanted = !x->sides[i] || x->sides[i][k] == t;
            if (iy < in->h && ix < in->w && wanted)
                most =
                    fmax(most, x->out[n->in[0]][((row / out->w / out->h * in->h + iy) * in->w + ix) * n->c + k % n->c]);
        }
        x->out[i][k] = most;
    }
}

static void run_mean(struct exact *x, size_t i)
{
    const struct tensor *in = &site(x, i)->x[0];
    size_t area = in->h * in->w;

    memset(x->out[i], 0, count_of(x, i) * sizeof(double));
    for (size_t k = 0; k < tensor_count(in); k++)
        x->out[i][k / in->c / area * in->c + k % in->c] += x->out[site(x, i)->node->in[0]][k] / (double)area;
}

static void run_linear(struct exact *x, size_t i)
{
    const struct node *n = site(x, i)->node;
    size_t columns = site(x, i)->x[0].c;

    for (size_t k = 0; k < count_of(x, i); k++) {
        const double *in = x->out[n->in[0]] + k / n->c * columns, *w = x->tensors[n->does.weight] + k % n->c * columns;
        double sum = n->does.set.bias ? x->tensors[n->does.weight + 1][k % n->c] : 0;
        for (size_t j = 0; j < columns; j++)
            sum += in[j] * w[j];
        x->out[i][k] = sum;
    }
}

static void run_join(struct exact *x, size_t i)
{
    const struct node *n = site(x, i)->node;
    size_t first = count_of(x, n->in[0]);
    memcpy(x->out[i], x->out[n->in[0]], first * sizeof(double));
    memcpy(x->out[i] + first, x->out[n->in[1]], count_of(x, n->in[1]) * sizeof(double));
}

/* What a node has absorbed. */
static void run_absorbed(struct exact *x, size_t i)
{
    const struct node *n = site(x, i)->node;
    double *y = x->out[i];
    for (size_t k = 0; node_absorbed(n, &op_add) && k < count_of(x, i); k++)
        y[k] += x->out[n->in[n->n_own]][k];
    for (size_t k = 0; is_relu(n) && k < count_of(x, i); k++)
        y[k] = (x->sides[i] ? x->sides[i][k] : y[k] > 0) ? y[k] : 0;
}

void exact_forward(struct exact *x, const float *pixels)
{
    static const struct {
        const struct op *op;
        void (*run)(struct exact *, size_t);
    } rows[] = {{&op_conv, run_conv}, {&op_norm, run_norm},       {&op_relu, run_relu}, {&op_add, run_add},
                {&op_join, run_join}, {&op_maxpool, run_maxpool}, {&op_mean, run_mean}, {&op_linear, run_linear}};
    for (size_t i = 0; i < x->l->g.graph.n; i++) {
        const struct node *n = site(x, i)->node;
        for (size_t k = 0; n->n_in == 0 && k < count_of(x, i); k++)
            x->out[i][k] = (double)*pixels++;
        for (size_t k = 0; k < COUNT(rows); k++)
            if (rows[k].op == n->does.op)
                rows[k].run(x, i);
        run_absorbed(x, i);
    }
}

size_t exact_other_sides(const struct exact *x, size_t *all)
{
    size_t other = 0;

    *all = 0;
    for (size_t i = 0; i < x->l->g.graph.n; i++) {
        const struct tensor *y = &site(x, i)->y;
        if (!is_relu(site(x, i)->node) || !x->l->g.marks[i].wants_gradient)
            continue;
        for (size_t k = 0; k < count_of(x, i); k++, ++*all) {
            bool theirs = y->dtype == DTYPE_F32 ? ((const float *)y->data)[k] > 0
                                                : bf16_to_float(((const uint16_t *)y->data)[k]) > 0;
            other += theirs != (x->out[i][k] > 0);
        }
    }
    return other;
}

void exact_take_sides(struct exact *x)
{
    for (size_t i = 0; i < x->l->g.graph.n; i++) {
        const struct site *s = site(x, i);
        bool pool = s->node->does.op == &op_maxpool;
        if (!x->l->g.marks[i].wants_gradient || (!is_relu(s->node) && !pool))
            continue;
        assert(s->y.dtype == DTYPE_F32);
        free(x->sides[i]);
        x->sides[i] = mem_new(count_of(x, i), 1);
        for (size_t k = 0; k < count_of(x, i); k++)
            x->sides[i][k] = pool ? ((const uint8_t *)s->kept)[k] : ((const float *)s->y.data)[k] > 0;
    }
}
