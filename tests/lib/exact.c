/* exact.c - plain loops in double over the ops of a learner. */
#include "tests/lib/exact.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

static size_t count_of(const struct learner *l, size_t op)
{
    return tensor_count(&l->out[op]);
}

struct exact *exact_new(const struct learner *l)
{
    struct exact *x = mem_new(1, sizeof *x);

    x->l = l;
    for (size_t i = 0; i < l->g.n_tensors; i++) {
        x->tensors[i] = mem_new(l->tensors[i].count, sizeof(double));
        for (size_t k = 0; k < l->tensors[i].count; k++)
            x->tensors[i][k] = (double)l->tensors[i].data[k];
    }
    for (size_t i = 0; i < l->g.n; i++)
        x->out[i] = mem_new(count_of(l, i), sizeof(double));
    return x;
}

void exact_free(struct exact *x)
{
    for (size_t i = 0; i < x->l->g.n_tensors; i++)
        free(x->tensors[i]);
    for (size_t i = 0; i < x->l->g.n; i++) {
        free(x->out[i]);
        free(x->sides[i]);
    }
    free(x);
}

const double *exact_output(const struct exact *x)
{
    return x->out[x->l->g.n - 1];
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
    const struct op *op = &x->l->g.ops[i];
    const struct tensor *in = &x->l->out[op->in], *out = &x->l->out[i];
    double *w = turned(x->tensors[op->tensor], out->c, op->window * op->window * in->c);

    bool large = count_of(x->l, i) * op->window * op->window * in->c > 50000000;
    UNUSED(large); /* by a compiler without OpenMP */

    memset(x->out[i], 0, count_of(x->l, i) * sizeof(double));
#pragma omp parallel for schedule(static) if (large)
    for (size_t row = 0; row < out->n * out->h * out->w; row++)
        for (size_t t = 0; t < op->window * op->window; t++) {
            size_t iy = row / out->w % out->h * op->stride + t / op->window - op->pad;
            size_t ix = row % out->w * op->stride + t % op->window - op->pad;
            const double *pixel = x->out[op->in] + ((row / out->w / out->h * in->h + iy) * in->w + ix) * in->c;
            for (size_t c = 0; iy < in->h && ix < in->w && c < in->c; c++)
                add_scaled(x->out[i] + row * out->c, w + (t * in->c + c) * out->c, pixel[c], out->c);
        }
    free(w);
}

static void rectify(struct exact *x, size_t i)
{
    double *y = x->out[i];
    for (size_t k = 0; k < count_of(x->l, i); k++)
        y[k] = (x->sides[i] ? x->sides[i][k] : y[k] > 0) ? y[k] : 0;
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
    const struct op *op = &x->l->g.ops[i];
    double *const *t = x->tensors + op->tensor, *y = x->out[i];
    size_t c = op->c, rows = count_of(x->l, i) / c;

    for (size_t k = 0; k < c; k++) {
        const double *in = x->out[op->in] + k;
        double mean = t[2][k], variance = t[3][k];
        if (!op->frozen)
            channel_moments(in, rows, c, &mean, &variance);
        double factor = t[0][k] / sqrt(variance + (double)ARCH_BN_EPSILON);
        for (size_t r = 0; r < rows; r++)
            y[r * c + k] =
                (in[r * c] - mean) * factor + t[1][k] + (op->residual != NO_OP ? x->out[op->residual][r * c + k] : 0);
    }
    if (op->relu)
        rectify(x, i);
}

/* The learner's own winners where sides are taken: equal and nearly equal pixels are corners too. */
static void run_maxpool(struct exact *x, size_t i)
{
    const struct op *op = &x->l->g.ops[i];
    const struct tensor *in = &x->l->out[op->in], *out = &x->l->out[i];

    for (size_t k = 0; k < count_of(x->l, i); k++) {
        size_t row = k / op->c, oy = row / out->w % out->h, ox = row % out->w;
        double most = -HUGE_VAL;
        for (size_t t = 0; t < op->window * op->window; t++) {
            size_t iy = oy * op->stride + t / op->window - op->pad, ix = ox * op->stride + t % op->window - op->pad;
            bool wanted = !x->sides[i] || x->sides[i][k] == t;
            if (iy < in->h && ix < in->w && wanted)
                most =
                    fmax(most, x->out[op->in][((row / out->w / out->h * in->h + iy) * in->w + ix) * op->c + k % op->c]);
        }
        x->out[i][k] = most;
    }
}

