/* json_writer.c - writing JSON text straight into a buffer. */
#include "base/json_writer.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

struct json_writer jw_to(struct buf *buf)
{
    struct json_writer w = {.buf = buf};
    w.first[0] = true;
    return w;
}

static void quoted(struct buf *b, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    buf_char(b, '"');
    while (*p) {
        const unsigned char *run = p;
        while (*p >= 32 && *p < 127 && *p != '"' && *p != '\\')
            p++;
        buf_add(b, run, (size_t)(p - run));
        if (!*p)
            break;
        size_t n = utf8_length((const char *)p);
        if (*p == '"' || *p == '\\')
            buf_print(b, "\\%c", *p);
        else if (*p == '\n')
            buf_text(b, "\\n");
        else if (*p < 32 || *p == 127)
            buf_print(b, "\\u%04x", *p);
        else
            buf_add(b, n ? (const char *)p : "\xef\xbf\xbd", n ? n : 3);
        p += n ? n : 1;
    }
    buf_char(b, '"');
}

static void place(struct json_writer *w, const char *key)
{
    if (!w->first[w->depth])
        buf_char(w->buf, ',');
    w->first[w->depth] = false;
    if (key) {
        quoted(w->buf, key);
        buf_char(w->buf, ':');
    }
}

static void nest(struct json_writer *w, const char *key, char opener, char closer)
{
    place(w, key);
    assert(w->depth < JSON_WRITER_DEPTH);
    buf_char(w->buf, opener);
    w->closer[w->depth++] = closer;
    w->first[w->depth] = true;
}

void jw_object(struct json_writer *w, const char *key)
{
    nest(w, key, '{', '}');
}

void jw_array(struct json_writer *w, const char *key)
{
    nest(w, key, '[', ']');
}

void jw_end(struct json_writer *w)
{
    assert(w->depth > 0);
    buf_char(w->buf, w->closer[--w->depth]);
}

void jw_text(struct json_writer *w, const char *key, const char *value)
{
    place(w, key);
    if (value)
        quoted(w->buf, value);
    else
        buf_text(w->buf, "null");
}

void jw_int(struct json_writer *w, const char *key, int64_t value)
{
    place(w, key);
    buf_print(w->buf, "%lld", (long long)value);
}

static void print_digits(double value, int digits, char out[REAL_TEXT_MAX])
{
    snprintf(out, REAL_TEXT_MAX, "%.*g", digits, value);
    char *exponent = strchr(out, 'e');
    if (exponent) { /* e+07 as e7 */
        char *to = exponent + (exponent[1] == '-' ? 2 : 1), *from = exponent + 2;
        from += strspn(from, "0");
        memmove(to, from, strlen(from) + 1);
    }
}

void real_text(double value, char out[REAL_TEXT_MAX])
{
    int digits = 15;
    do
        print_digits(value, digits, out);
    while (strtod(out, NULL) != value && ++digits <= 17);
}

void jw_real(struct json_writer *w, const char *key, double value)
{
    char text[REAL_TEXT_MAX] = "null";
    if (isfinite(value))
        real_text(value, text);
    jw_raw(w, key, text);
}

void jw_short(struct json_writer *w, const char *key, double value)
{
    char text[REAL_TEXT_MAX] = "null";
    if (isfinite(value))
        print_digits(value, 6, text);
    jw_raw(w, key, text);
}

/* The components of unit vectors are nearly all in this range; printf would cost more than the search that
 * found them.  Nine significant digits always read back as the same float. */
static bool small_float(struct buf *b, float value)
{
    char digits[24];
    double a = fabs((double)value), scale = 1e9;
    int zeros = 0; /* between the point and the first digit */
    if (!(a >= 1e-5 && a < 0.9999999))
        return false;
    for (; a * scale < 1e8; scale *= 10)
        zeros++;
    unsigned long n = (unsigned long)(a * scale + 0.5);
    if (n >= 1000000000)
        return false;
    int used = 9;
    while (n % 10 == 0) {
        n /= 10;
        used--;
    }
    char *p = digits + sizeof digits;
    for (int i = 0; i < used; i++, n /= 10)
        *--p = (char)('0' + n % 10);
    for (int i = 0; i < zeros; i++)
        *--p = '0';
    *--p = '.';
    *--p = '0';
    if (value < 0)
        *--p = '-';
    buf_add(b, p, (size_t)(digits + sizeof digits - p));
    return true;
}

void jw_float(struct json_writer *w, const char *key, float value)
{
    place(w, key);
    if (small_float(w->buf, value))
        return;
    if (isfinite(value))
        buf_print(w->buf, "%.9g", (double)value);
    else
        buf_text(w->buf, "null");
}

void jw_bool(struct json_writer *w, const char *key, bool value)
{
    place(w, key);
    buf_text(w->buf, value ? "true" : "false");
}

void jw_null(struct json_writer *w, const char *key)
{
    place(w, key);
    buf_text(w->buf, "null");
}

void jw_raw(struct json_writer *w, const char *key, const char *json)
{
    place(w, key);
    buf_text(w->buf, json ? json : "null");
}
