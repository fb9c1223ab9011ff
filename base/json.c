/* json.c - reading: jansson with a memory budget, and getters that name the field; merge patches. */
#include "base/json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_large.h"
#include "base/json_writer.h"
#include "base/mem.h"

enum { MAX_DEPTH = 128, BUDGET_BASE = 4 * 1024 * 1024, BUDGET_FACTOR = 3 };

/* A refused allocation is no way to keep a budget: jansson (2.14) does not notice when the buffer of a long
 * string cannot grow, and reads on behind its end.  So its allocator aborts like ours, and what a document
 * will need is estimated from its text before it is parsed. */
static void *must_alloc(size_t size)
{
    return mem_grow(NULL, size, 1);
}

void json_init(void)
{
    size_t seed;
    json_set_alloc_funcs(must_alloc, free);
    hash_random(&seed, sizeof seed);
    json_object_seed(seed ? seed : 1);
}

static const json_t *in(const struct json *v)
{
    return (const json_t *)v;
}

static const struct json *out_of(const json_t *v)
{
    return (const struct json *)v;
}

/* Bytes that jansson spends on one value (measured, 64 bit), beside a string's own. */
enum { OBJECT_COST = 232, LIST_COST = 120, TEXT_COST = 72, OTHER_COST = 40 };

struct shape {
    size_t bytes;   /* that the tree will need, about */
    size_t longest; /* bytes of the longest string */
    int deepest;
};

/* The place of the quote that ends the string which begins at i, or len. */
static size_t end_of_text(const char *text, size_t len, size_t i)
{
    while (i < len && text[i] != '"')
        i += text[i] == '\\' ? 2 : 1;
    return i < len ? i : len;
}

/* One look over the text, which need not be valid. */
static struct shape measure(const char *text, size_t len)
{
    struct shape s = {0};
    int depth = 0;
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '"': {
            size_t end = end_of_text(text, len, i + 1);
            s.bytes += TEXT_COST + (end - i);
            s.longest = end - i > s.longest ? end - i : s.longest;
            i = end;
            break;
        }
        case '{':
        case '[':
            s.bytes += text[i] == '{' ? OBJECT_COST : LIST_COST;
            s.deepest = ++depth > s.deepest ? depth : s.deepest;
            break;
        case '}':
        case ']': depth--; break;
        case ',': s.bytes += OTHER_COST; break;
        default: break;
        }
    }
    s.bytes += 2 * s.longest; /* the parser's buffer doubles its size as it grows */
    return s;
}

static bool fail_parse(const json_error_t *why, struct err *e)
{
    switch (json_error_code(why)) {
    case json_error_duplicate_key:
        return err_set(e, ERR_BAD_INPUT, "the JSON names a member twice (line %d, column %d)", why->line, why->column);
    case json_error_numeric_overflow:
        return err_set(e, ERR_BAD_INPUT, "a number is out of range at line %d, column %d", why->line, why->column);
    default: return err_set(e, ERR_BAD_INPUT, "not valid JSON at line %d, column %d", why->line, why->column);
    }
}

/* Large integers come as texts that begin with a zero byte (json_large.h). */
static json_t *load(const char *text, size_t len, struct err *e)
{
    json_error_t why;
    json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
    if (!doc) {
        fail_parse(&why, e);
    } else if (!json_is_object(doc) && !json_is_array(doc)) {
        json_decref(doc);
        doc = NULL;
        err_set(e, ERR_BAD_INPUT, "the JSON is a lone value: it must be an object");
    }
    return doc;
}

static json_t *load_within(const char *text, size_t len, size_t budget, struct err *e)
{
    struct shape shape = measure(text, len);
    /* jansson's own limit of 2048 levels is far more stack than a request deserves. */
    if (shape.deepest > MAX_DEPTH)
        err_set(e, ERR_BAD_INPUT, "the JSON is nested deeper than %d levels", MAX_DEPTH);
    else if (shape.bytes > budget)
        err_set(e, ERR_TOO_LARGE, "the JSON has too many values for its size");
    else if (memchr(text, 0, len))
        err_set(e, ERR_BAD_INPUT, "the JSON holds a zero byte");
    else
        return load(text, len, e);
    return NULL;
}

