/* test_gemm.c - matrix products against three plain loops. */
#include "tests/t.h"

#include "base/rng.h"
#include "engine/kernels/gemm.h"

enum { MAX = 40 * 40 };

static const size_t sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {1, 17, 33}, {40, 1, 2}, {33, 40, 19}, {16, 16, 16}};

static void fill(struct rng *r, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_between(r, -1, 1);
}

/* element (j, t) of b is b[j * row + t * column] */
static void naive(const size_t s[3], float alpha, const float *a, const float *b, size_t row, size_t column, float beta,
                  float *c)
{
    for (size_t i = 0; i < s[0]; i++)
        for (size_t j = 0; j < s[1]; j++) {
            double sum = 0;
            for (size_t t = 0; t < s[2]; t++)
                sum += (double)a[i * s[2] + t] * (double)b[j * row + t * column];
            float old = beta != 0.0f ? beta * c[i * s[1] + j] : 0.0f;
            c[i * s[1] + j] = alpha * (float)sum + old;
        }
}

static void products_agree_with_plain_loops(void **state)
{
    UNUSED(state);
    float a[MAX], b[MAX], got[MAX], want[MAX], turned[MAX];
    struct rng r = rng_new(1);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const size_t *s = sizes[i];
        for (int beta = 0; beta < 2; beta++) {
            fill(&r, a, s[0] * s[2]);
            fill(&r, b, s[1] * s[2]);
            fill(&r, want, s[0] * s[1]);
            memcpy(got, want, sizeof got);
            gemm_nt(s[0], s[1], s[2], 0.5f, a, b, (float)beta, got);
            naive(s, 0.5f, a, b, s[2], 1, (float)beta, want);
            assert_close("gemm_nt", got, want, s[0] * s[1], 1e-5);
            memcpy(got, want, sizeof got);
            gemm_nn(s[0], s[1], s[2], 2.0f, a, b, (float)beta, got);
            naive(s, 2.0f, a, b, 1, s[1], (float)beta, want);
            assert_close("gemm_nn", got, want, s[0] * s[1], 1e-5);
            memcpy(got, want, sizeof got);
            for (size_t j = 0; j < s[0] * s[2]; j++)
                turned[j % s[2] * s[0] + j / s[2]] = a[j];
            gemm_tn(s[0], s[1], s[2], 2.0f, turned, b, (float)beta, got);
            naive(s, 2.0f, a, b, 1, s[1], (float)beta, want);
            assert_close("gemm_tn", got, want, s[0] * s[1], 1e-5);
        }
    }
}

static void beta_zero_overwrites_even_nan(void **state)
{
    UNUSED(state);
    float a = 2, b = 3, nt = NAN, nn = NAN, tn = NAN;
    gemm_nt(1, 1, 1, 1, &a, &b, 0, &nt);
    gemm_nn(1, 1, 1, 1, &a, &b, 0, &nn);
    gemm_tn(1, 1, 1, 1, &a, &b, 0, &tn);
    assert_true(nt == 6.0f && nn == 6.0f && tn == 6.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree_with_plain_loops),
        cmocka_unit_test(beta_zero_overwrites_even_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
