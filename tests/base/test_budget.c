/* test_budget.c - memory that is shared: nobody takes more than there is, who waits gets it, who waits too long is told. */
#include "tests/t.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/rng.h"

enum { MS = 1000 * 1000, TOTAL = 1000 };

static void more_than_there_is_means_all_of_it(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct budget *b = budget_new(TOTAL);
    size_t first, second;
    assert_ok(budget_take(b, 5 * TOTAL, clock_ns(), &first, &e), e);
    assert_int_equal(first, TOTAL);
    int64_t start = clock_ns();
    assert_err(budget_take(b, 1, start + 100 * MS, &second, &e), e, ERR_BUSY);
    assert_int_equal(second, 0);
    assert_in_range((clock_ns() - start) / MS, 99, 3000);
    budget_give(b, first);
    e = (struct err){0};
    assert_ok(budget_take(b, 1, 0, &second, &e), e);
    assert_int_equal(second, 1);
    budget_give(b, second);
    budget_free(b);
}

struct crowd {
    struct budget *b;
    atomic_size_t held, most;
    atomic_bool over, failed;
};

static void *take_and_give(void *arg)
{
    struct crowd *c = arg;
    struct rng r = rng_new((uint64_t)pthread_self());
    for (int i = 0; i < 300; i++) {
        size_t taken, want = 1 + rng_below(&r, TOTAL);
        if (!budget_take(c->b, want, INT64_MAX, &taken, NULL) || taken != want) {
            atomic_store(&c->failed, true);
            return NULL;
        }
        size_t now = atomic_fetch_add(&c->held, taken) + taken;
        if (now > TOTAL)
            atomic_store(&c->over, true);
        if (now > atomic_load(&c->most))
            atomic_store(&c->most, now);
        sched_yield();
        atomic_fetch_sub(&c->held, taken);
        budget_give(c->b, taken);
    }
    return NULL;
}

static void eight_threads_never_hold_more_than_there_is(void **state)
{
    UNUSED(state);
    struct crowd c = {.b = budget_new(TOTAL)};
    pthread_t threads[8];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &c), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&c.over));
    assert_false(atomic_load(&c.failed));
    assert_true(atomic_load(&c.most) > TOTAL / 2); /* or they never met */
    budget_free(c.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_there_is_means_all_of_it),
        cmocka_unit_test(eight_threads_never_hold_more_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
