/* err.c - building error texts: the first error wins, context goes in front. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
#define X(name, text) [ERR_##name] = text,
    ERR_CODES(X)
#undef X
};
_Static_assert(sizeof names / sizeof *names == ERR_COUNT, "one name for each code");

static bool PRINTF_LIKE(3, 0) set(struct err *e, enum err_code code, const char *fmt, va_list ap)
{
    if (e && e->code == ERR_NONE) {
        e->code = code;
        vsnprintf(e->text, sizeof e->text, fmt, ap);
    }
    return false;
}

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(e, code, fmt, ap);
    va_end(ap);
    return false;
}

bool err_field(struct err *e, const char *param, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (e && e->code == ERR_NONE)
        snprintf(e->param, sizeof e->param, "%s", param);
    set(e, ERR_BAD_INPUT, fmt, ap);
    va_end(ap);
    return false;
}

static enum err_code code_of(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT: return ERR_FULL;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return ERR_BUSY;
    default: return ERR_IO;
    }
}

bool err_sys(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    if (!e || e->code != ERR_NONE)
        return false;
    va_start(ap, fmt);
    set(e, code_of(saved), fmt, ap);
    va_end(ap);
    size_t used = strlen(e->text);
    char why[128];
    snprintf(e->text + used, sizeof e->text - used, ": %s", strerror_r(saved, why, sizeof why));
    return false;
}

bool err_wrap(struct err *e, const char *fmt, ...)
{
    struct err old;
    va_list ap;
    if (!e || e->code == ERR_NONE)
        return false;
    old = *e;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    size_t used = strlen(e->text);
    snprintf(e->text + used, sizeof e->text - used, ": %s", old.text);
    return false;
}

bool err_move(struct err *e, const struct err *why)
{
    if (e && e->code == ERR_NONE)
        *e = *why;
    return false;
}

bool err_names_field(const struct err *e)
{
    char quoted[sizeof e->param + 2];
    snprintf(quoted, sizeof quoted, "\"%s\"", e->param);
    return e->param[0] && strstr(e->text, quoted);
}

/* A file may name its fields as it likes; a terminal must not obey. */
static void make_printable(char *text)
{
    for (char *p = text; *p; p++)
        if (*p < 32 || *p > 126)
            *p = '?';
}

bool err_prefix(struct err *e, const char *prefix)
{
    char field[sizeof e->param];
    size_t len = strlen(prefix);
    memcpy(field, e->param, sizeof field);
    if (!field[0] && len && prefix[len - 1] == '.')
        len--;
    snprintf(e->param, sizeof e->param, "%.*s%s", (int)len, prefix, field);
    return false;
}

bool err_unfield(struct err *e)
{
    if (!e || !e->param[0])
        return false;
    bool named = err_names_field(e);
    char param[sizeof e->param];
    memcpy(param, e->param, sizeof param);
    make_printable(named ? e->text : param);
    e->param[0] = 0;
    return !named && err_wrap(e, "%s", param);
}

const char *err_name(enum err_code code)
{
    return (unsigned)code < ERR_COUNT ? names[code] : "internal_error";
}
