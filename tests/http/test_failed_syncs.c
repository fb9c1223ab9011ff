/* test_failed_syncs.c - a sync that failed, a restart, and then the loss of power: nothing that was acknowledged goes.
 *
 * After a failed sync the page cache shows what the disk does not have (tests/faults/journal.h).  The first tests fail
 * one chosen call; the last plays FAULTS=n rounds (8) of faults, restarts, kills and losses of power at random, with a
 * ledger.  SEED=n repeats a run; ANCHORD=$B/tests/faults/anchord-believe plays them without the mend.
 */
#include "tests/t.h"

#include <errno.h>
#include <signal.h>

#include "tests/lib/expect.h"
#include "tests/lib/kill_loop.h"

#define IMAGES "/v1/collections/default/images"

enum { WRITERS = 6, PICTURE_SIDE = 160 };

/* ---- one chosen fault ---- */

/* PUTs a picture that differs from id to id. */
static int put(struct kill_loop *t, const char *id)
{
    struct client c = client_to(t->server.port);
    struct reply reply = {0};
    struct buf body = {0};
    char target[100];
    snprintf(target, sizeof target, IMAGES "/%s", id);
    draw_jpeg(3, PICTURE_SIDE, &body);
    buf_text(&body, id);
    client_ask(
        &c, &(struct ask){.method = "PUT", .target = target, .type = "image/jpeg", .body = body.data, .len = body.len},
        &reply);
    int status = reply.status;
    reply_clear(&reply);
    buf_clear(&body);
    client_close(&c);
    return status;
}

static int get_content(struct kill_loop *t, const char *id)
{
    struct client c = client_to(t->server.port);
    struct reply reply = {0};
    char target[100];
    snprintf(target, sizeof target, IMAGES "/%s/content", id);
    client_ask(&c, &(struct ask){.method = "GET", .target = target}, &reply);
    int status = reply.status;
    reply_clear(&reply);
    client_close(&c);
    return status;
}

/* The call fails once while `during` is put; then a restart, two more pictures, and the power goes.  True when nothing is
 * lost, else `what` tells. */
static bool probe(const char *call, const char *part, int expected, char what[200])
{
    struct kill_loop t;
    struct err e = {0};
    kill_loop_begin(&t, POWER_LOST, "", 1, 1);
    assert_ok(kill_loop_start(&t, &e), e);
    assert_int_equal(put(&t, "before"), 201);
    kill_loop_break(&t, call, EIO, part, 1);
    assert_int_equal(put(&t, "during"), expected);
    if (expected == 201)
        usleep(900000); /* the failing call is one of the pause's */
    kill_loop_mend(&t);
    server_stop(&t.server);
    assert_ok(kill_loop_start(&t, &e), e);
    int during = get_content(&t, "during");
    assert_int_equal(put(&t, "after1"), 201);
    assert_int_equal(put(&t, "after2"), 201);
    kill_loop_die(&t);
    assert_ok(kill_loop_start(&t, &e), e);
    int before = get_content(&t, "before"), again = get_content(&t, "during"), after1 = get_content(&t, "after1"),
        after2 = get_content(&t, "after2");
    snprintf(what, 200, "%s of %s: before %d, during %d and %d, after %d and %d", call, part, before, during, again,
             after1, after2);
    kill_loop_end(&t);
    return before == 200 && after1 == 200 && after2 == 200 && (during != 200 || again == 200);
}

static void assert_nothing_lost(const char *call, const char *part, int expected)
{
    char what[200];
    if (!probe(call, part, expected, what))
        fail_msg("%s", what);
}

static void what_was_acknowledged_behind_a_failed_sync_of_the_log_is_kept(void **state)
{
    UNUSED(state);
    assert_nothing_lost("fdatasync", "anchord.db-wal", 500);
}

static void a_failed_sync_of_the_catalogue_itself_costs_nothing(void **state)
{
    UNUSED(state);
    assert_nothing_lost("fdatasync", "anchord.db$", 201);
}

static void nor_does_one_of_an_image_file_or_its_folder(void **state)
{
    UNUSED(state);
    assert_nothing_lost("fsync", ".tmp", 500);
    assert_nothing_lost("fsync", "/blobs/", 500);
}

/* The program that does not write the log again must show the loss, or the first test would prove nothing. */
static void who_believes_the_page_cache_loses_what_was_acknowledged(void **state)
{
    UNUSED(state);
    const char *before = getenv("ANCHORD");
    char program[300], what[200], *kept_name = before ? strdup(before) : NULL;
    snprintf(program, sizeof program, "%s/tests/faults/anchord-believe", getenv("B"));
    setenv("ANCHORD", program, 1);
    bool kept = probe("fdatasync", "anchord.db-wal", 500, what);
    if (kept_name)
        setenv("ANCHORD", kept_name, 1);
    else
        unsetenv("ANCHORD");
    free(kept_name);
    print_message("%s\n", what);
    assert_false(kept);
}

