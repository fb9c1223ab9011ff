/* test_recent.c - the 99th percentile of the last seconds: right within a bucket, silent for few, forgetting. */
#include "tests/t.h"

#include <pthread.h>

#include "base/recent.h"

#define S  INT64_C(1000000000)
#define MS INT64_C(1000000)

static void it_is_what_sorting_gives_within_a_bucket(void **state)
{
    UNUSED(state);
    for (int64_t top = 1; top < 4000; top *= 3) {
        struct recent r = {0};
        for (int64_t i = 1; i <= 1000; i++)
            recent_add(&r, top * MS * i / 1000);
        double p99 = recent_p99(&r, S), exact = 0.99e-3 * (double)top;
        if (!(p99 >= exact && p99 <= exact * 1.2))
            fail_msg("%g s instead of %g", p99, exact);
    }
}

static void one_in_a_hundred_does_not_count_and_two_do(void **state)
{
    UNUSED(state);
    struct recent r = {0};
    for (int i = 0; i < 198; i++)
        recent_add(&r, MS);
    recent_add(&r, 10 * S);
    recent_add(&r, 10 * S);
    assert_true(recent_p99(&r, S) < 0.002);
    recent_add(&r, 10 * S);
    assert_true(recent_p99(&r, S) >= 10);
}

static void few_say_nothing_and_extremes_have_a_place(void **state)
{
    UNUSED(state);
    struct recent r = {0};
    for (int i = 0; i < RECENT_LEAST - 1; i++)
        recent_add(&r, INT64_MAX);
    assert_true(recent_p99(&r, 0) == 0);
    recent_add(&r, INT64_MAX);
    assert_true(recent_p99(&r, 0) > 60);
    struct recent fast = {0};
    for (int i = 0; i < 50; i++)
        recent_add(&fast, i - 10);
    assert_true(recent_p99(&fast, 0) > 0 && recent_p99(&fast, 0) < 0.0001);
}

static void what_is_older_than_the_window_is_forgotten(void **state)
{
    UNUSED(state);
    struct recent r = {0};
    assert_true(recent_p99(&r, 100 * S) == 0);
    for (int i = 0; i < 100; i++)
        recent_add(&r, S);
    for (int64_t at = 100 * S; at <= 104 * S; at += S / 5)
        assert_true(recent_p99(&r, at) >= 1);
    for (int i = 0; i < 100; i++) /* new ones do not bring the old ones back */
        recent_add(&r, MS);
    for (int64_t at = 104 * S; at <= 106 * S; at += S / 5)
        (void)recent_p99(&r, at);
    assert_true(recent_p99(&r, 106 * S) < 0.002 && recent_p99(&r, 106 * S) > 0);
    assert_true(recent_p99(&r, 1000 * S) == 0); /* nobody asked for a long time */
}

static void *add_many(void *arg)
{
    for (int i = 0; i < 20000; i++)
        recent_add(arg, MS * (i % 100 + 1));
    return NULL;
}

static void many_threads_add_at_once(void **state)
{
    UNUSED(state);
    struct recent r = {0};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &r), 0);
    for (int i = 0; i < 100; i++)
        (void)recent_p99(&r, 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    double p99 = recent_p99(&r, 0);
    assert_true(p99 >= 0.099 && p99 < 0.12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_sorting_gives_within_a_bucket),
        cmocka_unit_test(one_in_a_hundred_does_not_count_and_two_do),
        cmocka_unit_test(few_say_nothing_and_extremes_have_a_place),
        cmocka_unit_test(what_is_older_than_the_window_is_forgotten),
        cmocka_unit_test(many_threads_add_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
