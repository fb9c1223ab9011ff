/* test_http_guard.c - which request heads pass, and why others do not. */
#include "tests/t.h"

#include "base/percent.h"
#include "server/http/http_guard.h"

/* Lines of a head: "name: value", or "?name=value" for the query; NULL at the end. */
static bool guard(const char *method, const char *path, const char *version, const char *const *lines,
                  struct head_facts *facts, struct err *e)
{
    static char store[8][256];
    struct head_field fields[8], query[8];
    struct head h = {.method = method, .path = path, .version = version, .fields = fields, .query = query};
    for (size_t i = 0; lines[i]; i++) {
        bool q = lines[i][0] == '?';
        snprintf(store[i], sizeof store[i], "%s", lines[i] + q);
        char *mark = strchr(store[i], q ? '=' : ':');
        struct head_field *f = q ? &query[h.n_query++] : &fields[h.n_fields++];
        *f = (struct head_field){.name = store[i], .name_len = mark ? (size_t)(mark - store[i]) : strlen(store[i])};
        if (mark) {
            *mark = 0;
            f->value = mark + (q ? 1 : 2);
            f->value_len = strlen(f->value);
        }
    }
    return guard_check(&h, facts, e);
}

static void an_ordinary_head_passes_and_is_understood(void **state)
{
    UNUSED(state);
    struct head_facts f;
    struct err e = {0};
    const char *const lines[] = {"Host: a.example:80",
                                 "CONTENT-LENGTH: 12",
                                 "Authorization: Bearer x",
                                 "X-Whatever: caf\xc3\xa9",
                                 "Expect: 100-Continue",
                                 "?label=a b%2Fc",
                                 "?flag",
                                 NULL};
    assert_ok(guard("PUT", "/v1/a%20b", "HTTP/1.1", lines, &f, &e), e);
    assert_int_equal(f.method, METHOD_PUT);
    assert_int_equal(f.content_length, 12);
    assert_false(f.chunked);
    assert_true(f.expects_continue);
    assert_string_equal(f.host, "a.example:80");
    assert_string_equal(f.authorization, "Bearer x");
    const char *const chunked[] = {"Host: a", "Transfer-Encoding: Chunked", NULL};
    assert_ok(guard("POST", "/", "HTTP/1.1", chunked, &f, &e), e);
    assert_true(f.chunked);
    assert_int_equal(f.content_length, -1);
    const char *const old[] = {NULL};
    assert_ok(guard("GET", "/healthz", "HTTP/1.0", old, &f, &e), e);
}

static void a_head_that_can_be_read_in_two_ways_is_refused(void **state)
{
    UNUSED(state);
    static const struct {
        const char *version, *a, *b;
        enum err_code code;
    } cases[] = {
        {"HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked", ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: 3", "Content-Length: 40", ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: 3", "content-length: 3", ERR_BAD_INPUT},
        {"HTTP/1.1", "Transfer-Encoding : chunked", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length : 35", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "X\x01: a", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "X\xc3\xa9: a", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "X: a\rb", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "X: a\x7f", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Transfer-Encoding: gzip, chunked", NULL, ERR_NOT_IMPLEMENTED},
        {"HTTP/1.1", "Transfer-Encoding: identity", NULL, ERR_NOT_IMPLEMENTED},
        {"HTTP/1.1", "Transfer-Encoding: xchunked", NULL, ERR_NOT_IMPLEMENTED},
        {"HTTP/1.1", "Transfer-Encoding: chunked ", NULL, ERR_NOT_IMPLEMENTED},
        {"HTTP/1.1",
         "Transfer-Encoding: \x0b"
         "chunked",
         NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", ERR_BAD_INPUT},
        {"HTTP/1.0", "Transfer-Encoding: chunked", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: -1", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: +3", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: 0x3", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: ", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: 3, 3", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: 1e3", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Content-Length: 18446744073709551616", NULL, ERR_TOO_LARGE},
        {"HTTP/1.1", "Content-Length: 9223372036854775808", NULL, ERR_TOO_LARGE},
        {"HTTP/1.1", "Host: b", NULL, ERR_BAD_INPUT},
        {"HTTP/1.1", "Authorization: Bearer a", "Authorization: Bearer b", ERR_BAD_INPUT},
        {"HTTP/1.1", "Expect: 200-ok", NULL, ERR_EXPECTATION},
        {"HTTP/1.1", "Content-Encoding: gzip", NULL, ERR_MEDIA_TYPE},
        {"HTTP/1.9", "X: a", NULL, ERR_BAD_INPUT},
        {"HTTP/2.0", "X: a", NULL, ERR_BAD_INPUT},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const lines[] = {"Host: a", cases[i].a, cases[i].b, NULL};
        struct head_facts f;
        struct err e = {0};
        if (guard("POST", "/v1/embeddings", cases[i].version, lines, &f, &e) || e.code != cases[i].code)
            fail_msg("%s %s: got %s, expected %s", cases[i].a, cases[i].b ? cases[i].b : "", err_name(e.code),
                     err_name(cases[i].code));
    }
}

static void methods_and_targets_that_we_do_not_have_are_refused(void **state)
{
    UNUSED(state);
    static const struct {
        const char *method, *path, *query;
        enum err_code code;
    } cases[] = {
        {"get", "/", NULL, ERR_NOT_IMPLEMENTED},        {"PROPFIND", "/", NULL, ERR_NOT_IMPLEMENTED},
        {"CONNECT", "a:80", NULL, ERR_NOT_IMPLEMENTED}, {"OPTIONS", "*", NULL, ERR_BAD_METHOD},
        {"GET", "http://evil/a", NULL, ERR_NOT_FOUND},  {"GET", "", NULL, ERR_NOT_FOUND},
        {"GET", "/a%00b", NULL, ERR_BAD_INPUT},         {"GET", "/a%zz", NULL, ERR_BAD_INPUT},
        {"GET", "/a%2", NULL, ERR_BAD_INPUT},           {"GET", "/a%", NULL, ERR_BAD_INPUT},
        {"GET", "/\xff", NULL, ERR_BAD_INPUT},          {"GET", "/a", "?x=%00", ERR_BAD_INPUT},
        {"GET", "/a", "?x%4=1", ERR_BAD_INPUT},         {"GET", "/a", "?x=\x01", ERR_BAD_INPUT},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const lines[] = {"Host: a", cases[i].query, NULL};
        struct head_facts f;
        struct err e = {0};
        if (guard(cases[i].method, cases[i].path, "HTTP/1.1", lines, &f, &e) || e.code != cases[i].code)
            fail_msg("%s %s %s: got %s, expected %s", cases[i].method, cases[i].path,
                     cases[i].query ? cases[i].query : "", err_name(e.code), err_name(cases[i].code));
    }
    struct head_facts f;
    struct err e = {0};
    const char *const none[] = {"X: a", NULL};
    assert_err(guard("GET", "/", "HTTP/1.1", none, &f, &e), e, ERR_BAD_INPUT);
}

static void percent_signs_decode_or_are_refused(void **state)
{
    UNUSED(state);
    char out[32];
    assert_true(percent_decode("a%20b%2F%c3%A9", 14, out));
    assert_string_equal(out, "a b/\xc3\xa9");
    assert_true(percent_decode("", 0, out));
    assert_string_equal(out, "");
    static const char *const bad[] = {"%", "%2", "a%g0", "%0g", "%00", "%%41"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(percent_decode(bad[i], strlen(bad[i]), out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_head_passes_and_is_understood),
        cmocka_unit_test(a_head_that_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(methods_and_targets_that_we_do_not_have_are_refused),
        cmocka_unit_test(percent_signs_decode_or_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
