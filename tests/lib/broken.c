/* broken.c - a few forms of each fault, and chance. */
#include "tests/lib/broken.h"

#include <string.h>

#include "base/num.h"

enum where {            /* a form stands ... */
             IN_FRONT,  /* in front of the request line */
             AS_LINE,   /* in place of it: the whole line but its end */
             IN_HEAD,   /* among the headers, as whole lines but the last CR LF */
             AS_CHUNKS, /* behind the head of a chunked request, with all its ends */
             AS_TRAILER /* behind 0 CR LF */
};

/* In a form '~' stands for blanks or none, '^' for at least one, '@' for the length of the second request. */
struct form {
    const char *text;
    size_t len; /* 0: up to the NUL */
};

struct kind {
    const char *name;
    enum where where;
    struct form forms[10];
};

#define NUL_FORM(text)                                                                                                 \
    {                                                                                                                  \
        text, sizeof text - 1                                                                                          \
    }

static const struct kind kinds[] = {
    {"the value of a length on a folded line",
     IN_HEAD,
     {{"Content-Length:~\r\n^@", 0}, {"Content-Length:\r\n^~@~", 0}}},
    {"the tail of a length on a folded line",
     IN_HEAD,
     {{"Content-Length:~@\r\n^x", 0}, {"Content-Length:~@\r\n^", 0}, {"Content-Length:~@~\r\n^x\r\n^y", 0}}},
    {"a coding on a folded line",
     IN_HEAD,
     {{"Transfer-Encoding:~\r\n^chunked", 0}, {"Transfer-Encoding: chunked\r\n^x", 0}}},
    {"a coding behind a length, folded",
     IN_HEAD,
     {{"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n^x", 0},
      {"Transfer-Encoding:\r\n^chunked\r\nContent-Length: 2", 0}}},
    {"a name that goes on on a folded line",
     IN_HEAD,
     {{"Content-L:~2\r\n^ength", 0}, {"Transfer-En: chunked\r\n^coding", 0}, {"X\r\n^: 1", 0}, {"X\r\n^Y: 1", 0}}},
    {"two fields, one folded",
     IN_HEAD,
     {{"Content-Length: 2\r\nContent-Length: 2\r\n^x", 0},
      {"Host: localhost\r\n^x", 0},
      {"Content-Length:~2\r\n^\r\nContent-Length: @", 0}}},
    {"a fold in front of the first field, or anywhere",
     IN_HEAD,
     {{"^X: 1", 0}, {"^", 0}, {"^Content-Length: @", 0}, {"X: 1\r\n^\r\n^", 0}}},
    {"a line without a name",
     IN_HEAD,
     {{":", 0}, {": ", 0}, {":\t", 0}, {":~x", 0}, {":\r\nContent-Length:~@", 0}, {"::", 0}, {":\n", 0}}},
    {"a line that begins with NUL",
     IN_HEAD,
     {NUL_FORM("\0"), NUL_FORM("\0: 1"), NUL_FORM("\0Content-Length: @"), NUL_FORM("\0\r\nContent-Length:~@"),
      NUL_FORM("\0\0")}},
    {"a value with a NUL",
     IN_HEAD,
     {NUL_FORM("Content-Length: 2\0 99"), NUL_FORM("Transfer-Encoding: chunked\0, identity"), NUL_FORM("X: a\0b"),
      NUL_FORM("Content-Length:~@\0"), NUL_FORM("X:\0")}},
    {"a name with a NUL",
     IN_HEAD,
     {NUL_FORM("X\0Y: 1"), NUL_FORM("Content-Length\0: @"), NUL_FORM("Transfer-Encoding\0x: chunked"),
      NUL_FORM("X\0")}},
    {"a request line with a NUL",
     AS_LINE,
     {NUL_FORM("GET\0X / HTTP/1.1"), NUL_FORM("GET /\0/../x HTTP/1.1"), NUL_FORM("GET / HTTP/1.1\0"),
      NUL_FORM("G\0ET / HTTP/1.1"), NUL_FORM("GET /healthz\0 HTTP/1.1")}},
    {"NUL and more in front of the request line",
     IN_FRONT,
     {NUL_FORM("\0"), NUL_FORM("\0garbage\r\n"), NUL_FORM("\0\r\n"), NUL_FORM("\r\n\0\r\n")}},
    {"other bytes in front of the request line",
     IN_FRONT,
     {{" ", 0},
      {"\t", 0},
      {"\n", 0},
      {"\r", 0},
      {"\r\n\r\n", 0},
      {"\r\r\n", 0},
      {":\r\n", 0},
      {"\v", 0},
      {"\x80", 0},
      {"^~", 0}}},
    {"a carriage return alone",
     IN_HEAD,
     {{"X: a\rb", 0},
      {"X: a\r", 0},
      {"\rX: 1", 0},
      {"X\r: 1", 0},
      {"X: 1\r\r", 0},
      {"Content-Length: @\rX: 1", 0},
      {"X: 1\rContent-Length: @", 0}}},
    {"a line feed alone",
     IN_HEAD,
     {{"X: a\nY: b", 0}, {"X: 1\nContent-Length:~@", 0}, {"\n", 0}, {"X: 1\n", 0}, {"X: 1\n\n", 0}, {"\nX: 1", 0}}},
    {"a line feed behind the request line",
     AS_LINE,
     {{"GET / HTTP/1.1\nX: 1", 0}, {"GET / HTTP/1.1\n", 0}, {"GET /\nX: 1", 0}, {"GET / HTTP/1.1\rX: 1", 0}}},
    {"blanks in front of a colon",
     IN_HEAD,
     {{"Content-Length^:~@", 0}, {"Transfer-Encoding^: chunked", 0}, {"X^: 1", 0}, {"X^Y: 1", 0}, {"X^:", 0}}},
    {"a name that is no token",
     IN_HEAD,
     {{"X(: 1", 0},
      {"X\x01: 1", 0},
      {"\xc3\xa9: 1", 0},
      {"X,Y: 1", 0},
      {"\"Content-Length\": @", 0},
      {"X/Y: 1", 0},
      {"X\x7f: 1", 0},
      {"{}: 1", 0},
      {"Content-Length\xa0: @", 0},
      {"X;Y: 1", 0}}},
    {"a line without a colon",
     IN_HEAD,
     {{"nothing", 0}, {"Content-Length", 0}, {"GET /x HTTP/1.1", 0}, {"X\r\nContent-Length: @", 0}}},
    {"control characters in a value",
     IN_HEAD,
     {{"X: \x01", 0}, {"X: a\x1b[1m", 0}, {"X: \x7f", 0}, {"X: a\vb", 0}, {"X:\x08", 0}, {"X: a\x0c", 0}}},
    {"two lengths",
     IN_HEAD,
     {{"Content-Length:~2\r\nContent-Length:~2", 0},
      {"Content-Length: 2\r\nContent-Length: @", 0},
      {"Content-Length: @\r\nX: 1\r\nContent-Length: 2", 0},
      {"Content-Length: 2, 2", 0},
      {"Content-Length: 0\r\nContent-Length: @", 0}}},
    {"a length that is no number",
     IN_HEAD,
     {{"Content-Length: +2", 0},
      {"Content-Length: -2", 0},
      {"Content-Length: 0x2", 0},
      {"Content-Length:~", 0},
      {"Content-Length: 2 2", 0},
      {"Content-Length: 2.0", 0},
      {"Content-Length: 2;", 0},
      {"Content-Length: \"2\"", 0},
      {"Content-Length: 2e0", 0}}},
    {"a length beside a coding",
     IN_HEAD,
     {{"Content-Length: @\r\nTransfer-Encoding: chunked", 0},
      {"Transfer-Encoding:~chunked\r\nContent-Length:~@", 0},
      {"Content-Length: 0\r\nTransfer-Encoding: chunked", 0},
      {"Transfer-Encoding: chunked\r\nX: 1\r\nContent-Length: 2", 0}}},
    {"a coding that is not known, or two",
     IN_HEAD,
     {{"Transfer-Encoding: identity", 0},
      {"Transfer-Encoding:~gzip, chunked", 0},
      {"Transfer-Encoding: chunked, gzip", 0},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 0},
      {"Transfer-Encoding: xchunked", 0},
      {"Transfer-Encoding: chunked;q=1", 0},
      {"Transfer-Encoding:~", 0},
      {"Transfer-Encoding: chun ked", 0},
      {"Transfer-Encoding: \"chunked\"", 0}}},
    {"a coding in HTTP/1.0",
     AS_LINE,
     {{"POST / HTTP/1.0\r\nTransfer-Encoding:~chunked", 0},
      {"GET / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked", 0}}},
    {"a request line that is not three words",
     AS_LINE,
     {{"GET  / HTTP/1.1", 0},
      {"GET /  HTTP/1.1", 0},
      {"GET\t/ HTTP/1.1", 0},
      {"GET / HTTP/1.1 ", 0},
      {"GET / x HTTP/1.1", 0},
      {"GET /", 0},
      {"GET", 0},
      {"GET / HTTP/1.1^x", 0},
      {"GET /x^/y^HTTP/1.1", 0}}},
    {"a request line with bytes that none has",
     AS_LINE,
     {{"G(T / HTTP/1.1", 0},
      {"GET /\x80 HTTP/1.1", 0},
      {"GET /\x01 HTTP/1.1", 0},
      {"GET / http/1.1", 0},
      {"GET / HTTP/1.x", 0},
      {"GET / HTTPS/1.1", 0},
      {"GET / HTTP/11", 0},
      {"GET /\x7f HTTP/1.1", 0},
      {"GET / HTTP/1.1\v", 0}}},
    {"a chunk's length that is none",
     AS_CHUNKS,
     {{"x\r\n", 0},
      {"\r\n", 0},
      {"-2\r\n{}\r\n0\r\n\r\n", 0},
      {"0x2\r\n{}\r\n0\r\n\r\n", 0},
      {" 2\r\n{}\r\n0\r\n\r\n", 0},
      {"2 \r\n{}\r\n0\r\n\r\n", 0},
      {"2\n{}\r\n0\r\n\r\n", 0},
      NUL_FORM("2\0\r\n{}\r\n0\r\n\r\n"),
      {"2\r{}\r\n0\r\n\r\n", 0},
      {"2\r\n{}\r\n-0\r\n\r\n", 0}}},
    {"a chunk's extension that is none",
     AS_CHUNKS,
     {{"2;\r\n{}\r\n0\r\n\r\n", 0},
      {"2;a=\"\r\n{}\r\n0\r\n\r\n", 0},
      {"2;a\n{}\r\n0\r\n\r\n", 0},
      {"2;a\rb\r\n{}\r\n0\r\n\r\n", 0},
      NUL_FORM("2;a\0\r\n{}\r\n0\r\n\r\n"),
      {"2;\x01\r\n{}\r\n0\r\n\r\n", 0},
      {"2^;a\r\n{}\r\n0\r\n\r\n", 0},
      {"2\r\n{}\r\n0;\n\r\n", 0},
      {"2;;a\r\n{}\r\n0\r\n\r\n", 0}}},
    {"a chunk that does not end where it should",
     AS_CHUNKS,
     {{"2\r\n{}xx0\r\n\r\n", 0},
      {"2\r\n{}0\r\n\r\n", 0},
      {"2\r\n{}\n0\r\n\r\n", 0},
      {"2\r\n{}\r0\r\n\r\n", 0},
      {"1\r\n{}\r\n0\r\n\r\n", 0},
      {"3\r\n{}\r\n0\r\n\r\n", 0},
      NUL_FORM("2\r\n{}\0\r\n0\r\n\r\n")}},
    {"a trailer without a name, or with NUL",
     AS_TRAILER,
     {{":\r\n\r\n", 0},
      {":~x\r\n\r\n", 0},
      NUL_FORM("\0\r\n\r\n"),
      NUL_FORM("\0: 1\r\n\r\n"),
      NUL_FORM("X: a\0b\r\n\r\n"),
      {"X: 1\r\n:\r\n\r\n", 0}}},
    {"a folded trailer",
     AS_TRAILER,
     {{"X: 1\r\n^y\r\n\r\n", 0}, {"^X: 1\r\n\r\n", 0}, {"X:\r\n^\r\n\r\n", 0}, {"Content-Length: @\r\n^x\r\n\r\n", 0}}},
    {"other bad trailers",
     AS_TRAILER,
     {{"X^: 1\r\n\r\n", 0},
      {"nothing\r\n\r\n", 0},
      {"\n", 0},
      {"X: 1\n\r\n", 0},
      {"X: \x01\r\n\r\n", 0},
      {"\rX: 1\r\n\r\n", 0},
      {"X: a\rb\r\n\r\n", 0},
      {"X(: 1\r\n\r\n", 0}}},
};

