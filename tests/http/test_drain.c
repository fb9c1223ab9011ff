/* test_drain.c - signals: SIGTERM under load answers what was accepted, and the others do what is written here. */
#include "tests/t.h"

#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "tests/lib/expect.h"
#include "tests/lib/ledger.h"
#include "tests/lib/load.h"
#include "tests/lib/seen.h"

static struct buf photo;

static int start(void **state)
{
    UNUSED(state);
    picture(3, 160, &photo);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    buf_clear(&photo);
    return 0;
}

/* A load in a thread of its own. */
struct behind {
    struct load load;
    struct load_result result;
    struct err err;
    bool ok;
    pthread_t thread;
};

static void *run_behind(void *arg)
{
    struct behind *b = arg;
    b->ok = load_run(&b->load, &b->result, &b->err);
    return NULL;
}

static void sigterm_under_load_answers_every_request_that_was_sent(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_HEAVY_THREADS=1", NULL};
    struct server s;
    atomic_bool quiet = false;
    struct buf put = {0};
    begin(&s, &(struct server_options){.env = env});
    ask_bytes(&(struct ask){.method = "POST", .target = "/v1/embeddings", .type = "image/jpeg", .body = photo.data,
                            .len = photo.len}, &put);
    struct client idle = client_to(s.port), late = client_to(s.port);
    expect_status(&idle, 200, &(struct ask){.method = "GET", .target = "/healthz"});
    struct behind b = {.load = {.port = s.port, .connections = 64, .requests = &put, .n = 1, .stop = &quiet}};
    assert_int_equal(pthread_create(&b.thread, NULL, run_behind, &b), 0);
    usleep(600000);
    atomic_store(&quiet, true); /* what is out now was sent before the signal */
    double since = clock_s();
    server_signal(&s, SIGTERM);
    usleep(30000);
    bool refused = !server_alive(&s) || !client_connect(&late);
    int status = server_wait(&s, 40);
    double took = clock_s() - since;
    pthread_join(b.thread, NULL);
    seen_section("Signals");
    seen(status == 0 && b.result.broken == 0 && b.result.failed == 0 && refused,
         "SIGTERM while 64 uploads wait", "every one answered, new connections refused, exit code 0",
         "%zu without an answer, %zu with 503, new connections %s, exit code %d after %.2f s", b.result.broken,
         b.result.refused, refused ? "refused" : "taken", status, took);
    assert_true(b.ok);
    assert_true(b.result.ok > 0);
    assert_int_equal(b.result.broken, 0);
    assert_int_equal(b.result.failed, 0);
    assert_int_equal(status, 0);
    assert_true(refused);
    assert_true(took < 31);
    client_close(&idle);
    client_close(&late);
    buf_clear(&put);
    server_remove(&s);
}

static void what_was_acknowledged_before_a_stop_is_there_after_it(void **state)
{
    UNUSED(state);
    struct server s, again;
    struct err e = {0};
    struct ledger *l = ledger_new(8, 11);
    begin(&s, &(struct server_options){0});
    ledger_start(l, s.port);
    usleep(400000);
    ledger_mark(l);
    assert_int_equal(server_stop(&s), 0);
    ledger_stop(l);
    assert_ok(server_start(&again, &(struct server_options){.dir = s.dir}, &e), e);
    bool good = ledger_check(l, &again);
    if (!good)
        fail_msg("%s", ledger_report(l)->first);
    assert_true(ledger_report(l)->acks > 20);
    assert_int_equal(server_stop(&again), 0);
    server_remove(&s);
    ledger_free(l);
}

static void a_stop_waits_for_a_slow_body_until_its_deadline_only(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_DRAIN_TIMEOUT_SECONDS=1", "ANCHORD_BODY_TIMEOUT_SECONDS=3", NULL};
    struct server s;
    begin(&s, &(struct server_options){.env = env});
    struct client slow = client_to(s.port);
    assert_true(client_connect(&slow));
    assert_true(client_send_text(&slow, "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
                                        "Content-Length: 1000\r\n\r\nabc"));
    usleep(100000);
    double since = clock_s();
    int status = server_stop(&s);
    double took = clock_s() - since;
    seen(status == 0 && took < 6, "SIGTERM while a body is half sent, its deadline 3 s away", "exit code 0 within 5 s",
         "exit code %d after %.1f s", status, took);
    assert_int_equal(status, 0);
    assert_true(took < 6);
    client_close(&slow);
    server_remove(&s);
}

static void probe_signal(const char *what, const int *signals, size_t n, bool lives)
{
    struct server s;
    begin(&s, &(struct server_options){0});
    for (size_t i = 0; i < n; i++)
        server_signal(&s, signals[i]);
    int status = server_wait(&s, lives ? 0.3 : 10);
    bool good = lives ? status == STATUS_STILL_RUNNING : status == 0;
    if (lives && good) {
        struct client c = client_to(s.port);
        expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/healthz"});
        client_close(&c);
        status = server_stop(&s);
    }
    seen(good && status == 0, what, lives ? "it serves on" : "exit code 0", "%s, exit code %d",
         lives && good ? "it serves on; SIGTERM" : "it ends", status);
    assert_true(good);
    assert_int_equal(status, 0);
    server_remove(&s);
}

static void each_signal_does_what_is_written(void **state)
{
    UNUSED(state);
    probe_signal("SIGINT", (int[]){SIGINT}, 1, false);
    probe_signal("SIGTERM twice", (int[]){SIGTERM, SIGTERM}, 2, false);
    probe_signal("SIGINT and SIGTERM", (int[]){SIGINT, SIGTERM}, 2, false);
    probe_signal("SIGHUP", (int[]){SIGHUP}, 1, false);
    probe_signal("SIGPIPE", (int[]){SIGPIPE}, 1, true);
    probe_signal("SIGUSR1 and SIGUSR2", (int[]){SIGUSR1, SIGUSR2}, 2, true);
}

static void it_starts_and_stops_twenty_times_on_the_same_folder(void **state)
{
    UNUSED(state);
    struct server first, s;
    struct err e = {0};
    double slowest = 0;
    begin(&first, &(struct server_options){0});
    assert_int_equal(server_stop(&first), 0);
    for (int i = 0; i < 20; i++) {
        assert_ok(server_start(&s, &(struct server_options){.dir = first.dir}, &e), e);
        slowest = s.ready_s > slowest ? s.ready_s : slowest;
        assert_int_equal(server_stop(&s), 0);
    }
    seen(true, "20 starts and stops on one folder", "each clean", "each clean, slowest start %.2f s", slowest);
    server_remove(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_under_load_answers_every_request_that_was_sent),
        cmocka_unit_test(what_was_acknowledged_before_a_stop_is_there_after_it),
        cmocka_unit_test(a_stop_waits_for_a_slow_body_until_its_deadline_only),
        cmocka_unit_test(each_signal_does_what_is_written),
        cmocka_unit_test(it_starts_and_stops_twenty_times_on_the_same_folder),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
