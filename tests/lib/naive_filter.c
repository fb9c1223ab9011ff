/* naive_filter.c - the meaning of filters, as docs/api.md has it, in the plainest words. */
#include "tests/lib/naive_filter.h"

#include <stdio.h>
#include <string.h>

#include "base/datetime.h"
#include "base/num.h"

enum { VALUES_MAX = 4096 };

struct values { /* at a key */
    const struct json *items[VALUES_MAX];
    size_t n;
    bool are_times; /* seconds, to be compared with dates too */
};

/* ---- the values at a key ---- */

static void take(const struct json *v, struct values *out)
{
    if (json_kind(v) == JSON_KIND_LIST) {
        for (size_t i = 0; i < json_count(v); i++)
            take(json_item(v, i), out);
    } else if (v && json_kind(v) != JSON_KIND_NULL && out->n < VALUES_MAX) {
        out->items[out->n++] = v;
    }
}

/* Every way to split `key` at dots counts, as members may have dots in their names. */
static void walk(const struct json *v, const char *key, struct values *out)
{
    const char *name;
    const struct json *member;
    for (size_t i = 0; json_kind(v) == JSON_KIND_LIST && i < json_count(v); i++)
        walk(json_item(v, i), key, out);
    if (json_kind(v) != JSON_KIND_OBJECT)
        return;
    for (void *it = NULL; (it = json_next(v, it, &name, &member));) {
        size_t len = strlen(name);
        if (strcmp(name, key) == 0)
            take(member, out);
        if (len > 0 && strncmp(key, name, len) == 0 && key[len] == '.')
            walk(member, key + len + 1, out);
    }
}

static bool is_leaf(const struct json *v)
{
    return json_kind(v) != JSON_KIND_OBJECT;
}

/* An object has a value when one is somewhere in it. */
static bool has_value(const struct json *v)
{
    const char *name;
    const struct json *member;
    if (json_kind(v) == JSON_KIND_LIST)
        for (size_t i = 0; i < json_count(v); i++)
            if (has_value(json_item(v, i)))
                return true;
    if (json_kind(v) == JSON_KIND_OBJECT)
        for (void *it = NULL; (it = json_next(v, it, &name, &member));)
            if (has_value(member))
                return true;
    return v && is_leaf(v) && json_kind(v) != JSON_KIND_LIST && json_kind(v) != JSON_KIND_NULL;
}

/* ---- comparing ---- */

static int kind(const struct json *v)
{
    switch (json_kind(v)) {
    case JSON_KIND_TEXT: return 1;
    case JSON_KIND_INT:
    case JSON_KIND_LARGE:
    case JSON_KIND_REAL: return 2;
    case JSON_KIND_BOOL: return 3;
    default: return 0;
    }
}

static long double number(const struct json *v) /* 64 bits of mantissa: every int64 and every double */
{
    int64_t i;
    uint64_t large;
    double real = 0;
    if (json_as_int(v, &i))
        return (long double)i;
    if (json_as_large(v, &large))
        return (long double)large;
    (void)json_as_number(v, &real);
    return (long double)real;
}

static bool equal(const struct json *a, const struct json *b)
{
    bool x = false, y = false;
    if (kind(a) != kind(b))
        return false;
    if (kind(a) == 1)
        return strcmp(json_as_text(a, NULL), json_as_text(b, NULL)) == 0;
    if (kind(a) == 2)
        return number(a) == number(b);
    return json_as_bool(a, &x) && json_as_bool(b, &y) && x == y;
}

static bool within(long double x, const struct json *bounds, long double (*of)(const struct json *))
{
    const struct json *gt = json_member(bounds, "gt"), *gte = json_member(bounds, "gte"),
                      *lt = json_member(bounds, "lt"), *lte = json_member(bounds, "lte");
    return (!gt || x > of(gt)) && (!gte || x >= of(gte)) && (!lt || x < of(lt)) && (!lte || x <= of(lte));
}

static long double micros(const struct json *v)
{
    int64_t m = 0;
    (void)datetime_parse(json_as_text(v, NULL), &m);
    return (long double)m;
}

/* A number as seconds, or a date, in microseconds. */
static long double moment(const struct json *v)
{
    return kind(v) == 1 ? micros(v) : number(v) * 1e6L;
}

static bool same(const struct json *v, const struct json *wanted, bool times)
{
    return times && kind(wanted) != 3 ? moment(v) == moment(wanted) : equal(v, wanted);
}

static bool listed(const struct json *v, const struct json *list, bool times)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (same(v, json_item(list, i), times))
            return true;
    return false;
}

static bool in_range(const struct json *v, const struct json *bounds, bool times)
{
    static const char *const names[] = {"gt", "gte", "lt", "lte"};
    int64_t m;
    bool dates = false;
    if (times)
        return within(moment(v), bounds, moment);
    for (size_t i = 0; i < COUNT(names); i++)
        dates |= json_kind(json_member(bounds, names[i])) == JSON_KIND_TEXT;
    if (dates)
        return kind(v) == 1 && datetime_parse(json_as_text(v, NULL), &m) && within((long double)m, bounds, micros);
    return kind(v) == 2 && within(number(v), bounds, number);
}

/* ---- conditions ---- */

