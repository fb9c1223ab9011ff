/* test_requests.c - a corpus of requests that different parsers read differently: ways to write a length, a coding, a
 * chunk, a request line, a header field.  What can be read in two ways is refused, and what lies behind it is never
 * taken for a request of its own.
 *
 * Each table names the few forms that are right.
 */
#include "tests/t.h"

#include "tests/lib/expect.h"
#include "tests/lib/probe.h"
#include "tests/lib/results_table.h"

#define COUNT_URL "/v1/collections/default/images/count"
#define HOST      "Host: localhost\r\n"
#define POST      "POST " COUNT_URL " HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n"
#define HIDDEN    "GET /smuggled HTTP/1.1\r\n" HOST "\r\n"

static struct server server;

static int start(void **state)
{
    static const char *const env[] = {"ANCHORD_HEADER_TIMEOUT_SECONDS=1", "ANCHORD_BODY_TIMEOUT_SECONDS=1", NULL};
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

struct form {
    const char *text, *pattern; /* pattern NULL: refused, and the connection closed */
    size_t len;                 /* of text; 0: up to its NUL */
};

static const char *printable(const char *text, size_t n, char out[80])
{
    char *p = out;
    for (size_t i = 0; i < n && p < out + 70; i++)
        p += sprintf(p,
                     text[i] >= 32 && text[i] < 127 ? "%c"
                     : text[i] == '\r'              ? "\\r"
                     : text[i] == '\n'              ? "\\n"
                                                    : "<%02x>",
                     (unsigned char)text[i]);
    *p = 0;
    return out;
}

/* before + form + after, each as a connection of its own. */
static void run(const char *heading, const char *before, const struct form *forms, size_t n, const char *after)
{
    int bad = results_bad();
    char what[80];
    result_section(heading);
    for (size_t i = 0; i < n; i++) {
        struct buf b = {0};
        size_t len = forms[i].len ? forms[i].len : strlen(forms[i].text);
        buf_text(&b, before);
        buf_add(&b, forms[i].text, len);
        buf_text(&b, after);
        probe_raw(&server, printable(forms[i].text, len, what),
                  forms[i].pattern ? forms[i].pattern : "400/413/501/505 close", b.data, b.len, 2);
        buf_clear(&b);
    }
    assert_int_equal(server_log_count(&server, "/smuggled"), 0);
    assert_int_equal(results_bad(), bad);
}

#define RUN(heading, before, forms, after) run(heading, before, forms, COUNT(forms), after)

static void a_length_is_digits_and_nothing_else(void **state)
{
    UNUSED(state);
    static const struct form forms[] = {
        {.text = "+2"},
        {.text = "-2"},
        {.text = "-0"},
        {.text = "0x2"},
        {.text = "2x"},
        {.text = "x2"},
        {.text = "2.0"},
        {.text = "2,2"},
        {.text = "2, 2"},
        {.text = "2;2"},
        {.text = "2 2"},
        {.text = "\"2\""},
        {.text = "2e0"},
        {.text = "1e1"},
        {.text = "\xd9\xa2"},
        {.text = "\xef\xbc\x92"},
        {.text = "2\v"},
        {.text = "\v2"},
        {.text = "2\f"},
        {.text = "2\r"},
        {.text = ""},
        {.text = "NaN"},
        {.text = "two"},
        {.text = "0b10"},
        {.text = "0o2"},
        {.text = "9223372036854775807"},
        {.text = "9223372036854775808"},
        {.text = "18446744073709551615"},
        {.text = "18446744073709551618"},
        {.text = "340282366920938463463374607431768211458"},
        {.text = "4294967298"},
        {.text = "99999999999"},
    };
    RUN("Requests: Content-Length", POST "Content-Length: ", forms, "\r\n\r\n{}" HIDDEN);
}

static void two_lengths_or_a_length_beside_chunks_are_refused(void **state)
{
    UNUSED(state);
    static const struct form forms[] = {
        {.text = "Content-Length: 2\r\nContent-Length: 2"},
        {.text = "Content-Length: 2\r\nContent-Length: 60"},
        {.text = "Content-Length: 60\r\nContent-Length: 2"},
        {.text = "Content-Length: 2\r\nContent-length: 2"},
        {.text = "CONTENT-LENGTH: 2\r\ncontent-length: 2"},
        {.text = "Content-Length: 2\r\nX: 1\r\nContent-Length: 3"},
        {.text = "Content-Length: 2\r\nTransfer-Encoding: chunked"},
        {.text = "Transfer-Encoding: chunked\r\nContent-Length: 2"},
        {.text = "Content-Length: 2\r\ntransfer-encoding: CHUNKED"},
        {.text = "Content-Length: 0\r\nTransfer-Encoding: chunked"},
        {.text = "Content-Length: 2\r\nTransfer-Encoding: identity"},
        {.text = "Content-Length: 2\r\nTransfer-Encoding:"},
        {.text = "Content-Length : 2"},
        {.text = "Content-Length\t: 2"},
        {.text = "Content-Length\v: 2"},
        {.text = "Content-Length: 2\r\nContent-Length : 60"},
        {.text = "Transfer-Encoding : chunked"},
        {.text = "Transfer-Encoding\t: chunked"},
        {.text = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"},
        {.text = "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"},
        {.text = "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked"},
        {.text = "Content-Length: 2\r\nTransfer-Encoding : chunked"},
        {.text = "\"Content-Length\": 2"},
        {.text = "Content-Length\xa0: 2"},
    };
    RUN("Requests: two lengths", POST, forms, "\r\n\r\n0\r\n\r\n" HIDDEN);
}

static void chunked_is_the_only_coding(void **state)
{
    UNUSED(state);
    static const struct form forms[] = {
        {.text = "identity"},
        {.text = "gzip"},
        {.text = "gzip, chunked"},
        {.text = "chunked, gzip"},
        {.text = "chunked, identity"},
        {.text = "identity, chunked"},
        {.text = "chunked, chunked"},
        {.text = "chunked;q=1"},
        {.text = "chunked; foo"},
        {.text = "chunked,"},
        {.text = ",chunked"},
        {.text = "\"chunked\""},
        {.text = "'chunked'"},
        {.text = "xchunked"},
        {.text = "chunkedx"},
        {.text = "chunke"},
        {.text = "chunked\v"},
        {.text = "\vchunked"},
        {.text = "\fchunked"},
        {.text = "chunked\x01"},
        {.text = "chunked chunked"},
        {.text = "chun ked"},
        {.text = "ch\xfcnked"},
        {.text = ""},
        {.text = "cow"},
        {.text = "compress"},
        {.text = "trailers"},
    };
    RUN("Requests: Transfer-Encoding", POST "Transfer-Encoding: ", forms, "\r\n\r\n0\r\n\r\n" HIDDEN);
}

static void a_chunk_is_a_hex_length_and_that_many_bytes(void **state)
{
    UNUSED(state);
    static const struct form right[] = {
        {.text = "2\r\n{}\r\n0\r\n\r\n", .pattern = "200"},
        {.text = "002\r\n{}\r\n0\r\n\r\n", .pattern = "200"},
        {.text = "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", .pattern = "200"},
        {.text = "2;a=b\r\n{}\r\n0\r\n\r\n", .pattern = "200"},
        {.text = "2\r\n{}\r\n0\r\nContent-Length: 60\r\n\r\n", .pattern = "200"},
        {.text = "2\r\n{}\r\n00\r\n\r\n", .pattern = "200"},
        {.text = "2\r\n{}\r\n0\r\nHost: evil.example\r\n\r\n", .pattern = "200"},
    };
    static const struct form wrong[] = {
        {.text = "-2\r\n{}\r\n0\r\n\r\n"},
        {.text = "+2\r\n{}\r\n0\r\n\r\n"},
        {.text = "0x2\r\n{}\r\n0\r\n\r\n"},
        {.text = "2x\r\n{}\r\n0\r\n\r\n"},
        {.text = "g\r\n{}\r\n0\r\n\r\n"},
        {.text = " 2\r\n{}\r\n0\r\n\r\n"},
        {.text = "\t2\r\n{}\r\n0\r\n\r\n"},
        {.text = "2,2\r\n{}\r\n0\r\n\r\n"},
        {.text = "\r\n{}\r\n0\r\n\r\n"},
        {.text = ";a\r\n{}\r\n0\r\n\r\n"},
        {.text = "2\r\n{}0\r\n\r\n"},
        {.text = "2\r\n{}xx0\r\n\r\n"},
        {.text = "2\r\n{}\r\n-0\r\n\r\n"},
        {.text = "2\r\n{}\r\n0x0\r\n\r\n"},
        {.text = "2\r\n{}\r\nx\r\n\r\n"},
        {.text = "ffffffffffffffff\r\n{}\r\n0\r\n\r\n", .pattern = "408/413 close"},
        {.text = "10000000000000002\r\n{}\r\n0\r\n\r\n"},
        {.text = "fffffffffffffffff2\r\n{}\r\n0\r\n\r\n"},
        {.text = "80000000\r\n{}", .pattern = "408/413 close"},
        {.text = "2\r\n{", .pattern = "408 close"},
        {.text = "2\r\n{}\r\n", .pattern = "408 close"},
        {.text = "2\r\n{}\r\n0\r\n", .pattern = "408 close"},
        {.text = "2", .pattern = "408 close"},
        {.text = "", .pattern = "408 close"},
    };
    RUN("Requests: chunks that are right", POST "Transfer-Encoding: chunked\r\n\r\n", right, "");
    RUN("Requests: chunks that are not", POST "Transfer-Encoding: chunked\r\n\r\n", wrong, "");
}

static void a_request_line_has_three_words(void **state)
{
    UNUSED(state);
    static const struct form forms[] = {
        {.text = "GET /healthz HTTP/1.1", .pattern = "200"},
        {.text = "\r\nGET /healthz HTTP/1.1", .pattern = "200"},
        {.text = "GET  /healthz HTTP/1.1"},
        {.text = "GET\t/healthz HTTP/1.1"},
        {.text = " GET /healthz HTTP/1.1"},
        {.text = "GET /healthz  HTTP/1.1"},
        {.text = "GET /healthz HTTP/1.1 x"},
        {.text = "GET /healthz"},
        {.text = "GET"},
        {.text = "/healthz"},
        {.text = "\r\n\r\nGET /healthz HTTP/1.1"},
        {.text = "GET /healthz http/1.1"},
        {.text = "GET /healthz HTTP/1"},
        {.text = "GET /healthz HTTP/1."},
        {.text = "GET /healthz HTTP/.1"},
        {.text = "GET /healthz HTTP/11"},
        {.text = "GET /healthz HTTP/1.11"},
        {.text = "GET /healthz HTTP/01.1"},
        {.text = "GET /healthz HTTP/3.0"},
        {.text = "GET /healthz HTTP/-1.1"},
        {.text = "GET /healthz HTTPS/1.1"},
        {.text = "GET /healthz ICY/1.1"},
        {.text = "GET /healthz HTTP 1.1"},
        {.text = "GET healthz HTTP/1.1", .pattern = "404 close"},
        {.text = "GET * HTTP/1.1", .pattern = "405 close"},
        {.text = "GET ?x=1 HTTP/1.1", .pattern = "404 close"},
        {.text = "GET http://localhost/healthz HTTP/1.1", .pattern = "404 close"},
        {.text = "GET //localhost/healthz HTTP/1.1", .pattern = "404 close"},
        {.text = "GET http://evil.example/healthz HTTP/1.1", .pattern = "404 close"},
        {.text = "GET /healthz#x HTTP/1.1", .pattern = "404 close"},
        {.text = "GET /heal\x80thz HTTP/1.1"},
        {.text = "GET /heal\x7fthz HTTP/1.1"},
        {.text = "GET /heal\x01thz HTTP/1.1"},
        {.text = "GET /./healthz HTTP/1.1", .pattern = "404 close"},
        {.text = "GET /x/../healthz HTTP/1.1", .pattern = "404 close"},
        {.text = "GET /%68ealthz HTTP/1.1", .pattern = "404 close"},
        {.text = "GET /healthz/ HTTP/1.1", .pattern = "404 close"},
        {.text = "GET \\healthz HTTP/1.1", .pattern = "404 close"},
        {.text = "GET /healthz?%00 HTTP/1.1"},
        {.text = "G@T /healthz HTTP/1.1"},
        {.text = "G\xc9T /healthz HTTP/1.1"},
        {.text = "GET, /healthz HTTP/1.1"},
        {.text = "gEt /healthz HTTP/1.1"},
        {.text = "GETT /healthz HTTP/1.1"},
        {.text = "PRI /healthz HTTP/1.1"},
        {.text = "M-SEARCH * HTTP/1.1"},
        {.text = "GET /healthz\0 HTTP/1.1", .len = 22},
        {.text = "\0GET /healthz HTTP/1.1", .len = 22},
    };
    RUN("Requests: the request line", "", forms, "\r\n" HOST "\r\n");
}

static void a_field_is_a_token_a_colon_and_plain_text(void **state)
{
    UNUSED(state);
    static const struct form forms[] = {
        {.text = "X: 1", .pattern = "200"},
        {.text = "X:1", .pattern = "200"},
        {.text = "X:", .pattern = "200"},
        {.text = "X: a\tb", .pattern = "200"},
        {.text = "X!#$%&'*+-.^_`|~9: 1", .pattern = "200"},
        {.text = "X: \xc3\xa9", .pattern = "200"},
        {.text = "X : 1"},
        {.text = "X\t: 1"},
        {.text = "X Y: 1"},
        {.text = "X(Y: 1"},
        {.text = "X)Y: 1"},
        {.text = "X<Y: 1"},
        {.text = "X>Y: 1"},
        {.text = "X@Y: 1"},
        {.text = "X,Y: 1"},
        {.text = "X;Y: 1"},
        {.text = "X\\Y: 1"},
        {.text = "X\"Y: 1"},
        {.text = "X/Y: 1"},
        {.text = "X[Y: 1"},
        {.text = "X]Y: 1"},
        {.text = "X?Y: 1"},
        {.text = "X={}: 1"},
        {.text = "X\x7fY: 1"},
        {.text = "X\x80: 1"},
        {.text = "\xc3\x89: 1"},
        {.text = "X\x01: 1"},
        {.text = "X: a\x01"},
        {.text = "X: a\x08z"},
        {.text = "X: a\x0bz"},
        {.text = "X: a\x0cz"},
        {.text = "X: a\x7fz"},
        {.text = "X: a\rz"},
        {.text = "nothing"},
        {.text = "Host: localhost"},
        {.text = "Host: evil.example"},
        {.text = "Host :localhost"},
        {.text = "Authorization: Bearer a\r\nAuthorization: Bearer b"},
        {.text = "Content-Type: text/plain\r\nContent-Type: application/json"},
        {.text = "Expect: 100-continue\r\nExpect: 100-continue"},
        {.text = "Content-Length: 1\r\n\r\nx"},
        {.text = "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0"},
    };
    RUN("Requests: header fields", "GET /healthz HTTP/1.1\r\n" HOST, forms, "\r\n\r\n");
}

static void a_host_is_a_name_and_perhaps_a_port(void **state)
{
    UNUSED(state);
    static const struct form forms[] = {
        {.text = "localhost", .pattern = "200"},
        {.text = "LOCALHOST", .pattern = "200"},
        {.text = "localhost:8080", .pattern = "200"},
        {.text = "127.0.0.1", .pattern = "200"},
        {.text = "127.0.0.1:1", .pattern = "200"},
        {.text = "[::1]", .pattern = "200"},
        {.text = "[::1]:8080", .pattern = "200"},
        {.text = "", .pattern = "400/421 close"},
        {.text = "evil.example", .pattern = "421 close"},
        {.text = "localhost.evil.example", .pattern = "421 close"},
        {.text = "evil.example:8080", .pattern = "421 close"},
        {.text = "localhost@evil.example", .pattern = "400/421 close"},
        {.text = "evil.example@localhost", .pattern = "400/421 close"},
        {.text = "localhost, evil.example", .pattern = "400/421 close"},
        {.text = "localhost evil.example", .pattern = "400/421 close"},
        {.text = "localhost/evil", .pattern = "400/421 close"},
        {.text = "localhost:80:80", .pattern = "400/421 close"},
        {.text = "localhost:x", .pattern = "400/421 close"},
        {.text = "localhost:99999", .pattern = "200/400/421 close?"},
        {.text = "[::1", .pattern = "400/421 close"},
        {.text = "::1", .pattern = "200/400/421 close?"},
        {.text = "0x7f.0.0.1", .pattern = "421 close"},
        {.text = "127.1", .pattern = "421 close"},
        {.text = "2130706433", .pattern = "421 close"},
        {.text = "0.0.0.0", .pattern = "421 close"},
        {.text = "localhost.", .pattern = "200/400/421 close?"},
        {.text = "l\xf6"
                 "calhost",
         .pattern = "400/421 close"},
        {.text = "%6cocalhost", .pattern = "400/421 close"},
    };
    RUN("Requests: Host", "GET /v1/models HTTP/1.1\r\nHost: ", forms, "\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_digits_and_nothing_else),
        cmocka_unit_test(two_lengths_or_a_length_beside_chunks_are_refused),
        cmocka_unit_test(chunked_is_the_only_coding),
        cmocka_unit_test(a_chunk_is_a_hex_length_and_that_many_bytes),
        cmocka_unit_test(a_request_line_has_three_words),
        cmocka_unit_test(a_field_is_a_token_a_colon_and_plain_text),
        cmocka_unit_test(a_host_is_a_name_and_perhaps_a_port),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