struct json *json_parse(const char *text, size_t len, size_t budget, struct err *e)
{
    struct buf dressed = {0};
    if (!budget)
        budget = len * BUDGET_FACTOR + BUDGET_BASE;
    if (!json_large_dress(text, len, &dressed, e))
        return NULL;
    json_t *doc = load_within(dressed.len ? dressed.data : text, dressed.len ? dressed.len : len, budget, e);
    buf_clear(&dressed);
    return (struct json *)doc;
}

void json_free(struct json *doc)
{
    json_decref((json_t *)doc);
}

static bool is_large(const json_t *v)
{
    return json_is_string(v) && json_string_length(v) > 0 && !json_string_value(v)[0];
}

enum json_kind json_kind(const struct json *v)
{
    if (!v)
        return JSON_NONE;
    if (is_large(in(v)))
        return JSON_KIND_LARGE;
    switch (json_typeof(in(v))) {
    case JSON_NULL: return JSON_KIND_NULL;
    case JSON_TRUE:
    case JSON_FALSE: return JSON_KIND_BOOL;
    case JSON_INTEGER: return JSON_KIND_INT;
    case JSON_REAL: return JSON_KIND_REAL;
    case JSON_STRING: return JSON_KIND_TEXT;
    case JSON_ARRAY: return JSON_KIND_LIST;
    case JSON_OBJECT: return JSON_KIND_OBJECT;
    }
    return JSON_NONE;
}

const struct json *json_member(const struct json *object, const char *key)
{
    const json_t *v = json_object_get(in(object), key);
    return v && !json_is_null(v) ? out_of(v) : NULL;
}

size_t json_count(const struct json *v)
{
    return json_is_array(in(v)) ? json_array_size(in(v)) : json_object_size(in(v));
}

const struct json *json_item(const struct json *list, size_t i)
{
    return out_of(json_array_get(in(list), i));
}

void *json_next(const struct json *object, void *it, const char **key, const struct json **value)
{
    union { /* jansson's iterators want a pointer to non-const, but change nothing */
        const json_t *held;
        json_t *wanted;
    } o = {.held = in(object)};
    it = it ? json_object_iter_next(o.wanted, it) : json_object_iter(o.wanted);
    if (it) {
        *key = json_object_iter_key(it);
        *value = out_of(json_object_iter_value(it));
    }
    return it;
}

const char *json_as_text(const struct json *v, size_t *len)
{
    if (!json_is_string(in(v)) || is_large(in(v)))
        return NULL;
    if (len)
        *len = json_string_length(in(v));
    return json_string_value(in(v));
}

bool json_as_large(const struct json *v, uint64_t *out)
{
    if (!is_large(in(v)))
        return false;
    *out = strtoull(json_string_value(in(v)) + 1, NULL, 10);
    return true;
}

bool json_as_number(const struct json *v, double *out)
{
    uint64_t large;
    if (json_as_large(v, &large)) {
        *out = (double)large;
        return true;
    }
    if (!json_is_number(in(v)))
        return false;
    *out = json_number_value(in(v));
    return true;
}

bool json_as_int(const struct json *v, int64_t *out)
{
    if (!json_is_integer(in(v)))
        return false;
    *out = json_integer_value(in(v));
    return true;
}

bool json_as_bool(const struct json *v, bool *out)
{
    if (!json_is_boolean(in(v)))
        return false;
    *out = json_is_true(in(v));
    return true;
}

static bool is_known(const char *key, const char *const *known, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    return false;
}

bool json_only(const struct json *object, const char *where, const char *const *known, size_t n, struct err *e)
{
    const char *key;
    const struct json *value;
    if (json_kind(object) != JSON_KIND_OBJECT)
        return err_field(e, where, "must be a JSON object");
    for (void *it = NULL; (it = json_next(object, it, &key, &value));) {
        if (is_known(key, known, n))
            continue;
        char param[64];
        snprintf(param, sizeof param, "%s%.40s", where, key);
        return err_field(e, param, "there is no field \"%s\"", param);
    }
    return true;
}

bool json_get_text(const struct json *object, const char *key, size_t max_bytes, const char **out, struct err *e)
{
    const struct json *v = json_member(object, key);
    size_t len;
    if (!v)
        return true;
    const char *text = json_as_text(v, &len);
    if (!text)
        return err_field(e, key, "must be a string");
    if (len > max_bytes)
        return err_field(e, key, "is %zu bytes long, the limit is %zu", len, max_bytes);
    *out = text;
    return true;
}

