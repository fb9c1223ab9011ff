/* test_wire.c - the strict reader in front of libmicrohttpd, on real connections: what is good passes however it comes,
 * what is bad ends the connection behind the answers that were due before it, and who leaves is noticed. */
#include "tests/t.h"

#include <signal.h>

#include "base/clock.h"
#include "base/rng.h"
#include "server/commands/tls_link.h"
#include "server/http/certificate.h"
#include "tests/lib/certificates.h"
#include "tests/lib/http_double.h"

#define HOST        "Host: localhost\r\n"
#define GET(target) "GET " target " HTTP/1.1\r\n" HOST "\r\n"
#define ECHO        "POST /echo HTTP/1.1\r\n" HOST
#define BAD         "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n x\r\n\r\nabcde" /* folded */

static const double patience = 10; /* as t_timeout() takes it */

static void assert_answer(struct client *c, int status, const char *body)
{
    struct reply r = {0};
    if (!client_receive(c, false, patience, &r) || r.status != status)
        fail_msg("got %d, expected %d", r.status, status);
    if (body)
        assert_string_equal(r.body.data ? r.body.data : "", body);
    if (status >= 400)
        assert_true(reply_is_error_object(&r));
    reply_clear(&r);
}

static void assert_closed(struct client *c)
{
    assert_true(client_drained(c, patience));
    client_close(c);
}

static struct client connected(const struct fixture *f)
{
    struct client c = client_to(f->port);
    assert_true(client_connect(&c));
    return c;
}

/* Each as a packet of its own, as far as the kernel keeps them apart; until the server has refused. */
static void send_in_pieces(struct client *c, const char *bytes, size_t n, size_t most, struct rng *rng)
{
    for (size_t part; n; bytes += part, n -= part) {
        part = min_size(n, 1 + rng_below(rng, most));
        if (!client_send(c, bytes, part, patience))
            return;
    }
}

static void good_requests_pass_however_they_are_split(void **state)
{
    UNUSED(state);
    static const char all[] = GET("/fast?n=1") ECHO
        "Content-Length: 5\r\n\r\nhello" ECHO
        "Transfer-Encoding: chunked\r\n\r\n2;a=\"b;c\"\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n" ECHO
        "Content-Length: 0\r\n\r\n"
        "\r\n" GET("/fast?n=2") GET("/nowhere");
    struct fixture f;
    struct rng rng = rng_new(3);
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (size_t most = 1; most <= sizeof all; most = most * 3 + 1) {
        struct client c = connected(&f);
        send_in_pieces(&c, all, sizeof all - 1, most, &rng);
        assert_answer(&c, 200, "/fast n=1");
        assert_answer(&c, 200, "hello");
        assert_answer(&c, 200, "hello");
        assert_answer(&c, 200, "");
        assert_answer(&c, 200, "/fast n=2");
        assert_answer(&c, 404, NULL);
        client_close(&c);
    }
    fixture_close(&f);
}

static void a_hundred_thousand_bytes_pass_behind_and_before_others(void **state)
{
    UNUSED(state);
    enum { N = 100000 };
    struct fixture f;
    struct buf all = {0}, body = {0};
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (int i = 0; i < N; i++)
        buf_char(&body, (char)('a' + i % 26));
    for (int i = 0; i < 3; i++) {
        buf_print(&all, GET("/fast") ECHO "Content-Length: %d\r\n\r\n%s", N, body.data);
        buf_print(&all, ECHO "Transfer-Encoding: chunked\r\n\r\n%x\r\n%.*s\r\n%x\r\n%s\r\n0\r\n\r\n", N / 4, N / 4,
                  body.data, N - N / 4, body.data + N / 4);
    }
    struct client c = connected(&f);
    assert_true(client_send(&c, all.data, all.len, patience));
    for (int i = 0; i < 3; i++) {
        assert_answer(&c, 200, "/fast");
        assert_answer(&c, 200, body.data);
        assert_answer(&c, 200, body.data);
    }
    client_close(&c);
    buf_clear(&all);
    buf_clear(&body);
    fixture_close(&f);
}