size_t broken_kinds(void)
{
    return COUNT(kinds);
}

const char *broken_name(size_t kind)
{
    return kinds[kind].name;
}

/* ---- chance ---- */

static void add_blanks(struct buf *out, struct rng *rng, size_t least)
{
    for (size_t n = least + rng_below(rng, 3); n; n--)
        buf_char(out, rng_below(rng, 3) ? ' ' : '\t');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Upper and lower case make no difference in headers: so they come as they come. */
static char any_case(char c, struct rng *rng)
{
    return is_letter(c) && rng_below(rng, 2) ? (char)(c ^ 32) : c;
}

static void add_form(struct buf *out, const struct form *f, bool cases, const struct broken_target *t, struct rng *rng)
{
    size_t len = f->len ? f->len : strlen(f->text);
    for (size_t i = 0; i < len; i++) {
        char c = f->text[i];
        if (c == '~' || c == '^')
            add_blanks(out, rng, c == '^');
        else if (c == '@')
            buf_print(out, "%zu", strlen(t->second));
        else
            buf_char(out, cases ? any_case(c, rng) : c);
    }
}

static void add_harmless(struct buf *out, struct rng *rng, size_t most)
{
    static const char *const names[] = {"X-Forwarded-For",  "Accept",       "User-Agent", "Cookie", "X",
                                        "Content-Language", "Cache-Control"};
    for (size_t n = rng_below(rng, most + 1); n; n--)
        buf_print(out, "%s%zu: %zu\r\n", names[rng_below(rng, COUNT(names))], n, (size_t)rng_below(rng, 1000));
}

static size_t add_good(struct buf *out, const struct broken_target *t, struct rng *rng)
{
    size_t n = rng_below(rng, 5) < 3 ? 0 : 1 + rng_below(rng, 2);
    for (size_t i = 0; i < n; i++) {
        uint64_t shape = rng_below(rng, 3);
        if (shape == 0) {
            buf_print(out, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", t->get);
            continue;
        }
        buf_print(out, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s", t->post, t->type);
        buf_text(out, shape == 1 ? "Content-Length: 2\r\n\r\n{}"
                                 : "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nX: 1\r\n\r\n");
    }
    return n;
}

/* ---- one of them ---- */

static const struct form *pick(const struct kind *k, struct rng *rng)
{
    size_t n = 0;
    while (n < COUNT(k->forms) && k->forms[n].text)
        n++;
    return &k->forms[rng_below(rng, n)];
}

static void add_chunked(struct buf *out, const struct kind *k, const struct form *f, const struct broken_target *t,
                        struct rng *rng)
{
    buf_print(out, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s", t->post, t->type);
    add_harmless(out, rng, 2);
    buf_text(out, "Transfer-Encoding: chunked\r\n");
    add_harmless(out, rng, 2);
    buf_text(out, "\r\n");
    if (k->where == AS_TRAILER)
        buf_text(out, rng_below(rng, 2) ? "2\r\n{}\r\n0\r\n" : "2;a=\"b\"\r\n{}\r\n00\r\n");
    add_form(out, f, k->where == AS_TRAILER, t, rng);
}

static void add_headed(struct buf *out, const struct kind *k, const struct form *f, const struct broken_target *t,
                       struct rng *rng)
{
    bool post = rng_below(rng, 2);
    if (k->where == IN_FRONT)
        add_form(out, f, false, t, rng);
    if (k->where == AS_LINE) {
        add_form(out, f, false, t, rng);
        buf_text(out, "\r\n");
    } else {
        buf_print(out, "%s %s HTTP/1.1\r\n", post ? "POST" : "GET", post ? t->post : t->get);
    }
    bool host_first = rng_below(rng, 2);
    buf_print(out, "%s%s", host_first ? "Host: localhost\r\n" : "", post ? t->type : "");
    add_harmless(out, rng, 3);
    if (k->where == IN_HEAD) {
        add_form(out, f, true, t, rng);
        buf_text(out, "\r\n");
    }
    add_harmless(out, rng, 3);
    buf_print(out, "%s\r\n", host_first ? "" : "hOst:localhost\r\n");
}

size_t broken_make(size_t kind, size_t variation, const struct broken_target *t, struct buf *out)
{
    const struct kind *k = &kinds[kind];
    struct rng rng = rng_for(1, kind, variation);
    const struct form *f = pick(k, &rng);
    size_t good = add_good(out, t, &rng);
    if (k->where == AS_CHUNKS || k->where == AS_TRAILER)
        add_chunked(out, k, f, t, &rng);
    else
        add_headed(out, k, f, t, &rng);
    if (rng_below(&rng, 3) == 0)
        buf_text(out, "{}");
    buf_text(out, t->second);
    return good;
}

size_t broken_part(size_t variation, struct rng *rng, size_t left)
{
    switch (variation % 4) {
    case 0: return left;
    case 1: return 1;
    default: return min_size(left, 1 + rng_below(rng, variation % 4 == 2 ? 20 : 120));
    }
}
