/* test_http_stream.c - answers that go on: pieces as they come, their number, slow and vanished readers, the end of the server. */
#include "tests/t.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/metric.h"
#include "tests/lib/http_double.h"

/* Patience of a second for everything that has one. */
static const char *const hasty[] = {
    "header_timeout_seconds", "1", "body_timeout_seconds", "1", "idle_timeout_seconds", "1", "max_streams", "2", NULL};

static struct client ask_for(struct fixture *f, const char *path)
{
    char head[128];
    struct client c = client_to(f->port);
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    assert_true(client_connect(&c) && client_send_text(&c, head));
    return c;
}

/* Reads until `text` has come, and gives all that came since the last time. */
static void expect_text(struct client *c, const char *text)
{
    char chunk[4096];
    double until = clock_s() + t_patience(5);
    while (!c->in.len || !strstr(c->in.data, text)) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (clock_s() > until || poll(&p, 1, 1000) < 0)
            fail_msg("no %s in %s", text, c->in.len ? c->in.data : "nothing");
        ssize_t n = p.revents ? recv(c->fd, chunk, sizeof chunk, 0) : 0;
        if (p.revents && n <= 0)
            fail_msg("the connection ended before %s came", text);
        buf_add(&c->in, chunk, (size_t)n);
    }
}

/* Reads to the end of the connection; whether the last chunk came, which says that the answer is whole. */
static bool ends_whole(struct client *c)
{
    char chunk[4096];
    double until = clock_s() + t_patience(5);
    for (ssize_t n = 1; n > 0 && clock_s() < until;) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, 1000) > 0 && (n = recv(c->fd, chunk, sizeof chunk, 0)) > 0)
            buf_add(&c->in, chunk, (size_t)n);
    }
    assert_true(clock_s() < until);
    return c->in.len >= 5 && memcmp(c->in.data + c->in.len - 5, "0\r\n\r\n", 5) == 0;
}

static bool streams_become(double n)
{
    return t_wait(6, metric_get(METRIC_http_streams, NULL, NULL) == n);
}

static void pieces_come_as_they_are_given_and_the_end_is_seen(void **state)
{
    UNUSED(state);
    struct fixture f;
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client c = ask_for(&f, "/stream"), other = ask_for(&f, "/fast");
    expect_text(&c, "begins\n");
    assert_true(stream_wait(1));
    expect_text(&other, "/fast"); /* nobody waits for it */
    for (int i = 0; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof text, "piece %d;", i);
        stream_give(text, STREAM_MORE);
        expect_text(&c, text);
        assert_true(stream_wait(1));
    }
    assert_true(streams_become(1));
    stream_give("", STREAM_MORE); /* nothing to say */
    assert_true(stream_wait(1));
    stream_give("last words", STREAM_END);
    assert_true(ends_whole(&c));
    assert_non_null(strstr(c.in.data, "last words"));
    assert_true(streams_become(0));
    client_close(&c);
    client_close(&other);
    fixture_close(&f);
}

static void a_quiet_stream_outlives_all_deadlines(void **state)
{
    UNUSED(state);
    struct fixture f;
    fixture_open(&f, hasty, NULL, NULL, NULL);
    struct client c = ask_for(&f, "/stream");
    assert_true(stream_wait(1));
    usleep(2600000);
    stream_give("still here", STREAM_MORE);
    expect_text(&c, "still here");
    assert_true(stream_wait(1));
    usleep(1600000);
    stream_give("and here", STREAM_END);
    assert_true(ends_whole(&c));
    client_close(&c);
    fixture_close(&f);
}

static void there_are_only_so_many(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, hasty, NULL, NULL, NULL);
    struct client a = ask_for(&f, "/stream"), b = ask_for(&f, "/stream");
    assert_true(stream_wait(2));
    struct client c = ask_for(&f, "/stream");
    assert_true(client_receive(&c, false, 5, &r));
    assert_int_equal(r.status, 503);
    assert_true(reply_is_error_object(&r));
    assert_header(&r, "retry-after", "1");
    assert_true(r.keep); /* that connection is as good as before */
    stream_give("", STREAM_END);
    assert_true(ends_whole(&a) && ends_whole(&b));
    struct client d = ask_for(&f, "/stream");
    expect_text(&d, "begins\n");
    assert_true(stream_wait(1));
    stream_give("", STREAM_END);
    assert_true(ends_whole(&d));
    client_close(&a);
    client_close(&b);
    client_close(&c);
    client_close(&d);
    reply_clear(&r);
    fixture_close(&f);
}

