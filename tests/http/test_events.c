/* test_events.c - a job's events as a stream, over the wire: from the first to `done`, gone on with where a reader was, alive while
 * nothing happens, ended by SIGTERM. */
#include "tests/t.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/lib/expect.h"

#define JOBS "/v1/fine_tuning/jobs"
#define LONG ",\"method\":{\"type\":\"triplet\",\"triplet\":{\"hyperparameters\":{\"n_epochs\":10000}}}"
#define SHORT                                                                                                          \
    ",\"promote\":\"never\",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"n_epochs\":6,"        \
    "\"batch_size\":8}}}"
enum { IMAGES = 24, EVENTS_MAX = 64, WAIT_S = 60 };

static struct server server;

static int start(void **state)
{
    UNUSED(state);
    expect_start(&server, &(struct server_options){.env = (const char *[]){"ANCHORD_MAX_STREAMS=3", NULL}});
    struct client c = client_to(server.port);
    for (unsigned i = 0; i < IMAGES; i++) {
        struct buf jpeg = {0};
        char target[96];
        draw_jpeg(i, 64, &jpeg);
        snprintf(target, sizeof target, "/v1/collections/default/images/p%u?label=l%u", i, i % 4);
        expect_put_image(&c, 201, target, jpeg.data, jpeg.len);
        buf_clear(&jpeg);
    }
    client_close(&c);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    server_remove(&server);
    return 0;
}

static void post_job(const char *more, char id[40])
{
    struct client c = client_to(server.admin);
    char json[400];
    snprintf(json, sizeof json, "{\"training_file\":\"default\"%s}", more);
    struct json *job = expect_post(&c, 200, JOBS, json);
    snprintf(id, 40, "%s", text_at(job, "id"));
    json_free(job);
    client_close(&c);
}

static void cancel_job(const char *id)
{
    struct client c = client_to(server.admin);
    char target[128];
    snprintf(target, sizeof target, JOBS "/%s/cancel", id);
    json_free(expect_post(&c, 200, target, "{}"));
    client_close(&c);
}

static struct client follow(const char *id, const char *query, const char *headers)
{
    struct client c = client_to(server.admin);
    char head[400];
    snprintf(head, sizeof head,
             "GET " JOBS "/%s/events%s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n", id, query,
             headers);
    assert_true(client_connect(&c) && client_send_text(&c, head));
    return c;
}

/* Reads until `text` has come (NULL: to the end of the connection); false when it has not within so many seconds. */
static bool comes(struct client *c, const char *text, double seconds)
{
    char chunk[4096];
    double until = clock_s() + t_patience(seconds);
    while (!text || !c->in.len || !strstr(c->in.data, text)) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (clock_s() > until || poll(&p, 1, 50) < 0)
            return false;
        ssize_t n = p.revents ? recv(c->fd, chunk, sizeof chunk, 0) : 0;
        if (p.revents && n <= 0)
            return !text;
        buf_add(&c->in, chunk, (size_t)n);
    }
    return true;
}

static void expect_text(struct client *c, const char *text, double seconds)
{
    if (!comes(c, text, seconds))
        fail_msg("no %s in %s", text, c->in.len ? c->in.data : "nothing");
}

/* The whole answer, with its chunks put together. */
static void receive_whole(struct client *c, struct reply *r)
{
    if (!client_receive(c, false, WAIT_S, r))
        fail_msg("the stream is not whole: %d %s", r->status, r->body.data ? r->body.data : "");
    assert_int_equal(r->status, 200);
}

/* The ids in a stream, in order; each event has its JSON with the same id. */
static size_t ids_of(const struct reply *r, char ids[EVENTS_MAX][64])
{
    size_t n = 0;
    for (const char *at = r->body.data; (at = strstr(at, "id: ")); at += 4) {
        char want[200];
        assert_true(n < EVENTS_MAX);
        assert_int_equal(sscanf(at, "id: %63s", ids[n]), 1);
        snprintf(want, sizeof want,
                 "id: %s\nevent: fine_tuning.job.event\ndata: {\"object\":\"fine_tuning.job.event\",\"id\":\"%s\",",
                 ids[n], ids[n]);
        if (strncmp(at, want, strlen(want)) != 0)
            fail_msg("not %s: %.300s", want, at);
        n++;
    }
    return n;
}

