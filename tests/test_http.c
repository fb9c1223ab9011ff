/* test_http.c - real listeners on free ports in front of a service that is a double: early refusals, bodies, keep-alive,
 * slow clients, clients that leave, shutdown while requests are at work. */
#include "tests/t.h"

#include <pthread.h>
#include <sys/socket.h>

#include "api/answer.h"
#include "base/log.h"
#include "server/address.h"
#include "server/http.h"
#include "tests/lib/client.h"

#define KEY "anch_AAAAAAAA_0123456789012345678901234567890123456789-_x"

/* ---- the double ---- */

static const struct double_route {
    enum method method;
    const char *path;
    enum role role;
    size_t body_max;
} routes[] = {
    {METHOD_GET, "/fast", ROLE_NONE, 0},   {METHOD_GET, "/slow", ROLE_NONE, 0}, {METHOD_POST, "/echo", ROLE_NONE, 700000},
    {METHOD_POST, "/write", ROLE_WRITE, 1 << 30}, {METHOD_GET, "/none", ROLE_NONE, 0}, {METHOD_GET, "/rated", ROLE_READ, 0},
};

static atomic_int executed;

static bool find(void *context, enum listener l, enum method m, const char *path, struct route_info *out,
                 const char **allow, struct err *e)
{
    UNUSED(context);
    UNUSED(l);
    bool known = false;
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        known = true;
        if (routes[i].method != (m == METHOD_HEAD ? METHOD_GET : m))
            continue;
        *out = (struct route_info){.role = routes[i].role, .body_max = routes[i].body_max, .label = routes[i].path};
        return true;
    }
    *allow = known ? "GET, HEAD" : NULL;
    return err_set(e, known ? ERR_BAD_METHOD : ERR_NOT_FOUND, "not here");
}

static void answer(struct job *j)
{
    const struct request *r = &j->request;
    struct response *a = &j->call.response;
    atomic_fetch_add(&executed, 1);
    a->status = 200;
    a->content_type = "text/plain";
    if (!strcmp(r->path, "/none")) {
        answer_empty(a, 204);
    } else if (!strcmp(r->path, "/echo")) {
        buf_add(&a->body, r->body ? r->body : "", r->body_len);
    } else {
        buf_print(&a->body, "%s", r->path);
        for (size_t i = 0; i < r->n_query; i++)
            buf_print(&a->body, " %s=%s", r->query[i].name, r->query[i].value);
    }
    j->done(j);
}

/* What is slow waits here until somebody lets it go. */
static struct {
    pthread_mutex_t mu;
    struct job *jobs[64];
    size_t n;
} shelf = {.mu = PTHREAD_MUTEX_INITIALIZER};

static void submit(void *context, struct job *j)
{
    UNUSED(context);
    if (strcmp(j->request.path, "/slow") != 0) {
        answer(j);
        return;
    }
    pthread_mutex_lock(&shelf.mu);
    shelf.jobs[shelf.n++] = j;
    pthread_mutex_unlock(&shelf.mu);
}

static size_t shelved(void)
{
    pthread_mutex_lock(&shelf.mu);
    size_t n = shelf.n;
    pthread_mutex_unlock(&shelf.mu);
    return n;
}

static void *let_go(void *arg)
{
    UNUSED(arg);
    usleep(200 * 1000);
    pthread_mutex_lock(&shelf.mu);
    while (shelf.n)
        answer(shelf.jobs[--shelf.n]);
    pthread_mutex_unlock(&shelf.mu);
    return NULL;
}

static bool wait_for_shelf(size_t n)
{
    for (int i = 0; i < 500 && shelved() != n; i++)
        usleep(10000);
    return shelved() == n;
}

static unsigned no_version(void *context)
{
    UNUSED(context);
    return 0;
}

static bool no_keys(void *context, struct key_row **out, size_t *n, struct err *e)
{
    UNUSED(context);
    UNUSED(e);
    *out = NULL;
    *n = 0;
    return true;
}

/* ---- one server ---- */

struct fixture {
    struct conf conf;
    struct auth *auth;
    struct gate *gate;
    struct http *http;
    uint16_t port;
};

static void open_fixture(struct fixture *f, const char *const *settings, const char *key)
{
    struct err e = {0};
    int sockets[2];
    *f = (struct fixture){0};
    log_set_level(LOG_WARN);
    atomic_store(&executed, 0);
    conf_init(&f->conf);
    for (size_t i = 0; settings && settings[i]; i += 2)
        assert_ok(conf_set(&f->conf, settings[i], settings[i + 1], &e), e);
    for (size_t i = 0; i < 2; i++) {
        struct address a = {.host = "127.0.0.1"};
        bool loopback;
        sockets[i] = address_listen(&a, 100, &loopback, &e);
        assert_true(sockets[i] >= 0);
        if (i == LISTENER_PUBLIC)
            f->port = a.port;
    }
    f->auth = auth_new(&(struct auth_source){NULL, no_version, no_keys}, key, false, &e);
    f->gate = gate_new(&(struct gate_options){&f->conf, f->auth, {NULL, find}, {true, true}});
    f->http = http_new(&(struct http_options){.conf = &f->conf, .gate = f->gate, .service = {NULL, submit},
                                              .sockets = {sockets[0], sockets[1]}}, &e);
    if (!f->http)
        fail_msg("%s", e.text);
}