static void what_came_before_a_bad_head_is_answered_and_nothing_behind_it(void **state)
{
    UNUSED(state);
    static const char all[] = GET("/fast?n=1") ECHO "Content-Length: 2\r\n\r\n{}" GET("/fast?n=2") BAD GET("/fast?n=3");
    struct fixture f;
    struct rng rng = rng_new(4);
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (size_t most = 1; most <= sizeof all; most = most * 3 + 1) {
        struct client c = connected(&f);
        atomic_store(&double_executed, 0);
        send_in_pieces(&c, all, sizeof all - 1, most, &rng);
        assert_answer(&c, 200, "/fast n=1");
        assert_answer(&c, 200, "{}");
        assert_answer(&c, 200, "/fast n=2");
        assert_answer(&c, 400, NULL);
        assert_closed(&c);
        assert_int_equal(atomic_load(&double_executed), 3);
    }
    fixture_close(&f);
}

/* A request at work is answered before the refusal of what came behind it. */
static void a_slow_answer_is_not_overtaken_by_a_refusal(void **state)
{
    UNUSED(state);
    struct fixture f;
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client c = connected(&f);
    assert_true(client_send_text(&c, GET("/slow") BAD GET("/fast")));
    assert_true(shelf_wait(1));
    shelf_let_go(NULL);
    assert_answer(&c, 200, "/slow");
    assert_answer(&c, 400, NULL);
    assert_closed(&c);
    assert_int_equal(atomic_load(&double_executed), 1);
    fixture_close(&f);
}

/* In one packet with another request, so that no event announces the half head. */
static void half_a_head_behind_an_answer_is_late_like_any_other(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"header_timeout_seconds", "1", NULL};
    struct fixture f;
    fixture_open(&f, settings, NULL, NULL, NULL);
    struct client c = connected(&f);
    assert_true(client_send_text(&c, GET("/fast") "GET /fast HTTP/1.1\r\n" HOST "X: "));
    assert_answer(&c, 200, "/fast");
    assert_answer(&c, 408, NULL);
    assert_closed(&c);
    fixture_close(&f);
}

/* libmicrohttpd used to follow a null pointer then. */
static void a_refusal_while_the_server_stops_does_no_harm(void **state)
{
    UNUSED(state);
    struct rng rng = rng_new(8);
    for (int i = 0; i < 30; i++) {
        struct fixture f;
        struct client c[4];
        fixture_open(&f, NULL, NULL, NULL, NULL);
        for (size_t k = 0; k < COUNT(c); k++) {
            c[k] = connected(&f);
            assert_true(client_send_text(&c[k], BAD));
        }
        usleep((unsigned)rng_below(&rng, 300));
        fixture_close(&f);
        for (size_t k = 0; k < COUNT(c); k++)
            client_close(&c[k]);
    }
}

/* ---- who leaves ---- */

static void assert_nothing_in_flight(const struct fixture *f, double seconds)
{
    assert_true(t_wait(seconds, !http_in_flight(f->http)));
}

/* The last bytes and the end come together, so one event tells of both.  The deadlines are a minute away. */
static void clients_that_leave_in_the_middle_of_a_body_are_noticed_at_once(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"body_timeout_seconds", "60", "idle_timeout_seconds", "60", NULL};
    static const size_t sizes[] = {1000, 100000, 600000};
    static const size_t percents[] = {0, 10, 50, 90};
    struct fixture f;
    char *bytes = calloc(1, 600000);
    fixture_open(&f, settings, NULL, NULL, NULL);
    for (size_t i = 0; i < COUNT(sizes) * COUNT(percents) * 2 * 5; i++) {
        struct client c = connected(&f);
        struct buf b = {0};
        size_t whole = sizes[i % COUNT(sizes)], part = whole * percents[i / COUNT(sizes) % COUNT(percents)] / 100;
        if (i % 2)
            buf_print(&b, ECHO "Content-Length: %zu\r\n\r\n", whole);
        else
            buf_print(&b, ECHO "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", whole);
        buf_add(&b, bytes, part);
        assert_true(client_send(&c, b.data, b.len, patience));
        client_close(&c);
        buf_clear(&b);
    }
    assert_nothing_in_flight(&f, 5);
    assert_int_equal(atomic_load(&double_executed), 0);
    free(bytes);
    fixture_close(&f);
}