static void who_does_not_read_holds_a_few_pieces_and_is_cut(void **state)
{
    UNUSED(state);
    struct fixture f;
    int room = 4096;
    fixture_open(&f, hasty, NULL, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_connect(&c));
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    assert_true(client_send_text(&c, "GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(streams_become(1));
    assert_true(streams_become(0));
    int pieces = atomic_load(&double_pieces);
    if (pieces > 16)
        fail_msg("%d pieces of 64 KB were made for nobody", pieces);
    client_close(&c);
    fixture_close(&f);
}

static void who_reads_gets_all_that_there_is(void **state)
{
    UNUSED(state);
    struct fixture f;
    char chunk[65536];
    size_t got = 0;
    fixture_open(&f, hasty, NULL, NULL, NULL);
    struct client c = ask_for(&f, "/flood");
    for (double until = clock_s() + 2.5; clock_s() < until || got <= 4 << 20;) {
        ssize_t n = recv(c.fd, chunk, sizeof chunk, 0);
        assert_true(n > 0); /* past all deadlines, too */
        got += (size_t)n;
        usleep(1000);
    }
    client_reset(&c);
    assert_true(streams_become(0));
    fixture_close(&f);
}

static void who_has_left_is_noticed_by_the_next_pieces(void **state)
{
    UNUSED(state);
    struct fixture f;
    fixture_open(&f, hasty, NULL, NULL, NULL);
    struct client a = ask_for(&f, "/stream"), b = ask_for(&f, "/stream");
    assert_true(stream_wait(2) && streams_become(2));
    client_reset(&a);
    client_close(&b);
    /* two pieces are enough when nothing else runs */
    for (double until = clock_s() + t_patience(5);
         metric_get(METRIC_http_streams, NULL, NULL) > 0 && clock_s() < until;) {
        usleep(50000);
        stream_give(":\n\n", STREAM_MORE);
    }
    assert_true(streams_become(0));
    assert_true(stream_wait(0));
    fixture_close(&f);
}

static void what_fails_on_the_way_does_not_look_whole(void **state)
{
    UNUSED(state);
    struct fixture f;
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client c = ask_for(&f, "/stream");
    assert_true(stream_wait(1));
    stream_give("", STREAM_CUT);
    assert_false(ends_whole(&c));
    client_close(&c);
    fixture_close(&f);
}

static void the_end_of_the_server_ends_streams_at_once(void **state)
{
    UNUSED(state);
    struct fixture f;
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client c = ask_for(&f, "/stream"), busy = ask_for(&f, "/flood");
    assert_true(stream_wait(1));
    http_quiesce(f.http);
    stream_give("", STREAM_MORE); /* what dispatch_wake() does then */
    assert_true(ends_whole(&c));
    client_close(&c);
    client_close(&busy);
    double start = clock_s();
    fixture_close(&f);
    assert_true(clock_s() - start < t_patience(2));
}

static void head_and_old_clients_are_served_too(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_connect(&c) && client_send_text(&c, "HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(client_receive(&c, true, 5, &r));
    assert_int_equal(r.status, 200);
    assert_true(streams_become(0));
    client_close(&c);
    assert_true(client_connect(&c) && client_send_text(&c, "GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n"));
    expect_text(&c, "begins\n");
    assert_true(stream_wait(1));
    stream_give("the end", STREAM_END);
    (void)ends_whole(&c);
    assert_string_equal(c.in.data + c.in.len - 14, "begins\nthe end"); /* no chunks there */
    client_close(&c);
    reply_clear(&r);
    fixture_close(&f);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_come_as_they_are_given_and_the_end_is_seen),
        cmocka_unit_test(a_quiet_stream_outlives_all_deadlines),
        cmocka_unit_test(there_are_only_so_many),
        cmocka_unit_test(who_does_not_read_holds_a_few_pieces_and_is_cut),
        cmocka_unit_test(who_reads_gets_all_that_there_is),
        cmocka_unit_test(who_has_left_is_noticed_by_the_next_pieces),
        cmocka_unit_test(what_fails_on_the_way_does_not_look_whole),
        cmocka_unit_test(the_end_of_the_server_ends_streams_at_once),
        cmocka_unit_test(head_and_old_clients_are_served_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
