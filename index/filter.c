/* filter.c - from a filter's JSON to one SQL condition whose every value is a parameter. */
#include "index/filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum clause { MUST, SHOULD, MUST_NOT, CLAUSES };
static const char *const clause_names[CLAUSES] = {"must", "should", "must_not"};

struct condition;

struct group { /* of one level */
    struct condition *items[CLAUSES];
    size_t n[CLAUSES];
};

struct bound {
    const char *sql; /* ">", static */
    struct sql_value value;
};

/* Either a nested group (key is NULL), or a key with the values it may have or the bounds it must keep. */
struct condition {
    const char *key;
    struct group nested;
    struct sql_value *any[3]; /* texts, numbers, flags */
    size_t n_any[3];
    struct bound bounds[4];
    size_t n_bounds;
    bool is_range;
};

enum { TEXTS, NUMBERS, FLAGS };

struct filter {
    struct group root;
    struct arena arena; /* holds all conditions, keys and values */
};

/* ---- parsing ---- */

enum { PATH_SIZE = 192 };

struct parse {
    struct filter *f;
    size_t conditions, values;
    struct err *e;
};

PRINTF_LIKE(2, 3) static void path_print(char path[PATH_SIZE], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(path, PATH_SIZE, fmt, ap) >= PATH_SIZE) /* the error's field is shorter still */
        memcpy(path + PATH_SIZE - 4, "...", 4);
    va_end(ap);
}

static bool parse_group(struct parse *p, const struct json *v, const char *path, size_t depth, struct group *out);

/* Every member of the object at `path` must be known. */
static bool only(struct parse *p, const struct json *v, const char *path, const char *const *known, size_t n)
{
    char prefix[PATH_SIZE];
    if (json_kind(v) != JSON_KIND_OBJECT)
        return err_field(p->e, path, "must be an object");
    path_print(prefix, "%s.", path);
    return json_only(v, prefix, known, n, p->e);
}

static bool parse_scalar(struct parse *p, const struct json *v, const char *path, int *kind, struct sql_value *out)
{
    int64_t i;
    double real;
    bool flag;
    size_t len;
    const char *text = json_as_text(v, &len);
    if (++p->values > FILTER_VALUES_MAX)
        return err_field(p->e, path, "the filter has more than %d values", FILTER_VALUES_MAX);
    if (text && len > FILTER_TEXT_MAX)
        return err_field(p->e, path, "a text of more than %d bytes", FILTER_TEXT_MAX);
    if (text) {
        *kind = TEXTS;
        *out = sql_text(arena_text(&p->f->arena, text));
    } else if (json_as_int(v, &i)) {
        *kind = NUMBERS;
        *out = sql_int(i);
    } else if (json_as_number(v, &real)) {
        *kind = NUMBERS;
        *out = sql_real(real);
    } else if (json_as_bool(v, &flag)) {
        *kind = FLAGS;
        *out = sql_int(flag);
    } else {
        return err_field(p->e, path, "must be a text, a number or a boolean");
    }
    return true;
}

static bool parse_match_value(struct parse *p, const struct json *v, const char *path, struct condition *c)
{
    int kind;
    struct sql_value value;
    if (!parse_scalar(p, v, path, &kind, &value))
        return false;
    c->any[kind][c->n_any[kind]++] = value;
    return true;
}

static bool parse_match(struct parse *p, const struct json *match, const char *path, struct condition *c)
{
    static const char *const known[] = {"value", "any"};
    char at[PATH_SIZE];
    if (!only(p, match, path, known, COUNT(known)))
        return false;
    const struct json *value = json_member(match, "value"), *any = json_member(match, "any");
    if (!value == !any)
        return err_field(p->e, path, "needs either value or any");
    if (any && json_kind(any) != JSON_KIND_LIST) {
        path_print(at, "%s.any", path);
        return err_field(p->e, at, "must be a list");
    }
    size_t n = value ? 1 : json_count(any);
    for (size_t kind = 0; kind < COUNT(c->any); kind++)
        c->any[kind] = arena_new(&p->f->arena, min_size(n, FILTER_VALUES_MAX), sizeof *c->any[kind]);
    if (value) {
        path_print(at, "%s.value", path);
        return parse_match_value(p, value, at, c);
    }
    for (size_t i = 0; i < n; i++) {
        path_print(at, "%s.any[%zu]", path, i);
        if (!parse_match_value(p, json_item(any, i), at, c))
            return false;
    }
    return true;
}

