/* test_linger.c - clients that send all of a large request before they read its refusal get to read it. */
#include "tests/t.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/http/linger.h"
#include "tests/lib/http_double.h"

enum { LARGE = 13 << 20 };

/* ---- over HTTP ---- */

static struct client client_with_small_buffers(uint16_t port)
{
    struct client c = client_to(port);
    int small = 128 << 10; /* less, and each packet of loopback waits for its acknowledgement */
    assert_true(client_connect(&c));
    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    return c;
}

static void assert_told(uint16_t port, const char *head, const char *bytes, int status, struct reply *r)
{
    struct client c = client_with_small_buffers(port);
    assert_true(client_send_text(&c, head));
    if (!client_send(&c, bytes, LARGE, 20))
        fail_msg("%.50s: the connection broke while the body was sent", head);
    if (!client_receive(&c, false, 10, r) || r->status != status)
        fail_msg("%.50s: got %d, expected %d", head, r->status, status);
    assert_true(reply_is_error_object(r));
    assert_header(r, "connection", "close");
    assert_true(client_drained(&c, 5));
    client_close(&c);
}

static void a_refusal_at_the_head_of_13_mb_is_read_by_who_sends_them_first(void **state)
{
    UNUSED(state);
    static const struct {
        const char *head;
        int status;
    } cases[] = {
        {"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13631488\r\n\r\n", 401},
        {"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13631488\r\n\r\n", 404},
        {"PUT /fast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13631488\r\n\r\n", 405},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13631488\r\n\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 13631488\r\n\r\n", 421},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 13631488\r\n\r\n",
         403},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 13631488\r\n\r\n", 415},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13631488\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST /write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nd00000\r\n", 401},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nd00000\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nyes\r\n", 400},
        {"POST /echo HTTP/2.0\r\nHost: localhost\r\nContent-Length: 13631488\r\n\r\n", 505},
    };
    struct fixture f;
    struct reply r = {0};
    char *bytes = malloc(LARGE);
    memset(bytes, 'x', LARGE);
    fixture_open(&f, NULL, DOUBLE_KEY, NULL, NULL);
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_told(f.port, cases[i].head, bytes, cases[i].status, &r);
    assert_int_equal(atomic_load(&double_executed), 0);
    fixture_close(&f);
    reply_clear(&r);
    free(bytes);
}

static void who_is_told_that_it_is_late_may_send_on_and_read(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"header_timeout_seconds", "1", "body_timeout_seconds", "1", NULL};
    static const char *const starts[] = {"GET /fast HTTP/1.1\r\nHost: localhost\r\nX: ",
                                         "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\nabc"};
    static char bytes[300000];
    struct fixture f;
    struct client c[2];
    struct reply r = {0};
    memset(bytes, 'x', sizeof bytes);
    fixture_open(&f, settings, NULL, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        c[i] = client_with_small_buffers(f.port);
        assert_true(client_send_text(&c[i], starts[i]));
    }
    for (size_t i = 0; i < 2; i++) {
        char first;
        while (recv(c[i].fd, &first, 1, MSG_PEEK) != 1) /* it is there, and not read */
            ;
        assert_true(client_send(&c[i], bytes, sizeof bytes, 5));
        if (!client_receive(&c[i], false, 5, &r) || r.status != 408)
            fail_msg("client %zu: got %d, expected 408", i, r.status);
        client_close(&c[i]);
    }
    reply_clear(&r);
    fixture_close(&f);
}

static void a_stop_does_not_wait_for_who_is_read_out(void **state)
{
    UNUSED(state);
    static char bytes[100000];
    struct fixture f;
    struct reply r = {0};
    fixture_open(&f, NULL, DOUBLE_KEY, NULL, NULL);
    struct client c = client_to(f.port);
    assert_true(client_connect(&c));
    assert_true(client_send_text(&c, "POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13631488\r\n\r\n"));
    assert_true(client_receive(&c, false, 5, &r));
    assert_int_equal(r.status, 401);
    assert_true(client_send(&c, bytes, sizeof bytes, 5));
    fixture_close(&f);
    while (send(c.fd, bytes, 1, MSG_NOSIGNAL) == 1) /* reset, for nobody reads any more */
        usleep(1000);
    reply_clear(&r);
    client_close(&c);
}

/* ---- the thread itself ---- */

static size_t descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void make_pair(int pair[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(pair[0], (struct sockaddr *)&at, len), 0);
    pair[1] = accept(listener, NULL, NULL);
    close(listener);
}

/* Nobody has it open any more: what is sent is answered by a reset. */
static bool is_reset(int fd)
{
    return send(fd, "x", 1, MSG_NOSIGNAL) < 0;
}

static void the_oldest_makes_room_and_all_are_closed_in_the_end(void **state)
{
    UNUSED(state);
    enum { MORE = 5 };
    int pairs[LINGER_MOST + MORE][2];
    struct err e = {0};
    size_t before = descriptors();
    struct lingerer *l = lingerer_new(&e);
    assert_non_null(l);
    for (size_t i = 0; i < COUNT(pairs); i++) {
        make_pair(pairs[i]);
        lingerer_take(l, pairs[i][1]);
        close(pairs[i][1]);
    }
    for (size_t i = 0; i < MORE; i++)
        assert_true(t_wait(2, is_reset(pairs[i][0])));
    (void)is_reset(pairs[COUNT(pairs) - 1][0]);
    usleep(50000);
    assert_false(is_reset(pairs[COUNT(pairs) - 1][0]));
    lingerer_free(l);
    for (size_t i = MORE; i < COUNT(pairs); i++)
        assert_true(t_wait(2, is_reset(pairs[i][0])));
    for (size_t i = 0; i < COUNT(pairs); i++)
        close(pairs[i][0]);
    assert_int_equal(descriptors(), before);
}

static void who_closes_or_falls_silent_is_let_go(void **state)
{
    UNUSED(state);
    int gone[2], silent[2];
    struct err e = {0};
    struct lingerer *l = lingerer_new(&e);
    size_t before = descriptors();
    make_pair(gone);
    make_pair(silent);
    lingerer_take(l, gone[1]);
    lingerer_take(l, silent[1]);
    close(gone[1]);
    close(silent[1]);
    close(gone[0]);
    assert_true(t_wait(2, descriptors() <= before + 2)); /* the silent one's two ends are left */
    assert_int_equal(descriptors(), before + 2);
    assert_true(t_wait(10, descriptors() <= before + 1));
    assert_int_equal(descriptors(), before + 1);
    close(silent[0]);
    lingerer_free(l);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_at_the_head_of_13_mb_is_read_by_who_sends_them_first),
        cmocka_unit_test(who_is_told_that_it_is_late_may_send_on_and_read),
        cmocka_unit_test(a_stop_does_not_wait_for_who_is_read_out),
        cmocka_unit_test(the_oldest_makes_room_and_all_are_closed_in_the_end),
        cmocka_unit_test(who_closes_or_falls_silent_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
