/* test_threads.c - base/pool: priorities of its threads. */
#include "tests/t.h"

#include <pthread.h>
#include <sys/resource.h>

#include "base/pool.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_get_less_priority_and_never_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
