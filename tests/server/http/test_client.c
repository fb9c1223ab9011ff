/* test_client.c - the client that the black-box tests look through, against answers made by hand. */
#include "tests/t.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "tests/lib/client.h"

/* A server that reads one request head and sends `answer` in pieces of `piece` bytes. */
struct canned {
    const char *answer;
    size_t piece;
    bool stay; /* do not close afterwards */
    int listener;
    uint16_t port;
    pthread_t thread;
};

static void *serve_once(void *arg)
{
    struct canned *s = arg;
    char in[4096];
    int fd = accept(s->listener, NULL, NULL);
    ssize_t got = recv(fd, in, sizeof in, 0);
    for (size_t at = 0, n = strlen(s->answer); got > 0 && at < n; at += s->piece) {
        send(fd, s->answer + at, n - at < s->piece ? n - at : s->piece, MSG_NOSIGNAL);
        usleep(500);
    }
    if (s->stay)
        got = recv(fd, in, sizeof in, 0);
    close(fd);
    return NULL;
}

static void canned_start(struct canned *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &len), 0);
    s->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve_once, s), 0);
}

static bool ask_canned(struct canned *s, struct client *c, struct reply *r, double timeout)
{
    canned_start(s);
    *c = client_to(s->port);
    return client_ask(c, &(struct ask){.method = "GET", .target = "/", .timeout = timeout}, r);
}

static void canned_stop(struct canned *s, struct client *c, struct reply *r)
{
    client_close(c);
    reply_clear(r);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static void a_reply_is_the_same_however_its_bytes_are_cut(void **state)
{
    UNUSED(state);
    static const char answer[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nX-One: a\r\nx-one: b\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n4;ext=1\r\nwiki\r\n5\r\npedia\r\n0\r\nT: 1\r\n\r\n";
    for (size_t piece = 1; piece < sizeof answer; piece = piece * 2 + 1) {
        struct canned s = {.answer = answer, .piece = piece, .stay = true};
        struct client c;
        struct reply r = {0};
        char value[8];
        assert_true(ask_canned(&s, &c, &r, 5));
        assert_int_equal(r.status, 201);
        assert_true(r.continued && r.keep && !r.closed);
        assert_string_equal(r.body.data, "wikipedia");
        assert_string_equal(reply_header(&r, "X-ONE", value, sizeof value), "a");
        assert_int_equal(reply_header_count(&r, "x-one"), 2);
        assert_null(reply_header(&r, "x-on", value, sizeof value));
        canned_stop(&s, &c, &r);
    }
}

static void a_body_that_is_cut_short_is_not_an_answer(void **state)
{
    UNUSED(state);
    struct canned s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nonly", .piece = 1000};
    struct client c;
    struct reply r = {0};
    assert_false(ask_canned(&s, &c, &r, 5));
    assert_int_equal(r.status, 200);
    assert_true(r.closed && !r.keep);
    canned_stop(&s, &c, &r);
}

static void silence_ends_at_the_deadline(void **state)
{
    UNUSED(state);
    struct canned s = {.answer = "", .piece = 1, .stay = true};
    struct client c;
    struct reply r = {0};
    assert_false(ask_canned(&s, &c, &r, 0.05));
    assert_int_equal(r.status, 0);
    assert_false(r.closed);
    assert_true(r.seconds >= 0.05 && r.seconds < t_patience(1));
    canned_stop(&s, &c, &r);
}

static void a_body_without_a_length_ends_with_the_connection(void **state)
{
    UNUSED(state);
    struct canned s = {.answer = "HTTP/1.0 200 OK\r\n\r\nto the end", .piece = 3};
    struct client c;
    struct reply r = {0};
    assert_true(ask_canned(&s, &c, &r, 5));
    assert_string_equal(r.body.data, "to the end");
    assert_false(r.keep);
    canned_stop(&s, &c, &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_the_same_however_its_bytes_are_cut),
        cmocka_unit_test(a_body_that_is_cut_short_is_not_an_answer),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(a_body_without_a_length_ends_with_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
