/* train_config_fields.c - reading an object by a table of its fields. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/learning/train_config_parts.h"

void config_path(char out[64], const char *where, const char *name)
{
    snprintf(out, 64, "%s%s%s", where, *where ? "." : "", name);
}

bool config_choice(const struct json *v, const struct field *f, const char *path, struct err *e)
{
    const char *text = json_as_text(v, NULL);
    char known[160] = "";
    for (int i = 0; f->choices[i]; i++) {
        if (text && strcmp(text, f->choices[i]) == 0) {
            *(int *)f->to = i;
            return true;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", f->choices[i]);
    }
    return err_field(e, path, "must be one of %s", known);
}

static bool read_number(const struct json *v, const struct field *f, const char *path, struct err *e)
{
    double x;
    int64_t whole;
    bool ok = f->kind == FIELD_REAL ? json_as_number(v, &x) : json_as_int(v, &whole);
    if (ok && f->kind == FIELD_COUNT)
        x = (double)whole;
    if (!ok || !(x >= f->lo && x <= f->hi))
        return err_field(e, path, "must be a %snumber from %g to %g", f->kind == FIELD_COUNT ? "whole " : "", f->lo,
                         f->hi);
    if (f->kind == FIELD_REAL)
        *(double *)f->to = x;
    else
        *(uint64_t *)f->to = (uint64_t)whole;
    return true;
}

static bool read_field(const struct json *v, const struct field *f, const char *where, struct err *e)
{
    char path[64];
    config_path(path, where, f->name);
    switch (f->kind) {
    case FIELD_REAL:
    case FIELD_COUNT: return read_number(v, f, path, e);
    case FIELD_FLAG: return json_as_bool(v, f->to) || err_field(e, path, "must be true or false");
    case FIELD_CHOICE: return config_choice(v, f, path, e);
    case FIELD_PATH:
        if (!json_as_text(v, NULL) || !*json_as_text(v, NULL))
            return err_field(e, path, "must be a path");
        *(char **)f->to = mem_text(json_as_text(v, NULL));
        return true;
    case FIELD_OTHER: break; /* read by its own function */
    }
    return true;
}

bool config_fields(const struct json *object, const char *where, const struct field *fields, size_t n, struct err *e)
{
    const char *key;
    const struct json *v;
    char path[64];
    if (json_kind(object) != JSON_KIND_OBJECT)
        return err_field(e, where, "must be an object");
    for (void *it = NULL; (it = json_next(object, it, &key, &v));) {
        size_t i = 0;
        while (i < n && strcmp(fields[i].name, key) != 0)
            i++;
        config_path(path, where, key);
        if (i == n)
            return err_field(e, path, "there is no setting \"%s\"", path);
        if (json_kind(v) != JSON_KIND_NULL && !read_field(v, &fields[i], where, e))
            return false;
    }
    return true;
}

bool config_refuse(const struct err *why, const char *where, struct err *e)
{
    char path[64];
    config_path(path, where, why->param);
    return err_field(e, path, "%s", why->text);
}