static void a_stream_has_every_event_in_order_and_ends_with_the_job(void **state)
{
    UNUSED(state);
    char id[40], target[200], ids[EVENTS_MAX][64], later[EVENTS_MAX][64];
    struct reply r = {0}, rest = {0};
    post_job(SHORT, id);
    struct client c = follow(id, "", "");
    receive_whole(&c, &r);
    char type[64];
    assert_string_equal(reply_header(&r, "content-type", type, sizeof type), "text/event-stream");
    size_t n = ids_of(&r, ids);
    assert_true(n >= 4); /* started, judged, a step, judged again, the end */
    const char *done = strstr(r.body.data, "event: done\ndata: {\"object\":\"fine_tuning.job\",");
    assert_true(done && strstr(done, "\"status\":\"succeeded\"") && !strstr(done, "\nid:"));
    assert_non_null(strstr(r.body.data, "\"message\":\"succeeded\""));

    /* the same as the pages, the other way round */
    struct client plain = client_to(server.admin);
    snprintf(target, sizeof target, JOBS "/%s/events?limit=100", id);
    struct json *page = expect_get(&plain, 200, target);
    assert_int_equal(count_at(page, "data"), n);
    for (size_t i = 0; i < n; i++) {
        char path[32];
        snprintf(path, sizeof path, "data.%zu.id", n - 1 - i);
        assert_string_equal(text_at(page, path), ids[i]);
    }
    json_free(page);

    /* gone on with behind the second, in either way; the header is newer than the address */
    const char *const queries[] = {"", "?after=", "?after="}, *const given[] = {"", ids[1], ids[0]};
    for (size_t i = 0; i < COUNT(queries); i++) {
        char query[100], header[120] = "";
        snprintf(query, sizeof query, "%s%s", queries[i], given[i]);
        if (i != 1)
            snprintf(header, sizeof header, "Last-Event-ID: %s\r\n", ids[1]);
        struct client again = follow(id, query, header);
        receive_whole(&again, &rest);
        assert_int_equal(ids_of(&rest, later), n - 2);
        assert_string_equal(later[0], ids[2]);
        assert_non_null(strstr(rest.body.data, "event: done\n"));
        client_close(&again);
    }
    reply_clear(&r);
    reply_clear(&rest);
    client_close(&c);
    client_close(&plain);
}

static void what_cannot_be_gone_on_with_is_refused(void **state)
{
    UNUSED(state);
    static const struct {
        const char *query, *header, *param;
        int status;
    } cases[] = {
        {"?after=ftevent-0000000001-ftjob-0000000000000000", "", "after", 400},
        {"", "Last-Event-ID: 7\r\n", "last-event-id", 400},
        {"?limit=3", "", "limit", 400},
    };
    char id[40];
    struct reply r = {0};
    post_job(SHORT, id);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct client c = follow(id, cases[i].query, cases[i].header);
        assert_true(client_receive(&c, false, 5, &r));
        assert_int_equal(r.status, cases[i].status);
        assert_true(reply_is_error_object(&r) && strstr(r.body.data, cases[i].param));
        client_close(&c);
    }
    struct client c = follow("ftjob-0123456789abcdef", "", "");
    assert_true(client_receive(&c, false, 5, &r));
    assert_int_equal(r.status, 404);
    client_close(&c);
    c = follow(id, "", "");
    receive_whole(&c, &r); /* it ends before the next test begins */
    client_close(&c);
    reply_clear(&r);
}

static void a_quiet_stream_beats_and_all_end_with_the_server(void **state)
{
    UNUSED(state);
    char running[40], waiting[40], cancelled[40];
    post_job(LONG, running);
    post_job(SHORT, waiting);
    post_job(SHORT, cancelled);
    struct client a = follow(running, "", ""), b = follow(waiting, "", ""), d = follow(cancelled, "", ""), refused;
    struct reply r = {0};
    expect_text(&a, "step 1 of", WAIT_S);
    expect_text(&b, "\r\n\r\n", 5);
    expect_text(&d, "\r\n\r\n", 5);
    refused = follow(running, "", "");
    assert_true(client_receive(&refused, false, 5, &r));
    assert_int_equal(r.status, 503);
    reply_clear(&r);

    /* one that never ran has no events, and its end is seen at once */
    cancel_job(cancelled);
    expect_text(&d, "event: done\n", 2);
    assert_non_null(strstr(d.in.data, "\"status\":\"cancelled\""));

    size_t threads = server_threads(&server);
    double used = server_cpu(&server), since = clock_s();
    b.in.len = 0;
    expect_text(&b, ":\n\n", 17); /* the first one came with the head */
    assert_true(clock_s() - since > 5);
    assert_null(strstr(b.in.data, "id:"));
    assert_true((server_cpu(&server) - used) / (clock_s() - since) < 0.2); /* nothing spins */
    assert_int_equal(server_threads(&server), threads);

    since = clock_s();
    server_signal(&server, SIGTERM);
    assert_true(comes(&a, NULL, 5) && comes(&b, NULL, 5));
    assert_true(clock_s() - since < t_patience(3));
    assert_memory_equal(a.in.data + a.in.len - 5, "0\r\n\r\n", 5); /* whole, and not done */
    assert_null(strstr(a.in.data, "event: done"));
    assert_int_equal(server_wait(&server, 20), 0);
    client_close(&a);
    client_close(&b);
    client_close(&d);
    client_close(&refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_has_every_event_in_order_and_ends_with_the_job),
        cmocka_unit_test(what_cannot_be_gone_on_with_is_refused),
        cmocka_unit_test(a_quiet_stream_beats_and_all_end_with_the_server),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