/* ---- rounds at random ---- */

struct fault {
    const char *call;
    int number;
    const char *part;
};

static const struct fault faults[] = {
    {"fdatasync", EIO, "anchord.db-wal"},
    {"fdatasync", EIO, "anchord.db-wal"},
    {"fdatasync", EIO, "anchord.db$"},
    {"write", EIO, "anchord.db-wal"},
    {"write", EIO, "anchord.db$"},
    {"write", EIO, "/blobs/"},
    {"fsync", EIO, ".tmp"},
    {"fsync", EIO, "/blobs/"},
    {"fsync", EIO, "/data$"},
    {"rename", EIO, "/blobs/"},
    {"unlink", EIO, "/blobs/"},
    {"mkdir", EIO, "/data/"},
    {"ftruncate", EIO, "anchord.db-wal"},
    {"open", EIO, "/blobs/"},
    {"write", ENOSPC, "/blobs/"},
    {"write", ENOSPC, "anchord.db"},
    {"open", ENOSPC, "/data/"},
    {"mkdir", ENOSPC, "/data/"},
};

static void strike(struct kill_loop *t)
{
    const struct fault *f = &faults[rng_below(&t->rng, COUNT(faults))];
    kill_loop_break(t, f->call, f->number, f->part,
                    (int)rng_below(&t->rng, 3)); /* once, twice or for as long as it lasts */
}

static void rest(struct kill_loop *t, unsigned least, unsigned most)
{
    usleep((useconds_t)(1000 * rng_between(&t->rng, least, most)));
}

static void load(struct kill_loop *t, bool with_fault)
{
    ledger_start(t->ledger, t->server.port);
    rest(t, 20, 150);
    if (with_fault) {
        strike(t);
        rest(t, 20, 150);
    }
}

/* Ends the server in one of the ways in which servers end. */
static void end(struct kill_loop *t)
{
    bool kill = rng_below(&t->rng, 3) > 0;
    ledger_mark(t->ledger);
    if (kill && rng_below(&t->rng, 2) == 0)
        kill_loop_die(t); /* and the power goes */
    else if (kill)
        server_kill(&t->server);
    ledger_stop(t->ledger);
    if (!kill) {
        if (rng_below(&t->rng, 2) == 0)
            kill_loop_mend(t);
        server_stop(&t->server);
    }
}

static void start(struct kill_loop *t)
{
    struct err e = {0};
    if (rng_below(&t->rng, 4) == 0) { /* the disk fails at the start: then it does not start, and loses nothing */
        strike(t);
        if (kill_loop_start(t, &e))
            server_kill(&t->server);
        e = (struct err){0};
    }
    kill_loop_mend(t);
    if (!kill_loop_start(t, &e))
        kill_loop_broke(t, "it does not start again: %s", e.text);
    else
        kill_loop_check(t);
}

/* A fault under load, a restart, more load, and the power goes. */
static void round_of(struct kill_loop *t)
{
    load(t, true);
    end(t);
    start(t);
    if (t->broken)
        return;
    load(t, false);
    ledger_mark(t->ledger);
    kill_loop_die(t);
    ledger_stop(t->ledger);
    start(t);
}

static void run(enum death death, size_t rounds)
{
    struct kill_loop t;
    struct err e = {0};
    const struct ledger_report *r;
    kill_loop_begin(&t, death, "", rounds, WRITERS);
    r = ledger_report(t.ledger);
    assert_ok(kill_loop_start(&t, &e), e);
    size_t done = 0;
    for (; done < rounds && !t.broken; done++)
        round_of(&t);
    print_message(
        "%zu rounds, %zu acknowledged, %zu refused, %zu unsynced changes taken back, slowest start %.2f s%s%s\n", done,
        r->acks, r->refused, t.lost_writes, t.slowest_start, t.broken ? "; " : "", t.what);
    if (t.broken)
        fail_msg("%s", t.what);
    assert_true(r->acks > 5 * rounds);
    kill_loop_end(&t);
}

static void faults_restarts_and_losses_of_power_lose_nothing(void **state)
{
    UNUSED(state);
    const char *set = getenv("FAULTS");
    size_t rounds = set ? strtoul(set, NULL, 10) : 8;
    run(POWER_LOST, rounds - rounds / 2);
    run(POWER_LOST_PARTLY, rounds / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_behind_a_failed_sync_of_the_log_is_kept),
        cmocka_unit_test(a_failed_sync_of_the_catalogue_itself_costs_nothing),
        cmocka_unit_test(nor_does_one_of_an_image_file_or_its_folder),
        cmocka_unit_test(who_believes_the_page_cache_loses_what_was_acknowledged),
        cmocka_unit_test(faults_restarts_and_losses_of_power_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
