/* kill_loop.c - a server that is killed again and again on the same data. */
#include "tests/lib/kill_loop.h"

#include "tests/t.h"

#include <signal.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tests/lib/powercut.h"

void kill_loop_begin(struct kill_loop *t, enum death death, const char *nosync, size_t kills, size_t writers)
{
    const char *set = getenv("SEED"), *base = getenv("TMPDIR");
    uint64_t seed = set ? strtoull(set, NULL, 10) : (uint64_t)clock_ns();
    *t = (struct kill_loop){.death = death, .nosync = nosync, .kills = kills, .rng = rng_new(seed)};
    print_message("seed %llu\n", (unsigned long long)seed);
    snprintf(t->scratch, sizeof t->scratch, "%s/anchord-kill-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(t->scratch));
    snprintf(t->data, sizeof t->data, "%s/data", t->scratch);
    snprintf(t->journal, sizeof t->journal, "%s/journal", t->scratch);
    snprintf(t->sentinel, sizeof t->sentinel, "%s/fail", t->scratch);
    assert_int_equal(mkdir(t->journal, 0700), 0);
    t->ledger = ledger_new(writers, seed);
}

void kill_loop_end(struct kill_loop *t)
{
    char command[300];
    server_kill(&t->server);
    ledger_free(t->ledger);
    snprintf(command, sizeof command, "rm -rf '%s'", t->scratch);
    assert_int_equal(system(command), 0);
}

bool kill_loop_start(struct kill_loop *t, struct err *e)
{
    char preload[400], dir[300], journal[300], nosync[100], fail[300];
    const char *env[] = {preload, dir, journal, nosync, fail, "ASAN_OPTIONS=verify_asan_link_order=0", NULL};
    static const char *const none[] = {NULL};
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/tests/faults/preload.so", getenv("B"));
    snprintf(dir, sizeof dir, "FAULTS_DIR=%s", t->data);
    snprintf(journal, sizeof journal, "FAULTS_JOURNAL=%s", t->journal);
    snprintf(nosync, sizeof nosync, "FAULTS_NOSYNC=%s", t->nosync);
    snprintf(fail, sizeof fail, "FAULTS_FAIL=%s", t->sentinel);
    struct server_options o = {.dir = t->data, .env = t->death == KILLED ? none : env};
    powercut_trim(t->journal);
    bool ok = server_start(&t->server, &o, e);
    if (ok && t->server.ready_s > t->slowest_start)
        t->slowest_start = t->server.ready_s;
    return ok;
}

void kill_loop_die(struct kill_loop *t)
{
    struct powercut cut;
    struct err e = {0};
    assert_int_equal(server_kill(&t->server), -SIGKILL);
    if (t->death == KILLED)
        return;
    assert_ok(powercut_apply(t->journal, t->death == POWER_LOST ? NULL : &t->rng, &cut, &e), e);
    t->lost_writes += cut.data_lost + cut.names_lost;
}

void kill_loop_break(struct kill_loop *t, const char *call, int number, const char *part, int times)
{
    char temp[300];
    snprintf(temp, sizeof temp, "%s.new", t->sentinel);
    FILE *f = fopen(temp, "w");
    assert_non_null(f);
    fprintf(f, "%s %d %s %d\n", call, number, part, times);
    fclose(f);
    assert_int_equal(rename(temp, t->sentinel), 0);
}

void kill_loop_mend(struct kill_loop *t)
{
    unlink(t->sentinel);
}

void kill_loop_broke(struct kill_loop *t, const char *fmt, ...)
{
    va_list ap;
    if (t->broken)
        return;
    t->broken = true;
    va_start(ap, fmt);
    vsnprintf(t->what, sizeof t->what, fmt, ap);
    va_end(ap);
}

void kill_loop_check(struct kill_loop *t)
{
    const struct ledger_report *r = ledger_report(t->ledger);
    if (!ledger_check(t->ledger, &t->server))
        kill_loop_broke(t, "lost %zu, phantom %zu, half %zu, unfound %zu, stale %zu, orphans %zu: %s", r->lost,
                        r->phantom, r->half, r->unfound, r->stale, r->orphans, r->first);
}
