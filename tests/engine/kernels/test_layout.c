/* test_layout.c - buffers share memory exactly when their lifetimes allow it. */
#include "tests/t.h"

#include "base/rng.h"
#include "engine/kernels/layout.h"

static void buffers_apart_in_time_share_memory(void **state)
{
    UNUSED(state);
    struct span chain[] = {{1000, 0, 1, 9}, {1000, 1, 2, 9}, {1000, 2, 3, 9}, {1000, 3, 4, 9}};
    assert_int_equal(layout_place(chain, COUNT(chain)), 2 * 1024);
    assert_int_equal(chain[0].offset, chain[2].offset);
    assert_int_equal(chain[1].offset, chain[3].offset);
}

static void one_that_outlives_the_others_keeps_its_place(void **state)
{
    UNUSED(state);
    struct span spans[] = {{64, 0, 9, 0}, {128, 0, 1, 0}, {128, 2, 3, 0}, {128, 4, 5, 0}};
    assert_int_equal(layout_place(spans, COUNT(spans)), 192);
    assert_int_equal(spans[0].offset, 128);
    assert_int_equal(spans[3].offset, 0);
}

static void no_two_living_buffers_ever_overlap(void **state)
{
    UNUSED(state);
    enum { N = 60 };
    struct span s[N];
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct rng r = rng_new(seed);
        size_t sum = 0;
        for (size_t i = 0; i < N; i++) {
            size_t first = rng_below(&r, 40);
            s[i] = (struct span){.size = rng_below(&r, 5000), .first = first, .last = first + rng_below(&r, 10)};
            sum += s[i].size + LAYOUT_ALIGN;
        }
        size_t total = layout_place(s, N);
        assert_true(total < sum);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(s[i].offset % LAYOUT_ALIGN, 0);
            assert_true(s[i].offset + s[i].size <= total);
            for (size_t j = 0; j < i; j++) {
                bool in_time = s[i].first <= s[j].last && s[j].first <= s[i].last;
                bool in_space = s[i].offset < s[j].offset + s[j].size && s[j].offset < s[i].offset + s[i].size;
                assert_false(in_time && in_space && s[i].size > 0 && s[j].size > 0);
            }
        }
    }
}

static void nothing_needs_no_memory(void **state)
{
    UNUSED(state);
    struct span empty = {0, 0, 9, 0};
    assert_int_equal(layout_place(&empty, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_apart_in_time_share_memory),
        cmocka_unit_test(one_that_outlives_the_others_keeps_its_place),
        cmocka_unit_test(no_two_living_buffers_ever_overlap),
        cmocka_unit_test(nothing_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
