/* test_drain.c - signals: SIGTERM under load answers what was accepted, and the others do what is written here. */
#include "tests/t.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/lib/expect.h"
#include "tests/lib/ledger.h"
#include "tests/lib/load.h"
#include "tests/lib/results_table.h"

static struct buf photo;

static int start(void **state)
{
    UNUSED(state);
    draw_jpeg(3, 160, &photo);
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
    expect_start(&s, &(struct server_options){.env = env});
    ask_bytes(
        &(struct ask){
            .method = "POST", .target = "/v1/embeddings", .type = "image/jpeg", .body = photo.data, .len = photo.len},
        &put);
    struct client idle = client_to(s.port), late = client_to(s.port);
    expect_status(&idle, 200, &(struct ask){.method = "GET", .target = "/healthz"});
    struct behind b = {.load = {.port = s.port, .connections = 64, .requests = &put, .n = 1, .stop = &quiet}};
    assert_int_equal(pthread_create(&b.thread, NULL, run_behind, &b), 0);
    usleep(600000);
    atomic_store(&quiet, true); /* what is out now was sent before the signal */
    double since = clock_s();
    server_signal(&s, SIGTERM);
    bool refused = t_wait(1, !server_alive(&s) || !client_connect(&late) || (client_close(&late), false));
    int status = server_wait(&s, 40);
    double took = clock_s() - since;
    pthread_join(b.thread, NULL);
    result_section("Signals");
    result_row(status == 0 && b.result.broken == 0 && b.result.failed == 0 && refused, "SIGTERM while 64 uploads wait",
               "every one answered, new connections refused, exit code 0",
               "%zu without an answer, %zu with 503, new connections %s, exit code %d after %.2f s", b.result.broken,
               b.result.refused, refused ? "refused" : "taken", status, took);
    assert_true(b.ok);
    assert_true(b.result.ok > 0);
    assert_int_equal(b.result.broken, 0);
    assert_int_equal(b.result.failed, 0);
    assert_int_equal(status, 0);
    assert_true(refused);
    assert_true(took < t_patience(31));
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
    expect_start(&s, &(struct server_options){0});
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

/* ---- clients that do not stop when the server does ---- */

enum { KEPT = 600, HALVES = 3, DRAIN_S = 2 };

/* Kept connections that ask and ask, also after the signal, each until it is closed; and a body that trickles. */
struct askers {
    struct client kept[KEPT], trickle;
    atomic_bool over;
    pthread_t thread;
};

static void *go_on_asking(void *arg)
{
    static const char ask[] = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct askers *a = arg;
    char drop[8192];
    for (size_t i = 0; !atomic_load(&a->over); i = (i + 1) % KEPT) {
        if (i % 10 == 0)
            (void)send(a->trickle.fd, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (recv(a->kept[i].fd, drop, sizeof drop, MSG_DONTWAIT) > 0)
            ;
        (void)send(a->kept[i].fd, ask, sizeof ask - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        usleep(500);
    }
    return NULL;
}

static void begin_half_a_body(struct client *c)
{
    assert_true(client_connect(c));
    assert_true(client_send_text(c, "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
                                    "Content-Length: 1000\r\n\r\nabc"));
}

static void begin_not_to_read(struct client *c)
{
    assert_true(client_connect(c));
    for (size_t i = 0; i < 100; i++)
        (void)client_send_text(c, "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

/* Seconds that the stop takes; the exit code in *status.  `halves`: there are half bodies and a reader who does not read. */
static double stop_while_they_ask(const char *dir, bool halves, int *status)
{
    static const char *const env[] = {"ANCHORD_DRAIN_TIMEOUT_SECONDS=2", NULL};
    struct server s;
    struct err e = {0};
    struct client half[HALVES], deaf = client_to(0);
    struct askers *a = calloc(1, sizeof *a);
    assert_ok(server_start(&s, &(struct server_options){.env = env, .dir = dir}, &e), e);
    for (size_t i = 0; i < KEPT; i++) {
        a->kept[i] = client_to(s.port);
        assert_true(client_connect(&a->kept[i]));
    }
    a->trickle = client_to(s.port);
    deaf.port = s.port;
    for (size_t i = 0; i < HALVES; i++)
        half[i] = client_to(s.port);
    if (halves) {
        for (size_t i = 0; i < HALVES; i++)
            begin_half_a_body(&half[i]);
        client_close(&half[0]); /* gone, the others are silent */
        begin_half_a_body(&a->trickle);
        begin_not_to_read(&deaf);
    }
    assert_int_equal(pthread_create(&a->thread, NULL, go_on_asking, a), 0);
    usleep(150000);
    double since = clock_s();
    server_signal(&s, SIGTERM);
    *status = server_wait(&s, 60);
    double took = clock_s() - since;
    atomic_store(&a->over, true);
    pthread_join(a->thread, NULL);
    for (size_t i = 0; i < KEPT; i++)
        client_close(&a->kept[i]);
    for (size_t i = 0; i < HALVES; i++)
        client_close(&half[i]);
    client_close(&a->trickle);
    client_close(&deaf);
    free(a);
    server_remove(&s);
    return took;
}

/* STOPS=200 in the environment stops as often. */
static void a_stop_ends_in_its_time_whatever_its_clients_do(void **state)
{
    UNUSED(state);
    const char *often = getenv("STOPS");
    long n = often ? strtol(often, NULL, 10) : 2;
    double longest = 0;
    char *dir = t_make_dir();
    for (long i = 0; i < n; i++) {
        int status;
        double took = stop_while_they_ask(dir, i % 2, &status);
        if (status != 0)
            fail_msg("stop %ld: exit code %d after %.1f s", i, status, took);
        longest = took > longest ? took : longest;
    }
    t_remove_dir(dir);
    bool good = longest < DRAIN_S + t_patience(1.5);
    result_row(
        good,
        "SIGTERM, drain time 2 s, while 600 kept connections go on asking, bodies are half sent and an answer is not "
        "read",
        "exit code 0 after 2 s", "exit code 0 after %.1f s", longest);
    assert_true(good);
}

static void probe_signal(const char *what, const int *signals, size_t n, bool lives)
{
    struct server s;
    expect_start(&s, &(struct server_options){0});
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
    result_row(good && status == 0, what, lives ? "it serves on" : "exit code 0", "%s, exit code %d",
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
    probe_signal("SIGHUP", (int[]){SIGHUP}, 1, true);
    probe_signal("SIGPIPE", (int[]){SIGPIPE}, 1, true);
    probe_signal("SIGUSR1 and SIGUSR2", (int[]){SIGUSR1, SIGUSR2}, 2, true);
}

static void it_starts_and_stops_twenty_times_on_the_same_folder(void **state)
{
    UNUSED(state);
    struct server first, s;
    struct err e = {0};
    double slowest = 0;
    expect_start(&first, &(struct server_options){0});
    assert_int_equal(server_stop(&first), 0);
    for (int i = 0; i < 20; i++) {
        assert_ok(server_start(&s, &(struct server_options){.dir = first.dir}, &e), e);
        slowest = s.ready_s > slowest ? s.ready_s : slowest;
        assert_int_equal(server_stop(&s), 0);
    }
    result_row(true, "20 starts and stops on one folder", "each clean", "each clean, slowest start %.2f s", slowest);
    server_remove(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_under_load_answers_every_request_that_was_sent),
        cmocka_unit_test(what_was_acknowledged_before_a_stop_is_there_after_it),
        cmocka_unit_test(a_stop_ends_in_its_time_whatever_its_clients_do),
        cmocka_unit_test(each_signal_does_what_is_written),
        cmocka_unit_test(it_starts_and_stops_twenty_times_on_the_same_folder),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
