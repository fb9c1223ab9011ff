/* setting.c - reading values by tables of settings. */
#include "base/setting.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int choice_find(const char *const *choices, const char *text)
{
    for (int i = 0; text && choices[i]; i++)
        if (strcmp(choices[i], text) == 0)
            return i;
    return -1;
}

const struct setting *setting_find(const struct setting *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* ---- one value ---- */

static bool set_int(const struct setting *s, void *at, int64_t x)
{
    if (!((double)x >= s->lo && (double)x <= s->hi))
        return false;
    if (s->size == sizeof(uint32_t))
        *(uint32_t *)at = (uint32_t)x;
    else
        *(int64_t *)at = x;
    return true;
}

static bool set_real(const struct setting *s, double *at, double x)
{
    bool fits = x >= s->lo && x <= s->hi;
    if (fits)
        *at = x;
    return fits;
}

static bool set_choice(const struct setting *s, int *at, const char *text)
{
    int i = choice_find(s->choices, text);
    if (i >= 0)
        *at = i;
    return i >= 0;
}

static bool set_text(const struct setting *s, char **at, const char *text)
{
    if (!text || (double)strlen(text) < s->lo || (double)strlen(text) > s->hi)
        return false;
    free(*at);
    *at = mem_text(text);
    return true;
}

bool setting_set(const struct setting *s, void *owner, const struct json *v)
{
    void *at = (char *)owner + s->offset;
    int64_t whole;
    double x;
    switch (s->kind) {
    case SETTING_INT: return json_as_int(v, &whole) && set_int(s, at, whole);
    case SETTING_REAL: return json_as_number(v, &x) && set_real(s, at, x);
    case SETTING_FLAG: return json_as_bool(v, at);
    case SETTING_CHOICE: return set_choice(s, at, json_as_text(v, NULL));
    case SETTING_TEXT: return set_text(s, at, json_as_text(v, NULL));
    case SETTING_OTHER: break;
    }
    return true;
}

static bool parse_flag(bool *at, const char *text)
{
    static const char *const known[] = {"false", "0", "true", "1", NULL};
    int i = choice_find(known, text);
    if (i >= 0)
        *at = i >= 2;
    return i >= 0;
}

static bool parse_number(const struct setting *s, void *at, const char *text)
{
    char *end = NULL;
    errno = 0;
    long long whole = s->kind == SETTING_INT ? strtoll(text, &end, 10) : 0;
    double x = s->kind == SETTING_INT ? 0 : strtod(text, &end);
    bool clean = *text != 0 && *text != ' ' && *end == 0 && errno == 0;
    return clean && (s->kind == SETTING_INT ? set_int(s, at, whole) : set_real(s, at, x));
}

bool setting_parse(const struct setting *s, void *owner, const char *text)
{
    void *at = (char *)owner + s->offset;
    switch (s->kind) {
    case SETTING_INT:
    case SETTING_REAL: return parse_number(s, at, text);
    case SETTING_FLAG: return parse_flag(at, text);
    case SETTING_CHOICE: return set_choice(s, at, text);
    case SETTING_TEXT: return set_text(s, at, text);
    case SETTING_OTHER: break;
    }
    return true;
}

void setting_write(const struct setting *s, const void *owner, struct json_writer *w)
{
    const void *at = (const char *)owner + s->offset;
    switch (s->kind) {
    case SETTING_INT:
        jw_int(w, s->name, s->size == sizeof(uint32_t) ? (int64_t) * (const uint32_t *)at : *(const int64_t *)at);
        break;
    case SETTING_REAL: jw_real(w, s->name, *(const double *)at); break;
    case SETTING_FLAG: jw_bool(w, s->name, *(const bool *)at); break;
    case SETTING_CHOICE: jw_text(w, s->name, s->choices[*(const int *)at]); break;
    case SETTING_TEXT: jw_text(w, s->name, *(char *const *)at); break;
    case SETTING_OTHER: break;
    }
}

const char *setting_values(const struct setting *s, int digits, const char *between, char out[SETTING_VALUES])
{
    size_t used = 0;
    out[0] = 0;
    if (s->wanted)
        snprintf(out, SETTING_VALUES, "%s", s->wanted);
    else if (s->kind == SETTING_FLAG)
        snprintf(out, SETTING_VALUES, "true or false");
    else if (s->kind == SETTING_INT || s->kind == SETTING_REAL)
        snprintf(out, SETTING_VALUES, "a %snumber from %.*g to %.*g", s->kind == SETTING_INT ? "whole " : "", digits,
                 s->lo, digits, s->hi);
    for (int i = 0; !s->wanted && s->choices && s->choices[i]; i++) {
        snprintf(out + used, SETTING_VALUES - used, "%s%s", i ? between : "", s->choices[i]);
        used = strlen(out);
    }
    return out;
}

/* ---- an object ---- */

const char *setting_path(char out[SETTING_PATH], const char *where, const char *name)
{
    snprintf(out, SETTING_PATH, "%s%s%s", where, *where ? "." : "", name);
    return out;
}

static bool refuse(const struct setting *s, const char *path, struct err *e)
{
    char values[SETTING_VALUES];
    return err_field(e, path, "must be %s%s", s->kind == SETTING_CHOICE ? "one of " : "",
                     setting_values(s, 6, ", ", values));
}

bool settings_read(const struct json *object, const char *where, const struct settings_of *parts, size_t n,
                   struct err *e)
{
    const char *key;
    const struct json *v;
    char path[SETTING_PATH];
    if (json_kind(object) != JSON_KIND_OBJECT)
        return err_field(e, where, "must be an object");
    for (void *it = NULL; (it = json_next(object, it, &key, &v));) {
        bool known = false;
        setting_path(path, where, key);
        for (size_t i = 0; i < n; i++) {
            const struct setting *s = setting_find(parts[i].table, parts[i].n, key);
            known = known || s;
            if (s && json_kind(v) != JSON_KIND_NULL && !setting_set(s, parts[i].owner, v))
                return refuse(s, path, e);
        }
        if (!known)
            return err_field(e, path, "there is no setting \"%s\"", path);
    }
    return true;
}