static bool parse_range(struct parse *p, const struct json *range, const char *path, struct condition *c)
{
    static const char *const known[] = {"gt", "gte", "lt", "lte"};
    static const char *const sql[] = {">", ">=", "<", "<="};
    char at[PATH_SIZE];
    c->is_range = true;
    if (!only(p, range, path, known, COUNT(known)))
        return false;
    for (size_t i = 0; i < COUNT(known); i++) {
        const struct json *bound = json_member(range, known[i]);
        int kind = NUMBERS;
        if (!bound)
            continue;
        path_print(at, "%s.%s", path, known[i]);
        struct bound *b = &c->bounds[c->n_bounds++];
        b->sql = sql[i];
        if (!parse_scalar(p, bound, at, &kind, &b->value))
            return false;
        if (kind != NUMBERS)
            return err_field(p->e, at, "must be a number");
    }
    return c->n_bounds > 0 || err_field(p->e, path, "needs one of gt, gte, lt, lte");
}

/* {"key", "match" | "range"} */
static bool parse_field(struct parse *p, const struct json *v, const char *path, struct condition *c)
{
    static const char *const known[] = {"key", "match", "range"};
    char at[PATH_SIZE];
    size_t len = 0;
    if (!only(p, v, path, known, COUNT(known)))
        return false;
    const char *key = json_as_text(json_member(v, "key"), &len);
    if (!key || len == 0 || len > FILTER_TEXT_MAX) {
        path_print(at, "%s.key", path);
        return err_field(p->e, at, "must be a text of 1 to %d bytes", FILTER_TEXT_MAX);
    }
    c->key = arena_text(&p->f->arena, key);
    const struct json *match = json_member(v, "match"), *range = json_member(v, "range");
    if (!match == !range)
        return err_field(p->e, path, "needs either match or range");
    path_print(at, "%s.%s", path, match ? "match" : "range");
    if (range && strcmp(key, "label") == 0)
        return err_field(p->e, at, "a label is a text, a range is over numbers");
    return match ? parse_match(p, match, at, c) : parse_range(p, range, at, c);
}

static bool parse_condition(struct parse *p, const struct json *v, const char *path, size_t depth,
                            struct condition *c)
{
    if (++p->conditions > FILTER_CONDITIONS_MAX)
        return err_field(p->e, path, "the filter has more than %d conditions", FILTER_CONDITIONS_MAX);
    if (json_kind(v) != JSON_KIND_OBJECT)
        return err_field(p->e, path, "must be an object");
    for (size_t i = 0; i < CLAUSES; i++)
        if (json_member(v, clause_names[i]))
            return parse_group(p, v, path, depth + 1, &c->nested);
    return parse_field(p, v, path, c);
}

static bool parse_group(struct parse *p, const struct json *v, const char *path, size_t depth, struct group *out)
{
    char at[PATH_SIZE];
    if (depth > FILTER_DEPTH_MAX)
        return err_field(p->e, path, "nested more than %d levels deep", FILTER_DEPTH_MAX);
    if (!only(p, v, path, clause_names, CLAUSES))
        return false;
    for (size_t i = 0; i < CLAUSES; i++) {
        const struct json *list = json_member(v, clause_names[i]);
        path_print(at, "%s.%s", path, clause_names[i]);
        if (list && json_kind(list) != JSON_KIND_LIST)
            return err_field(p->e, at, "must be a list of conditions");
        size_t n = json_count(list);
        if (n > FILTER_CONDITIONS_MAX)
            return err_field(p->e, at, "the filter has more than %d conditions", FILTER_CONDITIONS_MAX);
        out->n[i] = n;
        out->items[i] = arena_new(&p->f->arena, n, sizeof *out->items[i]);
        for (size_t k = 0; k < n; k++) {
            path_print(at, "%s.%s[%zu]", path, clause_names[i], k);
            if (!parse_condition(p, json_item(list, k), at, depth, &out->items[i][k]))
                return false;
        }
    }
    return true;
}

