/* test_batchnorm.c - batch norm against plain double arithmetic and finite differences, in both dtypes. */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "engine/kernels/batchnorm.h"
#include "tests/lib/oracle.h"

static const double epsilon = 1e-5;

/* rows, c: odd sizes, one block and many, rows longer than a tile */
static const size_t shapes[][2] = {{3, 1}, {5, 7}, {63, 24}, {1000, 3}, {4, 2100}, {5000, 64}, {33, 1024}};

struct data {
    struct norm_shape s;
    float *x, *residual, *dy, *dy2, *scale, *shift; /* fp32; what bf16 holds exactly */
};

static float *random_floats(struct rng *r, size_t n, double low, double high)
{
    float *v = mem_aligned(n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = bf16_to_float(bf16_from_float((float)rng_between(r, low, high)));
    return v;
}

static struct data make_data(size_t rows, size_t c, enum dtype d)
{
    struct rng r = rng_new(rows * 31 + c);
    struct data t = {.s = {d, rows, c}};
    t.x = random_floats(&r, rows * c, -1, 3);
    t.residual = random_floats(&r, rows * c, -1, 1);
    t.dy = random_floats(&r, rows * c, -1, 1);
    t.dy2 = random_floats(&r, rows * c, -1, 1);
    t.scale = random_floats(&r, c, 0.5, 1.5);
    t.shift = random_floats(&r, c, -1, 1);
    return t;
}

static void free_data(struct data *t)
{
    free(t->x);
    free(t->residual);
    free(t->dy);
    free(t->dy2);
    free(t->scale);
    free(t->shift);
}

static void *to_dtype(const struct norm_shape *s, const float *values)
{
    struct tensor t = {s->dtype, s->rows, 1, 1, s->c, mem_aligned(s->rows * s->c, dtype_size(s->dtype))};
    tensor_fill(&t, values);
    return t.data;
}

static float *to_floats(const struct norm_shape *s, void *values) /* frees them */
{
    size_t n = s->rows * s->c;
    float *out = mem_aligned(n, sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = s->dtype == DTYPE_BF16 ? bf16_to_float(((uint16_t *)values)[i]) : ((float *)values)[i];
    free(values);
    return out;
}

static void naive_moments(const struct norm_shape *s, const float *x, size_t k, double *mean, double *variance)
{
    *mean = *variance = 0;
    for (size_t r = 0; r < s->rows; r++)
        *mean += (double)x[r * s->c + k] / (double)s->rows;
    for (size_t r = 0; r < s->rows; r++)
        *variance += pow((double)x[r * s->c + k] - *mean, 2) / (double)s->rows;
}

static void the_moments_are_those_of_two_plain_passes(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < COUNT(shapes) * 2; i++) {
        struct data t = make_data(shapes[i / 2][0], shapes[i / 2][1], i % 2 ? DTYPE_BF16 : DTYPE_F32);
        float *mean = mem_new(t.s.c, sizeof *mean), *variance = mem_new(t.s.c, sizeof *variance);
        float *work = mem_aligned(norm_work(&t.s), sizeof *work);
        for (size_t j = 0; t.s.dtype == DTYPE_F32 && j < t.s.rows * t.s.c; j++)
            t.x[j] += 500; /* a mean that plain sums of squares could not bear */
        void *x = to_dtype(&t.s, t.x);
        norm_moments(&t.s, x, work, mean, variance);
        for (size_t k = 0; k < t.s.c; k++) {
            double m, v;
            naive_moments(&t.s, t.x, k, &m, &v);
            assert_true(fabs((double)mean[k] - m) <= 1e-6 * fmax(1, fabs(m)));
            assert_true(fabs((double)variance[k] - v) <= 1e-5 * v);
        }
        free(x);
        free(mean);
        free(variance);
        free(work);
        free_data(&t);
    }
}

static void running_statistics_take_the_unbiased_variance(void **state)
{
    UNUSED(state);
    struct norm_shape s = {DTYPE_F32, 5, 1};
    float mean = 3, variance = 2, running_mean = 1, running_variance = 4;
    norm_track(&s, &mean, &variance, 0.1, &running_mean, &running_variance);
    assert_true(fabsf(running_mean - 1.2f) < 1e-6f);
    assert_true(fabsf(running_variance - (3.6f + 0.1f * 2.5f)) < 1e-6f);
}

struct outcome { /* fp32 copies of what the kernels gave */
    float *mean, *variance, *inverse, *factor, *y, *g, *dx, *dshift, *dscale;
};

static struct outcome run(const struct data *t, bool residual, bool relu, bool two)
{
    struct outcome o;
    const struct norm_shape *s = &t->s;
    float **small[] = {&o.mean, &o.variance, &o.inverse, &o.factor, &o.dshift, &o.dscale};
    float *work = mem_aligned(norm_work(s), sizeof *work);
    void *x = to_dtype(s, t->x), *r = to_dtype(s, t->residual), *dy = to_dtype(s, t->dy), *dy2 = to_dtype(s, t->dy2);
    void *y = to_dtype(s, t->x), *dx = to_dtype(s, t->x);

    for (size_t i = 0; i < COUNT(small); i++)
        *small[i] = mem_new(s->c, sizeof(float));
    norm_moments(s, x, work, o.mean, o.variance);
    norm_factors(s->c, o.variance, epsilon, t->scale, o.inverse, o.factor);
    norm_apply(s, x, o.mean, o.factor, t->shift, residual ? r : NULL, relu, y);
    norm_reduce(s, dy, two ? dy2 : NULL, relu ? y : NULL, x, o.mean, o.inverse, work, o.dshift, o.dscale);
    norm_input_gradient(s, dy, x, o.mean, o.inverse, o.factor, o.dshift, o.dscale, work, dx);
    o.y = to_floats(s, y);
    o.g = to_floats(s, dy);
    o.dx = to_floats(s, dx);
    free(x);
    free(r);
    free(dy2);
    free(work);
    return o;
}

static void free_outcome(struct outcome *o)
{
    float *all[] = {o->mean, o->variance, o->inverse, o->factor, o->y, o->g, o->dx, o->dshift, o->dscale};
    for (size_t i = 0; i < COUNT(all); i++)
        free(all[i]);
}

static void assert_near(float got, double want, double tolerance)
{
    double error = fabs((double)got - want);
    if (!(error <= tolerance * fmax(1, fabs(want))))
        fail_msg("%g, expected %g", (double)got, want);
}

/* Channel k, step by step in double, from the rounded y and g of the kernel. */
static void check_channel(const struct data *t, const struct outcome *o, size_t k, unsigned mode, double tolerance)
{
    const struct norm_shape *s = &t->s;
    bool residual = mode & 1, relu = mode & 2, two = mode & 4;
    double mean, variance, sum = 0, product = 0;
    naive_moments(s, t->x, k, &mean, &variance);
    double inverse = 1 / sqrt(variance + epsilon), rows = (double)s->rows;
    for (size_t i = k; i < s->rows * s->c; i += s->c) {
        double hat = ((double)t->x[i] - mean) * inverse;
        double y = hat * (double)t->scale[k] + (double)t->shift[k] + (residual ? (double)t->residual[i] : 0);
        double g = (double)t->dy[i] + (two ? (double)t->dy2[i] : 0);
        assert_near(o->y[i], relu && y < 0 ? 0 : y, tolerance);
        assert_near(o->g[i], relu && !(o->y[i] > 0) ? 0 : g, tolerance);
        sum += (double)o->g[i];
        product += (double)o->g[i] * hat;
    }
    double tolerated = (s->dtype == DTYPE_BF16 ? 8e-3 : 1e-5) * sqrt(rows); /* the kernel sums before it rounds */
    assert_near(o->dshift[k], sum, tolerated);
    assert_near(o->dscale[k], product, tolerated);
    for (size_t i = k; i < s->rows * s->c; i += s->c) {
        double hat = ((double)t->x[i] - mean) * inverse;
        double dx = (double)t->scale[k] * inverse *
                    ((double)o->g[i] - ((double)o->dshift[k] + hat * (double)o->dscale[k]) / rows);
        assert_near(o->dx[i], dx, tolerance);
    }
}

static void forward_and_backward_are_those_of_plain_double_arithmetic(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < COUNT(shapes) * 2; i++)
        for (unsigned mode = 0; mode < 8; mode++) {
            struct data t = make_data(shapes[i / 2][0], shapes[i / 2][1], i % 2 ? DTYPE_BF16 : DTYPE_F32);
            struct outcome o = run(&t, mode & 1, mode & 2, mode & 4);
            for (size_t k = 0; k < t.s.c; k++)
                check_channel(&t, &o, k, mode, t.s.dtype == DTYPE_BF16 ? 1.0 / 64 : 2e-5);
            free_outcome(&o);
            free_data(&t);
        }
}

