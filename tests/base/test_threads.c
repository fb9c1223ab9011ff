/* test_threads.c - priorities of a pool's threads; a sleeper's calls, pauses and end. */
#include "tests/t.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/pool.h"
#include "base/thread.h"

struct look {
    struct work work;
    int nice;
};

static void look(struct work *w, void *state)
{
    UNUSED(state);
    ((struct look *)(void *)w)->nice = getpriority(PRIO_PROCESS, 0); /* of this thread */
}

static int nice_of_pool(int wanted)
{
    struct err e = {0};
    struct look l = {.work = {.run = look}};
    struct pool *p = pool_new(&(struct pool_options){.name = "test", .threads = 1, .capacity = 1, .nice = wanted}, &e);
    if (!p)
        fail_msg("%s", e.text);
    pool_push(p, &l.work);
    pool_free(p);
    return l.nice;
}

static void *as_a_worker(void *out)
{
    int *nices = out;
    nices[3] = setpriority(PRIO_PROCESS, 0, 12); /* this thread, and those that it starts */
    nices[0] = nice_of_pool(0);
    nices[1] = nice_of_pool(5);
    nices[2] = nice_of_pool(15);
    return NULL;
}

static void threads_get_less_priority_and_never_more(void **state)
{
    UNUSED(state);
    pthread_t t;
    int nices[4], before = getpriority(PRIO_PROCESS, 0);
    if (before > 5)
        skip();
    assert_int_equal(pthread_create(&t, NULL, as_a_worker, nices), 0);
    pthread_join(t, NULL);
    assert_int_equal(nices[3], 0);
    assert_int_equal(nices[0], 12);
    assert_int_equal(nices[1], 12); /* root could go up to 5 */
    assert_int_equal(nices[2], 15);
    assert_int_equal(nice_of_pool(10), 10);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
}

struct nap {
    struct sleeper sleeper;
    atomic_int calls;
};

static void *sleep_and_count(void *arg)
{
    struct nap *n = arg;
    sleeper_pause(&n->sleeper, 1);
    while (!sleeper_is_stopped(&n->sleeper))
        n->calls += sleeper_sleep(&n->sleeper, 3600 * 1000);
    return NULL;
}

static void wait_for_calls(struct nap *n, int wanted)
{
    while (n->calls < wanted)
        usleep(100);
}

static void a_sleeper_wakes_for_calls_and_for_its_end(void **state)
{
    UNUSED(state);
    struct nap n = {0};
    struct err e = {0};
    sleeper_open(&n.sleeper);
    for (int round = 0; round < 2; round++) { /* a thread that has ended can be begun again */
        sleeper_call(&n.sleeper);             /* is not lost, though nobody sleeps, and the first only pauses */
        assert_ok(sleeper_start(&n.sleeper, "test", sleep_and_count, &n, &e), e);
        wait_for_calls(&n, 1);
        sleeper_call(&n.sleeper);
        wait_for_calls(&n, 2);
        sleeper_stop(&n.sleeper);
        assert_int_equal(n.calls, 2);
        atomic_store(&n.sleeper.stopped, false);
        n.calls = 0;
    }
    sleeper_close(&n.sleeper);
}

static void a_sleep_ends_when_its_time_has_come(void **state)
{
    UNUSED(state);
    struct sleeper s;
    sleeper_open(&s);
    int64_t begun = clock_ns();
    assert_false(sleeper_sleep(&s, 30));
    assert_true(clock_ns() - begun >= 30 * 1000000);
    sleeper_call(&s);
    sleeper_pause(&s, 1);
    assert_true(sleeper_sleep(&s, 3600 * 1000));
    sleeper_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_get_less_priority_and_never_more),
        cmocka_unit_test(a_sleeper_wakes_for_calls_and_for_its_end),
        cmocka_unit_test(a_sleep_ends_when_its_time_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
