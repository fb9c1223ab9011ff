/* icc.c - a strict reader of ICC profiles, and a writer of what is left of them. */
#include "engine/pictures/icc.h"

#include <string.h>

#include "base/num.h"

enum { HEADER = 128, TABLE = HEADER + 4, ENTRY = 12, MAX_TAGS = 100, MAX_PARTS = 6, MAX_POINTS = 0x7fff };

struct part { /* a tag, checked; borrowed from the profile */
    const char *name;
    const uint8_t *bytes;
    size_t len;
};

struct profile {
    const uint8_t *bytes;
    size_t len, tags;
};

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static bool is(const uint8_t *p, const char *four)
{
    return memcmp(p, four, 4) == 0;
}

static bool open_profile(const uint8_t *bytes, size_t len, enum colour_model model, struct profile *p)
{
    const char *space = model == COLOUR_GREY ? "GRAY" : model == COLOUR_RGB ? "RGB " : "CMYK";
    if (len < TABLE || len > ICC_MAX || be32(bytes) > len || !is(bytes + 36, "acsp") || !is(bytes + 16, space))
        return false;
    const uint8_t *class = bytes + 12, *connection = bytes + 20;
    *p = (struct profile){.bytes = bytes, .len = be32(bytes)};
    if (p->len < TABLE || bytes[8] < 2 || bytes[8] > 4 || (!is(connection, "XYZ ") && !is(connection, "Lab ")))
        return false;
    p->tags = be32(bytes + HEADER);
    return (is(class, "scnr") || is(class, "mntr") || is(class, "prtr") || is(class, "spac")) && p->tags <= MAX_TAGS &&
           p->len - TABLE >= p->tags * ENTRY;
}

static bool find_tag(const struct profile *p, const char *name, struct part *out)
{
    for (size_t i = 0; i < p->tags; i++) {
        const uint8_t *entry = p->bytes + TABLE + i * ENTRY;
        const size_t at = be32(entry + 4), size = be32(entry + 8);
        if (!is(entry, name))
            continue;
        if (at > p->len || size > p->len - at || size < 12)
            return false;
        *out = (struct part){name, p->bytes + at, size};
        return true;
    }
    return false;
}

/* ---- what the tags hold ---- */

static bool is_xyz(const struct part *t)
{
    return is(t->bytes, "XYZ ") && t->len >= 20;
}

/* The bytes that a curve takes; 0 when it is none. */
static size_t curve_size(const uint8_t *bytes, size_t len)
{
    static const size_t parameters[] = {1, 3, 4, 5, 7};
    size_t n = 0;
    if (len < 12)
        return 0;
    if (is(bytes, "curv") && be32(bytes + 8) <= MAX_POINTS)
        n = 12 + 2 * (size_t)be32(bytes + 8);
    else if (is(bytes, "para") && be16(bytes + 8) < COUNT(parameters))
        n = 12 + 4 * parameters[be16(bytes + 8)];
    return n <= len ? n : 0;
}

static bool is_curve(const struct part *t)
{
    return curve_size(t->bytes, t->len) > 0;
}

/* Whether n curves stand at `at`, each padded to four bytes. */
static bool are_curves(const struct part *t, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const size_t size = at < t->len ? curve_size(t->bytes + at, t->len - at) : 0;
        if (size == 0)
            return false;
        at += (size + 3) / 4 * 4;
    }
    return true;
}

/* lut8Type and lut16Type: a matrix, curves, a grid, curves. */
static bool is_table(const struct part *t, size_t channels)
{
    const uint8_t *b = t->bytes;
    const bool wide = is(b, "mft2");
    if ((!wide && !is(b, "mft1")) || t->len < 52 || b[8] != channels || b[9] != 3 || b[10] < 2)
        return false;
    const size_t in = wide ? be16(b + 48) : 256, out = wide ? be16(b + 50) : 256;
    size_t cells = 1;
    for (size_t i = 0; i < channels; i++)
        cells *= b[10]; /* below 2^32 */
    return in >= 2 && out >= 2 && in <= 4096 && out <= 4096 &&
           t->len >= (wide ? 52 : 48) + (wide ? 2 : 1) * (channels * in + cells * 3 + 3 * out);
}

static bool is_grid(const struct part *t, size_t at, size_t channels)
{
    if (at > t->len || t->len - at < 20)
        return false;
    const uint8_t *b = t->bytes + at;
    size_t cells = 1;
    for (size_t i = 0; i < channels; i++) {
        if (b[i] < 2)
            return false;
        cells *= b[i];
    }
    return (b[16] == 1 || b[16] == 2) && t->len - at - 20 >= cells * 3 * b[16];
}

/* lutAToBType: up to five stages, of which the last is always there. */
static bool is_pipeline(const struct part *t, size_t channels)
{
    const uint8_t *b = t->bytes;
    if (!is(b, "mAB ") || t->len < 32 || b[8] != channels || b[9] != 3)
        return false;
    const size_t last = be32(b + 12), matrix = be32(b + 16), middle = be32(b + 20), grid = be32(b + 24),
                 first = be32(b + 28);
    return are_curves(t, last, 3) && (!matrix || (matrix <= t->len && t->len - matrix >= 48)) &&
           (!middle || are_curves(t, middle, 3)) && (grid ? is_grid(t, grid, channels) : channels == 3) &&
           (!first || are_curves(t, first, channels));
}

/* ---- which of them, and writing ---- */

/* The tags that say what the numbers mean; 0: none that we read.  A table counts before matrix and curves, as everywhere. */
static size_t choose(const struct profile *p, enum colour_model model, struct part *parts)
{
    static const char *const columns[] = {"rXYZ", "gXYZ", "bXYZ"}, *const curves[] = {"rTRC", "gTRC", "bTRC"};
    if (model == COLOUR_GREY)
        return find_tag(p, "kTRC", parts) && is_curve(parts) ? 1 : 0;
    if (find_tag(p, "A2B0", parts))
        return is_table(parts, model) || is_pipeline(parts, model) ? 1 : 0;
    for (size_t i = 0; i < 3; i++)
        if (model != COLOUR_RGB || !find_tag(p, columns[i], &parts[i]) || !is_xyz(&parts[i]) ||
            !find_tag(p, curves[i], &parts[3 + i]) || !is_curve(&parts[3 + i]))
            return 0;
    return MAX_PARTS;
}

static void put32(uint8_t *to, size_t value)
{
    for (size_t i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void write_profile(const struct profile *p, const struct part *parts, size_t n, struct buf *out)
{
    const size_t start = out->len;
    uint8_t head[TABLE + MAX_PARTS * ENTRY] = {0};
    size_t at = TABLE + n * ENTRY;
    memcpy(head, p->bytes, HEADER);
    put32(head + HEADER, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *entry = head + TABLE + i * ENTRY;
        memcpy(entry, parts[i].name, 4);
        put32(entry + 4, at);
        put32(entry + 8, parts[i].len);
        at += (parts[i].len + 3) / 4 * 4;
    }
    put32(head, at);
    buf_add(out, head, TABLE + n * ENTRY);
    for (size_t i = 0; i < n; i++) {
        buf_add(out, parts[i].bytes, parts[i].len);
        buf_add(out, "\0\0\0", (4 - (out->len - start) % 4) % 4);
    }
}

bool icc_trim(const uint8_t *bytes, size_t len, enum colour_model model, struct buf *out)
{
    struct part parts[MAX_PARTS];
    struct profile p;
    const size_t n = open_profile(bytes, len, model, &p) ? choose(&p, model, parts) : 0;
    if (n)
        write_profile(&p, parts, n, out);
    return n > 0;
}