bool json_get_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *out, struct err *e)
{
    const struct json *v = json_member(object, key);
    int64_t n;
    if (!v)
        return true;
    bool large = json_kind(v) == JSON_KIND_LARGE;
    if (!json_as_int(v, &n) && !large)
        return err_field(e, key, "must be a whole number");
    if (large || n < min || n > max)
        return err_field(e, key, "must be from %lld to %lld", (long long)min, (long long)max);
    *out = n;
    return true;
}

bool json_get_real(const struct json *object, const char *key, double min, double max, double *out, struct err *e)
{
    const struct json *v = json_member(object, key);
    double x;
    if (!v)
        return true;
    if (!json_as_number(v, &x))
        return err_field(e, key, "must be a number");
    if (!(x >= min && x <= max))
        return err_field(e, key, "must be from %g to %g", min, max);
    *out = x;
    return true;
}

bool json_get_bool(const struct json *object, const char *key, bool *out, struct err *e)
{
    const struct json *v = json_member(object, key);
    return !v || json_as_bool(v, out) || err_field(e, key, "must be true or false");
}

bool json_get_object(const struct json *object, const char *key, const struct json **out, struct err *e)
{
    const struct json *v = json_member(object, key);
    if (!v)
        return true;
    if (json_kind(v) != JSON_KIND_OBJECT)
        return err_field(e, key, "must be an object");
    *out = v;
    return true;
}

bool json_get_list(const struct json *object, const char *key, const struct json **out, struct err *e)
{
    const struct json *v = json_member(object, key);
    if (!v)
        return true;
    if (json_kind(v) != JSON_KIND_LIST)
        return err_field(e, key, "must be an array");
    *out = v;
    return true;
}

static int append(const char *bytes, size_t n, void *buf)
{
    buf_add(buf, bytes, n);
    return 0;
}

static void dump_lone(const json_t *v, struct buf *out)
{
    char text[REAL_TEXT_MAX];
    if (is_large(v)) {
        buf_text(out, json_string_value(v) + 1);
    } else if (json_is_real(v)) {
        real_text(json_real_value(v), text);
        buf_text(out, text);
        if (!strpbrk(text, ".e"))
            buf_text(out, ".0"); /* it stays a real */
    } else {
        json_dump_callback(v, append, out, JSON_ENCODE_ANY);
    }
}

static void dump_members(const struct json *object, struct buf *out)
{
    const char *key;
    const struct json *value;
    bool first = true;
    for (void *it = NULL; (it = json_next(object, it, &key, &value)); first = false) {
        json_t *name = json_string_nocheck(key);
        if (!first)
            buf_char(out, ',');
        dump_lone(name, out);
        buf_char(out, ':');
        json_dump(value, out);
        json_decref(name);
    }
}

/* jansson would write 0.305 as 0.30499999999999999. */
void json_dump(const struct json *v, struct buf *out)
{
    if (json_is_object(in(v))) {
        buf_char(out, '{');
        dump_members(v, out);
        buf_char(out, '}');
    } else if (json_is_array(in(v))) {
        buf_char(out, '[');
        for (size_t i = 0; i < json_count(v); i++) {
            if (i > 0)
                buf_char(out, ',');
            json_dump(json_item(v, i), out);
        }
        buf_char(out, ']');
    } else if (v) {
        dump_lone(in(v), out);
    }
}

/* RFC 7396, section 2: an object merges member by member, null removes, anything else replaces. */
static json_t *merge(json_t *target, const json_t *patch)
{
    const char *key;
    const struct json *value;
    if (!json_is_object(patch)) {
        json_decref(target);
        return json_deep_copy(patch);
    }
    if (!json_is_object(target)) {
        json_decref(target);
        target = json_object();
    }
    for (void *it = NULL; (it = json_next(out_of(patch), it, &key, &value));) {
        if (json_is_null(in(value)))
            json_object_del(target, key);
        else
            json_object_set_new(target, key, merge(json_incref(json_object_get(target, key)), in(value)));
    }
    return target;
}

bool json_merge_patch(const char *target, const struct json *patch, struct buf *out, struct err *e)
{
    struct err why = {0};
    json_t *object = target ? (json_t *)json_parse(target, strlen(target), 0, &why) : json_object();
    if (!object)
        return err_set(e, ERR_CORRUPT, "the stored JSON cannot be read");
    object = merge(object, in(patch));
    json_dump(out_of(object), out);
    json_decref(object);
    return true;
}
