/* base64.c - encoding by nettle; a decoder of our own, for nettle's wants one alphabet and its padding. */
#include "base/base64.h"

#include <nettle/base64.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void base64_encode(const void *data, size_t len, struct buf *out)
{
    size_t size = BASE64_ENCODE_RAW_LENGTH(len);
    buf_reserve(out, size);
    base64_encode_raw(out->data + out->len, len, data);
    out->len += size;
    out->data[out->len] = 0;
}

enum { BLANK = 64, PADDING, ESCAPE, OTHER };

struct table {
    uint8_t of[256];
};

static struct table make_table(void)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct table t;
    memset(t.of, OTHER, sizeof t.of);
    for (uint8_t i = 0; i < 64; i++)
        t.of[(unsigned char)digits[i]] = i;
    t.of['-'] = 62;
    t.of['_'] = 63;
    t.of[' '] = t.of['\t'] = t.of['\r'] = t.of['\n'] = t.of['\f'] = t.of['\v'] = BLANK;
    t.of['='] = PADDING;
    t.of['%'] = ESCAPE;
    return t;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

struct decoder {
    struct table table;
    uint8_t *out;
    size_t n;
    uint32_t word;    /* the bits that are not in `out` yet */
    unsigned bits;    /* how many of them: 0, 2, 4 or 6 */
    unsigned padding; /* signs of padding so far */
};

static bool take(struct decoder *d, unsigned char c)
{
    uint8_t v = d->table.of[c];
    if (v == BLANK)
        return true;
    if (v == PADDING) /* two bits stand over for each sign of it */
        return ++d->padding <= d->bits / 2 && d->bits != 6;
    if (v > 63 || d->padding)
        return false;
    d->word = d->word << 6 | v;
    d->bits += 6;
    if (d->bits >= 8) {
        d->bits -= 8;
        d->out[d->n++] = (uint8_t)(d->word >> d->bits);
        d->word &= (1u << d->bits) - 1;
    }
    return true;
}

/* Whole, with all of its padding or none, and nothing left in the bits that stand over. */
static bool is_whole(const struct decoder *d)
{
    return d->bits != 6 && d->word == 0 && (d->padding == 0 || d->padding == d->bits / 2);
}

static bool decode(struct decoder *d, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (d->table.of[c] == ESCAPE) {
            int high = len - i > 2 ? hex(text[i + 1]) : -1, low = high >= 0 ? hex(text[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (unsigned char)(high * 16 + low);
            i += 2;
        }
        if (!take(d, c))
            return false;
    }
    return is_whole(d);
}

bool base64_decode(const char *text, size_t len, void **out, size_t *out_len, struct err *e)
{
    struct decoder d = {.table = make_table(), .out = mem_try(len / 4 * 3 + 3, 1, e)};
    if (!d.out)
        return false;
    if (!decode(&d, text, len)) {
        free(d.out);
        return err_set(e, ERR_BAD_INPUT, "not valid base64");
    }
    *out = d.out;
    *out_len = d.n;
    return true;
}