static void close_fixture(struct fixture *f)
{
    http_free(f->http);
    gate_free(f->gate);
    auth_free(f->auth);
    conf_clear(&f->conf);
}

static void assert_header(const struct reply *r, const char *name, const char *want)
{
    char got[256];
    const char *value = reply_header(r, name, got, sizeof got);
    if (want ? !value || strcmp(value, want) != 0 : value != NULL)
        fail_msg("header %s: got %s, expected %s", name, value ? value : "none", want ? want : "none");
}

/* ---- tests ---- */

static void many_requests_on_one_connection_are_answered_in_order(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    struct buf all = {0};
    open_fixture(&f, NULL, NULL);
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
    close_fixture(&f);
}

static void what_is_refused_is_refused_before_its_body_is_read(void **state)
{
    UNUSED(state);
    static const struct { const char *head; int status; const char *name, *value; } cases[] = {
        {"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n", 401, "www-authenticate", "Bearer"},
        {"POST /write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer x\r\n\r\n", 401, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 700001\r\n\r\n", 413, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 700001\r\nExpect: 100-continue\r\n\r\n", 413, "connection", "close"},
        {"GET /fast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 413, "connection", "close"},
        {"PUT /fast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 405, "allow", "GET, HEAD"},
        {"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 404, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\n", 417, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551615\r\n\r\n", 413, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "connection", "close"},
        {"FOO /fast HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, "allow", guard_methods},
        {"GET /fast HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "connection", "close"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 1\r\n\r\n", 403, "connection", "close"},
    };
    struct fixture f;
    struct reply r = {0};
    open_fixture(&f, NULL, KEY);
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
    assert_int_equal(atomic_load(&executed), 0);
    reply_clear(&r);
    close_fixture(&f);
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
    open_fixture(&f, NULL, NULL);
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
    assert_int_equal(atomic_load(&executed), 0);
    reply_clear(&r);
    close_fixture(&f);
}

static void a_chunked_body_over_the_limit_gets_413_and_far_over_it_is_cut(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    struct buf b = {0};
    char *bytes = malloc(700001);
    memset(bytes, 'x', 700001);
    open_fixture(&f, NULL, NULL);
    for (size_t extra = 0; extra < 2; extra++) {
        struct client c = client_to(f.port);
        b.len = 0;
        buf_print(&b, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", 700000 + extra);
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
    assert_true(client_send_text(&c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n"));
    bool open = true;
    for (size_t sent = 0; open && sent < (size_t)64 << 20; sent += 700000)
        open = client_send(&c, bytes, 700000, 5);
    assert_false(open);
    client_close(&c);
    free(bytes);
    buf_clear(&b);
    reply_clear(&r);
    close_fixture(&f);
}

static void a_client_that_asks_first_is_told_to_continue(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    open_fixture(&f, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_connect(&c));
    assert_true(client_send_text(&c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
    usleep(100 * 1000);
    assert_true(client_send_text(&c, "hello"));
    assert_true(client_receive(&c, false, 5, &r));
    assert_true(r.continued);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.data, "hello");
    reply_clear(&r);
    client_close(&c);
    close_fixture(&f);
}

static void the_memory_of_all_bodies_together_is_bounded(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"body_memory_bytes", "1048576", NULL};
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n\r\n";
    struct fixture f;
    struct reply r = {0};
    char *bytes = calloc(1, 600000);
    open_fixture(&f, settings, NULL);
    struct client first = client_to(f.port), second = client_to(f.port);
    assert_true(client_connect(&first) && client_send_text(&first, head));
    usleep(200 * 1000);
    assert_true(client_connect(&second) && client_send_text(&second, head));
    assert_true(client_receive(&second, false, 5, &r));
    assert_int_equal(r.status, 503);
    assert_header(&r, "retry-after", "1");
    assert_true(client_send(&first, bytes, 600000, 5));
    assert_true(client_receive(&first, false, 5, &r));
    assert_int_equal(r.status, 200);
    client_close(&second);
    assert_true(client_ask(&second, &(struct ask){.method = "POST", .target = "/echo", .body = bytes, .len = 600000}, &r));
    assert_int_equal(r.status, 200); /* it was given back */
    free(bytes);
    reply_clear(&r);
    client_close(&first);
    client_close(&second);
    close_fixture(&f);
}

static void slow_clients_are_cut(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"header_timeout_seconds", "1", "body_timeout_seconds", "1",
                                           "idle_timeout_seconds", "1", NULL};
    static const char *const starts[] = {
        "GET /fast HTT", "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc", "\x16\x03\x01\x02"};
    struct fixture f;
    struct client c[4];
    struct reply r = {0};
    open_fixture(&f, settings, NULL);
    for (size_t i = 0; i < 3; i++) {
        c[i] = client_to(f.port);
        assert_true(client_connect(&c[i]) && client_send_text(&c[i], starts[i]));
    }
    c[3] = client_to(f.port);
    assert_true(client_ask(&c[3], &(struct ask){.method = "GET", .target = "/fast"}, &r));
    for (int tick = 0; tick < 9; tick++) { /* one byte now and then must not keep them alive */
        usleep(100 * 1000);
        for (size_t i = 0; i < 2; i++)
            if (tick < 8)
                (void)send(c[i].fd, "a", 1, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < 4; i++) {
        if (!client_drained(&c[i], 2))
            fail_msg("client %zu is still connected", i);
        client_close(&c[i]);
    }
    reply_clear(&r);
    close_fixture(&f);
}

static void clients_that_leave_while_their_request_is_at_work_do_no_harm(void **state)
{
    UNUSED(state);
    struct fixture f;
    struct reply r = {0};
    open_fixture(&f, NULL, NULL);
    for (size_t i = 0; i < 30; i++) {
        struct client c = client_to(f.port);
        assert_true(client_connect(&c) && client_send_text(&c, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_true(wait_for_shelf(i + 1));
        if (i % 2)
            client_reset(&c);
        else
            client_close(&c);
    }
    assert_int_equal(http_in_flight(f.http), 30);
    let_go(NULL);
    for (int i = 0; i < 300 && http_in_flight(f.http); i++)
        usleep(10000);
    assert_int_equal(http_in_flight(f.http), 0);
    struct client c = client_to(f.port);
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/fast"}, &r));
    assert_int_equal(r.status, 200);
    reply_clear(&r);
    client_close(&c);
    close_fixture(&f);
}

static void a_shutdown_answers_what_was_accepted_and_takes_no_more(void **state)
{
    UNUSED(state);
    enum { N = 8 };
    struct fixture f;
    struct client c[N], late;
    struct reply r = {0};
    pthread_t helper;
    open_fixture(&f, NULL, NULL);
    for (size_t i = 0; i < N; i++) {
        c[i] = client_to(f.port);
        assert_true(client_connect(&c[i]) && client_send_text(&c[i], "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }
    assert_true(wait_for_shelf(N));
    http_quiesce(f.http);
    late = client_to(f.port);
    assert_false(client_connect(&late));
    pthread_create(&helper, NULL, let_go, NULL);
    for (int i = 0; i < 300 && http_in_flight(f.http); i++)
        usleep(10000);
    pthread_join(helper, NULL);
    for (size_t i = 0; i < N; i++) {
        assert_true(client_receive(&c[i], false, 5, &r));
        assert_int_equal(r.status, 200);
        assert_header(&r, "connection", "close");
        client_close(&c[i]);
    }
    reply_clear(&r);
    close_fixture(&f);
}

static void stopping_at_once_waits_for_suspended_connections(void **state)
{
    UNUSED(state);
    struct fixture f;
    pthread_t helper;
    open_fixture(&f, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_connect(&c) && client_send_text(&c, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(wait_for_shelf(1));
    pthread_create(&helper, NULL, let_go, NULL);
    close_fixture(&f); /* libmicrohttpd would abort() */
    pthread_join(helper, NULL);
    client_close(&c);
}

static void head_options_and_cors_are_answered_by_the_server(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"cors_origins", "https://app.example", NULL};
    static const char preflight[] = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n";
    struct fixture f;
    struct reply r = {0};
    open_fixture(&f, settings, NULL);
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
    assert_header(&r, "vary", "origin");
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/fast", .headers = "Origin: https://app.example\r\nX-Request-Id: mine-7\r\n"}, &r));
    assert_header(&r, "access-control-allow-origin", "https://app.example");
    assert_header(&r, "x-request-id", "mine-7");
    assert_header(&r, "x-content-type-options", "nosniff");
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/fast", .headers = "Origin: https://evil.example\r\nX-Request-Id: a b\r\n"}, &r));
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
    close_fixture(&f);
}

static void rates_and_wrong_keys_are_limited(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"rate_limit", "0.1", "rate_burst", "3", "auth_failures", "2", NULL};
    struct fixture f;
    struct reply r = {0};
    int limited = 0;
    open_fixture(&f, settings, KEY);
    struct client c = client_to(f.port);
    for (int i = 0; i < 5; i++) {
        assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/rated", .key = KEY}, &r));
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
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_requests_on_one_connection_are_answered_in_order),
        cmocka_unit_test(what_is_refused_is_refused_before_its_body_is_read),
        cmocka_unit_test(a_request_inside_another_is_not_executed),
        cmocka_unit_test(a_chunked_body_over_the_limit_gets_413_and_far_over_it_is_cut),
        cmocka_unit_test(a_client_that_asks_first_is_told_to_continue),
        cmocka_unit_test(the_memory_of_all_bodies_together_is_bounded),
        cmocka_unit_test(slow_clients_are_cut),
        cmocka_unit_test(clients_that_leave_while_their_request_is_at_work_do_no_harm),
        cmocka_unit_test(a_shutdown_answers_what_was_accepted_and_takes_no_more),
        cmocka_unit_test(stopping_at_once_waits_for_suspended_connections),
        cmocka_unit_test(head_options_and_cors_are_answered_by_the_server),
        cmocka_unit_test(rates_and_wrong_keys_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
