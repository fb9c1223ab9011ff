/* test_ratelimit.c - token buckets: burst, rate, independence, a bounded table. */
#include "tests/t.h"

#include "server/http/ratelimit.h"

enum { SECOND = 1000000000 };

static void a_burst_passes_and_then_the_rate_counts(void **state)
{
    UNUSED(state);
    struct ratelimit *r = ratelimit_new(2, 5);
    unsigned wait;
    int64_t now = 7;
    for (int i = 0; i < 5; i++)
        assert_true(ratelimit_take(r, "a", now, &wait));
    assert_false(ratelimit_take(r, "a", now, &wait));
    assert_int_equal(wait, 1);
    assert_true(ratelimit_take(r, "b", now, &wait)); /* others are not affected */
    int passed = 0;
    for (int i = 0; i < 600; i++) /* ten seconds, sixty requests a second */
        passed += ratelimit_take(r, "a", now += SECOND / 60, &wait);
    assert_in_range(passed, 19, 20);
    passed = 0;
    now += (int64_t)3600 * SECOND; /* what is not used is not saved up beyond the burst */
    for (int i = 0; i < 10; i++)
        passed += ratelimit_take(r, "a", now, &wait);
    assert_int_equal(passed, 5);
    ratelimit_free(r);
}

static void the_wait_is_told_in_whole_seconds(void **state)
{
    UNUSED(state);
    struct ratelimit *r = ratelimit_new(0.1, 1);
    unsigned wait;
    assert_true(ratelimit_take(r, "a", 0, &wait));
    assert_int_equal(wait, 0);
    assert_false(ratelimit_take(r, "a", 0, &wait));
    assert_int_equal(wait, 10);
    assert_false(ratelimit_take(r, "a", (int64_t)9 * SECOND, &wait));
    assert_int_equal(wait, 1);
    assert_true(ratelimit_take(r, "a", (int64_t)10 * SECOND + 1, &wait));
    ratelimit_free(r);
}

static void rate_zero_lets_everything_pass(void **state)
{
    UNUSED(state);
    struct ratelimit *r = ratelimit_new(0, 1);
    unsigned wait;
    for (int i = 0; i < 100; i++)
        assert_true(ratelimit_take(r, "a", 0, &wait));
    ratelimit_free(r);
}

static void a_million_names_do_not_push_out_a_busy_one(void **state)
{
    UNUSED(state);
    struct ratelimit *r = ratelimit_new(0.001, 1);
    unsigned wait;
    int64_t now = 0;
    assert_true(ratelimit_take(r, "busy", now, &wait));
    for (int i = 0; i < 1000000; i++) {
        char name[24];
        snprintf(name, sizeof name, "n%d", i);
        assert_true(ratelimit_take(r, name, now += 1000, &wait)); /* none shares the bucket of another */
        if (i % 500 == 0)
            assert_false(ratelimit_take(r, "busy", now, &wait));
    }
    ratelimit_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_and_then_the_rate_counts),
        cmocka_unit_test(the_wait_is_told_in_whole_seconds),
        cmocka_unit_test(rate_zero_lets_everything_pass),
        cmocka_unit_test(a_million_names_do_not_push_out_a_busy_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
