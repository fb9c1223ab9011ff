/* test_pool.c - poolings and unit length against plain loops, in both dtypes. */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "engine/kernels/pool.h"
#include "engine/kernels/unit.h"

/* n, h, w, c, window, stride, pad */
static const size_t shapes[][7] = {
    {1, 112, 112, 8, 3, 2, 1}, {2, 7, 9, 16, 3, 2, 1}, {1, 1, 1, 5, 3, 2, 1},
    {1, 6, 6, 3, 2, 2, 0},     {3, 5, 4, 33, 3, 1, 1},
};

static struct tensor make(enum dtype d, size_t n, size_t h, size_t w, size_t c)
{
    struct tensor t = {d, n, h, w, c, NULL};
    t.data = mem_aligned(tensor_count(&t), dtype_size(d));
    return t;
}

static float at(const struct tensor *t, size_t i)
{
    return t->dtype == DTYPE_BF16 ? bf16_to_float(((uint16_t *)t->data)[i]) : ((float *)t->data)[i];
}

static struct tensor make_random(enum dtype d, const size_t s[7])
{
    struct tensor t = make(d, s[0], s[1], s[2], s[3]);
    size_t n = tensor_count(&t);
    float *values = mem_aligned(n, sizeof *values);
    struct rng r = rng_new(3);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)rng_between(&r, -2, 1); /* mostly negative: padding would win if it counted as zero */
    tensor_fill(&t, values);
    free(values);
    return t;
}

static float naive_max(const struct tensor *x, const size_t s[7], size_t n, size_t oy, size_t ox, size_t c)
{
    float best = -INFINITY;
    for (size_t i = 0; i < s[4]; i++)
        for (size_t j = 0; j < s[4]; j++) {
            size_t iy = oy * s[5] + i, ix = ox * s[5] + j;
            if (iy < s[6] || ix < s[6] || iy - s[6] >= x->h || ix - s[6] >= x->w)
                continue;
            best = fmaxf(best, at(x, ((n * x->h + iy - s[6]) * x->w + ix - s[6]) * x->c + c));
        }
    return best;
}

static void max_pooling_agrees_with_plain_loops(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < 2 * COUNT(shapes); i++) {
        const size_t *s = shapes[i / 2];
        enum dtype d = i % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct tensor x = make_random(d, s);
        size_t oh = (s[1] + 2 * s[6] - s[4]) / s[5] + 1, ow = (s[2] + 2 * s[6] - s[4]) / s[5] + 1;
        struct tensor y = make(d, s[0], oh, ow, s[3]);
        pool_max(&x, s[4], s[5], s[6], &y);
        for (size_t j = 0; j < tensor_count(&y); j++) {
            size_t c = j % s[3], ox = j / s[3] % ow, oy = j / s[3] / ow % oh, n = j / s[3] / ow / oh;
            assert_true(at(&y, j) == naive_max(&x, s, n, oy, ox, c));
        }
        free(x.data);
        free(y.data);
    }
}

static void average_pooling_agrees_with_plain_loops(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < 2 * COUNT(shapes); i++) {
        const size_t *s = shapes[i / 2];
        struct tensor x = make_random(i % 2 ? DTYPE_BF16 : DTYPE_F32, s);
        size_t pixels = s[1] * s[2], n = s[0] * s[3];
        float *got = mem_aligned(n, sizeof *got), *want = mem_aligned(n, sizeof *want);
        pool_average(&x, got);
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t p = 0; p < pixels; p++)
                sum += (double)at(&x, (j / s[3] * pixels + p) * s[3] + j % s[3]);
            want[j] = (float)(sum / (double)pixels);
        }
        assert_close("pool_average", got, want, n, 1e-5);
        free(x.data);
        free(got);
        free(want);
    }
}

static void bf16_is_rounded_to_nearest_even(void **state)
{
    UNUSED(state);
    static const struct {
        uint32_t bits;
        uint16_t want;
    } cases[] = {
        {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
        {0x3f80ffff, 0x3f81}, {0x7f7fffff, 0x7f80}, {0x80000000, 0x8000}, {0xff800000, 0xff80},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        float f;
        memcpy(&f, &cases[i].bits, sizeof f);
        assert_int_equal(bf16_from_float(f), cases[i].want);
    }
    assert_true(isnan(bf16_to_float(bf16_from_float(NAN))));
    uint32_t low_nan = 0x7f800001;
    float f;
    memcpy(&f, &low_nan, sizeof f);
    assert_true(isnan(bf16_to_float(bf16_from_float(f))));
}

static void a_vector_is_brought_to_unit_length(void **state)
{
    UNUSED(state);
    float x[] = {3, 0, -4}, want[] = {0.6f, 0, -0.8f}, huge[] = {1e30f, 1e30f}, small[] = {1e-30f, 0};
    assert_true(unit_vector(x, 3, x));
    assert_close("unit", x, want, 3, 1e-7);
    assert_true(unit_vector(huge, 2, huge));
    assert_true(fabsf(huge[0] - sqrtf(0.5f)) < 1e-6f);
    assert_true(unit_vector(small, 2, small));
    assert_true(small[0] == 1.0f);
}

static void a_vector_without_direction_is_refused(void **state)
{
    UNUSED(state);
    float zero[2] = {0, 0}, nan[2] = {1, NAN}, inf[2] = {1, INFINITY};
    assert_false(unit_vector(zero, 2, zero));
    assert_false(unit_vector(nan, 2, nan));
    assert_false(unit_vector(inf, 2, inf));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(max_pooling_agrees_with_plain_loops),
        cmocka_unit_test(average_pooling_agrees_with_plain_loops),
        cmocka_unit_test(bf16_is_rounded_to_nearest_even),
        cmocka_unit_test(a_vector_is_brought_to_unit_length),
        cmocka_unit_test(a_vector_without_direction_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