/* sum over dy * bn(x), in double. */
static double objective(const struct data *t)
{
    double total = 0;
    for (size_t k = 0; k < t->s.c; k++) {
        double mean, variance;
        naive_moments(&t->s, t->x, k, &mean, &variance);
        for (size_t i = k; i < t->s.rows * t->s.c; i += t->s.c)
            total += (double)t->dy[i] *
                     (((double)t->x[i] - mean) / sqrt(variance + epsilon) * (double)t->scale[k] + (double)t->shift[k]);
    }
    return total;
}

static void assert_slope(const struct data *t, float *value, double gradient)
{
    float saved = *value, h = 1.0f / 256;
    *value = saved + h;
    double above = objective(t);
    *value = saved - h;
    double below = objective(t);
    *value = saved;
    assert_near((float)gradient, (above - below) / (2 * (double)h), 1e-3);
}

static void assert_rows(const float *is, const struct json *want)
{
    float values[8];
    size_t d, n = oracle_rows(want, values, &d);
    for (size_t i = 0; i < n * d; i++)
        assert_near(is[i], (double)values[i], 1e-6 + 1e-4 * fabs((double)values[i]));
}

static void three_rows_equal_autograd(void **state)
{
    UNUSED(state);
    const char *id = "batchnorm1d";
    float x[6], dy[6], scale[2], shift[2], mean[2], variance[2];
    size_t c, rows = oracle_rows(oracle_input(id, "x"), x, &c), one;
    oracle_rows(oracle_input(id, "upstream_grad"), dy, &c);
    oracle_rows(oracle_input(id, "weight"), scale, &one);
    oracle_rows(oracle_input(id, "bias"), shift, &one);
    oracle_rows(oracle_input(id, "running_mean"), mean, &one);
    oracle_rows(oracle_input(id, "running_var"), variance, &one);
    const struct data t = {{DTYPE_F32, rows, c}, x, x, dy, dy, scale, shift};
    struct outcome o = run(&t, false, false, false);
    norm_track(&t.s, o.mean, o.variance, oracle_setting(id, "momentum"), mean, variance);
    const struct json *gradients = json_member(oracle_case(id), "expected_grad");
    assert_rows(o.y, oracle_result(id, "y"));
    assert_rows(mean, oracle_result(id, "new_running_mean"));
    assert_rows(variance, oracle_result(id, "new_running_var"));
    assert_rows(o.dx, json_member(gradients, "x"));
    assert_rows(o.dscale, json_member(gradients, "weight"));
    assert_rows(o.dshift, json_member(gradients, "bias"));
    free_outcome(&o);
}

