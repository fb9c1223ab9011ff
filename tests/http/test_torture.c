/* test_torture.c - HTTP that no decent client sends: what goes in, what comes out, and that the server lives on.
 *
 * Each row of the table is one connection (tests/lib/probe.h).  The path /smuggled stands for a request that hides
 * behind another; the access log must never have seen it.
 */
#include "tests/t.h"

#include "base/clock.h"
#include "base/rng.h"
#include "tests/lib/expect.h"
#include "tests/lib/probe.h"
#include "tests/lib/results_table.h"

#define COUNT_URL "/v1/collections/default/images/count"
#define HOST      "Host: localhost\r\n"
#define JSON      "Content-Type: application/json\r\n"
#define POST      "POST " COUNT_URL " HTTP/1.1\r\n" HOST JSON
#define HIDDEN    "GET /smuggled HTTP/1.1\r\n" HOST "\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static struct server server;

struct case_ {
    const char *what, *pattern, *bytes;
};

static const struct case_ framing[] = {
    {"a decent request", "200", POST "Content-Length: 2\r\n\r\n{}"},
    {"a decent chunked request", "200", POST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
    {"two pipelined requests", "200 200", GET("/healthz") GET("/healthz")},
    {"Content-Length and Transfer-Encoding", "400 close",
     POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"Transfer-Encoding and Content-Length", "400 close",
     POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" HIDDEN},
    {"two Content-Lengths that differ", "400 close", POST "Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}" HIDDEN},
    {"two equal Content-Lengths", "400 close", POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" HIDDEN},
    {"a space before the colon of Transfer-Encoding", "400 close",
     POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"a space before the colon of Content-Length", "400 close", POST "Content-Length : 52\r\n\r\n" HIDDEN},
    {"Transfer-Encoding: identity", "400 close", POST "Transfer-Encoding: identity\r\n\r\n{}" HIDDEN},
    {"Transfer-Encoding: gzip, chunked", "400 close", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"Transfer-Encoding: xchunked", "400 close", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"Transfer-Encoding: chunked, chunked", "400 close",
     POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"Transfer-Encoding twice", "400 close",
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" HIDDEN},
    {"Transfer-Encoding: \\vchunked", "400 close", POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"Transfer-Encoding: \"chunked\"", "400 close", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" HIDDEN},
    {"HTTP/1.0 with Transfer-Encoding", "400 close",
     "POST " COUNT_URL " HTTP/1.0\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
    {"Content-Length: -1", "4xx close", POST "Content-Length: -1\r\n\r\n"},
    {"Content-Length: +3", "4xx close", POST "Content-Length: +2\r\n\r\n{}"},
    {"Content-Length: 0x3", "4xx close", POST "Content-Length: 0x2\r\n\r\n{}"},
    {"Content-Length empty", "4xx close", POST "Content-Length: \r\n\r\n"},
    {"Content-Length: 3, 3", "4xx close", POST "Content-Length: 2, 2\r\n\r\n{}"},
    {"Content-Length: 1e3", "4xx close", POST "Content-Length: 1e3\r\n\r\n{}"},
    {"Content-Length: 2^64", "4xx close", POST "Content-Length: 18446744073709551616\r\n\r\n"},
    {"Content-Length: 2^64 - 1", "4xx close", POST "Content-Length: 18446744073709551615\r\n\r\n"},
    {"Content-Length: 2^63", "4xx close", POST "Content-Length: 9223372036854775808\r\n\r\n"},
    {"chunk size -1", "4xx close", POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n"},
    {"chunk size 0x3", "4xx close", POST "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n"},
    {"chunk size of 17 digits", "4xx close", POST "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}"},
    {"a chunk without its CRLF", "4xx close", POST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n"},
    {"a body where the route takes none", "4xx close?",
     "GET /healthz HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"},
};

static const struct case_ heads[] = {
    {"no Host", "400 close", "GET /healthz HTTP/1.1\r\n\r\n"},
    {"two Hosts", "400 close", "GET /healthz HTTP/1.1\r\n" HOST HOST "\r\n"},
    {"a foreign Host", "403/421 close?", "GET /v1/models HTTP/1.1\r\nHost: rebound.example\r\n\r\n"},
    {"two Authorizations", "400 close",
     "GET /healthz HTTP/1.1\r\n" HOST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"},
    {"two Content-Types", "400 close", POST JSON "Content-Length: 2\r\n\r\n{}"},
    {"a header name with a space", "400 close", "GET /healthz HTTP/1.1\r\n" HOST "X Y: 1\r\n\r\n"},
    {"a header name with a control character", "400 close", "GET /healthz HTTP/1.1\r\n" HOST "X\x01Y: 1\r\n\r\n"},
    {"a header name with 0x80", "400 close", "GET /healthz HTTP/1.1\r\n" HOST "X\x80Y: 1\r\n\r\n"},
    {"an empty header name", "400 close", "GET /healthz HTTP/1.1\r\n" HOST ": 1\r\n\r\n"},
    {"a header line without a colon", "400 close", "GET /healthz HTTP/1.1\r\n" HOST "nothing\r\n\r\n"},
    {"a bare CR in a header value", "400 close", "GET /healthz HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n"},
    {"ESC in a header value", "400 close", "GET /healthz HTTP/1.1\r\n" HOST "X: a\x1b[31m\r\n\r\n"},
    {"HTTP/1.9", "505 close", "GET /healthz HTTP/1.9\r\n" HOST "\r\n"},
    {"HTTP/2.0", "505 close", "GET /healthz HTTP/2.0\r\n" HOST "\r\n"},
    {"HTTP/1.0 with Host", "200 close", "GET /healthz HTTP/1.0\r\n" HOST "\r\n"},
    {"CONNECT", "400/404/405/501 close?", "CONNECT localhost:80 HTTP/1.1\r\n" HOST "\r\n"},
    {"TRACE", "405 close?", "TRACE /healthz HTTP/1.1\r\n" HOST "\r\n"},
    {"get in small letters", "405/501 close?", "get /healthz HTTP/1.1\r\n" HOST "\r\n"},
    {"FOO", "405/501 close?", "FOO /healthz HTTP/1.1\r\n" HOST "\r\n"},
    {"OPTIONS *", "204/400/404/405 close?", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"},
    {"DELETE where only GET is", "405 close?", "DELETE /healthz HTTP/1.1\r\n" HOST "\r\n"},
    {"an absolute-form target", "400/404/421 close?", "GET http://localhost/healthz HTTP/1.1\r\n" HOST "\r\n"},
    {"a space in the target", "400 close", "GET /health z HTTP/1.1\r\n" HOST "\r\n"},
    {"%00 in an id", "400/404 close?", GET("/v1/collections/default/images/a%00b")},
    {"%00 in a fixed part", "400/404 close?", GET("/healthz%00")},
    {"%zz in an id", "400/404 close?", GET("/v1/collections/default/images/%zz")},
    {"a cut off %", "400/404 close?", GET("/v1/collections/default/images/%2")},
    {"%zz in a query", "400 close?", GET("/v1/collections/default/images?after=%zz")},
    {"../ in the path", "400/404 close?", GET("/v1/../../../../etc/passwd")},
    {"%2e%2e%2f as an id", "400/404 close?", GET("/v1/collections/default/images/%2e%2e%2fanchord.db")},
    {"..%2f..%2f in the path", "400/404 close?", GET("/..%2f..%2fetc%2fpasswd")},
    {"an overlong UTF-8 dot", "400/404 close?", GET("/v1/collections/default/images/%c0%ae%c0%ae")},
    {"an id that begins with a dot", "400/404", GET("/v1/collections/default/images/.hidden")},
    {"UTF-8 in an id", "400/404", GET("/v1/collections/default/images/%c3%a9")},
    {"an unknown query parameter", "400", GET("/v1/collections/default/images?limitt=3")},
    {"a query parameter twice", "400", GET("/v1/collections/default/images?limit=3&limit=4")},
    {"Expect: 100-continue", "200", POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"},
    {"Expect: something else", "417 close?", POST "Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}"},
    {"Content-Length over the limit", "413 close", POST "Content-Length: 99999999999\r\n\r\n{}"},
    {"Content-Encoding: gzip", "415 close?", POST "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"},
    {"an Authorization in a trailer changes nothing", "200",
     POST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"},
    {"h2 preface", "505 close", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    {"an SSH banner", "400 close", "SSH-2.0-OpenSSH_9.2\r\n"},
};

static int start(void **state)
{
    static const char *const env[] = {"ANCHORD_HEADER_TIMEOUT_SECONDS=2",  "ANCHORD_BODY_TIMEOUT_SECONDS=2",
                                      "ANCHORD_MAX_BODY_BYTES=1048576",    "ANCHORD_MAX_JSON_BYTES=1048576",
                                      "ASAN_OPTIONS=quarantine_size_mb=4", NULL}; /* else freed memory stays resident */
    UNUSED(state);
    expect_start(&server, &(struct server_options){.env = env});
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    expect_stop(&server);
    return 0;
}

static void run_table(const char *heading, const struct case_ *list, size_t n)
{
    int before = results_bad();
    result_section(heading);
    for (size_t i = 0; i < n; i++)
        probe_text(&server, list[i].what, list[i].pattern, list[i].bytes);
    assert_int_equal(server_log_count(&server, "/smuggled"), 0);
    assert_int_equal(results_bad(), before);
}

static void ambiguous_framing_is_refused_and_nothing_hides_behind_it(void **state)
{
    UNUSED(state);
    run_table("HTTP: framing", framing, COUNT(framing));
}

static void odd_request_lines_and_headers_get_a_plain_answer(void **state)
{
    UNUSED(state);
    run_table("HTTP: request line and headers", heads, COUNT(heads));
}

/* ---- requests that are made rather than written down ---- */

static void fill(struct buf *b, char byte, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(b, byte);
}

static void probe_buf(const char *what, const char *pattern, struct buf *b, double max_s)
{
    probe_raw(&server, what, pattern, b->data, b->len, max_s);
    buf_clear(b);
}

static void big_header(size_t bytes, const char *what, const char *pattern)
{
    struct buf b = {0};
    buf_text(&b, "GET /healthz HTTP/1.1\r\n" HOST "X: ");
    fill(&b, 'a', bytes);
    buf_text(&b, "\r\n\r\n");
    probe_buf(what, pattern, &b, 1);
}

static void many_headers(size_t n, const char *what, const char *pattern)
{
    struct buf b = {0};
    buf_text(&b, "GET /healthz HTTP/1.1\r\n" HOST);
    for (size_t i = 0; i < n; i++)
        buf_print(&b, "X%zu: 1\r\n", i);
    buf_text(&b, "\r\n");
    probe_buf(what, pattern, &b, 1);
}

static void long_path(size_t bytes, const char *what, const char *pattern)
{
    struct buf b = {0};
    buf_text(&b, "GET /v1/collections/default/images/");
    fill(&b, 'a', bytes);
    buf_text(&b, " HTTP/1.1\r\n" HOST "\r\n");
    probe_buf(what, pattern, &b, 1);
}

static void many_arguments(size_t n, const char *what, const char *pattern)
{
    struct buf b = {0};
    buf_text(&b, "GET /v1/models?a=1");
    for (size_t i = 1; i < n; i++)
        buf_text(&b, "&a=1");
    buf_text(&b, " HTTP/1.1\r\n" HOST "\r\n");
    probe_buf(what, pattern, &b, 1);
}

static void large_requests_end_within_their_deadline(void **state)
{
    UNUSED(state);
    int before = results_bad();
    result_section("HTTP: large heads");
    big_header(20 * 1024, "a header of 20 KB", "200");
    big_header(40 * 1024, "a header of 40 KB", "431/400 close");
    many_headers(200, "200 headers", "200");
    many_headers(5000, "5,000 headers", "431/400 close");
    long_path(129, "an id of 129 characters", "400/404 close?");
    long_path(8 * 1024, "an id of 8 KB", "400/404/414 close?");
    long_path(40 * 1024, "a target of 40 KB", "414/400 close");
    many_arguments(400, "400 query arguments", "400 close?");
    many_arguments(5000, "5,000 query arguments", "431 close");
    assert_int_equal(results_bad(), before);
}

static void chunks(size_t n, size_t each, const char *what, const char *pattern)
{
    struct buf b = {0};
    buf_text(&b, POST "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < n; i++) {
        buf_print(&b, "%zx\r\n", each);
        fill(&b, ' ', each);
        buf_text(&b, "\r\n");
    }
    buf_text(&b, "2\r\n{}\r\n0\r\n\r\n");
    probe_buf(what, pattern, &b, 3);
}

static void odd_chunks_are_read_or_refused(void **state)
{
    UNUSED(state);
    int before = results_bad();
    struct buf b = {0};
    result_section("HTTP: chunks");
    chunks(100000, 1, "100,000 chunks of one byte", "200");
    chunks(6, 256 * 1024, "a chunked body of 1.5 MB where 1 MB is the limit", "413 close");
    chunks(200, 64 * 1024, "a chunked body of 13 MB where 1 MB is the limit", "413/close close?");
    buf_text(&b, POST "Transfer-Encoding: chunked\r\n\r\n2;x=");
    fill(&b, 'a', 40 * 1024);
    buf_text(&b, "\r\n{}\r\n0\r\n\r\n");
    probe_buf("a chunk extension of 40 KB", "413 close", &b, 1);
    assert_int_equal(results_bad(), before);
}

static void what_is_no_http_is_dropped(void **state)
{
    UNUSED(state);
    int before = results_bad();
    struct buf b = {0};
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    result_section("HTTP: other protocols and noise");
    buf_add(&b, hello, sizeof hello - 1);
    fill(&b, 0, 500);
    probe_buf("a TLS ClientHello on the plain port", "400 close", &b, 4);
    fill(&b, 'A', 64 * 1024);
    probe_buf("64 KB of A", "414 close", &b, 4);
    buf_text(&b, "GET /healthz HTTP/1.1\r\n" HOST "X: a");
    buf_char(&b, 0);
    buf_text(&b, "b\r\n\r\n");
    probe_buf("NUL in a header value", "400 close", &b, 1);
    buf_text(&b, POST "X-A: b\r\n Content-Length: 40\r\nContent-Length: 2\r\n\r\n{}" HIDDEN);
    probe_buf("a folded header line that hides a Content-Length", "400 close", &b, 1);
    assert_int_equal(results_bad(), before);
}

/* ---- order, ends, and noise in bulk ---- */

static void answers_on_one_connection_keep_their_order(void **state)
{
    UNUSED(state);
    enum { N = 100 };
    struct client c = client_to(server.port);
    struct reply r = {0};
    struct buf b = {0};
    for (int i = 0; i < N; i++)
        buf_print(&b, "GET /v1/models?x%d=1 HTTP/1.1\r\n" HOST "\r\n", i);
    assert_true(client_connect(&c));
    assert_true(client_send(&c, b.data, b.len, 10));
    for (int i = 0; i < N; i++) {
        char want[16];
        snprintf(want, sizeof want, "\"x%d\"", i);
        assert_true(client_receive(&c, false, 5, &r));
        assert_int_equal(r.status, 400);
        if (!strstr(r.body.data, want))
            fail_msg("answer %d does not name %s: %s", i, want, r.body.data);
    }
    client_close(&c);
    buf_clear(&b);
    reply_clear(&r);
}

static void a_kept_connection_serves_thousands_of_requests(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    struct reply r = {0};
    assert_true(client_connect(&c));
    int fd = c.fd;
    for (int i = 0; i < 3000; i++) {
        assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = "/healthz"}, &r));
        assert_int_equal(r.status, 200);
        assert_int_equal(c.fd, fd);
    }
    client_close(&c);
    reply_clear(&r);
}

static void a_client_that_leaves_in_the_middle_leaves_nothing_behind(void **state)
{
    UNUSED(state);
    static const char *const parts[] = {"GET /heal", POST "Content-Le", POST "Content-Length: 1000\r\n\r\n{",
                                        POST "Transfer-Encoding: chunked\r\n\r\n5\r\n{"};
    struct client warm = client_to(server.port);
    expect_status(&warm, 200, &(struct ask){.method = "GET", .target = "/healthz"});
    client_close(&warm);
    usleep(100000);
    size_t fds = server_fds(&server), rss = server_rss(&server);
    for (size_t i = 0; i < 1000; i++) {
        struct client c = client_to(server.port);
        assert_true(client_connect(&c));
        assert_true(client_send_text(&c, parts[i % COUNT(parts)]));
        if (i % 3 == 0)
            client_half_close(&c);
        if (i % 3 == 1)
            client_close(&c);
        else
            client_reset(&c);
    }
    (void)t_wait(6, server_fds(&server) <= fds);
    size_t grown = server_rss(&server) > rss ? (server_rss(&server) - rss) >> 20 : 0;
    result_section("HTTP: clients that leave");
    result_row(server_fds(&server) <= fds && grown <= 16 * T_BULKIER,
               "1,000 connections cut in the middle of a request", "descriptors as before, under 16 MB more",
               "%zu descriptors, before %zu; %zu MB more", server_fds(&server), fds, grown);
    assert_int_equal(server_fds(&server), fds);
    assert_true(grown <= 16 * T_BULKIER);
}

static void half_a_connection_still_gets_its_answer(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    struct reply r = {0};
    assert_true(client_connect(&c));
    assert_true(client_send_text(&c, GET("/v1/models")));
    client_half_close(&c);
    bool answered = client_receive(&c, false, 3, &r);
    result_row(answered && r.status == 200, "the sending half closed after a whole request", "200", "%d", r.status);
    assert_int_equal(r.status, 200);
    client_close(&c);
    reply_clear(&r);
}

/* Flips, drops, doubles and swaps bytes of a decent request. */
static void mutate(struct buf *b, struct rng *rng)
{
    for (uint64_t n = 1 + rng_below(rng, 4); n > 0 && b->len > 2; n--) {
        size_t at = (size_t)rng_below(rng, b->len - 1);
        switch (rng_below(rng, 4)) {
        case 0: b->data[at] = (char)rng_below(rng, 256); break;
        case 1:
            memmove(b->data + at, b->data + at + 1, b->len - at);
            b->len--;
            break;
        case 2:
            buf_char(b, ' ');
            memmove(b->data + at + 1, b->data + at, b->len - at - 1);
            break;
        default: b->data[at] ^= (char)(1 << rng_below(rng, 8));
        }
    }
}

static void mutated_requests_crash_nothing(void **state)
{
    UNUSED(state);
    enum { N = 3000 };
    static const char *const seeds[] = {GET("/healthz"), POST "Content-Length: 2\r\n\r\n{}",
                                        POST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                                        GET("/v1/collections/default/images?limit=3&after=a%20b")};
    const char *set = getenv("SEED");
    uint64_t seed = set ? strtoull(set, NULL, 10) : (uint64_t)clock_ns();
    struct rng rng = rng_new(seed);
    size_t answered = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < N; i++) {
        struct client c = client_to(server.port);
        struct reply r = {0};
        struct buf b = {0};
        buf_text(&b, seeds[i % COUNT(seeds)]);
        mutate(&b, &rng);
        assert_true(client_connect(&c));
        client_send(&c, b.data, b.len, 1);
        client_half_close(&c);
        client_receive(&c, false, 0.05, &r);
        answered += r.status != 0;
        client_close(&c);
        reply_clear(&r);
        buf_clear(&b);
    }
    assert_true(server_alive(&server));
    result_section("HTTP: mutated requests");
    result_row(true, "3,000 requests with one to four bytes changed", "the process lives", "%zu answered", answered);
    struct client c = client_to(server.port);
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/healthz"});
    client_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ambiguous_framing_is_refused_and_nothing_hides_behind_it),
        cmocka_unit_test(odd_request_lines_and_headers_get_a_plain_answer),
        cmocka_unit_test(large_requests_end_within_their_deadline),
        cmocka_unit_test(odd_chunks_are_read_or_refused),
        cmocka_unit_test(what_is_no_http_is_dropped),
        cmocka_unit_test(answers_on_one_connection_keep_their_order),
        cmocka_unit_test(a_kept_connection_serves_thousands_of_requests),
        cmocka_unit_test(a_client_that_leaves_in_the_middle_leaves_nothing_behind),
        cmocka_unit_test(half_a_connection_still_gets_its_answer),
        cmocka_unit_test(mutated_requests_crash_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
