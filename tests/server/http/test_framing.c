/* test_framing.c - what the strict reader takes for requests, what it refuses, and that splits make no difference. */
#include "tests/t.h"

#include "base/rng.h"
#include "server/http/framing.h"

#define HOST    "Host: a\r\n"
#define GET     "GET / HTTP/1.1\r\n" HOST
#define POST    "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define SECOND  "DELETE /x HTTP/1.1\r\n" HOST "\r\n"

struct outcome {
    size_t status, heads, held, read, proven; /* of one type, so that two can be compared as bytes */
};

/* Reads the bytes in pieces that `split` gives (0: all at once). */
static struct outcome read_in_pieces(const char *bytes, size_t n, size_t split, struct rng *rng)
{
    struct framing f = {0};
    struct outcome o = {0};
    while (o.read < n && !f.status) {
        size_t part = !split ? n - o.read : rng ? 1 + rng_below(rng, split) : split;
        o.read += framing_read(&f, bytes + o.read, min_size(part, n - o.read));
    }
    o.status = f.status;
    o.heads = f.heads;
    o.held = f.held;
    o.proven = o.read - f.held;
    if ((f.status != 0) != (f.why != NULL))
        fail_msg("status %u goes with %s", f.status, f.why ? f.why : "no reason");
    return o;
}

static struct outcome read_all(const char *bytes, size_t n)
{
    struct outcome whole = read_in_pieces(bytes, n, 0, NULL);
    struct rng rng = rng_new(5);
    for (size_t i = 1; i < 20; i++) {
        struct outcome other = read_in_pieces(bytes, n, i < 4 ? i : 40, i < 4 ? NULL : &rng);
        if (memcmp(&whole, &other, sizeof whole) != 0)
            fail_msg("split %zu: status %zu, %zu heads, %zu held, %zu read; at once %zu, %zu, %zu, %zu", i,
                     other.status, other.heads, other.held, other.read, whole.status, whole.heads, whole.held,
                     whole.read);
    }
    return whole;
}