struct filter *filter_parse(const struct json *v, const char *where, struct err *e)
{
    struct filter *f = mem_new(1, sizeof *f);
    struct parse p = {.f = f, .e = e};
    if (!parse_group(&p, v, where, 1, &f->root)) {
        filter_free(f);
        return NULL;
    }
    return f;
}

void filter_free(struct filter *f)
{
    if (!f)
        return;
    arena_clear(&f->arena);
    free(f);
}

/* ---- SQL ---- */

struct writer {
    struct buf *sql, *values;
};

/* ?n for a value that is handed over beside the text. */
static void write_value(struct writer *w, const struct sql_value *v)
{
    buf_add(w->values, v, sizeof *v);
    buf_print(w->sql, "?%zu", w->values->len / sizeof *v);
}

static void write_any(struct writer *w, const char *column, const struct sql_value *values, size_t n)
{
    buf_print(w->sql, "%s IN (", column);
    for (size_t i = 0; i < n; i++) {
        buf_text(w->sql, i ? ", " : "");
        write_value(w, &values[i]);
    }
    buf_char(w->sql, ')');
}

/* The label is a column of the image; without a label it is NULL, of which NOT would make NULL again. */
static void write_label(struct writer *w, const struct condition *c)
{
    buf_text(w->sql, "(image.label IS NOT NULL AND ");
    write_any(w, "image.label", c->any[TEXTS], c->n_any[TEXTS]);
    buf_char(w->sql, ')');
}

static void write_bounds(struct writer *w, const struct condition *c)
{
    buf_text(w->sql, "attribute.text IS NULL");
    for (size_t i = 0; i < c->n_bounds; i++) {
        buf_print(w->sql, " AND attribute.number %s ", c->bounds[i].sql);
        write_value(w, &c->bounds[i].value);
    }
}

/* The conditions that a column is NULL follow from the others; they let the index be used to its end. */
static void write_values(struct writer *w, const struct condition *c)
{
    static const char *const columns[] = {
        [TEXTS] = "attribute.text",
        [NUMBERS] = "attribute.text IS NULL AND attribute.number",
        [FLAGS] = "attribute.text IS NULL AND attribute.number IS NULL AND attribute.flag",
    };
    const char *between = "(";
    for (size_t kind = 0; kind < COUNT(columns); kind++) {
        if (c->n_any[kind] == 0)
            continue;
        buf_text(w->sql, between);
        write_any(w, columns[kind], c->any[kind], c->n_any[kind]);
        between = " OR ";
    }
    buf_text(w->sql, strcmp(between, "(") == 0 ? "0" : ")"); /* no value at all matches nothing */
}

static void write_group(struct writer *w, const struct group *g);

static void write_condition(struct writer *w, const struct condition *c)
{
    if (!c->key) {
        write_group(w, &c->nested);
    } else if (strcmp(c->key, "label") == 0) {
        write_label(w, c);
    } else {
        struct sql_value key = sql_text(c->key);
        buf_text(w->sql, "image.number IN (SELECT attribute.image FROM attribute WHERE attribute.collection = ?1"
                         " AND attribute.key = ");
        write_value(w, &key);
        buf_text(w->sql, " AND ");
        if (c->is_range)
            write_bounds(w, c);
        else
            write_values(w, c);
        buf_char(w->sql, ')');
    }
}

/* "(1 AND a AND b AND (0 OR c OR d) AND NOT e)" */
static void write_group(struct writer *w, const struct group *g)
{
    buf_text(w->sql, "(1");
    for (size_t i = 0; i < g->n[MUST]; i++) {
        buf_text(w->sql, " AND ");
        write_condition(w, &g->items[MUST][i]);
    }
    for (size_t i = 0; i < g->n[SHOULD]; i++) {
        buf_text(w->sql, i ? " OR " : " AND (");
        write_condition(w, &g->items[SHOULD][i]);
    }
    buf_text(w->sql, g->n[SHOULD] ? ")" : "");
    for (size_t i = 0; i < g->n[MUST_NOT]; i++) {
        buf_text(w->sql, " AND NOT ");
        write_condition(w, &g->items[MUST_NOT][i]);
    }
    buf_char(w->sql, ')');
}

void filter_sql(const struct filter *f, struct buf *where, struct buf *values)
{
    struct writer w = {where, values};
    write_group(&w, &f->root);
}
