/* test_http.c - real listeners on free ports in front of a service that is a double: early refusals, bodies, keep-alive,
 * slow clients, clients that leave, shutdown while requests are at work. */
#include "tests/t.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/lib/http_double.h"

static void many_requests_on_one_connection_are_answered_in_order(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    struct buf all = {0};
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client c = client_to(f.port);
    for (int i = 0; i < 500; i++) {
        char target[64], want[64];
        snprintf(target, sizeof target, "/fast?n=%d&a%%20b=c+d", i);
        snprintf(want, sizeof want, "/fast n=%d a b=c d", i);
        assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = target}, &r));
        assert_int_equal(r.status, 200);
        assert_true(r.keep);
        assert_string_equal(r.body.data, want);
    }
    for (int i = 0; i < 100; i++)
        buf_print(&all, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%d", i < 10 ? 1 : 2, i);
    assert_true(client_send(&c, all.data, all.len, 10));
    for (int i = 0; i < 100; i++) {
        assert_true(client_receive(&c, false, 10, &r));
        assert_int_equal(atoi(r.body.data), i);
    }
    buf_clear(&all);
    reply_clear(&r);
    client_close(&c);
    fixture_close(&f);
}

static void what_is_refused_is_refused_before_its_body_is_read(void **state)
{
    UNUSED(state);
    static const struct {
        const char *head;
        int status;
        const char *name, *value;
    } cases[] = {
        {"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n", 401, "www-authenticate",
         "Bearer"},
        {"POST /write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer x\r\n\r\n",
         401, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 700001\r\n\r\n", 413, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 700001\r\nExpect: 100-continue\r\n\r\n", 413,
         "connection", "close"},
        {"GET /fast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 413, "connection", "close"},
        {"PUT /fast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 405, "allow", "GET, HEAD"},
        {"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 404, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\n", 417, "connection",
         "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551615\r\n\r\n", 413, "connection",
         "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "connection", "close"},
        {"FOO /fast HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, "allow", guard_methods},
        {"GET /fast HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 1\r\n\r\n", 403,
         "connection", "close"},
    };
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, NULL, DOUBLE_KEY, NULL, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct client c = client_to(f.port);
        assert_true(client_connect(&c));
        assert_true(client_send_text(&c, cases[i].head));
        if (!client_receive(&c, false, 5, &r) || r.status != cases[i].status)
            fail_msg("%.60s: got %d, expected %d", cases[i].head, r.status, cases[i].status);
        assert_header(&r, cases[i].name, cases[i].value);
        assert_header(&r, "content-type", "application/json");
        assert_non_null(strstr(r.body.data, "{\"error\":{\"message\":"));
        assert_false(r.continued);
        client_close(&c);
    }
    assert_int_equal(atomic_load(&double_executed), 0);
    reply_clear(&r);
    fixture_close(&f);
}

static void a_request_inside_another_is_not_executed(void **state)
{
    UNUSED(state);
    static const char *const shapes[] = {
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length : 35\r\n\r\n",
        "POST /echo HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    };
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct client c = client_to(f.port);
        struct buf b = {0};
        buf_print(&b, "%sGET /fast HTTP/1.1\r\nHost: localhost\r\n\r\n", shapes[i]);
        assert_true(client_connect(&c) && client_send(&c, b.data, b.len, 5));
        assert_true(client_receive(&c, false, 5, &r));
        assert_int_equal(r.status, 400);
        assert_true(client_drained(&c, 5));
        client_close(&c);
        buf_clear(&b);
    }
    assert_int_equal(atomic_load(&double_executed), 0);
    reply_clear(&r);
    fixture_close(&f);
}

static void a_chunked_body_over_the_limit_gets_413_and_one_without_end_is_cut(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    struct buf b = {0};
    char *bytes = malloc(700001);
    memset(bytes, 'x', 700001);
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (size_t extra = 0; extra < 2; extra++) {
        struct client c = client_to(f.port);
        b.len = 0;
        buf_print(&b, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
                  700000 + extra);
        buf_add(&b, bytes, 700000 + extra);
        buf_text(&b, "\r\n0\r\n\r\n");
        assert_true(client_connect(&c) && client_send(&c, b.data, b.len, 10));
        assert_true(client_receive(&c, false, 10, &r));
        assert_int_equal(r.status, extra ? 413 : 200);
        assert_int_equal(r.body.len == 700000, !extra);
        client_close(&c);
    }
    struct client c = client_to(f.port);
    assert_true(client_connect(&c));
    assert_true(client_send_text(
        &c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n"));
    bool open = true;
    for (size_t sent = 0; open && sent < (size_t)256 << 20; sent += 700000)
        open = client_send(&c, bytes, 700000, 5);
    assert_false(open);
    client_close(&c);
    free(bytes);
    buf_clear(&b);
    reply_clear(&r);
    fixture_close(&f);
}

/* Something has come, and stays to be read. */
static bool is_told_to_continue(const struct client *c)
{
    return poll(&(struct pollfd){.fd = c->fd, .events = POLLIN}, 1, (int)(1000 * t_patience(5))) == 1;
}

static void a_client_that_asks_first_is_told_to_continue(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_connect(&c));
    assert_true(client_send_text(
        &c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
    assert_true(is_told_to_continue(&c));
    assert_true(client_send_text(&c, "hello"));
    assert_true(client_receive(&c, false, 5, &r));
    assert_true(r.continued);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.data, "hello");
    reply_clear(&r);
    client_close(&c);
    fixture_close(&f);
}

enum { HALF_BODY = 600000 };

static struct client from(const struct fixture *f, const char *address)
{
    struct client c = client_to(f->port);
    c.source = address;
    return c;
}

/* Announces a body and sends all of it but the last byte. */
static void begin_body(struct client *c, const char *bytes, size_t len)
{
    char head[160];
    snprintf(head, sizeof head,
             "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %zu\r\n\r\n", len);
    assert_true(client_connect(c) && client_send_text(c, head));
    assert_true(is_told_to_continue(c));
    assert_true(client_send(c, bytes, len - 1, 5));
}

static int post(struct client *c, const char *bytes, size_t len)
{
    struct reply r = {0};
    client_ask(c, &(struct ask){.method = "POST", .target = "/echo", .body = bytes, .len = len}, &r);
    int status = r.status;
    reply_clear(&r);
    return status;
}

/* Until what was sent has been taken in: the server is asked, for it says so by refusing. */
static void wait_until_refused(struct client *c, const char *bytes, size_t len)
{
    for (double until = clock_s() + t_patience(5); post(c, bytes, len) != 503;)
        assert_true(clock_s() < until);
}

static void the_memory_of_all_bodies_together_is_bounded(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"body_memory_bytes", "1600000", NULL};
    struct fixture f;
    char *bytes = calloc(1, HALF_BODY);
    fixture_open(&f, settings, NULL, NULL, NULL);
    struct client a = from(&f, "127.0.0.1"), a2 = a, b = from(&f, "127.0.0.2"), c = from(&f, "127.0.0.3"), small = c;
    begin_body(&a, bytes, HALF_BODY);
    wait_until_refused(&a2, bytes, HALF_BODY); /* one address gets half */
    assert_int_equal(post(&b, bytes, HALF_BODY), 200);
    client_close(&b);
    begin_body(&b, bytes, HALF_BODY);
    wait_until_refused(&c, bytes, HALF_BODY); /* an eighth is for small bodies */
    assert_int_equal(post(&small, bytes, 60000), 200);
    assert_int_equal(post(&a2, bytes, 60000), 200);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    for (double until = clock_s() + t_patience(5); post(&c, bytes, HALF_BODY) != 200;) /* it was given back */
        assert_true(clock_s() < until);
    free(bytes);
    client_close(&a2);
    client_close(&c);
    client_close(&small);
    fixture_close(&f);
}

static void who_announces_much_and_sends_nothing_takes_nothing(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"body_memory_bytes", "1600000", NULL};
    static const char head[] =
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 600000\r\n\r\n";
    struct fixture f;
    struct client silent[16];
    char *bytes = calloc(1, HALF_BODY);
    fixture_open(&f, settings, NULL, NULL, NULL);
    for (size_t i = 0; i < COUNT(silent); i++) {
        silent[i] = client_to(f.port);
        assert_true(client_connect(&silent[i]) && client_send_text(&silent[i], head));
        assert_true(is_told_to_continue(&silent[i]));
    }
    struct client c = client_to(f.port);
    assert_int_equal(post(&c, bytes, 21), 200);
    assert_int_equal(post(&c, bytes, HALF_BODY), 200);
    for (size_t i = 0; i < COUNT(silent); i++)
        client_close(&silent[i]);
    client_close(&c);
    free(bytes);
    fixture_close(&f);
}

static void slow_clients_are_cut(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {
        "header_timeout_seconds", "1", "body_timeout_seconds", "1", "idle_timeout_seconds", "2", NULL};
    static const char *const starts[] = {"GET /fast HTT",
                                         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc",
                                         "\x16\x03\x01\x02"};
    struct fixture f;
    struct client c[4];
    struct reply r = {0};
    fixture_open(&f, settings, NULL, NULL, NULL);
    for (size_t i = 0; i < 3; i++) {
        c[i] = client_to(f.port);
        assert_true(client_connect(&c[i]) && client_send_text(&c[i], starts[i]));
    }
    c[3] = client_to(f.port);
    assert_true(client_ask(&c[3], &(struct ask){.method = "GET", .target = "/fast"}, &r));
    for (int tick = 0; tick < 14; tick++) { /* one byte now and then must not keep them alive */
        usleep(100 * 1000);
        for (size_t i = 0; i < 2; i++)
            (void)send(c[i].fd, "a", 1, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < 4; i++) {
        if (!client_drained(&c[i], 2))
            fail_msg("client %zu is still connected", i);
        client_close(&c[i]);
    }
    reply_clear(&r);
    fixture_close(&f);
}

/* One whole error object and nothing behind it. */
static void assert_refusal(struct client *c, int status, const char *code, struct reply *r)
{
    char id[80], want[64];
    if (!client_receive(c, false, 5, r) || r->status != status)
        fail_msg("got %d, expected %d", r->status, status);
    assert_header(r, "content-type", "application/json");
    assert_header(r, "connection", "close");
    assert_non_null(reply_header(r, "x-request-id", id, sizeof id));
    snprintf(want, sizeof want, "\"code\":\"%s\"}}", code);
    if (!reply_is_error_object(r) || !strstr(r->body.data, want))
        fail_msg("%s: %s", code, r->body.data);
    assert_true(client_drained(c, 1));
    assert_int_equal(c->in.len, 0);
}

/* What the client has seen the end of is soon over on the server's side too. */
static void assert_nothing_in_flight(struct fixture *f)
{
    assert_true(t_wait(30, !http_in_flight(f->http)));
}

static void who_does_not_finish_a_request_in_time_is_told(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"header_timeout_seconds", "1", "body_timeout_seconds", "1", NULL};
    static const char *const told[] = {
        "GET /fast HTTP/1.1\r\nHost: localhost\r\nX: ",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: mine\r\nContent-Length: 1000\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"};
    static const char *const not_told[] = {"", "GET /fa"}; /* who knows what they want */
    struct fixture f;
    struct client c[5];
    struct reply r = {0};
    fixture_open(&f, settings, NULL, NULL, NULL);
    for (size_t i = 0; i < 5; i++) {
        c[i] = client_to(f.port);
        assert_true(client_connect(&c[i]) && client_send_text(&c[i], i < 3 ? told[i] : not_told[i - 3]));
    }
    for (size_t i = 0; i < 3; i++) {
        assert_refusal(&c[i], 408, "timeout", &r);
        if (i == 1)
            assert_header(&r, "x-request-id", "mine");
    }
    for (size_t i = 3; i < 5; i++) {
        client_receive(&c[i], false, 2, &r);
        assert_int_equal(r.status, 0);
        assert_true(r.closed);
    }
    assert_nothing_in_flight(&f);
    assert_int_equal(atomic_load(&double_executed), 0);
    for (size_t i = 0; i < 5; i++)
        client_close(&c[i]);
    reply_clear(&r);
    fixture_close(&f);
}

static void a_kept_connection_that_falls_silent_is_closed_without_a_word(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"header_timeout_seconds", "1", "idle_timeout_seconds", "1", NULL};
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, settings, NULL, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_ask(&c, &(struct ask){.method = "POST", .target = "/echo", .body = "x", .len = 1}, &r));
    client_receive(&c, false, 4, &r);
    assert_int_equal(r.status, 0);
    assert_true(r.closed);
    reply_clear(&r);
    client_close(&c);
    fixture_close(&f);
}

static void what_the_library_refuses_gets_the_same_error_object(void **state)
{
    UNUSED(state);
    static const struct {
        const char *start, *repeated, *end;
        size_t n;
        int status;
        const char *code;
    } cases[] = {
        {"GET /fast HTTP/1.1\r\nHost: localhost\r\nX: ", "a", "\r\n\r\n", 40000, 431, "too_large"},
        {"GET /", "a", " HTTP/1.1\r\nHost: localhost\r\n\r\n", 40000, 414, "too_large"},
        {"GET /fast?a=1", "&a=1", " HTTP/1.1\r\nHost: localhost\r\n\r\n", 5000, 431, "too_large"},
        {"GET /fast HTTP/1.1\r\n\r\n", "", "", 0, 400, "invalid_request"},
        {"GET /fast HTTP/2.0\r\nHost: localhost\r\n\r\n", "", "", 0, 505, "not_implemented"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", "", "", 0, 400, "invalid_request"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551616\r\n\r\n", "", "", 0, 413,
         "too_large"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "", "", 0, 400,
         "invalid_request"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;x=", "a", "\r\n", 40000, 413,
         "too_large"},
    };
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct client c = client_to(f.port);
        struct buf b = {0};
        buf_text(&b, cases[i].start);
        for (size_t k = 0; k < cases[i].n; k++)
            buf_text(&b, cases[i].repeated);
        buf_text(&b, cases[i].end);
        assert_true(client_connect(&c));
        client_send(&c, b.data, b.len, 5); /* perhaps not all of it: the answer may come before */
        assert_refusal(&c, cases[i].status, cases[i].code, &r);
        client_close(&c);
        buf_clear(&b);
    }
    assert_int_equal(atomic_load(&double_executed), 0);
    assert_nothing_in_flight(&f);
    reply_clear(&r);
    fixture_close(&f);
}

static void a_long_body_that_keeps_its_rate_is_let_through(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"body_timeout_seconds", "1", "min_body_rate", "10000", NULL};
    static char piece[20000];
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, settings, NULL, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_connect(&c));
    assert_true(client_send_text(&c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"));
    for (int i = 0; i < 10; i++) {
        assert_true(client_send(&c, piece, sizeof piece, 1));
        usleep(200 * 1000);
    }
    assert_true(client_receive(&c, false, 5, &r));
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.len, 200000);
    reply_clear(&r);
    client_close(&c);
    fixture_close(&f);
}

