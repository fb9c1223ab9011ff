/* test_http_client.c - the command line's HTTP client against a peer that plays a script. */
#include "tests/t.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/percent.h"
#include "server/commands/http_client.h"

/* Each connection gets the next answer after each request head (and body) that arrives; NULL hangs up. */
struct peer {
    int fd;
    uint16_t port;
    const char *const *answers;
    size_t n;
    char seen[4096]; /* the last request */
    pthread_t thread;
};

static bool read_request(int fd, char *out, size_t size)
{
    size_t len = 0;
    while (len + 1 < size) {
        ssize_t n = recv(fd, out + len, size - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        out[len] = 0;
        const char *end = strstr(out, "\r\n\r\n"), *length = strstr(out, "Content-Length: ");
        if (end && (!length || strlen(end + 4) >= strtoul(length + 16, NULL, 10)))
            return true;
    }
    return false;
}

static void *play(void *arg)
{
    struct peer *p = arg;
    int c = -1;
    for (size_t i = 0; i < p->n;) {
        if (c < 0)
            c = accept(p->fd, NULL, NULL);
        if (c < 0 || !read_request(c, p->seen, sizeof p->seen)) {
            if (c >= 0)
                close(c);
            c = -1;
            continue;
        }
        const char *answer = p->answers[i++];
        if (answer && send(c, answer, strlen(answer), MSG_NOSIGNAL) < 0)
            fail();
        if (!answer || i == p->n || strstr(answer, "close")) {
            close(c);
            c = -1;
        }
    }
    return NULL;
}

static void peer_start(struct peer *p, const char *const *answers, size_t n)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    *p = (struct peer){.answers = answers, .n = n};
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(p->fd, 8), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&a, &len), 0);
    p->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, play, p), 0);
}

static void peer_end(struct peer *p)
{
    pthread_join(p->thread, NULL);
    close(p->fd);
}

static struct http_client *client(const struct peer *p, const char *key)
{
    char url[64];
    struct err e = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", p->port);
    struct http_client *c = http_client_new(url, key, NULL, &e);
    assert_ok(c, e);
    return c;
}

static void answers_are_read_whole_over_one_connection(void **state)
{
    UNUSED(state);
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length:   2\r\n\r\n{}",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    };
    static const struct {
        int status, retry;
        const char *body;
    } want[] = {{200, 0, "hello"}, {503, 7, "{}"}, {204, 0, ""}, {201, 0, ""}};
    struct peer p;
    struct http_reply r = {0};
    struct err e = {0};
    peer_start(&p, answers, COUNT(answers));
    struct http_client *c = client(&p, "anch_k");
    for (size_t i = 0; i < COUNT(want); i++) {
        const struct http_ask q = {"PUT", "/v1/x?label=a%20b", "image/png", "abc", 3};
        assert_ok(http_client_ask(c, &q, &r, &e), e);
        assert_int_equal(r.status, want[i].status);
        assert_int_equal(r.retry_after, want[i].retry);
        assert_int_equal(r.body.len, strlen(want[i].body));
        assert_memory_equal(r.body.data ? r.body.data : "", want[i].body, r.body.len);
    }
    http_client_free(c);
    peer_end(&p);
    assert_ptr_equal(strstr(p.seen, "PUT /v1/x?label=a%20b HTTP/1.1\r\nHost: 127.0.0.1:"), p.seen);
    assert_non_null(strstr(p.seen, "\r\nAuthorization: Bearer anch_k\r\n"));
    assert_non_null(strstr(p.seen, "\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\nabc"));
    buf_clear(&r.body);
}

static void a_kept_connection_that_was_closed_is_opened_again(void **state)
{
    UNUSED(state);
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        NULL, /* hangs up instead of answering */
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc",
    };
    struct peer p;
    struct http_reply r = {0};
    struct err e = {0};
    peer_start(&p, answers, COUNT(answers));
    struct http_client *c = client(&p, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(http_client_ask(c, &(struct http_ask){.method = "GET", .target = "/"}, &r, &e), e);
        assert_int_equal(r.body.data[0], "abc"[i]);
    }
    http_client_free(c);
    peer_end(&p);
    buf_clear(&r.body);
}

static void improper_answers_are_errors(void **state)
{
    UNUSED(state);
    static const char *const bad[] = {
        "",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nno length",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 20",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct peer p;
        struct http_reply r = {0};
        struct err e;
        peer_start(&p, &bad[i], 1);
        struct http_client *c = client(&p, NULL);
        assert_err(http_client_ask(c, &(struct http_ask){.method = "GET", .target = "/"}, &r, &e), e, ERR_IO);
        http_client_free(c);
        peer_end(&p);
        buf_clear(&r.body);
    }
}

static void a_port_where_nobody_listens_is_named(void **state)
{
    UNUSED(state);
    struct peer p;
    struct http_reply r = {0};
    struct err e;
    peer_start(&p, NULL, 0);
    struct http_client *c = client(&p, NULL);
    peer_end(&p);
    assert_err(http_client_ask(c, &(struct http_ask){.method = "GET", .target = "/"}, &r, &e), e, ERR_IO);
    assert_non_null(strstr(e.text, "127.0.0.1"));
    http_client_free(c);
}

static void only_addresses_of_http_are_taken(void **state)
{
    UNUSED(state);
    static const char *const good[] = {"http://localhost",    "http://localhost/", "http://[::1]:8080",  "http://[::1]",
                                       "http://10.0.0.1:80/", "https://localhost", "https://[::1]:8443/"};
    static const char *const bad[] = {"ftp://localhost", "localhost:8080", "http://",           "http:///x",
                                      "http://h/path",   "http://[::1",    "http://h:123456789"};
    struct err e = {0};
    for (size_t i = 0; i < COUNT(good); i++) {
        struct http_client *c = http_client_new(good[i], NULL, NULL, &e);
        assert_ok(c, e);
        http_client_free(c);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_err(http_client_new(bad[i], NULL, NULL, &e), e, ERR_BAD_INPUT);
}

static void text_is_encoded_so_that_it_decodes_again(void **state)
{
    UNUSED(state);
    static const char text[] = "a b/c?d=\xc3\xa4&%+~.-_\x01";
    struct buf b = {0};
    char back[64];
    percent_encode(text, &b);
    assert_string_equal(b.data, "a%20b%2Fc%3Fd%3D%C3%A4%26%25%2B~.-_%01");
    assert_true(percent_decode(b.data, b.len, back));
    assert_string_equal(back, text);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_whole_over_one_connection),
        cmocka_unit_test(a_kept_connection_that_was_closed_is_opened_again),
        cmocka_unit_test(improper_answers_are_errors),
        cmocka_unit_test(a_port_where_nobody_listens_is_named),
        cmocka_unit_test(only_addresses_of_http_are_taken),
        cmocka_unit_test(text_is_encoded_so_that_it_decodes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
