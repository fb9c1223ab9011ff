/* test_pool_gradient.c - training's poolings against those of inference, and their gradients by hand. */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "engine/kernels/pool.h"

static struct tensor make_tensor(enum dtype d, size_t n, size_t h, size_t w, size_t c, struct rng *r)
{
    struct tensor t = {d, n, h, w, c, NULL};
    float *values = mem_aligned(tensor_count(&t), sizeof *values);
    for (size_t i = 0; i < tensor_count(&t); i++)
        values[i] = bf16_to_float(bf16_from_float((float)rng_between(r, -1, 1)));
    t.data = mem_aligned(tensor_count(&t), dtype_size(d));
    tensor_fill(&t, values);
    free(values);
    return t;
}

static double value(const struct tensor *t, size_t i)
{
    return t->dtype == DTYPE_BF16 ? (double)bf16_to_float(((uint16_t *)t->data)[i]) : (double)((float *)t->data)[i];
}

/* Adds what one output passes back; asserts that its mark points at a pixel with its value. */
static void pass_back(const struct tensor *x, const struct tensor *y, const struct tensor *dy, const uint8_t *at,
                      size_t out, double *want)
{
    size_t c = out % y->c, ox = out / y->c % y->w, oy = out / y->c / y->w % y->h, n = out / y->c / y->w / y->h;
    size_t iy = oy * 2 + at[out] / 3 - 1, ix = ox * 2 + at[out] % 3 - 1;
    assert_true(iy < x->h && ix < x->w);
    size_t in = ((n * x->h + iy) * x->w + ix) * x->c + c;
    assert_true(value(x, in) == value(y, out));
    want[in] += value(dy, out);
}

static void check_max(enum dtype d, size_t h, size_t w, size_t c)
{
    struct rng r = rng_new(h * 7 + c);
    size_t oh = (h + 1) / 2, ow = (w + 1) / 2;
    struct tensor x = make_tensor(d, 2, h, w, c, &r), dx = make_tensor(d, 2, h, w, c, &r);
    struct tensor y = make_tensor(d, 2, oh, ow, c, &r), plain = make_tensor(d, 2, oh, ow, c, &r);
    struct tensor dy = make_tensor(d, 2, oh, ow, c, &r);
    uint8_t *at = mem_new(tensor_count(&y), 1);
    double *want = mem_new(tensor_count(&x), sizeof *want);

    pool_max(&x, 3, 2, 1, &plain);
    pool_max_marked(&x, 3, 2, 1, &y, at);
    assert_memory_equal(y.data, plain.data, tensor_count(&y) * dtype_size(d));
    pool_max_gradient(&dy, at, 3, 2, 1, &dx);
    for (size_t i = 0; i < tensor_count(&y); i++)
        pass_back(&x, &y, &dy, at, i, want);
    for (size_t i = 0; i < tensor_count(&x); i++)
        assert_true(fabs(value(&dx, i) - want[i]) <= (d == DTYPE_BF16 ? 1.0 / 128 : 1e-6));
    void *all[] = {x.data, dx.data, y.data, plain.data, dy.data, at, want};
    for (size_t i = 0; i < COUNT(all); i++)
        free(all[i]);
}

static void the_gradient_goes_to_the_pixel_that_won(void **state)
{
    UNUSED(state);
    for (int d = 0; d < 2; d++) {
        check_max((enum dtype)d, 9, 6, 5);
        check_max((enum dtype)d, 1, 1, 8);
        check_max((enum dtype)d, 4, 5, 300);
    }
}

static void of_equal_pixels_the_first_wins(void **state)
{
    UNUSED(state);
    float x[9] = {1, 2, 2, 2, 0, 0, 0, 0, 0}, y[4];
    uint8_t at[4];
    struct tensor in = {DTYPE_F32, 1, 3, 3, 1, x}, out = {DTYPE_F32, 1, 2, 2, 1, y};
    pool_max_marked(&in, 3, 2, 1, &out, at);
    assert_int_equal(at[0], 5); /* the window begins outside: row 1, column 2 */
    assert_int_equal(at[1], 3);
}

static void the_average_gives_each_pixel_its_part(void **state)
{
    UNUSED(state);
    for (int d = 0; d < 2; d++) {
        struct rng r = rng_new(5);
        struct tensor dx = make_tensor((enum dtype)d, 3, 2, 4, 300, &r), dy = make_tensor(DTYPE_F32, 3, 1, 1, 300, &r);
        pool_average_gradient(dy.data, &dx);
        for (size_t i = 0; i < tensor_count(&dx); i++)
            assert_true(value(&dx, i) == value(&dy, i / 300 / 8 * 300 + i % 300) / 8);
        free(dx.data);
        free(dy.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_goes_to_the_pixel_that_won),
        cmocka_unit_test(of_equal_pixels_the_first_wins),
        cmocka_unit_test(the_average_gives_each_pixel_its_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
