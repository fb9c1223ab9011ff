/* test_kill.c - kill -9 at random moments under load, and the check that nothing acknowledged was lost.
 *
 * KILLS=n sets the number of kills (8), SEED=n repeats a run.  Three ways to die: the process is killed and the page
 * cache lives; power is lost and nothing survives that was not synced; power is lost and a random beginning of it
 * survives.  The last tests take the syncs away and must see losses, or the others would prove nothing.
 */
#include "tests/t.h"

#include "tests/lib/expect.h"
#include "tests/lib/kill_loop.h"

enum { WRITERS = 8 };

static size_t wanted_kills(void)
{
    const char *set = getenv("KILLS");
    return set ? strtoul(set, NULL, 10) : 8;
}

/* Load, a kill at a random moment, sometimes another during recovery, and the check. */
static void one_kill(struct kill_loop *t)
{
    struct err e = {0};
    const struct ledger_report *r = ledger_report(t->ledger);
    ledger_start(t->ledger, t->server.port);
    usleep((useconds_t)(1000 * rng_between(&t->rng, 50, 800)));
    ledger_mark(t->ledger);
    kill_loop_die(t);
    ledger_stop(t->ledger);
    t->landed += r->in_flight > 0;
    if (rng_below(&t->rng, 3) == 0 && kill_loop_start(t, &e))
        kill_loop_die(t);
    e = (struct err){0};
    if (!kill_loop_start(t, &e)) {
        kill_loop_broke(t, "it does not start again: %s", e.text);
    } else {
        kill_loop_check(t);
    }
}

static void run(struct kill_loop *t)
{
    struct err e = {0};
    const struct ledger_report *r = ledger_report(t->ledger);
    assert_ok(kill_loop_start(t, &e), e);
    for (size_t i = 0; i < t->kills && !t->broken; i++)
        one_kill(t);
    t->acks = r->acks;
    print_message("%zu of %zu kills had requests in flight, %zu acknowledged, %zu refused, %zu unsynced changes "
                  "taken back, slowest start %.2f s%s%s\n",
                  t->landed, t->kills, t->acks, r->refused, t->lost_writes, t->slowest_start, t->broken ? "; " : "",
                  t->what);
}

/* All promises held, and the test was a test: each kill hit requests, and there was something to lose. */
static void assert_nothing_lost(const struct kill_loop *t)
{
    if (t->broken)
        fail_msg("%s", t->what);
    assert_int_equal(t->landed, t->kills);
    assert_true(t->acks > 10 * t->kills);
}

static void no_acknowledged_write_is_lost_when_the_process_is_killed(void **state)
{
    UNUSED(state);
    struct kill_loop t;
    kill_loop_begin(&t, KILLED, "", wanted_kills(), WRITERS);
    run(&t);
    assert_nothing_lost(&t);
    kill_loop_end(&t);
}

static void nor_when_everything_is_lost_that_was_not_synced(void **state)
{
    UNUSED(state);
    struct kill_loop t;
    kill_loop_begin(&t, POWER_LOST, "", wanted_kills(), WRITERS);
    run(&t);
    assert_nothing_lost(&t);
    assert_true(t.lost_writes > 0);
    kill_loop_end(&t);
}

static void nor_when_a_part_of_it_survives(void **state)
{
    UNUSED(state);
    struct kill_loop t;
    kill_loop_begin(&t, POWER_LOST_PARTLY, "", wanted_kills(), WRITERS);
    run(&t);
    assert_nothing_lost(&t);
    kill_loop_end(&t);
}

/* With these syncs taken away the same kills must show a loss. */
static void assert_loss_without(const char *nosync)
{
    struct kill_loop t;
    kill_loop_begin(&t, POWER_LOST, nosync, 6, WRITERS);
    run(&t);
    assert_true(t.acks > 0);
    assert_true(t.broken);
    kill_loop_end(&t);
}

static void without_the_sync_of_image_files_the_loss_is_seen(void **state)
{
    UNUSED(state);
    assert_loss_without("file");
}

static void without_the_sync_of_folders_the_loss_is_seen(void **state)
{
    UNUSED(state);
    assert_loss_without("dir");
}

static void without_the_sync_of_the_log_the_loss_is_seen(void **state)
{
    UNUSED(state);
    assert_loss_without("db");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_acknowledged_write_is_lost_when_the_process_is_killed),
        cmocka_unit_test(nor_when_everything_is_lost_that_was_not_synced),
        cmocka_unit_test(nor_when_a_part_of_it_survives),
        cmocka_unit_test(without_the_sync_of_image_files_the_loss_is_seen),
        cmocka_unit_test(without_the_sync_of_folders_the_loss_is_seen),
        cmocka_unit_test(without_the_sync_of_the_log_the_loss_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
