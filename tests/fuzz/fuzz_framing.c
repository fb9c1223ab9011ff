/* fuzz_framing.c - any bytes on a connection: however they are split the reader says the same, and what it calls proven
 * are whole heads, chunk lines and trailers that a second, naive look finds nothing wrong with.
 */
#include <string.h>
#include <strings.h>

#include "base/rng.h"
#include "server/http/framing.h"
#include "tests/fuzz/fuzz.h"

struct verdict {
    struct framing f;
    size_t read;
};

static struct verdict read_split(const char *bytes, size_t n, struct rng *rng, size_t most)
{
    struct verdict v = {0};
    while (v.read < n && !v.f.status) {
        size_t part = 1 + rng_below(rng, most);
        v.read += framing_read(&v.f, bytes + v.read, part < n - v.read ? part : n - v.read);
        FUZZ_CHECK(v.f.held <= v.read && v.f.held <= FRAMING_HEAD_MAX + 1);
    }
    return v;
}

static void check_same(const struct verdict *a, const struct verdict *b)
{
    FUZZ_CHECK(a->read == b->read && a->f.status == b->f.status && a->f.why == b->f.why);
    FUZZ_CHECK(a->f.heads == b->f.heads && a->f.held == b->f.held);
    FUZZ_CHECK(framing_content(&a->f) == framing_content(&b->f) &&
               framing_in_fields(&a->f) == framing_in_fields(&b->f));
}

/* A line, or NULL when none ends here: CR LF at its end and neither byte, nor a NUL, in it. */
static const char *end_of_line(const char *line, const char *end)
{
    const char *lf = memchr(line, '\n', (size_t)(end - line));
    if (!lf || lf == line || lf[-1] != '\r')
        return NULL;
    size_t n = (size_t)(lf - 1 - line);
    return memchr(line, '\r', n) || memchr(line, 0, n) ? NULL : lf - 1;
}

static size_t starts(const char *line, size_t n, const char *name)
{
    return n > strlen(name) && strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':';
}

static void check_head(const char *at, const char *end)
{
    size_t lines = 0, framings = 0;
    for (const char *stop; at < end; at = stop + 2, lines++) {
        stop = end_of_line(at, end);
        FUZZ_CHECK(stop);
        size_t n = (size_t)(stop - at);
        if (n == 0) {
            FUZZ_CHECK(lines == 0 || stop + 2 == end); /* one in front, one at the end */
            lines -= lines == 0 && stop + 2 != end;
            continue;
        }
        const char *colon = memchr(at, ':', n);
        FUZZ_CHECK(*at != ' ' && *at != '\t');
        FUZZ_CHECK(lines == 0 || (colon && colon > at && colon[-1] != ' ' && colon[-1] != '\t'));
        framings += lines ? starts(at, n, "content-length") + starts(at, n, "transfer-encoding") : 0;
    }
    FUZZ_CHECK(framings <= 1);
}

/* Byte by byte, so that the moment is seen at which a head is proven. */
static void check_heads(const char *bytes, size_t n)
{
    struct framing f = {0};
    uint64_t heads = 0;
    size_t proven = 0;
    for (size_t i = 0; i < n && !f.status; i++) {
        framing_read(&f, bytes + i, 1);
        if (f.heads > heads) {
            FUZZ_CHECK(f.heads == heads + 1 && !f.status && f.held == 0);
            check_head(bytes + proven, bytes + i + 1);
            heads++;
        }
        if (!f.held)
            proven = i + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rng rng = rng_new(size);
    const char *bytes = (const char *)data;
    struct verdict whole = {0};
    whole.read = framing_read(&whole.f, bytes, size);
    FUZZ_CHECK((whole.f.status != 0) == (whole.f.why != NULL) && (whole.f.status || whole.read == size));
    for (size_t most = 1; most < 200; most *= 7) {
        struct verdict split = read_split(bytes, size, &rng, most);
        check_same(&whole, &split);
    }
    check_heads(bytes, size);
    return 0;
}
