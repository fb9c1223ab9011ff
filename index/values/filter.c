/* filter.c - from a filter's JSON to its conditions, with the path of every fault. */
#include "index/values/filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/datetime.h"
#include "base/num.h"
#include "index/values/filter_tree.h"

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

/* Fails for the member `name` of what stands at `path`. */
PRINTF_LIKE(4, 5) static bool fail_member(struct parse *p, const char *path, const char *name, const char *fmt, ...)
{
    char at[PATH_SIZE], text[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    path_print(at, "%s.%s", path, name);
    return err_field(p->e, at, "%s", text);
}

/* Every member of the object at `path` must be known. */
static bool only(struct parse *p, const struct json *v, const char *path, const char *const *known, size_t n)
{
    char prefix[PATH_SIZE];
    if (json_kind(v) != JSON_KIND_OBJECT)
        return err_field(p->e, path, "must be an object");
    path_print(prefix, "%s.", path);
    return json_only(v, prefix, known, n, p->e);
}

/* The member is there, be it null. */
static bool is_given(const struct json *object, const char *name)
{
    const char *key;
    const struct json *value;
    for (void *it = NULL; (it = json_next(object, it, &key, &value));)
        if (strcmp(key, name) == 0)
            return true;
    return false;
}

/* ---- keys ---- */

static const struct {
    const char *name;
    enum filter_subject subject;
} subjects[] = {
    {"label", SUBJECT_LABEL},           {"id", SUBJECT_ID},
    {"media_type", SUBJECT_MEDIA_TYPE}, {"sha256", SUBJECT_SHA256},
    {"width", SUBJECT_WIDTH},           {"height", SUBJECT_HEIGHT},
    {"bytes", SUBJECT_BYTES},           {"created_at", SUBJECT_CREATED_AT},
    {"updated_at", SUBJECT_UPDATED_AT},
};

static bool is_time(enum filter_subject s)
{
    return s == SUBJECT_CREATED_AT || s == SUBJECT_UPDATED_AT;
}

static bool is_number(enum filter_subject s)
{
    return is_time(s) || s == SUBJECT_WIDTH || s == SUBJECT_HEIGHT || s == SUBJECT_BYTES;
}

/* Lists are walked through by themselves, so "tags[]" is "tags".  False: "tags[0]", of which nothing is kept. */
static bool drop_brackets(char *key)
{
    char *to = key;
    for (const char *from = key; *from;) {
        size_t index = *from == '[' ? strspn(from + 1, "0123456789") : 0, skip = index + 2;
        bool whole = *from == '[' && from[index + 1] == ']' && (!from[skip] || strchr(".[", from[skip])) && to > key;
        if (whole && index > 0)
            return false;
        if (whole)
            from += skip;
        else
            *to++ = *from++;
    }
    *to = 0;
    return true;
}

/* The key as the catalogue has it, within `text`; NULL: it asks for a place in a list. */
static const char *metadata_key(char *text)
{
    static const char prefix[] = "metadata.";
    if (strncmp(text, prefix, sizeof prefix - 1) == 0) /* as it is written */
        return text + sizeof prefix - 1;
    return drop_brackets(text) ? text : NULL;
}

static bool parse_key(struct parse *p, const struct json *v, const char *path, struct filter_leaf *leaf)
{
    size_t len = 0;
    const char *text = json_as_text(json_member(v, "key"), &len);
    if (!text || len == 0 || len > FILTER_TEXT_MAX || strlen(text) != len)
        return fail_member(p, path, "key",
                           "must be a text of 1 to %d bytes (an empty key of the metadata is \"metadata.\")",
                           FILTER_TEXT_MAX);
    leaf->key = "";
    for (size_t i = 0; i < COUNT(subjects); i++)
        if (strcmp(text, subjects[i].name) == 0) {
            leaf->subject = subjects[i].subject;
            return true;
        }
    char *key = arena_text(&p->f->arena, text);
    leaf->key = metadata_key(key);
    return leaf->key ||
           fail_member(p, path, "key",
                       "a list has no places to ask for: write [] (a key with brackets is \"metadata.KEY\")");
}

const char *filter_metadata_key(char *text)
{
    for (size_t i = 0; i < COUNT(subjects); i++)
        if (strcmp(text, subjects[i].name) == 0)
            return NULL;
    return metadata_key(text);
}

/* ---- values ---- */

/* A date where a time is meant becomes its seconds. */
static bool date_to_seconds(struct parse *p, const char *path, struct scalar *s)
{
    int64_t micros;
    if (!datetime_parse(s->text, &micros))
        return err_field(p->e, path, "must be Unix seconds or a date such as 2024-05-17T08:30:00Z");
    *s = micros % 1000000 ? (struct scalar){.kind = SCALAR_NUMBER, .is_real = true, .real = (double)micros * 1e-6}
                          : (struct scalar){.kind = SCALAR_NUMBER, .i = micros / 1000000};
    return true;
}

static bool read_text(struct parse *p, const struct json *v, const char *path, struct scalar *out)
{
    size_t len;
    const char *text = json_as_text(v, &len);
    if (len > FILTER_TEXT_MAX)
        return err_field(p->e, path, "a text of more than %d bytes", FILTER_TEXT_MAX);
    if (strlen(text) != len)
        return err_field(p->e, path, "holds a zero byte");
    *out = (struct scalar){.kind = SCALAR_TEXT, .text = arena_text(&p->f->arena, text)};
    return true;
}

static bool parse_scalar(struct parse *p, const struct json *v, const char *path, enum filter_subject subject,
                         struct scalar *out)
{
    bool flag;
    if (++p->values > FILTER_VALUES_MAX)
        return err_field(p->e, path, "the filter has more than %d values", FILTER_VALUES_MAX);
    if (json_kind(v) == JSON_KIND_TEXT) {
        if (is_number(subject) && !is_time(subject))
            return err_field(p->e, path, "must be a number");
        return read_text(p, v, path, out) && (!is_time(subject) || date_to_seconds(p, path, out));
    }
    if (scalar_number(v, out))
        return true;
    *out = (struct scalar){.kind = SCALAR_FLAG};
    if (!json_as_bool(v, &flag))
        return err_field(p->e, path, "must be a text, a number or a boolean");
    out->i = flag;
    return true;
}

static int by_value(const void *a, const void *b)
{
    return scalar_compare(a, b);
}

static bool parse_values(struct parse *p, const struct json *list, const char *path, struct filter_leaf *leaf)
{
    char at[PATH_SIZE];
    if (json_kind(list) != JSON_KIND_LIST)
        return err_field(p->e, path, "must be a list");
    leaf->values = arena_new(&p->f->arena, min_size(json_count(list), FILTER_VALUES_MAX), sizeof *leaf->values);
    for (size_t i = 0; i < json_count(list); i++) {
        path_print(at, "%s[%zu]", path, i);
        if (!parse_scalar(p, json_item(list, i), at, leaf->subject, &leaf->values[leaf->n_values]))
            return false;
        leaf->n_values++;
    }
    qsort(leaf->values, leaf->n_values, sizeof *leaf->values, by_value);
    return true;
}

/* ---- comparisons ---- */

static bool parse_match(struct parse *p, const struct json *match, const char *path, struct filter_leaf *leaf)
{
    static const char *const known[] = {"value", "any", "except"};
    char at[PATH_SIZE];
    if (!only(p, match, path, known, COUNT(known)))
        return false;
    if (is_given(match, "value") + is_given(match, "any") + is_given(match, "except") != 1)
        return err_field(p->e, path, "needs one of value, any, except");
    leaf->test = is_given(match, "except") ? TEST_EXCEPT : TEST_ANY;
    if (is_given(match, "value")) {
        path_print(at, "%s.value", path);
        leaf->values = arena_new(&p->f->arena, 1, sizeof *leaf->values);
        leaf->n_values = 1;
        return parse_scalar(p, json_member(match, "value"), at, leaf->subject, leaf->values);
    }
    const char *name = leaf->test == TEST_ANY ? "any" : "except";
    path_print(at, "%s.%s", path, name);
    return parse_values(p, json_member(match, name), at, leaf);
}

/* All bounds of a range over metadata are of one kind: numbers, or dates, which become microseconds. */
static bool date_bound(struct parse *p, const char *path, struct filter_leaf *leaf, struct bound *b)
{
    bool date = b->value.kind == SCALAR_TEXT;
    if (leaf->subject == SUBJECT_METADATA && date) {
        if (!datetime_parse(b->value.text, &b->value.i))
            return err_field(p->e, path, "must be a number or a date such as 2024-05-17T08:30:00Z");
        b->value = (struct scalar){.kind = SCALAR_NUMBER, .i = b->value.i};
        leaf->test = leaf->n_bounds == 1 ? TEST_PERIOD : leaf->test;
    }
    if (b->value.kind != SCALAR_NUMBER)
        return err_field(p->e, path, "must be a number");
    return (leaf->test == TEST_PERIOD) == date || leaf->subject != SUBJECT_METADATA ||
           err_field(p->e, path, "numbers and dates cannot stand beside each other");
}

static bool parse_bounds(struct parse *p, const struct json *v, const char *path, struct filter_leaf *leaf)
{
    static const char *const known[] = {"gt", "gte", "lt", "lte"};
    char at[PATH_SIZE];
    if (!only(p, v, path, known, COUNT(known)))
        return false;
    for (size_t i = 0; i < COUNT(known); i++) {
        const struct json *bound = json_member(v, known[i]);
        if (!bound)
            continue;
        path_print(at, "%s.%s", path, known[i]);
        struct bound *b = &leaf->bounds[leaf->n_bounds++];
        *b = (struct bound){.below = i >= 2, .strict = i % 2 == 0};
        if (!parse_scalar(p, bound, at, leaf->subject, &b->value))
            return false;
        if (leaf->test == TEST_COUNT && (b->value.kind != SCALAR_NUMBER || b->value.is_real || b->value.is_huge))
            return err_field(p->e, at, "must be a whole number");
        if (!date_bound(p, at, leaf, b))
            return false;
    }
    return leaf->n_bounds > 0 || err_field(p->e, path, "needs one of gt, gte, lt, lte");
}

static bool parse_range(struct parse *p, const struct json *v, const char *path, struct filter_leaf *leaf)
{
    leaf->test = TEST_RANGE;
    if (leaf->subject != SUBJECT_METADATA && !is_number(leaf->subject))
        return err_field(p->e, path, "this key is a text, a range is over numbers");
    return parse_bounds(p, v, path, leaf);
}

/* Where no value at all keeps the bounds, the images with values that do not are sought, and all others meant. */
static bool parse_count(struct parse *p, const struct json *v, const char *path, struct filter_leaf *leaf)
{
    const struct scalar none = {.kind = SCALAR_NUMBER};
    leaf->test = TEST_COUNT;
    if (leaf->subject != SUBJECT_METADATA)
        return err_field(p->e, path, "this key has one value, only those of the metadata are counted");
    if (!parse_bounds(p, v, path, leaf))
        return false;
    if (filter_in_bounds(leaf, &none))
        p->f->negated |= leaf->bit;
    return true;
}

/* {"key", "match" | "range" | "values_count"} */
static bool parse_field(struct parse *p, const struct json *v, const char *path, struct filter_leaf *leaf)
{
    static const char *const known[] = {"key", "match", "range", "values_count"};
    static bool (*const parse[])(struct parse *, const struct json *, const char *,
                                 struct filter_leaf *) = {NULL, parse_match, parse_range, parse_count};
    char at[PATH_SIZE];
    size_t found = 0, n = 0;
    if (!only(p, v, path, known, COUNT(known)) || !parse_key(p, v, path, leaf))
        return false;
    for (size_t i = 1; i < COUNT(known); i++)
        if (json_member(v, known[i])) {
            found = i;
            n++;
        }
    if (n != 1)
        return err_field(p->e, path, "needs one of match, range, values_count");
    path_print(at, "%s.%s", path, known[found]);
    return parse[found](p, json_member(v, known[found]), at, leaf);
}

/* {"is_empty": {"key"}}: the leaf seeks the images that have a value. */
static bool parse_empty(struct parse *p, const struct json *v, const char *path, const char *name,
                        struct filter_leaf *leaf)
{
    static const char *const inside[] = {"key"};
    char at[PATH_SIZE];
    path_print(at, "%s.%s", path, name);
    leaf->test = TEST_EXISTS;
    p->f->negated |= leaf->bit;
    return only(p, v, path, &name, 1) && only(p, json_member(v, name), at, inside, COUNT(inside)) &&
           parse_key(p, json_member(v, name), at, leaf);
}

static bool parse_has_id(struct parse *p, const struct json *v, const char *path, struct filter_leaf *leaf)
{
    static const char *const known[] = {"has_id"};
    char at[PATH_SIZE];
    path_print(at, "%s.has_id", path);
    leaf->test = TEST_ANY;
    leaf->subject = SUBJECT_ID;
    leaf->key = "";
    return only(p, v, path, known, COUNT(known)) && parse_values(p, json_member(v, "has_id"), at, leaf);
}

/* ---- clauses ---- */

static const char *const clauses[] = {"must", "should", "must_not", "min_should"};

static bool parse_group(struct parse *p, const struct json *v, const char *path, size_t depth, uint64_t bit);

static bool parse_leaf(struct parse *p, const struct json *v, const char *path, uint64_t bit)
{
    struct filter_leaf *leaf = arena_new(&p->f->arena, 1, sizeof *leaf);
    leaf->bit = bit;
    p->f->leaves[p->f->n_leaves++] = leaf;
    if (is_given(v, "has_id"))
        return parse_has_id(p, v, path, leaf);
    if (is_given(v, "is_empty") || is_given(v, "is_null"))
        return parse_empty(p, v, path, is_given(v, "is_empty") ? "is_empty" : "is_null", leaf);
    return parse_field(p, v, path, leaf);
}

static bool parse_condition(struct parse *p, const struct json *v, const char *path, size_t depth, uint64_t *bits)
{
    if (p->conditions == FILTER_CONDITIONS_MAX)
        return err_field(p->e, path, "the filter has more than %d conditions", FILTER_CONDITIONS_MAX);
    uint64_t bit = (uint64_t)1 << p->conditions++;
    *bits |= bit;
    if (json_kind(v) != JSON_KIND_OBJECT)
        return err_field(p->e, path, "must be an object");
    for (size_t i = 0; i < COUNT(clauses); i++)
        if (is_given(v, clauses[i]))
            return parse_group(p, v, path, depth + 1, bit);
    return parse_leaf(p, v, path, bit);
}

/* A list of conditions, or one. */
static bool parse_conditions(struct parse *p, const struct json *v, const char *path, size_t depth, uint64_t *bits)
{
    char at[PATH_SIZE];
    if (json_kind(v) == JSON_KIND_OBJECT)
        return parse_condition(p, v, path, depth, bits);
    if (json_kind(v) != JSON_KIND_LIST)
        return err_field(p->e, path, "must be a list of conditions");
    if (json_count(v) > FILTER_CONDITIONS_MAX)
        return err_field(p->e, path, "the filter has more than %d conditions", FILTER_CONDITIONS_MAX);
    for (size_t i = 0; i < json_count(v); i++) {
        path_print(at, "%s[%zu]", path, i);
        if (!parse_condition(p, json_item(v, i), at, depth, bits))
            return false;
    }
    return true;
}

/* {"conditions", "min_count"} */
static bool parse_some(struct parse *p, const struct json *v, const char *path, size_t depth, struct filter_group *g)
{
    static const char *const known[] = {"conditions", "min_count"};
    char at[PATH_SIZE];
    if (!only(p, v, path, known, COUNT(known)))
        return false;
    g->has_some = true;
    if (!json_as_int(json_member(v, "min_count"), &g->some_min) || g->some_min < 0)
        return fail_member(p, path, "min_count", "must be a whole number");
    path_print(at, "%s.conditions", path);
    return parse_conditions(p, json_member(v, "conditions"), at, depth, &g->some);
}

static bool parse_group(struct parse *p, const struct json *v, const char *path, size_t depth, uint64_t bit)
{
    char at[PATH_SIZE];
    struct filter_group *g = arena_new(&p->f->arena, 1, sizeof *g);
    uint64_t *const bits[] = {&g->must, &g->should, &g->must_not};
    g->bit = bit;
    if (depth > FILTER_DEPTH_MAX)
        return err_field(p->e, path, "nested more than %d levels deep", FILTER_DEPTH_MAX);
    if (!only(p, v, path, clauses, COUNT(clauses)))
        return false;
    for (size_t i = 0; i < COUNT(clauses); i++) {
        const struct json *clause = json_member(v, clauses[i]);
        path_print(at, "%s.%s", path, clauses[i]);
        if (clause &&
            !(i < COUNT(bits) ? parse_conditions(p, clause, at, depth, bits[i]) : parse_some(p, clause, at, depth, g)))
            return false;
    }
    p->f->groups[p->f->n_groups++] = g;
    return true;
}

struct filter *filter_parse(const struct json *v, const char *where, struct err *e)
{
    struct filter *f = mem_new(1, sizeof *f);
    struct parse p = {.f = f, .e = e};
    if (!parse_group(&p, v, where, 1, 0)) {
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