static void who_stops_reading_a_large_answer_is_cut_long_before_all_of_it_is_due(void **state)
{
    UNUSED(state);
    /* 700,000 bytes may take 7 s; a pause may take as long as three blocks of 64 KB at that rate */
    static const char *const settings[] = {"body_timeout_seconds", "1", "min_body_rate", "100000", NULL};
    static char bytes[700000];
    struct fixture f;
    struct reply r = {0};
    int small = 4096;
    fixture_open(&f, settings, NULL, NULL, NULL);
    struct client deaf = client_to(f.port), good = client_to(f.port);
    const struct ask echo = {.method = "POST", .target = "/echo", .body = bytes, .len = sizeof bytes};
    struct buf ask = {0};
    memset(bytes, 'x', sizeof bytes);
    ask_bytes(&echo, &ask);
    assert_true(client_connect(&deaf));
    setsockopt(deaf.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_true(client_send(&deaf, ask.data, ask.len, 10));
    assert_true(t_wait(3, http_in_flight(f.http)));
    assert_true(t_wait(5, !http_in_flight(f.http)));
    assert_true(client_ask(&good, &echo, &r));
    assert_int_equal(r.body.len, sizeof bytes);
    assert_memory_equal(r.body.data, bytes, sizeof bytes);
    buf_clear(&ask);
    reply_clear(&r);
    client_close(&deaf);
    client_close(&good);
    fixture_close(&f);
}

static void clients_that_leave_while_their_request_is_at_work_do_no_harm(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < 30; i++) {
        struct client c = client_to(f.port);
        assert_true(client_connect(&c) && client_send_text(&c, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_true(shelf_wait(i + 1));
        if (i % 2)
            client_reset(&c);
        else
            client_close(&c);
    }
    assert_int_equal(http_in_flight(f.http), 30);
    shelf_let_go(NULL);
    (void)t_wait(30, !http_in_flight(f.http));
    assert_int_equal(http_in_flight(f.http), 0);
    struct client c = client_to(f.port);
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/fast"}, &r));
    assert_int_equal(r.status, 200);
    reply_clear(&r);
    client_close(&c);
    fixture_close(&f);
}

static void a_shutdown_answers_what_was_accepted_and_takes_no_more(void **state)
{
    UNUSED(state);
    enum { N = 8 };
    struct fixture f;
    struct client c[N], late;
    struct reply r = {0};
    pthread_t helper;
    fixture_open(&f, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < N; i++) {
        c[i] = client_to(f.port);
        assert_true(client_connect(&c[i]) && client_send_text(&c[i], "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }
    assert_true(shelf_wait(N));
    http_quiesce(f.http);
    late = client_to(f.port);
    assert_false(client_connect(&late));
    pthread_create(&helper, NULL, shelf_let_go, NULL);
    (void)t_wait(30, !http_in_flight(f.http));
    pthread_join(helper, NULL);
    for (size_t i = 0; i < N; i++) {
        assert_true(client_receive(&c[i], false, 5, &r));
        assert_int_equal(r.status, 200);
        assert_header(&r, "connection", "close");
        client_close(&c[i]);
    }
    reply_clear(&r);
    fixture_close(&f);
}

static void stopping_at_once_waits_for_suspended_connections(void **state)
{
    UNUSED(state);
    struct fixture f;
    pthread_t helper;
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_connect(&c) && client_send_text(&c, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(shelf_wait(1));
    pthread_create(&helper, NULL, shelf_let_go, NULL);
    fixture_close(&f); /* libmicrohttpd would abort() */
    pthread_join(helper, NULL);
    client_close(&c);
}

static void *close_fixture(void *f)
{
    fixture_close(f);
    return NULL;
}

/* Closing begins at some moment in another thread; each of the kept connections asks once. */
static void what_is_asked_while_the_server_stops_is_answered_503_and_never_begun(void **state)
{
    UNUSED(state);
    enum { KEPT = 40 };
    static const char fast[] = "GET /fast HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct fixture f;
    struct client kept[KEPT];
    struct reply r = {0};
    pthread_t closer;
    int begun = 1 + KEPT; /* the slow one, and a first request of each */
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client busy = client_to(f.port);
    for (size_t i = 0; i < KEPT; i++) {
        kept[i] = client_to(f.port);
        assert_true(client_ask(&kept[i], &(struct ask){.method = "GET", .target = "/fast"}, &r));
    }
    assert_true(client_connect(&busy) && client_send_text(&busy, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(shelf_wait(1));
    pthread_create(&closer, NULL, close_fixture, &f); /* waits for the one that is at work */
    for (size_t i = 0; i < KEPT; i++) {
        assert_true(client_send_text(&kept[i], fast) && client_receive(&kept[i], false, 5, &r));
        if (r.status == 503)
            break;
        begun++;
        usleep(50 * 1000);
    }
    assert_int_equal(r.status, 503);
    assert_header(&r, "connection", "close");
    assert_header(&r, "retry-after", "1");
    shelf_let_go(NULL);
    pthread_join(closer, NULL);
    assert_int_equal(atomic_load(&double_executed), begun);
    reply_clear(&r);
    client_close(&busy);
    for (size_t i = 0; i < KEPT; i++)
        client_close(&kept[i]);
}

static void when_the_time_for_stopping_is_over_half_requests_are_told_and_silent_readers_cut(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client half = client_to(f.port), busy = client_to(f.port), deaf = client_to(f.port);
    assert_true(client_connect(&half) &&
                client_send_text(&half, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc"));
    assert_true(client_connect(&deaf) && client_send_text(&deaf, "GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(client_connect(&busy) && client_send_text(&busy, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(shelf_wait(1));
    http_quiesce(f.http);
    http_hurry(f.http, clock_ns() + 300 * 1000000);
    assert_refusal(&half, 503, "overloaded", &r);
    assert_header(&r, "retry-after", "1");
    (void)t_wait(30, http_in_flight(f.http) <= 1); /* the one at work has no deadline */
    assert_int_equal(http_in_flight(f.http), 1);
    shelf_let_go(NULL);
    assert_true(client_receive(&busy, false, 5, &r));
    assert_int_equal(r.status, 200);
    reply_clear(&r);
    client_close(&half);
    client_close(&busy);
    client_close(&deaf);
    fixture_close(&f);
}

/* It comes back when the time for stopping is long over, and is larger than what a socket holds. */
static void what_is_at_work_until_the_end_reaches_its_client(void **state)
{
    UNUSED(state);
    static const char ask[] = "GET /slow?large=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct fixture f;
    struct reply r = {0};
    pthread_t closer, helper;
    fixture_open(&f, NULL, NULL, NULL, NULL);
    struct client busy = client_to(f.port);
    assert_true(client_connect(&busy) && client_send_text(&busy, ask));
    assert_true(shelf_wait(1));
    http_quiesce(f.http);
    http_hurry(f.http, clock_ns());
    pthread_create(&closer, NULL, close_fixture, &f);
    pthread_create(&helper, NULL, shelf_let_go, NULL);
    assert_true(client_receive(&busy, false, 5, &r));
    assert_int_equal(r.status, 200);
    assert_true(r.body.len >= DOUBLE_LARGE);
    pthread_join(helper, NULL);
    pthread_join(closer, NULL);
    reply_clear(&r);
    client_close(&busy);
}

/* Two threads of the library may take a listening socket out of the same set (http.c). */
static void taking_a_socket_out_of_a_set_twice_is_no_error(void **state)
{
    UNUSED(state);
    struct epoll_event event = {.events = EPOLLIN};
    struct fixture f;
    int set = epoll_create1(0), pair[2];
    fixture_open(&f, NULL, NULL, NULL, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event), 0);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event), -1);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], NULL), 0);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], NULL), 0);
    close(pair[0]);
    close(pair[1]);
    close(set);
    fixture_close(&f);
}

static void head_options_and_cors_are_answered_by_the_server(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"cors_origins", "https://app.example", NULL};
    static const char preflight[] = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n";
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, settings, NULL, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_ask(&c, &(struct ask){.method = "HEAD", .target = "/fast"}, &r));
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.len, 0);
    assert_header(&r, "content-length", "5");
    assert_true(client_ask(&c, &(struct ask){.method = "OPTIONS", .target = "/fast"}, &r));
    assert_int_equal(r.status, 204);
    assert_header(&r, "allow", "GET, HEAD");
    assert_header(&r, "access-control-allow-origin", NULL);
    assert_true(client_ask(&c, &(struct ask){.method = "OPTIONS", .target = "/nowhere"}, &r));
    assert_int_equal(r.status, 404);
    assert_true(client_ask(&c, &(struct ask){.method = "OPTIONS", .target = "/echo", .headers = preflight}, &r));
    assert_int_equal(r.status, 204);
    assert_header(&r, "access-control-allow-origin", "https://app.example");
    assert_header(&r, "access-control-max-age", "600");
    assert_header(&r, "vary", "origin, access-control-request-headers");
    assert_true(client_ask(&c,
                           &(struct ask){.method = "GET",
                                         .target = "/fast",
                                         .headers = "Origin: https://app.example\r\nX-Request-Id: mine-7\r\n"},
                           &r));
    assert_header(&r, "access-control-allow-origin", "https://app.example");
    assert_header(&r, "x-request-id", "mine-7");
    assert_header(&r, "x-content-type-options", "nosniff");
    assert_true(client_ask(&c,
                           &(struct ask){.method = "GET",
                                         .target = "/fast",
                                         .headers = "Origin: https://evil.example\r\nX-Request-Id: a b\r\n"},
                           &r));
    assert_int_equal(r.status, 200);
    assert_header(&r, "access-control-allow-origin", NULL);
    char id[64];
    assert_non_null(reply_header(&r, "x-request-id", id, sizeof id));
    assert_int_equal(strlen(id), 16);
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/none"}, &r));
    assert_int_equal(r.status, 204);
    assert_true(r.keep);
    reply_clear(&r);
    client_close(&c);
    fixture_close(&f);
}

