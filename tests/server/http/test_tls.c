/* test_tls.c - the listeners with a certificate: TLS 1.2 and 1.3 are spoken, older and plain text are not. */
#include "tests/t.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <sys/socket.h>

#include "tests/lib/certificates.h"
#include "tests/lib/http_double.h"

static void must(int code)
{
    if (code < 0)
        fail_msg("gnutls: %s", gnutls_strerror(code));
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* All of it, in as many records as it takes. */
static void send_all(gnutls_session_t session, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = gnutls_record_send(session, bytes, n);
        must((int)sent);
        bytes += sent;
        n -= (size_t)sent;
    }
}

/* Sends a request over TLS; false when no handshake comes about.  All that comes back is left in `answer`. */
static bool ask_over_tls(uint16_t port, const char *priorities, const char *request, char *answer, size_t size)
{
    gnutls_certificate_credentials_t any;
    gnutls_session_t session;
    size_t n = 0;
    int fd = connect_to(port), code;
    must(gnutls_certificate_allocate_credentials(&any));
    must(gnutls_init(&session, GNUTLS_CLIENT));
    must(gnutls_priority_set_direct(session, priorities, NULL));
    must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, any));
    gnutls_transport_set_int(session, fd);
    gnutls_handshake_set_timeout(session, (unsigned)(1000 * t_patience(5)));
    do
        code = gnutls_handshake(session);
    while (code < 0 && !gnutls_error_is_fatal(code));
    if (code == 0) {
        send_all(session, request, strlen(request));
        ssize_t got = 0;
        while (n + 1 < size && (got = gnutls_record_recv(session, answer + n, size - 1 - n)) > 0)
            n += (size_t)got;
        answer[n] = 0;
        if (got < 0 && got != GNUTLS_E_PREMATURE_TERMINATION) /* plain text among the records, for one */
            fail_msg("gnutls: %s", gnutls_strerror((int)got));
    }
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(any);
    close(fd);
    return code == 0;
}

static const char fast[] = "GET /fast HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

static void modern_tls_is_spoken_and_nothing_else(void **state)
{
    UNUSED(state);
    static struct pem pem;
    struct fixture f;
    char answer[4096];
    certificate_make("localhost", &pem);
    fixture_open(&f, NULL, NULL, pem.cert, pem.key);
    static const char *const spoken[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"};
    for (size_t i = 0; i < COUNT(spoken); i++) {
        assert_true(ask_over_tls(f.port, spoken[i], fast, answer, sizeof answer));
        assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
        assert_non_null(strstr(answer, "\r\n\r\n/fast"));
    }
    assert_false(ask_over_tls(f.port, "NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT", fast, answer, sizeof answer));
    struct client plain = client_to(f.port);
    struct reply r = {0};
    assert_true(client_connect(&plain) && client_send_text(&plain, "GET /fast HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    client_receive(&plain, false, 5, &r);
    assert_int_equal(r.status, 0);
    reply_clear(&r);
    client_close(&plain);
    fixture_close(&f);
}

static void refusals_are_encrypted_too_and_who_is_late_is_cut(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"header_timeout_seconds", "1", NULL};
    static struct pem pem;
    static char answer[8192];
    struct fixture f;
    certificate_make("localhost", &pem);
    fixture_open(&f, settings, NULL, pem.cert, pem.key);
    assert_true(ask_over_tls(f.port, "NORMAL", "GET /fast HTTP/2.0\r\nHost: localhost\r\n\r\n", answer, sizeof answer));
    assert_int_equal(strncmp(answer, "HTTP/1.1 505", 12), 0);
    assert_non_null(strstr(answer, "{\"error\":{\"message\":"));
    assert_true(ask_over_tls(f.port, "NORMAL", "GET /fast HTTP/1.1\r\nHost: localhost\r\nX: ", answer, sizeof answer));
    assert_string_equal(answer, "");
    fixture_close(&f);
}

static void a_key_of_another_certificate_is_refused_at_the_start(void **state)
{
    UNUSED(state);
    static struct pem one, other;
    struct err e = {0};
    struct conf conf;
    int sockets[2] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0)};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(listen(sockets[i], 5), 0);
    certificate_make("localhost", &one);
    certificate_make("localhost", &other);
    conf_init(&conf);
    struct http_options o = {
        .conf = &conf, .sockets = {sockets[0], sockets[1]}, .tls_cert = one.cert, .tls_key = other.key};
    assert_null(http_new(&o, &e));
    assert_int_equal(e.code, ERR_BAD_INPUT);
    assert_non_null(strstr(e.text, "certificate"));
    conf_clear(&conf);
}

static void a_refusal_at_the_head_of_a_large_body_is_read_by_who_sends_it_first(void **state)
{
    UNUSED(state);
    enum { LARGE = 5 << 20 };
    static const char *const heads[] = {
        "POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5242880\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5242880\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n500000\r\n",
    };
    static const char *const starts[] = {"HTTP/1.1 401", "HTTP/1.1 413", "HTTP/1.1 413"};
    static struct pem pem;
    static char answer[8192];
    struct fixture f;
    certificate_make("localhost", &pem);
    fixture_open(&f, NULL, DOUBLE_KEY, pem.cert, pem.key);
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct buf request = {0};
        buf_text(&request, heads[i]);
        buf_reserve(&request, LARGE);
        memset(request.data + request.len, 'x', LARGE);
        request.len += LARGE;
        request.data[request.len] = 0;
        if (i == 2)
            buf_text(&request, "\r\n0\r\n\r\n");
        assert_true(ask_over_tls(f.port, "NORMAL", request.data, answer, sizeof answer));
        if (strncmp(answer, starts[i], 12) != 0)
            fail_msg("%s: %.60s", starts[i], answer);
        buf_clear(&request);
    }
    fixture_close(&f);
}

/* Whoever sends chunks without end learns in their middle that they are too many. */
static void a_body_far_over_its_limit_is_refused_before_it_ends(void **state)
{
    UNUSED(state);
    enum { CHUNK = 64 << 10, CHUNKS = 40 };
    static struct pem pem;
    static char answer[8192];
    struct buf request = {0};
    struct fixture f;
    certificate_make("localhost", &pem);
    fixture_open(&f, NULL, NULL, pem.cert, pem.key);
    buf_text(&request, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < CHUNKS; i++) {
        buf_text(&request, "10000\r\n");
        buf_reserve(&request, CHUNK);
        memset(request.data + request.len, 'x', CHUNK);
        request.len += CHUNK;
        buf_text(&request, "\r\n");
    }
    assert_true(ask_over_tls(f.port, "NORMAL", request.data, answer, sizeof answer));
    if (strncmp(answer, "HTTP/1.1 413", 12) != 0)
        fail_msg("%.60s", answer);
    assert_non_null(strstr(answer, "the body has more than 700000 bytes"));
    buf_clear(&request);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modern_tls_is_spoken_and_nothing_else),
        cmocka_unit_test(a_refusal_at_the_head_of_a_large_body_is_read_by_who_sends_it_first),
        cmocka_unit_test(a_body_far_over_its_limit_is_refused_before_it_ends),
        cmocka_unit_test(refusals_are_encrypted_too_and_who_is_late_is_cut),
        cmocka_unit_test(a_key_of_another_certificate_is_refused_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
