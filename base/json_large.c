/* json_large.c - a scan of JSON text for the few things that the parser cannot tell us about. */
#include "base/json_large.h"

#include <stdbool.h>
#include <string.h>

static const char most[] = "18446744073709551615", least[] = "9223372036854775808";
enum { DIGITS_MAX = sizeof most - 1 };

/* Behind the string whose first byte is at `at`; NULL: it holds \u0000. */
static const char *behind_text(const char *at, const char *end)
{
    const char *quote = at; /* looked for again only when an escape has passed it: each byte is seen twice at most */
    while (at < end) {
        if (quote && quote <= at)
            quote = memchr(at, '"', (size_t)(end - at));
        const char *stop = quote ? quote : end, *escape = memchr(at, '\\', (size_t)(stop - at));
        if (!escape)
            return quote ? quote + 1 : end;
        if (end - escape >= 6 && memcmp(escape, "\\u0000", 6) == 0)
            return NULL;
        at = escape + 2;
    }
    return end;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether the digits [at, at + n) say less than the text `than` does, or as much. */
static bool up_to(const char *at, size_t n, const char *than)
{
    size_t len = strlen(than);
    return n < len || (n == len && memcmp(at, than, n) <= 0);
}

/* An integer at `at`, or else the digits of a real: gives where they end; *large says that it needs the dress. */
static const char *behind_number(const char *at, const char *end, bool *large, struct err *e)
{
    bool negative = *at == '-';
    const char *digits = at + negative, *stop = digits;
    while (stop < end && is_digit(*stop))
        stop++;
    size_t n = (size_t)(stop - digits);
    bool real = stop < end && (*stop == '.' || *stop == 'e' || *stop == 'E');
    *large = false;
    if (real || n < DIGITS_MAX - 1 || digits[0] == '0') /* zeros in front are no JSON */
        return stop;
    if (negative ? !up_to(digits, n, least) : !up_to(digits, n, most)) {
        err_set(e, ERR_BAD_INPUT, "a number is out of range: integers go from -%s to %s", least, most);
        return NULL;
    }
    *large = !negative && (n == DIGITS_MAX || memcmp(digits, least, n) >= 0);
    return stop;
}

bool json_large_dress(const char *text, size_t len, struct buf *out, struct err *e)
{
    const char *at = text, *end = text + len, *copied = text;
    while (at < end) {
        bool large = false;
        const char *start = at;
        if (*at == '"') {
            at = behind_text(at + 1, end);
            if (!at) {
                buf_clear(out);
                return err_set(e, ERR_BAD_INPUT, "a text holds the character \\u0000, which is not taken");
            }
        } else if (is_digit(*at) || *at == '-') {
            at = behind_number(at, end, &large, e);
            if (!at) {
                buf_clear(out);
                return false;
            }
            while (at < end && (is_digit(*at) || strchr(".eE+-", *at))) /* the rest of a real */
                at++;
        } else {
            at++;
        }
        if (!large)
            continue;
        buf_add(out, copied, (size_t)(start - copied));
        buf_print(out, "\"\\u0000%.*s\"", (int)(at - start), start);
        copied = at;
    }
    if (out->len)
        buf_add(out, copied, (size_t)(end - copied));
    return true;
}
