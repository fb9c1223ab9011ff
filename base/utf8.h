/* utf8.h - telling whether bytes are UTF-8 (RFC 3629), and fit to be shown. */
#ifndef ANCHORD_BASE_UTF8_H
#define ANCHORD_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the character at s, which a zero byte ends; 0 when it is none. */
static inline size_t utf8_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char c = s[0], lo = 0x80, hi = 0xbf;
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (c == 0xe0)
        lo = 0xa0; /* shorter forms exist */
    else if (c == 0xed)
        hi = 0x9f; /* surrogates */
    else if (c == 0xf0)
        lo = 0x90;
    else if (c == 0xf4)
        hi = 0x8f; /* beyond U+10FFFF */
    for (size_t i = 1; i < n; i++, lo = 0x80, hi = 0xbf)
        if (s[i] < lo || s[i] > hi)
            return 0;
    return n;
}

static inline bool utf8_is_valid(const char *s)
{
    while (*s) {
        size_t n = utf8_length(s);
        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

/* Valid, and without control characters (Unicode's category Cc: U+0001 to U+001F and U+007F to U+009F). */
static inline bool utf8_is_printable(const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p < 32 || *p == 127 || (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f))
            return false;
    return utf8_is_valid(s);
}

#endif
