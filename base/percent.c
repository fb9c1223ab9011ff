/* percent.c - decoding and encoding of URL text. */
#include "base/percent.h"

#include <string.h>

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

bool percent_decode(const char *in, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = in[i];
        if (c == '%') {
            int high = len - i > 2 ? digit(in[i + 1]) : -1;
            int low = high >= 0 ? digit(in[i + 2]) : -1;
            if (low < 0 || high + low == 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = c;
    }
    out[n] = 0;
    return true;
}

void percent_encode(const char *text, struct buf *out)
{
    for (; *text; text++) {
        char c = *text;
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-._~", c);
        if (plain)
            buf_char(out, c);
        else
            buf_print(out, "%%%02X", (unsigned char)c);
    }
}
