/* catalog_image.c - images and the attributes of their metadata: look-up and every change. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "index/catalog/catalog_parts.h"

void catalog_read_image(struct query *r, struct image_row *out)
{
    *out = (struct image_row){.number = sql_get_int(r, 0), .revision = sql_get_int(r, 2)};
    sql_copy_text(r, 1, out->id, sizeof out->id);
    sql_copy_text(r, 3, out->sha256, sizeof out->sha256);
    sql_copy_text(r, 4, out->media_type, sizeof out->media_type);
    out->width = (uint32_t)sql_get_int(r, 5);
    out->height = (uint32_t)sql_get_int(r, 6);
    out->bytes = sql_get_int(r, 7);
    out->created_at = sql_get_int(r, 8);
    out->updated_at = sql_get_int(r, 9);
    out->label = mem_text(sql_get_text(r, 10));
    out->metadata = mem_text(sql_get_text(r, 11));
}

bool catalog_image(struct session *s, int64_t collection, const char *id, struct image_row *out, struct err *e)
{
    struct query *r = sql_begin(s->q, "SELECT " IMAGE_COLUMNS " FROM image WHERE collection = ?1 AND id = ?2",
                                VALUES(sql_int(collection), sql_text(id)), e);
    bool found = sql_row(r);
    if (found)
        catalog_read_image(r, out);
    if (!sql_end(r, e)) {
        if (found)
            image_row_clear(out);
        return false;
    }
    return found || err_set(e, ERR_NOT_FOUND, "no image %s", id);
}

/* ---- attributes: the leaves of the metadata, as rows that a filter can find ---- */

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

static bool add_attributes(struct session *s, int64_t collection, int64_t image, const char *metadata, struct err *e)
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

/* ---- changing ---- */

static bool next_revision(struct session *s, int64_t *out, struct err *e)
{
    return sql_number(s->q, "UPDATE counter SET value = value + 1 WHERE name = 'revision' RETURNING value", NO_VALUES,
                      0, out, e);
}

static bool count_images(struct session *s, int64_t collection, int64_t change, struct err *e)
{
    return sql_run(s->q, "UPDATE collection SET images = images + ?2 WHERE number = ?1",
                   VALUES(sql_int(collection), sql_int(change)), e);
}

static bool clear_attributes(struct session *s, int64_t image, struct err *e)
{
    return sql_run(s->q, "DELETE FROM attribute WHERE image = ?1", VALUES(sql_int(image)), e);
}

static bool insert_row(struct session *s, int64_t collection, struct image_row *row, struct err *e)
{
    bool ok = sql_run(s->q,
                      "INSERT INTO image (collection, id, revision, sha256, media_type, width, height, bytes,"
                      " created_at, updated_at, label, metadata)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                      VALUES(sql_int(collection), sql_text(row->id), sql_int(row->revision), sql_text(row->sha256),
                             sql_text(row->media_type), sql_int(row->width), sql_int(row->height), sql_int(row->bytes),
                             sql_int(row->created_at), sql_int(row->updated_at), sql_text(row->label),
                             sql_text(row->metadata)),
                      e);
    row->number = sql_last_id(s->q);
    return ok && count_images(s, collection, 1, e);
}

static bool replace_row(struct session *s, const struct image_row *row, struct err *e)
{
    return sql_run(s->q,
                   "UPDATE image SET revision = ?2, sha256 = ?3, media_type = ?4, width = ?5, height = ?6,"
                   " bytes = ?7, updated_at = ?8, label = ?9, metadata = ?10 WHERE number = ?1",
                   VALUES(sql_int(row->number), sql_int(row->revision), sql_text(row->sha256),
                          sql_text(row->media_type), sql_int(row->width), sql_int(row->height), sql_int(row->bytes),
                          sql_int(row->updated_at), sql_text(row->label), sql_text(row->metadata)),
                   e) &&
           clear_attributes(s, row->number, e);
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);
    memcpy(out, text, n);
    out[n] = 0;
}

static void fill_row(const struct image_put *put, const struct image_row *old, struct image_row *out)
{
    int64_t now = clock_unix();
    *out = (struct image_row){.number = old ? old->number : 0, .width = put->width, .height = put->height};
    copy_text(out->id, sizeof out->id, put->id);
    copy_text(out->sha256, sizeof out->sha256, put->sha256);
    copy_text(out->media_type, sizeof out->media_type, put->media_type);
    out->bytes = (int64_t)put->len;
    out->created_at = old ? old->created_at : now;
    out->updated_at = now;
    out->label = mem_text(put->label);
    out->metadata = mem_text(put->metadata);
}

bool catalog_image_put(struct session *s, const struct collection_row *c, const struct image_put *put,
                       const struct image_row *old, struct image_row *out, struct err *e)
{
    fill_row(put, old, out);
    return next_revision(s, &out->revision, e) && (old ? replace_row(s, out, e) : insert_row(s, c->number, out, e)) &&
           add_attributes(s, c->number, out->number, out->metadata, e) &&
           catalog_vector_put(s, (struct vector_place){put->generation, out->number}, out->revision, put->vector,
                              c->dimensions, e);
}

