/* test_generation_kill.c - kill -9 and loss of power while a generation is built, switched to or gone back to.
 *
 * After each death: the collection is whole in the old generation or in the new one, nothing that was acknowledged is
 * lost, and the change goes on and gets done.  KILLS=n sets the number of deaths (6 of each kind), SEED=n repeats a run.
 * The last test runs a program whose switch is torn in two transactions and must see it.
 */
#include "tests/t.h"

#include "base/clock.h"
#include "base/file.h"
#include "engine/model.h"
#include "tests/lib/expect.h"
#include "tests/lib/kill_loop.h"

enum { WRITERS = 8, MODELS = 3, DONE_S = 30 };

#define COLLECTION "/v1/collections/default"

static const char *const model_ids[MODELS] = {"small", "second", "third"};

struct tally { /* what the deaths met */
    size_t building, at_switch, rolling_back, old, new, went_on;
};

static size_t wanted_kills(size_t usual)
{
    const char *set = getenv("KILLS");
    return set ? strtoul(set, NULL, 10) : usual;
}

static void import_models(struct kill_loop *t)
{
    struct client admin = client_to(t->server.admin);
    for (int i = 1; i < MODELS; i++) {
        struct model *m = small_model_of(SMALL_MODEL_SEED + (uint64_t)i);
        char path[300], target[80];
        struct err e = {0};
        void *bytes;
        size_t len;
        snprintf(path, sizeof path, "%s/model", t->scratch);
        snprintf(target, sizeof target, "/v1/models?id=%s", model_ids[i]);
        assert_ok(model_save(m, path, &e) && file_read(path, 16 << 20, &bytes, &len, &e), e);
        expect_status(
            &admin, 201,
            &(struct ask){
                .method = "POST", .target = target, .body = bytes, .len = len, .type = "application/octet-stream"});
        free(bytes);
        model_free(m);
    }
    client_close(&admin);
}

/* ---- what is there ---- */

struct seen_generations {
    int64_t active, building, wanted_done, wanted_total;
    size_t n_active, n_building;
    int model;     /* of the active one */
    bool complete; /* what is built lacks nothing */
};

static int model_number(const char *id)
{
    for (int i = 0; i < MODELS; i++)
        if (strcmp(model_ids[i], id) == 0)
            return i;
    return -1;
}

/* Quietly: the server may die under it.  False then. */
static bool look(struct client *admin, struct seen_generations *out)
{
    struct reply r = {0};
    struct err e = {0};
    *out = (struct seen_generations){.model = -1};
    client_ask(admin, &(struct ask){.method = "GET", .target = COLLECTION "/generations"}, &r);
    struct json *doc = r.status == 200 ? json_parse(r.body.data, r.body.len, 0, &e) : NULL;
    for (size_t i = 0; doc && i < count_at(doc, "data"); i++) {
        const struct json *g = json_item(value_at(doc, "data"), i);
        if (strcmp(text_at(g, "state"), "active") == 0) {
            out->n_active++;
            out->active = int_at(g, "generation");
            out->model = model_number(text_at(g, "model"));
        }
        if (strcmp(text_at(g, "state"), "building") == 0) {
            out->n_building++;
            out->building = int_at(g, "generation");
            out->complete = int_at(g, "done") == int_at(g, "total");
        }
    }
    bool ok = doc != NULL;
    json_free(doc);
    reply_clear(&r);
    return ok;
}

/* One active generation, which is the collection's. */
static void check_generations(struct kill_loop *t, struct client *admin, struct seen_generations *g)
{
    if (!look(admin, g)) {
        kill_loop_broke(t, "the generations are not told");
        return;
    }
    struct json *c = expect_get(admin, 200, COLLECTION);
    if (g->n_active != 1 || g->n_building > 1 || int_at(c, "generation") != g->active ||
        model_number(text_at(c, "model")) != g->model)
        kill_loop_broke(t, "%zu active generations, the last %lld, the collection has %lld of %s", g->n_active,
                        (long long)g->active, (long long)int_at(c, "generation"), text_at(c, "model"));
    json_free(c);
}

/* ---- one death ---- */

/* Asks for a change; the generation that it leads to, 0 when the server said no. */
static int64_t begin_change(struct client *admin, bool back, int model)
{
    char json[64];
    struct reply r = {0};
    struct err e = {0};
    int64_t wanted = 0;
    snprintf(json, sizeof json, "{\"model\":\"%s\"}", model_ids[model]);
    client_ask(admin,
               &(struct ask){.method = "POST",
                             .target = back ? COLLECTION "/rollback" : COLLECTION "/model",
                             .type = "application/json",
                             .body = back ? "{}" : json,
                             .len = back ? 2 : strlen(json)},
               &r);
    struct json *doc = r.status == 202 ? json_parse(r.body.data, r.body.len, 0, &e) : NULL;
    if (doc)
        wanted = int_at(doc, "generation");
    json_free(doc);
    reply_clear(&r);
    return wanted;
}

