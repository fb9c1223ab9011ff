/* test_scan.c - inner products against double precision, the heap against sorting. */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "index/vectors/scan.h"

static float *random_rows(struct rng *r, size_t n)
{
    float *v = mem_aligned(n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)rng_normal(r);
    return v;
}

static void products_are_right_for_every_length(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(1);
    for (size_t d = 1; d <= 200; d++) {
        enum { N = 5 };
        float *rows = random_rows(&r, N * d), *query = random_rows(&r, d), got[N];
        scan_products(rows, N, d, query, got);
        for (size_t i = 0; i < N; i++) {
            double want = 0;
            for (size_t k = 0; k < d; k++)
                want += (double)rows[i * d + k] * (double)query[k];
            float wanted = (float)want;
            assert_close("product", &got[i], &wanted, 1, 1e-4);
        }
        free(rows);
        free(query);
    }
}

static void one_row_alone_gives_the_same_bits_as_among_many(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(2);
    enum { N = 33, D = 147 };
    float *rows = random_rows(&r, N * D), *query = random_rows(&r, D), got[N];
    scan_products(rows, N, D, query, got);
    for (size_t i = 0; i < N; i++) {
        float one = scan_product(rows + i * D, query, D);
        assert_memory_equal(&one, &got[i], sizeof one);
    }
    free(rows);
    free(query);
}

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static int higher_slot_first(const void *context, size_t a, size_t b)
{
    UNUSED(context);
    return (a < b) - (a > b);
}

/* Scores are drawn from few values, so that ties are everywhere. */
static void the_heap_keeps_the_best_as_sorting_would(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(3);
    enum { N = 300 };
    struct scored all[N];
    for (size_t limit = 0; limit <= N + 5; limit = limit * 2 + 1) {
        struct top top;
        top_init(&top, limit, NULL, NULL);
        for (size_t i = 0; i < N; i++) {
            all[i] = (struct scored){(float)rng_below(&r, 20), i};
            if (limit == 0 || top_wants(&top, all[i].score))
                top_offer(&top, all[i].score, i);
        }
        top_sort(&top);
        qsort(all, N, sizeof *all, by_score);
        assert_int_equal(top.n, min_size(limit, N));
        for (size_t i = 0; i < top.n; i++) {
            assert_int_equal(top.items[i].slot, all[i].slot);
            assert_true(top.items[i].score == all[i].score);
        }
        top_clear(&top);
    }
}

static void ties_are_broken_as_the_caller_says(void **state)
{
    UNUSED(state);
    struct top top;
    top_init(&top, 3, higher_slot_first, NULL);
    for (size_t i = 0; i < 10; i++)
        top_offer(&top, 0.5F, i);
    top_sort(&top);
    assert_int_equal(top.items[0].slot, 9);
    assert_int_equal(top.items[1].slot, 8);
    assert_int_equal(top.items[2].slot, 7);
    top_clear(&top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right_for_every_length),
        cmocka_unit_test(one_row_alone_gives_the_same_bits_as_among_many),
        cmocka_unit_test(the_heap_keeps_the_best_as_sorting_would),
        cmocka_unit_test(ties_are_broken_as_the_caller_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