bool catalog_image_update(struct session *s, int64_t collection, struct image_row *row, struct err *e)
{
    int64_t before = row->revision;
    row->updated_at = clock_unix();
    return next_revision(s, &row->revision, e) &&
           sql_run(s->q, "UPDATE image SET revision = ?2, updated_at = ?3, label = ?4, metadata = ?5 WHERE number = ?1",
                   VALUES(sql_int(row->number), sql_int(row->revision), sql_int(row->updated_at), sql_text(row->label),
                          sql_text(row->metadata)),
                   e) &&
           /* the content is the same: what was made of it stays valid, in every generation */
           sql_run(s->q,
                   "UPDATE vector SET revision = ?4 WHERE generation IN"
                   " (SELECT number FROM generation WHERE collection = ?1) AND image = ?2 AND revision = ?3",
                   VALUES(sql_int(collection), sql_int(row->number), sql_int(before), sql_int(row->revision)), e) &&
           clear_attributes(s, row->number, e) && add_attributes(s, collection, row->number, row->metadata, e);
}

bool catalog_image_remove(struct session *s, int64_t collection, int64_t number, char sha256[HASH_HEX], struct err *e)
{
    struct query *r =
        sql_begin(s->q, "DELETE FROM image WHERE number = ?1 RETURNING sha256", VALUES(sql_int(number)), e);
    bool found = sql_row(r);
    if (found)
        sql_copy_text(r, 0, sha256, HASH_HEX);
    if (!sql_end(r, e))
        return false;
    if (!found)
        return err_set(e, ERR_NOT_FOUND, "no image with the number %lld", (long long)number);
    return sql_run(s->q,
                   "DELETE FROM vector WHERE generation IN (SELECT number FROM generation WHERE collection = ?1)"
                   " AND image = ?2",
                   VALUES(sql_int(collection), sql_int(number)), e) &&
           clear_attributes(s, number, e) && count_images(s, collection, -1, e);
}

/* ---- hashes and vectors, for the image files and the indexes ---- */

bool catalog_hash_used(struct session *s, const char *sha256, bool *used, struct err *e)
{
    int64_t found;
    if (!sql_number(s->q, "SELECT EXISTS (SELECT 1 FROM image WHERE sha256 = ?1)", VALUES(sql_text(sha256)), 0, &found,
                    e))
        return false;
    *used = found != 0;
    return true;
}

bool catalog_hash_users(struct session *s, const char *sha256, size_t limit, struct image_user **out, size_t *n,
                        struct err *e)
{
    struct image_user *users = mem_new(limit, sizeof *users);
    struct query *r = sql_begin(s->q,
                                "SELECT c.number, i.number, c.name, i.id FROM image i JOIN collection c"
                                " ON c.number = i.collection WHERE i.sha256 = ?1 ORDER BY i.number LIMIT ?2",
                                VALUES(sql_text(sha256), sql_int((int64_t)limit)), e);
    for (*n = 0; *n < limit && sql_row(r); ++*n) {
        struct image_user *u = &users[*n];
        *u = (struct image_user){.collection_number = sql_get_int(r, 0), .number = sql_get_int(r, 1)};
        sql_copy_text(r, 2, u->collection, sizeof u->collection);
        sql_copy_text(r, 3, u->id, sizeof u->id);
    }
    *out = users;
    if (sql_end(r, e))
        return true;
    free(users);
    *out = NULL;
    return false;
}

/* All hashes that a query answers; ends it. */
static bool take_hashes(struct query *r, char (**out)[HASH_HEX], size_t *n, struct err *e)
{
    char(*hashes)[HASH_HEX] = NULL;
    size_t room = 0;
    *n = 0;
    while (sql_row(r)) {
        if (*n == room) {
            room = room ? room * 2 : 64;
            hashes = mem_grow(hashes, room, sizeof *hashes);
        }
        sql_copy_text(r, 0, hashes[(*n)++], HASH_HEX);
    }
    *out = hashes;
    if (sql_end(r, e))
        return true;
    free(hashes);
    *out = NULL;
    *n = 0;
    return false;
}

bool catalog_hashes(struct session *s, const char *two_digits, char (**out)[HASH_HEX], size_t *n, struct err *e)
{
    /* "g" sorts behind every hexadecimal digit */
    return take_hashes(sql_begin(s->q,
                                 "SELECT DISTINCT sha256 FROM image WHERE sha256 >= ?1 AND sha256 < ?1 || 'g'"
                                 " ORDER BY sha256",
                                 VALUES(sql_text(two_digits)), e),
                       out, n, e);
}

bool catalog_collection_hashes(struct session *s, int64_t collection, char (**out)[HASH_HEX], size_t *n, struct err *e)
{
    return take_hashes(
        sql_begin(s->q, "SELECT DISTINCT sha256 FROM image WHERE collection = ?1", VALUES(sql_int(collection)), e), out,
        n, e);
}