/* Until a random moment, or, `at_switch`, until nothing lacks a vector or the switch is done, and a little. */
static void wait_for_moment(struct kill_loop *t, struct client *admin, int64_t wanted, bool at_switch)
{
    struct seen_generations g;
    double deadline = clock_s() + t_patience(10);
    if (!at_switch)
        usleep((useconds_t)(1000 * rng_between(&t->rng, 0, 40)));
    while (at_switch && clock_s() < deadline && look(admin, &g) && g.active != wanted && !g.complete)
        ;
    if (at_switch)
        usleep((useconds_t)rng_below(&t->rng, 12000));
}

/* The change that was begun gets done, with everything in it. */
static void check_goes_on(struct kill_loop *t, struct client *admin, int64_t wanted)
{
    struct seen_generations g = {0};
    double deadline = clock_s() + t_patience(DONE_S);
    while (clock_s() < deadline && !(look(admin, &g) && g.active == wanted))
        usleep(5000);
    if (g.active != wanted)
        kill_loop_broke(t, "generation %lld is not active after %.0f s", (long long)wanted, t_patience(DONE_S));
    else
        kill_loop_check(t);
}

static void one_death(struct kill_loop *t, struct tally *tally, size_t i)
{
    struct client admin = client_to(t->server.admin);
    struct seen_generations before = {0}, last = {0}, after = {0};
    struct err e = {0};
    bool back = i % 3 == 2, at_switch = i % 2 == 1;
    ledger_start(t->ledger, t->server.port);
    usleep(50000);
    look(&admin, &before);
    int64_t wanted = begin_change(&admin, back, (before.model + 1) % MODELS);
    wait_for_moment(t, &admin, wanted, at_switch);
    look(&admin, &last);
    ledger_mark(t->ledger);
    client_close(&admin);
    kill_loop_die(t);
    ledger_stop(t->ledger);
    t->landed += ledger_report(t->ledger)->in_flight > 0;
    tally->building += last.n_building && !last.complete;
    tally->at_switch += last.n_building && last.complete;
    tally->rolling_back += back && last.n_building;
    if (rng_below(&t->rng, 3) == 0 && kill_loop_start(t, &e))
        kill_loop_die(t); /* and once more while it comes up */
    e = (struct err){0};
    if (!kill_loop_start(t, &e)) {
        kill_loop_broke(t, "it does not start again: %s", e.text);
        return;
    }
    admin = client_to(t->server.admin);
    check_generations(t, &admin, &after);
    kill_loop_check(t);
    tally->old += after.active == before.active;
    tally->new += after.active == wanted;
    if (after.active != before.active && after.active != wanted)
        kill_loop_broke(t, "generation %lld is active, neither %lld nor %lld", (long long)after.active,
                        (long long)before.active, (long long)wanted);
    if (wanted && !t->broken) {
        check_goes_on(t, &admin, wanted);
        tally->went_on += after.active != wanted;
    }
    client_close(&admin);
}

static void run(struct kill_loop *t, struct tally *tally)
{
    struct err e = {0};
    assert_ok(kill_loop_start(t, &e), e);
    import_models(t);
    for (size_t i = 0; i < t->kills && !t->broken; i++)
        one_death(t, tally, i);
    print_message(
        "%zu deaths: %zu while building, %zu with nothing missing, %zu in a roll-back; afterwards %zu times the "
        "old generation, %zu times the new one; %zu went on; %zu acknowledged, slowest start %.2f s%s%s\n",
        t->kills, tally->building, tally->at_switch, tally->rolling_back, tally->old, tally->new, tally->went_on,
        ledger_report(t->ledger)->acks, t->slowest_start, t->broken ? "; " : "", t->what);
}

static void dies_well(enum death death)
{
    struct kill_loop t;
    struct tally tally = {0};
    kill_loop_begin(&t, death, "", wanted_kills(6), WRITERS);
    run(&t, &tally);
    if (t.broken)
        fail_msg("%s", t.what);
    assert_true(tally.building > 0);
    kill_loop_end(&t);
}

static void old_or_new_whole_when_the_process_is_killed(void **state)
{
    UNUSED(state);
    dies_well(KILLED);
}

static void old_or_new_whole_when_power_is_lost(void **state)
{
    UNUSED(state);
    dies_well(POWER_LOST);
}

static void a_switch_in_two_transactions_is_seen(void **state)
{
    UNUSED(state);
    struct kill_loop t;
    struct tally tally = {0};
    char path[512];
    const char *before = getenv("ANCHORD");
    char *kept = before ? strdup(before) : NULL;
    snprintf(path, sizeof path, "%s/tests/faults/anchord-split", getenv("B"));
    assert_int_equal(setenv("ANCHORD", path, 1), 0);
    kill_loop_begin(&t, KILLED, "", 60, WRITERS);
    run(&t, &tally);
    if (kept)
        setenv("ANCHORD", kept, 1);
    else
        unsetenv("ANCHORD");
    free(kept);
    assert_true(t.broken);
    kill_loop_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_or_new_whole_when_the_process_is_killed),
        cmocka_unit_test(old_or_new_whole_when_power_is_lost),
        cmocka_unit_test(a_switch_in_two_transactions_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
