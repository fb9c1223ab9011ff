/* import_name.c - from a path to an id and a label. */
#include "server/commands/import_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/nfc.h"
#include "base/utf8.h"

enum { MARK_DIGITS = 16, OLD_MARK_DIGITS = 8 };

char *import_text(const char *path)
{
    struct buf b = {0};
    for (const char *p = path; *p;) {
        size_t n = utf8_length(p);
        bool control = (unsigned char)*p < 32 || *p == 127 ||
                       (n == 2 && (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0);
        if (n == 0 || control) /* byte by byte */
            buf_print(&b, "%%%02X", (unsigned char)*p++);
        else
            buf_add(&b, p, n);
        p += n == 0 || control ? 0 : n;
    }
    return buf_take(&b, NULL);
}

/* Cuts a text to at most `max` bytes, between two characters. */
static void cut(char *text, size_t max)
{
    size_t len = strlen(text);
    if (len > max)
        len = max;
    else
        return;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    text[len] = 0;
}

void import_id(const char *path, char out[IMAGE_ID_MAX + 1])
{
    char hex[HASH_HEX], *text = import_text(path);
    if (strcmp(text, path) == 0 && strlen(text) <= IMAGE_ID_MAX) {
        snprintf(out, IMAGE_ID_MAX + 1, "%s", text);
    } else {
        hash_text(path, strlen(path), hex);
        cut(text, IMAGE_ID_MAX - MARK_DIGITS - 1);
        snprintf(out, IMAGE_ID_MAX + 1, "%s-%.*s", text, MARK_DIGITS, hex);
    }
    free(text);
}

char *import_label(const char *path)
{
    const char *slash = strchr(path, '/');
    char *folder = mem_text(path);
    if (!slash) {
        free(folder);
        return NULL;
    }
    folder[slash - path] = 0;
    char *text = import_text(folder), *label = nfc_text(text);
    free(folder);
    free(text);
    return label;
}

/* ---- version 0.1.0 ---- */

static bool fits_old_id(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

/* Gives its full length, which may be more than `size` has room for. */
static size_t plain_old_id(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    size_t len = dot && dot != path ? (size_t)(dot - path) : strlen(path), n = 0;
    for (; n < len && n + 1 < size; n++)
        out[n] = path[n] == '/' ? '.' : fits_old_id(path[n]) ? path[n] : '_';
    out[n] = 0;
    return len;
}

void import_old_id(const char *path, int which, char out[ID_MAX + 1])
{
    char hex[HASH_HEX];
    if (which == 1 && plain_old_id(path, out, ID_MAX + 1) <= ID_MAX)
        return;
    plain_old_id(path, out, ID_MAX + 1 - OLD_MARK_DIGITS - 1);
    hash_text(path, strlen(path), hex);
    size_t len = strlen(out);
    snprintf(out + len, ID_MAX + 1 - len, "-%.*s", OLD_MARK_DIGITS, hex);
}

bool import_may_be(const char *id, const char *path)
{
    char now[IMAGE_ID_MAX + 1], old[ID_MAX + 1];
    import_id(path, now);
    bool may = strcmp(id, now) == 0;
    for (int i = 0; !may && i < IMPORT_OLD_IDS; i++) {
        import_old_id(path, i, old);
        may = strcmp(id, old) == 0;
    }
    return may;
}