static void whole_requests_are_proven_to_their_last_byte(void **state)
{
    UNUSED(state);
    static const struct {
        const char *bytes;
        size_t heads;
    } cases[] = {
        {GET "\r\n", 1},
        {GET "\r\n" GET "\r\n" GET "\r\n", 3},
        {"\r\n" GET "\r\n", 1},
        {GET "\r\n"
             "\r\n" GET "\r\n",
         2},
        {"GET / HTTP/1.0\r\n\r\n", 1},
        {"G!#$%&'*+-.^_`|~9 /a?b=c%20d#e HTTP/1.1\r\n\r\n", 1},
        {GET "X:\r\nY: \r\nZ:\ta\tb \xc3\xa9\t \r\n!#$%&'*+-.^_`|~9:1\r\n\r\n", 1},
        {POST "Content-Length: 2\r\n\r\n{}" SECOND, 2},
        {POST "CONTENT-LENGTH:\t 2 \t\r\n\r\n{}" SECOND, 2},
        {POST "content-length: 0000000000000000000000000000002\r\n\r\n{}" SECOND, 2},
        {POST "Content-Length: 0\r\n\r\n" SECOND, 2},
        {POST "Content-Length: 9223372036854775807\r\n\r\n" SECOND, 1},
        {POST "Content-Lengths: 5\r\nContent-Lengt: 6\r\nX-Content-Length: 7\r\nTransfer-Encodings: x\r\n\r\n" SECOND,
         2},
        {CHUNKED "0\r\n\r\n" SECOND, 2},
        {CHUNKED "2\r\n{}\r\n0\r\n\r\n" SECOND, 2},
        {CHUNKED "0000000000000000000000000002\r\n{}\r\n000\r\n\r\n" SECOND, 2},
        {CHUNKED "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n" SECOND, 2},
        {CHUNKED "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n" SECOND, 2},
        {CHUNKED "2;a\r\n{}\r\n0;b=c\r\n\r\n" SECOND, 2},
        {CHUNKED "2; a = b ; c=\"d;\\\"e\" ;f\r\n{}\r\n0\r\n\r\n" SECOND, 2},
        {CHUNKED "2\r\n\r\n\r\n0\r\n\r\n" SECOND, 2},
        {CHUNKED
         "2\r\n{}\r\n0\r\nX: 1\r\nContent-Length: 5\r\nContent-Length: 6\r\nTransfer-Encoding: x\r\n\r\n" SECOND,
         2},
        {POST "Transfer-Encoding:CHUNKED\t\r\n\r\n2\r\n{}\r\n0\r\n\r\n" SECOND, 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = read_all(cases[i].bytes, strlen(cases[i].bytes));
        if (o.status || o.heads != cases[i].heads || o.held)
            fail_msg("%s: status %zu, %zu heads, %zu held", cases[i].bytes, o.status, o.heads, o.held);
    }
}

static void what_is_not_whole_is_held(void **state)
{
    UNUSED(state);
    static const struct {
        const char *proven, *held;
    } cases[] = {
        {"", "G"},
        {"", "GET / HTTP/1.1\r"},
        {"", GET},
        {"", GET "X: 1"},
        {"", GET "\r"},
        {GET "\r\n", "\r\n"},
        {GET "\r\n", "DEL"},
        {POST "Content-Length: 5\r\n\r\nab", ""},
        {POST "Content-Length: 2\r\n\r\n{}", "DELETE /"},
        {CHUNKED, "2"},
        {CHUNKED, "2;a=b"},
        {CHUNKED, "2\r"},
        {CHUNKED "2\r\n", ""},
        {CHUNKED "2\r\n{", ""},
        {CHUNKED "2\r\n{}", "\r"},
        {CHUNKED "2\r\n{}\r\n", "0"},
        {CHUNKED "2\r\n{}\r\n0\r\n", "X: 1\r\n"},
        {CHUNKED "2\r\n{}\r\n0\r\n", "\r"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char all[400];
        size_t n = (size_t)snprintf(all, sizeof all, "%s%s", cases[i].proven, cases[i].held);
        struct outcome o = read_all(all, n);
        assert_int_equal(o.status, 0);
        if (o.held != strlen(cases[i].held))
            fail_msg("%s: %zu held, expected %zu", all, o.held, strlen(cases[i].held));
    }
}

/* The proven part, then what is wrong; a second request follows each. */
struct wrong {
    const char *proven, *bytes;
    size_t len; /* of bytes; 0: up to the NUL */
    unsigned status;
};

static void assert_refused(const struct wrong *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char all[1000];
        const char *proven = list[i].proven ? list[i].proven : "";
        size_t before = strlen(proven), len = list[i].len ? list[i].len : strlen(list[i].bytes);
        memcpy(all, proven, before);
        memcpy(all + before, list[i].bytes, len);
        memcpy(all + before + len, SECOND, sizeof SECOND - 1);
        struct outcome o = read_all(all, before + len + sizeof SECOND - 1);
        unsigned want = list[i].status ? list[i].status : 400;
        if (o.status != want || o.proven != before || o.read > before + len + sizeof SECOND - 1)
            fail_msg("case %zu (%s%s): status %zu, expected %u; %zu bytes proven, expected %zu", i, proven,
                     list[i].bytes, o.status, want, o.proven, before);
    }
}

static void a_head_that_could_be_read_in_two_ways_is_refused(void **state)
{
    UNUSED(state);
    static const struct wrong cases[] = {
        /* folded lines */
        {.bytes = POST "Content-Length:\r\n 61\r\n\r\n"},
        {.bytes = POST "Content-Length: 61\r\n x\r\n\r\n"},
        {.bytes = POST "Content-Length: 61\r\n\tx\r\n\r\n"},
        {.bytes = POST "Content-L: 2\r\n ength\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding:\r\n chunked\r\n\r\n"},
        {.bytes = GET " X: 1\r\n\r\n"},
        {.bytes = GET " \r\n\r\n"},
        {.bytes = "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
        /* names */
        {.bytes = GET ":\r\n\r\n"},
        {.bytes = GET ": \r\n\r\n"},
        {.bytes = GET ":\t\r\n\r\n"},
        {.bytes = GET ": 1\r\n\r\n"},
        {.bytes = GET ":\n\r\n"},
        {.bytes = GET "X : 1\r\n\r\n"},
        {.bytes = GET "X\t: 1\r\n\r\n"},
        {.bytes = GET "X Y: 1\r\n\r\n"},
        {.bytes = GET "X(: 1\r\n\r\n"},
        {.bytes = GET "\xc3\xa9: 1\r\n\r\n"},
        {.bytes = GET "X\x01: 1\r\n\r\n"},
        {.bytes = GET "nothing\r\n\r\n"},
        {.bytes = GET "X\x7f: 1\r\n\r\n"},
        /* NUL, controls, CR and LF alone */
        {.bytes = GET "X: a\0b\r\n\r\n", .len = sizeof GET + 9},
        {.bytes = GET "X\0: 1\r\n\r\n", .len = sizeof GET + 8},
        {.bytes = GET "\0X: 1\r\n\r\n", .len = sizeof GET + 8},
        {.bytes = GET "X: \x1b[1m\r\n\r\n"},
        {.bytes = GET "X: a\x7f\r\n\r\n"},
        {.bytes = GET "X: a\rb\r\n\r\n"},
        {.bytes = GET "X: a\nY: b\r\n\r\n"},
        {.bytes = GET "X: a\r\r\n\r\n"},
        {.bytes = GET "\n"},
        {.bytes = GET "\r\r\n"},
        {.bytes = GET "\rX: 1\r\n\r\n"},
        {.bytes = "GET / HTTP/1.1\n" HOST "\r\n"},
        {.bytes = "GET / HTTP/1.1\r" HOST "\r\n"},
        /* lengths and codings */
        {.bytes = POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"},
        {.bytes = POST "Content-Length: 2, 2\r\n\r\n{}"},
        {.bytes = POST "Content-Length: 2\r\nX: 1\r\ncontent-length: 3\r\n\r\n{}"},
        {.bytes = POST "Content-Length: +2\r\n\r\n{}"},
        {.bytes = POST "Content-Length: -2\r\n\r\n{}"},
        {.bytes = POST "Content-Length: 0x2\r\n\r\n{}"},
        {.bytes = POST "Content-Length: 2 2\r\n\r\n{}"},
        {.bytes = POST "Content-Length:\r\n\r\n"},
        {.bytes = POST "Content-Length: \t\r\n\r\n"},
        {.bytes = POST "Content-Length: 2.\r\n\r\n{}"},
        {.bytes = POST "Content-Length: 9223372036854775808\r\n\r\n", .status = 413},
        {.bytes = POST "Content-Length: 340282366920938463463374607431768211458\r\n\r\n", .status = 413},
        {.bytes = POST "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"},
        {.bytes = POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: identity\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: gzip, chunked\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: chunked, gzip\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: chunkedx\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: chunke\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding:\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: chunked chunked\r\n\r\n"},
        {.bytes = POST "Transfer-Encoding: chun ked\r\n\r\n"},
        {.bytes = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
    };
    assert_refused(cases, COUNT(cases));
}

static void a_request_line_is_three_words_with_one_space_between(void **state)
{
    UNUSED(state);
    static const struct wrong cases[] = {
        {.bytes = "\0garbage\r\n", .len = 10},
        {.bytes = "\0" GET "\r\n", .len = sizeof GET + 2},
        {.bytes = " " GET "\r\n"},
        {.bytes = "\t" GET "\r\n"},
        {.bytes = "\n" GET "\r\n"},
        {.bytes = "\r" GET "\r\n"},
        {.bytes = "\r\n\r\n" GET "\r\n"},
        {.bytes = "GET  / HTTP/1.1\r\n\r\n"},
        {.bytes = "GET\t/ HTTP/1.1\r\n\r\n"},
        {.bytes = "GET /  HTTP/1.1\r\n\r\n"},
        {.bytes = "GET / HTTP/1.1 \r\n\r\n"},
        {.bytes = "GET / x HTTP/1.1\r\n\r\n"},
        {.bytes = "GET /\r\n\r\n"},
        {.bytes = "GET\r\n\r\n"},
        {.bytes = "GET / http/1.1\r\n\r\n"},
        {.bytes = "GET / HTTP/1\r\n\r\n"},
        {.bytes = "GET / HTTP/1.10\r\n\r\n"},
        {.bytes = "GET /a\0b HTTP/1.1\r\n\r\n", .len = 21},
        {.bytes = "GET\0X / HTTP/1.1\r\n\r\n", .len = 20},
        {.bytes = "GET /\x80 HTTP/1.1\r\n\r\n"},
        {.bytes = "GET /\x7f HTTP/1.1\r\n\r\n"},
        {.bytes = "GET /\x01 HTTP/1.1\r\n\r\n"},
        {.bytes = "G@T / HTTP/1.1\r\n\r\n"},
        {.bytes = "{}\r\n\r\n"},
        {.bytes = "\x16\x03\x01\x02"},
        {.bytes = "GET / HTTP/2.0\r\n\r\n", .status = 505},
        {.bytes = "GET / HTTP/1.2\r\n\r\n", .status = 505},
        {.bytes = "GET / HTTP/0.9\r\n\r\n", .status = 505},
        {.proven = GET "\r\n", .bytes = "\0\r\n", .len = 3},
        {.proven = POST "Content-Length: 2\r\n\r\n{}", .bytes = "}"},
        {.proven = CHUNKED "0\r\n\r\n", .bytes = " "},
    };
    assert_refused(cases, COUNT(cases));
}

static void a_chunk_is_hex_digits_and_so_many_bytes(void **state)
{
    UNUSED(state);
    static const struct wrong cases[] = {
        {CHUNKED, "\r\n{}\r\n", 0, 0},
        {CHUNKED, ";a\r\n", 0, 0},
        {CHUNKED, "-2\r\n{}\r\n", 0, 0},
        {CHUNKED, "+2\r\n", 0, 0},
        {CHUNKED, "0x2\r\n{}\r\n", 0, 0},
        {CHUNKED, "2x\r\n", 0, 0},
        {CHUNKED, " 2\r\n", 0, 0},
        {CHUNKED, "2 \r\n", 0, 0},
        {CHUNKED, "2\t;a\r\n", 0, 0},
        {CHUNKED, "2,2\r\n", 0, 0},
        {CHUNKED, "2\n{}\r\n", 0, 0},
        {CHUNKED, "2\r{}\r\n", 0, 0},
        {CHUNKED, "2\r\r\n", 0, 0},
        {CHUNKED, "2\0\r\n", 4, 0},
        {CHUNKED, "2;\r\n", 0, 0},
        {CHUNKED, "2;=b\r\n", 0, 0},
        {CHUNKED, "2;a=\r\n", 0, 0},
        {CHUNKED, "2;a b\r\n", 0, 0},
        {CHUNKED, "2;a=\"b\r\n", 0, 0},
        {CHUNKED, "2;a=\"b\\\r\n", 0, 0},
        {CHUNKED, "2;a=\"b\"c\r\n", 0, 0},
        {CHUNKED, "2;a\n", 0, 0},
        {CHUNKED, "2;a\x01\r\n", 0, 0},
        {CHUNKED, "2;a=b\rc\r\n", 0, 0},
        {CHUNKED "2\r\n{}", "0\r\n\r\n", 0, 0},
        {CHUNKED "2\r\n{}", "\n0\r\n\r\n", 0, 0},
        {CHUNKED "2\r\n{}", "\r0\r\n\r\n", 0, 0},
        {CHUNKED "2\r\n{}", "xx0\r\n\r\n", 0, 0},
        {CHUNKED "2\r\n{}\r\n", "x\r\n", 0, 0},
        {CHUNKED "2\r\n{}\r\n", "-0\r\n\r\n", 0, 0},
        {CHUNKED, "8000000000000000\r\n", 0, 413},
        {CHUNKED, "10000000000000002\r\n", 0, 413},
    };
    static const struct wrong trailers[] = {
        {CHUNKED "0\r\n", ":\r\n\r\n", 0, 0},
        {CHUNKED "0\r\n", "X: 1\r\n y\r\n\r\n", 0, 0},
        {CHUNKED "0\r\n", " X: 1\r\n\r\n", 0, 0},
        {CHUNKED "0\r\n", "\0\r\n\r\n", 5, 0},
        {CHUNKED "0\r\n", "X : 1\r\n\r\n", 0, 0},
        {CHUNKED "0\r\n", "X\r\n\r\n", 0, 0},
        {CHUNKED "0\r\n", "\n", 0, 0},
        {CHUNKED "0\r\n", "X: 1\n\r\n", 0, 0},
        {CHUNKED "0\r\n", "X: a\0b\r\n\r\n", 11, 0},
        {CHUNKED "0\r\n", "\rX", 0, 0},
        {CHUNKED "2\r\n{}\r\n0\r\n", "X: 1\r\n:\r\n\r\n", 0, 0},
    };
    assert_refused(cases, COUNT(cases));
    assert_refused(trailers, COUNT(trailers));
}

static void what_is_held_is_bounded(void **state)
{
    UNUSED(state);
    static const struct {
        const char *start;
        char fill;
        unsigned status;
        size_t most;
    } cases[] = {
        {"GET /", 'a', 414, FRAMING_HEAD_MAX},
        {"", 'A', 414, FRAMING_HEAD_MAX},
        {GET "X: ", 'a', 431, FRAMING_HEAD_MAX},
        {GET, 'a', 431, FRAMING_HEAD_MAX},
        {CHUNKED "2;a=", 'a', 413, FRAMING_CHUNK_LINE_MAX},
        {CHUNKED, '0', 413, FRAMING_CHUNK_LINE_MAX},
        {CHUNKED "0\r\nX: ", 'a', 431, FRAMING_HEAD_MAX},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct framing f = {0};
        framing_read(&f, cases[i].start, strlen(cases[i].start));
        assert_int_equal(f.status, 0);
        for (size_t n = 0; n <= FRAMING_HEAD_MAX && !f.status; n++)
            framing_read(&f, &cases[i].fill, 1);
        if (f.status != cases[i].status || f.held != cases[i].most + 1)
            fail_msg("%s: status %u with %zu held", cases[i].start, f.status, f.held);
    }
}

static void content_is_not_looked_at(void **state)
{
    UNUSED(state);
    struct framing f = {0};
    static const char head[] = POST "Content-Length: 100000\r\n\r\n";
    static char zeros[100000 + sizeof SECOND];
    memcpy(zeros + 100000, SECOND, sizeof SECOND);
    framing_read(&f, head, sizeof head - 1);
    assert_int_equal(framing_content(&f), 100000);
    assert_int_equal(framing_read(&f, zeros, sizeof zeros - 1), sizeof zeros - 1);
    assert_int_equal(f.status, 0);
    assert_int_equal(f.heads, 2);
    assert_int_equal(framing_content(&f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_requests_are_proven_to_their_last_byte),
        cmocka_unit_test(what_is_not_whole_is_held),
        cmocka_unit_test(a_head_that_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(a_request_line_is_three_words_with_one_space_between),
        cmocka_unit_test(a_chunk_is_hex_digits_and_so_many_bytes),
        cmocka_unit_test(what_is_held_is_bounded),
        cmocka_unit_test(content_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