static void run_avgpool(struct exact *x, size_t i)
{
    const struct tensor *in = &x->l->out[x->l->g.ops[i].in];
    size_t area = in->h * in->w;

    memset(x->out[i], 0, count_of(x->l, i) * sizeof(double));
    for (size_t k = 0; k < tensor_count(in); k++)
        x->out[i][k / in->c / area * in->c + k % in->c] += x->out[x->l->g.ops[i].in][k] / (double)area;
}

static void run_linear(struct exact *x, size_t i)
{
    const struct op *op = &x->l->g.ops[i];
    size_t columns = x->l->g.ops[op->in].c;

    for (size_t k = 0; k < count_of(x->l, i); k++) {
        const double *in = x->out[op->in] + k / op->c * columns, *w = x->tensors[op->tensor] + k % op->c * columns;
        double sum = op->bias ? x->tensors[op->tensor + 1][k % op->c] : 0;
        for (size_t j = 0; j < columns; j++)
            sum += in[j] * w[j];
        x->out[i][k] = sum;
    }
    if (op->relu)
        rectify(x, i);
}

static void run_join(struct exact *x, size_t i)
{
    const struct op *op = &x->l->g.ops[i];
    size_t first = count_of(x->l, op->in);
    memcpy(x->out[i], x->out[op->in], first * sizeof(double));
    memcpy(x->out[i] + first, x->out[op->residual], count_of(x->l, op->residual) * sizeof(double));
}

void exact_forward(struct exact *x, const float *pixels)
{
    static void (*const run[])(struct exact *, size_t) = {
        [OP_CONV] = run_conv,       [OP_NORM] = run_norm,     [OP_MAXPOOL] = run_maxpool,
        [OP_AVGPOOL] = run_avgpool, [OP_LINEAR] = run_linear, [OP_JOIN] = run_join};
    for (size_t i = 0; i < x->l->g.n; i++) {
        if (x->l->g.ops[i].kind != OP_INPUT)
            run[x->l->g.ops[i].kind](x, i);
        for (size_t k = 0; x->l->g.ops[i].kind == OP_INPUT && k < count_of(x->l, i); k++)
            x->out[i][k] = (double)*pixels++;
    }
}

size_t exact_other_sides(const struct exact *x, size_t *all)
{
    size_t other = 0;

    *all = 0;
    for (size_t i = 1; i < x->l->g.n; i++) {
        const void *y = x->l->out[i].data;
        if (!x->l->g.ops[i].relu || !x->l->g.ops[i].needs_gradient)
            continue;
        for (size_t k = 0; k < count_of(x->l, i); k++, ++*all) {
            bool theirs = x->l->out[i].dtype == DTYPE_F32 ? ((const float *)y)[k] > 0
                                                          : bf16_to_float(((const uint16_t *)y)[k]) > 0;
            other += theirs != (x->out[i][k] > 0);
        }
    }
    return other;
}

void exact_take_sides(struct exact *x)
{
    for (size_t i = 1; i < x->l->g.n; i++) {
        const float *y = x->l->out[i].data;
        bool pool = x->l->g.ops[i].kind == OP_MAXPOOL;
        if (!x->l->g.ops[i].needs_gradient || (!x->l->g.ops[i].relu && !pool))
            continue;
        assert(x->l->out[i].dtype == DTYPE_F32);
        free(x->sides[i]);
        x->sides[i] = mem_new(count_of(x->l, i), 1);
        for (size_t k = 0; k < count_of(x->l, i); k++)
            x->sides[i][k] = pool ? x->l->marks[i][k] : y[k] > 0;
    }
}