static bool meets(const struct json *condition, const struct values *values)
{
    const struct json *match = json_member(condition, "match"), *range = json_member(condition, "range"),
                      *count = json_member(condition, "values_count");
    if (count)
        return within((long double)values->n, count, number);
    for (size_t i = 0; i < values->n; i++) {
        const struct json *v = values->items[i];
        bool times = values->are_times;
        if (range ? in_range(v, range, times)
                  : (json_member(match, "value") && same(v, json_member(match, "value"), times)) ||
                        (json_member(match, "any") && listed(v, json_member(match, "any"), times)) ||
                        (json_member(match, "except") && !listed(v, json_member(match, "except"), times)))
            return true;
    }
    return false;
}

/* "a[].b" is "a.b". */
static void drop_brackets(char *key)
{
    for (char *p = key; (p = strstr(p, "[]")) != NULL;)
        if (p > key && (!p[2] || p[2] == '.' || p[2] == '['))
            memmove(p, p + 2, strlen(p + 2) + 1);
        else
            p += 2;
}

static bool fact(const char *key, const struct naive_image *x, struct buf *out)
{
    static const char *const names[] = {"width", "height", "bytes", "created_at", "updated_at"};
    const int64_t numbers[] = {x->width, x->height, x->bytes, x->created_at, x->updated_at};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(key, names[i]) == 0) {
            buf_print(out, "[%lld]", (long long)numbers[i]);
            return true;
        }
    const char *text = strcmp(key, "id") == 0           ? x->id
                       : strcmp(key, "label") == 0      ? (x->label ? x->label : "") /* an empty one is none */
                       : strcmp(key, "media_type") == 0 ? x->media_type
                       : strcmp(key, "sha256") == 0     ? x->sha256
                                                        : NULL;
    if (text)
        buf_print(out, strcmp(key, "label") == 0 && !*text ? "[%.0s]" : "[\"%s\"]", text);
    return text != NULL;
}

/* Asks `question` of the values that the key of `condition` names; NULL: whether there are none. */
static bool ask(const struct json *condition, const struct json *question, const struct naive_image *x)
{
    static const char prefix[] = "metadata.";
    static struct values values;
    struct buf text = {0};
    char key[2048];
    values.n = 0;
    snprintf(key, sizeof key, "%s", json_as_text(json_member(condition, "key"), NULL));
    bool is_fact = fact(key, x, &text);
    values.are_times = is_fact && strstr(key, "ed_at") != NULL;
    const char *doc = is_fact ? text.data : x->metadata ? x->metadata : "{}";
    struct json *v = json_parse(doc, strlen(doc), 0, NULL);
    const char *path = key;
    if (!is_fact && strncmp(key, prefix, sizeof prefix - 1) == 0)
        path = key + sizeof prefix - 1;
    else if (!is_fact)
        drop_brackets(key);
    if (is_fact)
        take(v, &values);
    else
        walk(v, path, &values);
    bool any = false;
    size_t leaves = 0;
    for (size_t i = 0; i < values.n; i++) {
        any |= has_value(values.items[i]);
        if (is_leaf(values.items[i]))
            values.items[leaves++] = values.items[i];
    }
    values.n = leaves;
    bool kept = question ? meets(question, &values) : !any;
    json_free(v);
    buf_clear(&text);
    return kept;
}

static size_t count_kept(const struct json *conditions, const struct naive_image *x, size_t *of);

static bool group_keeps(const struct json *f, const struct naive_image *x)
{
    size_t of, kept;
    int64_t least = 0;
    const struct json *some = json_member(f, "min_should");
    kept = count_kept(json_member(f, "must"), x, &of);
    if (kept < of)
        return false;
    kept = count_kept(json_member(f, "should"), x, &of);
    if (of > 0 && kept == 0)
        return false;
    if (count_kept(json_member(f, "must_not"), x, &of) > 0)
        return false;
    return !some || (json_as_int(json_member(some, "min_count"), &least) &&
                     (int64_t)count_kept(json_member(some, "conditions"), x, &of) >= least);
}

static bool has_member(const struct json *v, const char *name)
{
    const char *key;
    const struct json *value;
    for (void *it = NULL; (it = json_next(v, it, &key, &value));)
        if (strcmp(key, name) == 0)
            return true;
    return false;
}

static bool condition_keeps(const struct json *c, const struct naive_image *x)
{
    const struct json *empty = json_member(c, "is_empty") ? json_member(c, "is_empty") : json_member(c, "is_null");
    if (has_member(c, "must") || has_member(c, "should") || has_member(c, "must_not") || has_member(c, "min_should"))
        return group_keeps(c, x);
    if (json_member(c, "has_id")) {
        const struct json *ids = json_member(c, "has_id");
        for (size_t i = 0; i < json_count(ids); i++)
            if (kind(json_item(ids, i)) == 1 && strcmp(json_as_text(json_item(ids, i), NULL), x->id) == 0)
                return true;
        return false;
    }
    return empty ? ask(empty, NULL, x) : ask(c, c, x);
}

static size_t count_kept(const struct json *conditions, const struct naive_image *x, size_t *of)
{
    size_t kept = 0;
    bool one = json_kind(conditions) == JSON_KIND_OBJECT;
    *of = one ? 1 : json_count(conditions);
    for (size_t i = 0; i < *of; i++)
        kept += condition_keeps(one ? conditions : json_item(conditions, i), x);
    return kept;
}

bool naive_keeps(const struct json *filter, const struct naive_image *image)
{
    return group_keeps(filter, image);
}
