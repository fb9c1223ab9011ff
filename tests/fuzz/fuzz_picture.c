/* fuzz_picture.c - any text as a picture within JSON: base64, a data URL, or neither.
 *
 * What is taken is held against a naive look in several passes (escapes, blanks, padding, then a number of all digits), and the
 * same data behind another head mean the same.
 */
#include <string.h>

#include "api/requests/picture.h"
#include "base/json.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

/* ---- the naive look ---- */

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c == '-' ? '+' : c == '_' ? '/' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Replaces escapes and drops blanks; gives the length, SIZE_MAX for a broken escape. */
static size_t plain_text(const char *text, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned value = (unsigned char)text[i];
        char pair[3] = "";
        if (text[i] == '%') {
            if (len - i < 3)
                return SIZE_MAX;
            memcpy(pair, text + i + 1, 2);
            if (strspn(pair, "0123456789abcdefABCDEF") != 2)
                return SIZE_MAX;
            value = (unsigned)strtoul(pair, NULL, 16);
            i += 2;
        }
        if (!value || !strchr(" \t\r\n\f\v", (int)value))
            out[n++] = (char)value;
    }
    return n;
}

/* Bit by bit.  SIZE_MAX: no base64. */
static size_t naive_decode(const char *text, size_t len, uint8_t *out)
{
    char *plain = mem_new(len + 1, 1);
    size_t n = plain_text(text, len, plain), bits = 0;
    bool ok = n != SIZE_MAX;
    size_t digits = ok ? n : 0;
    while (digits > 0 && plain[digits - 1] == '=')
        digits--;
    ok = ok && digits % 4 != 1 && (n == digits || (n % 4 == 0 && n - digits <= 2));
    for (size_t i = 0; ok && i < digits; i++) {
        int d = digit_of(plain[i]);
        ok = d >= 0;
        for (int k = 5; ok && k >= 0; k--, bits++)
            if (d >> k & 1)
                out[bits / 8] |= (uint8_t)(0x80 >> bits % 8);
    }
    ok = ok && (bits % 8 == 0 || out[bits / 8] == 0);
    free(plain);
    return ok ? bits / 8 : SIZE_MAX;
}

/* ---- ours ---- */

/* The bytes that JSON text `doc` holds as its first item; NULL: refused. */
static void *ours(const char *doc, size_t len, struct upload_picture *sent, size_t *n)
{
    static struct call c; /* read_picture() writes nothing but its error */
    struct err e = {0};
    void *bytes = NULL;
    struct json *v = json_parse(doc, len, 0, &e);
    c.err = (struct err){0};
    *sent = (struct upload_picture){0};
    if (v && read_picture(&c, json_item(v, 0), "image", sent)) {
        struct upload_picture p = *sent;
        if (picture_decode(&p, &bytes, &e)) {
            *n = p.len;
        } else {
            FUZZ_CHECK(e.code == ERR_BAD_INPUT);
            picture_explain(sent, &e);
            FUZZ_CHECK(e.code == ERR_BAD_INPUT && e.text[0]);
        }
        uint8_t *naive = mem_new(sent->len + 1, 1);
        size_t naive_len = naive_decode(sent->bytes, sent->len, naive);
        FUZZ_CHECK((naive_len != SIZE_MAX) == (bytes != NULL));
        FUZZ_CHECK(!bytes || (naive_len == *n && memcmp(naive, bytes, *n) == 0));
        free(naive);
    } else if (v) {
        FUZZ_CHECK(c.err.code == ERR_BAD_INPUT && strncmp(c.err.param, "image", 5) == 0);
    }
    *sent = (struct upload_picture){.data_url = sent->data_url}; /* the text goes with the document */
    json_free(v);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "[\"DATA:;BASE64,";
    struct upload_picture sent;
    struct buf doc = {0};
    size_t n = 0, again = 0;
    json_init();
    buf_text(&doc, "[\"");
    buf_add(&doc, data, size);
    buf_text(&doc, "\"]");
    void *bytes = ours(doc.data, doc.len, &sent, &n);
    if (bytes && !sent.data_url) {
        doc.len = 0;
        buf_text(&doc, head);
        buf_add(&doc, data, size);
        buf_text(&doc, "\"]");
        void *behind = ours(doc.data, doc.len, &sent, &again);
        FUZZ_CHECK(behind && sent.data_url && n == again && memcmp(bytes, behind, n) == 0);
        free(behind);
    }
    free(bytes);
    buf_clear(&doc);
    return 0;
}
