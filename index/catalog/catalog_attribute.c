/* catalog_attribute.c - the leaves of a metadata object as rows that a filter can find. */
#include <string.h>

#include "base/json.h"
#include "index/catalog/catalog_parts.h"
#include "index/filter_tree.h"

struct walk {
    struct session *s;
    int64_t collection, image;
    struct buf path; /* "a.b" of the value at hand */
};

static bool add(struct walk *w, struct sql_value number, struct sql_value text, struct sql_value flag, struct err *e)
{
    return sql_run(w->s->q,
                   "INSERT INTO attribute (image, collection, key, number, text, flag) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                   VALUES(sql_int(w->image), sql_int(w->collection), sql_text(w->path.data), number, text, flag), e);
}

static bool walk_value(struct walk *w, const struct json *v, struct err *e);

static bool walk_object(struct walk *w, const struct json *object, struct err *e)
{
    const char *key;
    const struct json *value;
    size_t before = w->path.len;
    bool ok = true;
    for (void *it = NULL; ok && (it = json_next(object, it, &key, &value));) {
        if (before > 0)
            buf_char(&w->path, '.');
        buf_text(&w->path, key);
        ok = walk_value(w, value, e);
        w->path.len = before;
        w->path.data[before] = 0;
    }
    return ok;
}

static bool walk_value(struct walk *w, const struct json *v, struct err *e)
{
    const struct sql_value none = {.kind = SQL_NULL};
    struct scalar number;
    bool flag, ok = true;
    switch (json_kind(v)) {
    case JSON_KIND_OBJECT: return walk_object(w, v, e);
    case JSON_KIND_LIST:
        for (size_t k = 0; ok && k < json_count(v); k++)
            ok = walk_value(w, json_item(v, k), e);
        return ok;
    case JSON_KIND_TEXT: return add(w, none, sql_text(json_as_text(v, NULL)), none, e);
    case JSON_KIND_INT:
    case JSON_KIND_LARGE:
    case JSON_KIND_REAL: return !scalar_number(v, &number) || add(w, scalar_sql(&number), none, none, e);
    case JSON_KIND_BOOL: return !json_as_bool(v, &flag) || add(w, none, none, sql_int(flag), e);
    case JSON_NONE:
    case JSON_KIND_NULL: /* as if the member were absent */
    default: return true;
    }
}

bool catalog_attributes(struct session *s, int64_t collection, int64_t image, const char *metadata, struct err *e)
{
    struct walk w = {.s = s, .collection = collection, .image = image};
    if (!metadata)
        return true;
    struct json *doc = json_parse(metadata, strlen(metadata), 0, e);
    bool ok = doc && walk_object(&w, doc, e);
    json_free(doc);
    buf_clear(&w.path);
    return ok || err_wrap(e, "metadata");
}

/* ---- rows of older versions ---- */

/* The next such number behind row *at; false at the end and on failure, which *ok tells. */
static bool next_plain(struct sql *q, int64_t *at, double *number, bool *ok, struct err *e)
{
    struct query *r = sql_begin(q,
                                "SELECT rowid, number FROM attribute"
                                " WHERE rowid > ?1 AND typeof(number) = 'real' AND number >= ?2 ORDER BY rowid LIMIT 1",
                                VALUES(sql_int(*at), sql_real(0x1p63)), e);
    bool found = sql_row(r);
    if (found) {
        *at = sql_get_int(r, 0);
        *number = sql_get_real(r, 1);
    }
    *ok = sql_end(r, e);
    return found && *ok;
}

/* The row's double is the one that the metadata's text gives, so the text need not be read. */
bool catalog_attributes_recode(struct sql *q, struct err *e)
{
    int64_t at = 0;
    double number;
    bool ok;
    while (next_plain(q, &at, &number, &ok, e)) {
        struct scalar s = scalar_real(number);
        if (!sql_run(q, "UPDATE attribute SET number = ?2 WHERE rowid = ?1", VALUES(sql_int(at), scalar_sql(&s)), e))
            return false;
    }
    return ok;
}
