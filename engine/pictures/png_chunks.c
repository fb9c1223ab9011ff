/* png_chunks.c - the chunk walk (PNG, third edition), and "raw profiles" of ImageMagick and GIMP. */
#include "engine/pictures/png_chunks.h"

#include <string.h>

#include "base/num.h"
#include "engine/pictures/exif.h"
#include "engine/pictures/icc.h"
#include "engine/pictures/inflate.h"

enum { SIGNATURE = 8, FRAME = 12, KEYWORD_MAX = 79, RAW_TEXT_MAX = 256 << 10, EXIF_MAX = 64 << 10 };

struct chunk {
    const uint8_t *type, *data;
    size_t len;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is(const struct chunk *c, const char *type)
{
    return memcmp(c->type, type, 4) == 0;
}

static bool is_whole(const struct chunk *c)
{
    return checksum(c->type, c->len + 4) == be32(c->data + c->len);
}

/* What stands behind the keyword and its zero; false: it has none. */
static bool skip_keyword(const uint8_t **data, size_t *len)
{
    const uint8_t *zero = memchr(*data, 0, min_size(*len, KEYWORD_MAX + 1));
    if (!zero)
        return false;
    *len -= (size_t)(zero + 1 - *data);
    *data = zero + 1;
    return true;
}

/* Behind a keyword: a method of 0 and a zlib stream. */
static bool inflate_behind_keyword(const uint8_t *data, size_t len, size_t max, struct buf *out)
{
    return skip_keyword(&data, &len) && len >= 1 && data[0] == 0 && inflate_bounded(data + 1, len - 1, max, out);
}

/* ---- raw profiles: "\nexif\n      94\n4578696600004d4d..." with line breaks ---- */

static bool is_raw_exif(const struct chunk *c)
{
    static const char *const keywords[] = {"Raw profile type exif", "Raw profile type APP1"};
    for (size_t i = 0; i < COUNT(keywords); i++) {
        const size_t n = strlen(keywords[i]) + 1;
        if ((is(c, "tEXt") || is(c, "zTXt")) && c->len > n && memcmp(c->data, keywords[i], n) == 0)
            return true;
    }
    return false;
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Appends the bytes that the text writes in hexadecimal, behind the three line breaks of its head. */
static void read_hex(const uint8_t *text, size_t len, struct buf *out)
{
    size_t breaks = 0, at = 0;
    int high = -1;
    while (at < len && breaks < 3)
        breaks += text[at++] == '\n';
    for (; at < len && out->len < EXIF_MAX; at++) {
        const int value = digit(text[at]);
        if (value < 0)
            continue;
        if (high >= 0)
            buf_char(out, (char)(high << 4 | value));
        high = high >= 0 ? -1 : value;
    }
}

static uint8_t raw_orientation(const struct chunk *c)
{
    struct buf text = {0}, exif = {0};
    const uint8_t *data = c->data;
    size_t len = c->len;
    if (is(c, "zTXt"))
        inflate_behind_keyword(data, len, RAW_TEXT_MAX, &text); /* a part will do */
    else if (skip_keyword(&data, &len))
        buf_add(&text, data, min_size(len, RAW_TEXT_MAX));
    read_hex((const uint8_t *)text.data, text.len, &exif);
    const uint8_t orientation = exif_orientation((const uint8_t *)exif.data, exif.len);
    buf_clear(&text);
    buf_clear(&exif);
    return orientation;
}

/* ---- the walk ---- */

/* False: the file ends, or what follows is no whole chunk. */
static bool next_chunk(const uint8_t *bytes, size_t len, size_t *at, struct chunk *c)
{
    if (len < FRAME || *at > len - FRAME)
        return false;
    *c = (struct chunk){.type = bytes + *at + 4, .data = bytes + *at + 8, .len = be32(bytes + *at)};
    if (c->len > len - *at - FRAME || is(c, "IEND"))
        return false;
    *at += FRAME + c->len;
    return true;
}

struct png_chunks png_chunks_read(const uint8_t *bytes, size_t len)
{
    struct png_chunks found = {.orientation = 1};
    bool have_exif = false, have_raw = false;
    uint8_t raw = 1;
    struct chunk c;
    for (size_t at = SIGNATURE; next_chunk(bytes, len, &at, &c);) {
        if (is(&c, "tRNS"))
            found.damaged = found.damaged || !is_whole(&c);
        else if (is(&c, "iCCP") && !found.profile && is_whole(&c)) {
            found.profile = c.data;
            found.profile_len = c.len;
        } else if (is(&c, "eXIf") && !have_exif && is_whole(&c)) {
            found.orientation = exif_orientation(c.data, c.len);
            have_exif = true;
        } else if (!have_raw && is_raw_exif(&c) && is_whole(&c)) {
            raw = raw_orientation(&c);
            have_raw = true;
        }
    }
    if (!have_exif)
        found.orientation = raw;
    return found;
}

void png_chunks_icc(const struct png_chunks *c, struct buf *out)
{
    const size_t start = out->len;
    if (c->profile && !inflate_behind_keyword(c->profile, c->profile_len, ICC_MAX, out))
        out->len = start;
}
