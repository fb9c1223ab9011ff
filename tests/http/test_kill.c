/* test_kill.c - kill -9 at random moments under load, and the check that nothing acknowledged was lost.
 *
 * KILLS=n sets the number of kills (8), SEED=n repeats a run.  Three ways to die: the process is killed and the page
 * cache lives; power is lost and nothing survives that was not synced; power is lost and a random beginning of it
 * survives.  The last tests take the syncs away and must see losses, or the others would prove nothing.
 */
#include "tests/t.h"

#include <signal.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "tests/lib/expect.h"
#include "tests/lib/ledger.h"
#include "tests/lib/powercut.h"

enum death { KILLED, POWER_LOST, POWER_LOST_PARTLY };

enum { WRITERS = 8 };

struct trial {
    enum death death;
    const char *nosync;       /* syncs that only pretend; "" when all are real */
    size_t kills;
    char scratch[200], data[256], journal[256];
    struct rng rng;
    struct ledger *ledger;
    struct server server;
    size_t landed, acks, lost_writes, worst_present;
    double slowest_start;
    bool broken;              /* something that was promised was not there */
    char what[400];
};

static size_t wanted_kills(void)
{
    const char *set = getenv("KILLS");
    return set ? strtoul(set, NULL, 10) : 8;
}

static void trial_begin(struct trial *t, enum death death, const char *nosync, size_t kills)
{
    const char *set = getenv("SEED"), *base = getenv("TMPDIR");
    uint64_t seed = set ? strtoull(set, NULL, 10) : (uint64_t)clock_ns();
    *t = (struct trial){.death = death, .nosync = nosync, .kills = kills, .rng = rng_new(seed)};
    print_message("seed %llu\n", (unsigned long long)seed);
    snprintf(t->scratch, sizeof t->scratch, "%s/anchord-kill-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(t->scratch));
    snprintf(t->data, sizeof t->data, "%s/data", t->scratch);
    snprintf(t->journal, sizeof t->journal, "%s/journal", t->scratch);
    assert_int_equal(mkdir(t->journal, 0700), 0);
    t->ledger = ledger_new(WRITERS, seed);
}

static void trial_end(struct trial *t)
{
    char command[300];
    server_kill(&t->server);
    ledger_free(t->ledger);
    snprintf(command, sizeof command, "rm -rf '%s'", t->scratch);
    assert_int_equal(system(command), 0);
}

static bool start(struct trial *t, struct err *e)
{
    char preload[400], dir[300], journal[300], nosync[100];
    const char *env[] = {preload, dir, journal, nosync, "ASAN_OPTIONS=verify_asan_link_order=0", NULL};
    static const char *const none[] = {NULL};
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/tests/faults/preload.so", getenv("B"));
    snprintf(dir, sizeof dir, "FAULTS_DIR=%s", t->data);
    snprintf(journal, sizeof journal, "FAULTS_JOURNAL=%s", t->journal);
    snprintf(nosync, sizeof nosync, "FAULTS_NOSYNC=%s", t->nosync);
    struct server_options o = {.dir = t->data, .env = t->death == KILLED ? none : env};
    bool ok = server_start(&t->server, &o, e);
    if (ok && t->server.ready_s > t->slowest_start)
        t->slowest_start = t->server.ready_s;
    return ok;
}

/* The kill itself, and what the disk forgets. */
static void die(struct trial *t)
{
    struct powercut cut;
    struct err e = {0};
    assert_int_equal(server_kill(&t->server), -SIGKILL);
    if (t->death == KILLED)
        return;
    assert_ok(powercut_apply(t->journal, t->death == POWER_LOST ? NULL : &t->rng, &cut, &e), e);
    t->lost_writes += cut.data_lost + cut.names_lost;
}

/* Load, a kill at a random moment, sometimes another during recovery, and the check. */
static void one_kill(struct trial *t)
{
    struct err e = {0};
    const struct ledger_report *r = ledger_report(t->ledger);
    ledger_start(t->ledger, t->server.port);
    usleep((useconds_t)(1000 * rng_between(&t->rng, 50, 800)));
    ledger_mark(t->ledger);
    die(t);
    ledger_stop(t->ledger);
    t->landed += r->in_flight > 0;
    if (rng_below(&t->rng, 3) == 0 && start(t, &e))
        die(t);
    e = (struct err){0};
    if (!start(t, &e)) {
        t->broken = true;
        snprintf(t->what, sizeof t->what, "it does not start again: %s", e.text);
    } else if (!ledger_check(t->ledger, &t->server)) {
        t->broken = true;
        snprintf(t->what, sizeof t->what, "lost %zu, phantom %zu, half %zu, unfound %zu, stale %zu, orphans %zu: %s",
                 r->lost, r->phantom, r->half, r->unfound, r->stale, r->orphans, r->first);
    }
}

static void run(struct trial *t)
{
    struct err e = {0};
    const struct ledger_report *r = ledger_report(t->ledger);
    assert_ok(start(t, &e), e);
    for (size_t i = 0; i < t->kills && !t->broken; i++)
        one_kill(t);
    t->acks = r->acks;
    print_message("%zu of %zu kills had requests in flight, %zu acknowledged, %zu refused, %zu unsynced changes "
                  "taken back, slowest start %.2f s%s%s\n", t->landed, t->kills, t->acks, r->refused,
                  t->lost_writes, t->slowest_start, t->broken ? "; " : "", t->what);
}

/* All promises held, and the test was a test: each kill hit requests, and there was something to lose. */
static void assert_nothing_lost(const struct trial *t)
{
    if (t->broken)
        fail_msg("%s", t->what);
    assert_int_equal(t->landed, t->kills);
    assert_true(t->acks > 10 * t->kills);
}

static void no_acknowledged_write_is_lost_when_the_process_is_killed(void **state)
{
    UNUSED(state);
    struct trial t;
    trial_begin(&t, KILLED, "", wanted_kills());
    run(&t);
    assert_nothing_lost(&t);
    trial_end(&t);
}

static void nor_when_everything_is_lost_that_was_not_synced(void **state)
{
    UNUSED(state);
    struct trial t;
    trial_begin(&t, POWER_LOST, "", wanted_kills());
    run(&t);
    assert_nothing_lost(&t);
    assert_true(t.lost_writes > 0);
    trial_end(&t);
}

static void nor_when_a_part_of_it_survives(void **state)
{
    UNUSED(state);
    struct trial t;
    trial_begin(&t, POWER_LOST_PARTLY, "", wanted_kills());
    run(&t);
    assert_nothing_lost(&t);
    trial_end(&t);
}

/* With these syncs taken away the same kills must show a loss. */
static void assert_loss_without(const char *nosync)
{
    struct trial t;
    trial_begin(&t, POWER_LOST, nosync, 6);
    run(&t);
    assert_true(t.acks > 0);
    assert_true(t.broken);
    trial_end(&t);
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
