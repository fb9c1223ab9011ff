/* grouping.c - looks through the hits in their order, and further down when they have too few values. */
#include "api/requests/grouping.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/work_limit.h"

static const char LABEL[] = "label";
enum { WIDER = 4, LOOKED_AT_MAX = 20000, BUCKETS = 4096 };

/* ---- the value of a hit ---- */

static const struct json *first_of(const struct json *v)
{
    while (json_kind(v) == JSON_KIND_LIST)
        v = json_item(v, 0);
    return v;
}

/* As filters find it: a dot may lead into a member or be part of its name. */
static const struct json *walk(const struct json *v, const char *path)
{
    char name[FILTER_TEXT_MAX + 1];
    const struct json *found = first_of(json_member(v, path));
    for (const char *dot = strchr(path, '.'); !found && dot; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t)(dot - path);
        memcpy(name, path, len);
        name[len] = 0;
        const struct json *inner = first_of(json_member(v, name));
        found = inner ? walk(inner, dot + 1) : NULL;
    }
    return found;
}

/* The JSON text of what groups: a text, a number or a boolean; NULL for anything else.  The caller frees. */
static char *text_of(const struct json *v)
{
    enum json_kind kind = json_kind(v);
    struct buf text = {0};
    double number;
    bool whole = kind == JSON_KIND_REAL && json_as_number(v, &number) && number >= -0x1p63 && number < 0x1p64 &&
                 number == trunc(number);
    if (!v || kind == JSON_KIND_OBJECT || kind == JSON_KIND_LIST || kind == JSON_KIND_NULL)
        return NULL;
    if (whole) /* 1 and 1.0 are the same */
        buf_print(&text, "%.0f", number + 0.0);
    else
        json_dump(v, &text);
    return buf_take(&text, NULL);
}

/* `key` as the catalogue has it; NULL: the label. */
static char *value_of(const struct hit *h, const char *key)
{
    struct buf text = {0};
    struct json_writer w = jw_to(&text);
    if (!key) {
        if (!h->label)
            return NULL;
        jw_text(&w, NULL, h->label);
        return buf_take(&text, NULL);
    }
    if (!h->metadata)
        return NULL;
    struct json *doc = json_parse(h->metadata, strlen(h->metadata), 0, NULL);
    char *value = text_of(walk(doc, key));
    json_free(doc);
    return value;
}

/* ---- the values that were seen ---- */

struct seen {
    const char *values[BUCKETS]; /* open addressing; a request has a quarter of them at most */
};

/* False: it was there already. */
static bool add(struct seen *s, const char *value)
{
    unsigned at = 5381;
    for (const char *p = value; *p; p++)
        at = at * 33 + (unsigned char)*p;
    for (at %= BUCKETS; s->values[at]; at = (at + 1) % BUCKETS)
        if (strcmp(s->values[at], value) == 0)
            return false;
    s->values[at] = value;
    return true;
}

/* Keeps the first hit of each value. */
static bool keep_best(struct grouped *g, const char *key, size_t limit, struct err *e)
{
    struct seen *seen = mem_new(1, sizeof *seen);
    size_t n = 0;
    bool ok = true;
    g->values = arena_new(&g->hits.arena, limit, sizeof *g->values);
    for (size_t i = 0; ok && n < limit && i < g->hits.n; i++) {
        char *value = value_of(&g->hits.items[i], key);
        const char *kept = value ? arena_text(&g->hits.arena, value) : NULL;
        free(value);
        if (kept && add(seen, kept)) {
            g->hits.items[n] = g->hits.items[i];
            g->values[n++] = kept;
        }
        ok = work_limit_holds() || work_limit_err(e);
    }
    g->hits.n = n;
    free(seen);
    return ok;
}

/* Their vectors are fetched at the end: those of all that was looked through would be too many. */
static bool fetch_vectors(struct view *v, struct grouped *g, struct err *e)
{
    for (size_t i = 0; i < g->hits.n; i++) {
        float *value = arena_new(&g->hits.arena, view_dimensions(v), sizeof *value);
        struct err missing = {0};
        if (view_vector(v, g->hits.items[i].id, value, &missing))
            g->hits.items[i].vector = value;
        else if (missing.code != ERR_NOT_FOUND) /* deleted meanwhile */
            return err_move(e, &missing);
    }
    return true;
}

bool grouping_is_key(const char *text)
{
    char copy[FILTER_TEXT_MAX + 1];
    size_t len = strlen(text);
    if (len == 0 || len > FILTER_TEXT_MAX)
        return false;
    memcpy(copy, text, len + 1);
    return strcmp(text, LABEL) == 0 || filter_metadata_key(copy);
}

bool grouping_search(struct view *v, const struct search *q, const char *text, struct grouped *out, struct err *e)
{
    char copy[FILTER_TEXT_MAX + 1];
    snprintf(copy, sizeof copy, "%s", text);
    const char *key = strcmp(text, LABEL) == 0 ? NULL : filter_metadata_key(copy);
    struct search wide = *q;
    size_t all = max_size(min_size(view_images(v), LOOKED_AT_MAX), 1), found = 0;
    wide.with_vector = false;
    for (wide.limit = min_size(max_size(q->limit * WIDER, 100), all);; wide.limit = min_size(wide.limit * WIDER, all)) {
        if (!view_search(v, &wide, &out->hits, e))
            return false;
        found = out->hits.n;
        if (!keep_best(out, key, q->limit, e)) {
            grouped_clear(out);
            return false;
        }
        if (out->hits.n == q->limit || found < wide.limit || wide.limit == all)
            break;
    }
    return !q->with_vector || fetch_vectors(v, out, e);
}

void grouped_clear(struct grouped *g)
{
    hits_clear(&g->hits);
    g->values = NULL;
}