static void rates_and_wrong_keys_are_limited(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"rate_limit", "0.1", "rate_burst", "3", "auth_failures", "2", NULL};
    struct fixture f;
    struct reply r = {0};
    int limited = 0;
    fixture_open(&f, settings, DOUBLE_KEY, NULL, NULL);
    struct client c = client_to(f.port);
    for (int i = 0; i < 5; i++) {
        assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/rated", .key = DOUBLE_KEY}, &r));
        limited += r.status == 429;
    }
    assert_int_equal(limited, 2);
    assert_header(&r, "retry-after", "10");
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/fast"}, &r));
    assert_int_equal(r.status, 200); /* health checks are not counted */
    static const int want[] = {401, 401, 429};
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/rated", .key = "anch_wrong"}, &r));
        assert_int_equal(r.status, want[i]);
    }
    reply_clear(&r);
    client_close(&c);
    fixture_close(&f);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does: a client may be gone before its answer */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_requests_on_one_connection_are_answered_in_order),
        cmocka_unit_test(what_is_refused_is_refused_before_its_body_is_read),
        cmocka_unit_test(a_request_inside_another_is_not_executed),
        cmocka_unit_test(a_chunked_body_over_the_limit_gets_413_and_one_without_end_is_cut),
        cmocka_unit_test(a_client_that_asks_first_is_told_to_continue),
        cmocka_unit_test(the_memory_of_all_bodies_together_is_bounded),
        cmocka_unit_test(who_announces_much_and_sends_nothing_takes_nothing),
        cmocka_unit_test(slow_clients_are_cut),
        cmocka_unit_test(who_does_not_finish_a_request_in_time_is_told),
        cmocka_unit_test(a_kept_connection_that_falls_silent_is_closed_without_a_word),
        cmocka_unit_test(what_the_library_refuses_gets_the_same_error_object),
        cmocka_unit_test(a_long_body_that_keeps_its_rate_is_let_through),
        cmocka_unit_test(who_stops_reading_a_large_answer_is_cut_long_before_all_of_it_is_due),
        cmocka_unit_test(clients_that_leave_while_their_request_is_at_work_do_no_harm),
        cmocka_unit_test(a_shutdown_answers_what_was_accepted_and_takes_no_more),
        cmocka_unit_test(stopping_at_once_waits_for_suspended_connections),
        cmocka_unit_test(what_is_asked_while_the_server_stops_is_answered_503_and_never_begun),
        cmocka_unit_test(when_the_time_for_stopping_is_over_half_requests_are_told_and_silent_readers_cut),
        cmocka_unit_test(what_is_at_work_until_the_end_reaches_its_client),
        cmocka_unit_test(taking_a_socket_out_of_a_set_twice_is_no_error),
        cmocka_unit_test(head_options_and_cors_are_answered_by_the_server),
        cmocka_unit_test(rates_and_wrong_keys_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
