/* test_deadline.c - slow connections are cut, others are left alone. */
#include "tests/t.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "server/http/deadline.h"

enum { MS = 1000 * 1000 };

static bool is_cut(int peer)
{
    char c;
    return recv(peer, &c, 1, MSG_DONTWAIT) == 0;
}

static bool is_cut_within(int peer, int ms)
{
    for (int64_t until = clock_ns() + (int64_t)(t_patience(ms) * MS); clock_ns() < until; usleep(5000))
        if (is_cut(peer))
            return true;
    return false;
}

static void only_who_is_late_is_cut(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct deadlines *d = deadlines_new(&(struct deadlines_options){0}, &e);
    struct deadline c[3];
    int pair[3][2];
    assert_non_null(d);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        deadline_watch(d, &c[i], pair[i][0], clock_ns() + 800 * MS);
    }
    assert_true(deadline_set(&c[1], DEADLINE_NEVER, LATE_CUT));
    deadline_forget(d, &c[2]); /* closed: its number may be somebody else's now */
    assert_true(is_cut_within(pair[0][1], 1500));
    usleep(300 * 1000);
    assert_false(is_cut(pair[1][1]));
    assert_false(is_cut(pair[2][1]));
    assert_true(deadline_set(&c[1], clock_ns(), LATE_CUT));
    assert_true(is_cut_within(pair[1][1], 1500));
    deadline_forget(d, &c[0]);
    deadline_forget(d, &c[1]);
    deadlines_free(d);
    for (size_t i = 0; i < 3; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
}

static void say_late(void *context, struct deadline *c)
{
    atomic_fetch_add((atomic_int *)context, 1);
    (void)!send(c->fd, "late", 4, 0);
}

static void who_is_awaited_is_told_once_and_nobody_else_may_write_then(void **state)
{
    UNUSED(state);
    struct err e = {0};
    atomic_int told = 0;
    struct deadlines *d = deadlines_new(&(struct deadlines_options){.late = say_late, .context = &told}, &e);
    struct deadline c[2];
    int pair[2][2];
    char text[8] = "";
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        deadline_watch(d, &c[i], pair[i][0], DEADLINE_NEVER);
    }
    assert_true(deadline_set(&c[0], clock_ns() + 50 * MS, LATE_ANSWER));
    assert_true(deadline_set(&c[1], clock_ns() + 50 * MS, LATE_CUT));
    assert_true(is_cut_within(pair[1][1], 1500));
    assert_int_equal(recv(pair[0][1], text, sizeof text, 0), 4);
    assert_true(is_cut_within(pair[0][1], 1500));
    usleep(500 * 1000); /* two more looks */
    assert_int_equal(atomic_load(&told), 1);
    assert_true(deadline_was_answered(&c[0]));
    assert_false(deadline_was_answered(&c[1]));
    for (size_t i = 0; i < 2; i++) {
        assert_false(deadline_set(&c[i], DEADLINE_NEVER, LATE_CUT));
        deadline_forget(d, &c[i]);
        close(pair[i][0]);
        close(pair[i][1]);
    }
    deadlines_free(d);
}

static void count_tick(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void it_ticks_a_few_times_a_second(void **state)
{
    UNUSED(state);
    struct err e = {0};
    atomic_int ticks = 0;
    struct deadlines *d = deadlines_new(&(struct deadlines_options){.tick = count_tick, .context = &ticks}, &e);
    int64_t start = clock_ns();
    while (atomic_load(&ticks) < 4 && clock_ns() - start < (int64_t)(t_patience(1000) * MS))
        usleep(5000);
    int64_t took = clock_ns() - start;
    deadlines_free(d);
    assert_true(atomic_load(&ticks) >= 4 && took >= 500 * MS);
}

static void a_transfer_has_a_floor_and_then_must_keep_its_rate(void **state)
{
    UNUSED(state);
    assert_int_equal(deadline_of_transfer(5, 10, 0, 1000), 5 + 10000000000);
    assert_int_equal(deadline_of_transfer(5, 10, 10000, 1000), 5 + 10000000000);
    assert_int_equal(deadline_of_transfer(5, 10, 60000, 1000), 5 + 60000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_is_late_is_cut),
        cmocka_unit_test(who_is_awaited_is_told_once_and_nobody_else_may_write_then),
        cmocka_unit_test(it_ticks_a_few_times_a_second),
        cmocka_unit_test(a_transfer_has_a_floor_and_then_must_keep_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