static void half_a_connection_gets_the_answers_of_its_whole_requests(void **state)
{
    UNUSED(state);
    static const char *const ends[] = {"", ECHO "Content-Length: 50\r\n\r\nabc", "GET /fa",
                                       ECHO "Transfer-Encoding: chunked\r\n\r\n5\r\nab", BAD};
    struct fixture f;
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct client c = connected(&f);
        struct buf b = {0};
        buf_print(&b, GET("/fast") ECHO "Content-Length: 5\r\n\r\nhello%s", ends[i]);
        assert_true(client_send(&c, b.data, b.len, patience));
        client_half_close(&c);
        assert_answer(&c, 200, "/fast");
        assert_answer(&c, 200, "hello");
        if (!strcmp(ends[i], BAD))
            assert_answer(&c, 400, NULL);
        assert_closed(&c);
        buf_clear(&b);
    }
    assert_nothing_in_flight(&f, 5);
    fixture_close(&f);
}

/* ---- TLS ---- */

static struct tls_link *shake_hands(struct client *c)
{
    char fingerprint[HASH_HEX];
    struct err e = {0};
    certificate_fingerprint(fingerprint);
    struct tls_link *l = tls_link_open(c->fd, "localhost", &(struct tls_trust){.certificate = fingerprint}, &e);
    if (!l)
        fail_msg("%s", e.text);
    return l;
}

static void tls_send_in_pieces(struct tls_link *l, const char *bytes, size_t n, size_t most, struct rng *rng)
{
    for (size_t part; n; bytes += part, n -= part) {
        part = min_size(n, 1 + rng_below(rng, most));
        if (tls_link_send(l, bytes, part) != (ssize_t)part)
            return;
    }
}

static void the_same_holds_under_tls(void **state)
{
    UNUSED(state);
    static const char all[] = GET("/fast?n=1") ECHO
        "Content-Length: 2\r\n\r\n{}" ECHO "Transfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n" GET("/fast?n=2")
            BAD GET("/fast?n=3");
    static struct pem pem;
    struct fixture f;
    struct rng rng = rng_new(6);
    certificate_make("localhost", &pem);
    fixture_open(&f, NULL, NULL, pem.cert, pem.key);
    for (size_t most = 1; most <= sizeof all; most = most * 5 + 1) {
        struct client c = connected(&f);
        struct tls_link *l = shake_hands(&c);
        char answers[8192];
        size_t n = 0;
        atomic_store(&double_executed, 0);
        tls_send_in_pieces(l, all, sizeof all - 1, most, &rng);
        for (ssize_t got;
             n + 1 < sizeof answers && (got = tls_link_receive(l, answers + n, sizeof answers - 1 - n)) > 0;)
            n += (size_t)got;
        answers[n] = 0;
        assert_int_equal(t_times(answers, "HTTP/1.1 200"), 4);
        assert_int_equal(t_times(answers, "HTTP/1.1 400"), 1);
        assert_int_equal(t_times(answers, "HTTP/1.1 "), 5);
        assert_non_null(strstr(strstr(answers, "HTTP/1.1 400"), "folded"));
        assert_int_equal(atomic_load(&double_executed), 4);
        tls_link_close(l);
        client_close(&c);
    }
    fixture_close(&f);
}

static void clients_that_leave_are_noticed_under_tls(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"body_timeout_seconds", "60", NULL};
    static const char start[] = ECHO "Content-Length: 100000\r\n\r\nabc";
    static struct pem pem;
    struct fixture f;
    certificate_make("localhost", &pem);
    fixture_open(&f, settings, NULL, pem.cert, pem.key);
    for (size_t i = 0; i < 20; i++) {
        struct client c = connected(&f);
        struct tls_link *l = shake_hands(&c);
        assert_int_equal(tls_link_send(l, start, sizeof start - 1), (ssize_t)sizeof start - 1);
        if (i % 2)
            client_half_close(&c); /* without a word: what is said from now on does not leave */
        tls_link_close(l);
        client_close(&c);
    }
    assert_nothing_in_flight(&f, 5);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_pass_however_they_are_split),
        cmocka_unit_test(a_hundred_thousand_bytes_pass_behind_and_before_others),
        cmocka_unit_test(what_came_before_a_bad_head_is_answered_and_nothing_behind_it),
        cmocka_unit_test(a_slow_answer_is_not_overtaken_by_a_refusal),
        cmocka_unit_test(half_a_head_behind_an_answer_is_late_like_any_other),
        cmocka_unit_test(a_refusal_while_the_server_stops_does_no_harm),
        cmocka_unit_test(clients_that_leave_in_the_middle_of_a_body_are_noticed_at_once),
        cmocka_unit_test(half_a_connection_gets_the_answers_of_its_whole_requests),
        cmocka_unit_test(the_same_holds_under_tls),
        cmocka_unit_test(clients_that_leave_are_noticed_under_tls),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