static void gradients_are_the_slopes_of_the_forward_pass(void **state)
{
    UNUSED(state);
    struct data t = make_data(11, 5, DTYPE_F32);
    struct outcome o = run(&t, false, false, false);
    for (size_t i = 0; i < t.s.rows * t.s.c; i++)
        assert_slope(&t, &t.x[i], (double)o.dx[i]);
    for (size_t k = 0; k < t.s.c; k++) {
        assert_slope(&t, &t.scale[k], (double)o.dscale[k]);
        assert_slope(&t, &t.shift[k], (double)o.dshift[k]);
    }
    free_outcome(&o);
    free_data(&t);
}

static void frozen_statistics_only_scale_the_gradient(void **state)
{
    UNUSED(state);
    struct norm_shape s = {DTYPE_F32, 2, 3};
    float g[6] = {1, 2, 3, -4, 5, -6}, y[6] = {1, 0, 1, 1, 1, 0}, dx[6];
    const float factor[3] = {2, 3, 0.5f}, want[6] = {2, 0, 1.5f, -8, 15, 0};
    norm_mask(&s, g, NULL, y);
    norm_frozen_gradient(&s, g, factor, dx);
    assert_memory_equal(dx, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_moments_are_those_of_two_plain_passes),
        cmocka_unit_test(running_statistics_take_the_unbiased_variance),
        cmocka_unit_test(forward_and_backward_are_those_of_plain_double_arithmetic),
        cmocka_unit_test(three_rows_equal_autograd),
        cmocka_unit_test(gradients_are_the_slopes_of_the_forward_pass),
        cmocka_unit_test(frozen_statistics_only_scale_the_gradient),
    };
    return cmocka_run_group_tests(tests, oracle_load, oracle_free);
}
