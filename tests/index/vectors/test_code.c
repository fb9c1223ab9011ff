/* test_code.c - vectors as bytes: exact integer products, and how near they come to the real ones. */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "index/vectors/code.h"
#include "tests/lib/vectors.h"

static void products_of_codes_are_exact_for_every_length(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(1);
    int8_t a[300], b[300];
    for (size_t d = 0; d <= 300; d++) {
        int32_t want = 0;
        for (size_t i = 0; i < d; i++) {
            a[i] = (int8_t)((int)rng_below(&r, 255) - 127);
            b[i] = d % 3 ? (int8_t)((int)rng_below(&r, 255) - 127) : a[i];
            want += a[i] * b[i];
        }
        assert_int_equal(code_product(a, b, d), want);
    }
}

static void the_longest_vector_does_not_overflow(void **state)
{
    UNUSED(state);
    enum { D = 65536 };
    int8_t *a = mem_new(D, 1);
    memset(a, 127, D);
    assert_int_equal(code_product(a, a, D), 127 * 127 * D);
    free(a);
}

static double approximate(const int8_t *a, struct code x, const int8_t *b, struct code y, size_t d)
{
    return (double)x.scale * (double)y.scale * code_product(a, b, d) + (double)x.bias + (double)y.bias;
}

/* The differences between inner products, which are what a search goes by, are right to about one part in
 * three hundred of the distance between the vectors; also when all lie close together far from the origin. */
static void differences_of_products_are_kept_wherever_the_centre_lies(void **state)
{
    UNUSED(state);
    enum { N = 100, D = 120 };
    for (size_t far = 0; far < 2; far++) {
        float *v = vectors_clustered(3, N, D, N, 0.5), centre[D];
        const float *rows[N];
        for (size_t i = 0; i < N * D; i++)
            v[i] = far ? 0.02F * v[i] + 0.09F : v[i];
        for (size_t i = 0; i < N; i++)
            rows[i] = v + i * D;
        code_centre(rows, N, D, centre);
        int8_t codes[N][D];
        struct code c[N];
        for (size_t i = 0; i < N; i++)
            code_make(rows[i], centre, D, codes[i], &c[i]);
        double spread = far ? 0.02 : 1, worst = 0;
        for (size_t i = 1; i + 1 < N; i++) {
            double exact = 0;
            for (size_t k = 0; k < D; k++)
                exact += (double)rows[0][k] * ((double)rows[i][k] - (double)rows[i + 1][k]);
            double got =
                approximate(codes[0], c[0], codes[i], c[i], D) - approximate(codes[0], c[0], codes[i + 1], c[i + 1], D);
            worst = fmax(worst, fabs(got - exact));
        }
        assert_true(worst < spread * spread / 300);
        free(v);
    }
}

static void equal_vectors_have_equal_codes_and_the_centre_itself_is_zero(void **state)
{
    UNUSED(state);
    float row[5] = {0.5F, -0.25F, 0, 1, 0.125F}, zero[5] = {0};
    int8_t a[5], b[5];
    struct code x, y;
    code_make(row, zero, 5, a, &x);
    code_make(row, zero, 5, b, &y);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(a[3], 127);
    assert_int_equal(a[1], -32);
    assert_true(x.bias == 0 && x.scale == 1 / 127.0F);
    code_make(row, row, 5, a, &x);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(a[i], 0);
    assert_true(x.scale == 0 && x.bias == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_codes_are_exact_for_every_length),
        cmocka_unit_test(the_longest_vector_does_not_overflow),
        cmocka_unit_test(differences_of_products_are_kept_wherever_the_centre_lies),
        cmocka_unit_test(equal_vectors_have_equal_codes_and_the_centre_itself_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
