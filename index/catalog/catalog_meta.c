/* catalog_meta.c - collections with their generations, models, keys. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "index/catalog/catalog_parts.h"

/* Room for one more in an array that doubles; gives the array. */
static void *grow(void *items, size_t n, size_t size)
{
    bool is_power = (n & (n - 1)) == 0;
    return is_power ? mem_grow(items, n ? n * 2 : 1, size) : items;
}

/* ---- collections ---- */

#define COLLECTION_SELECT                                                                                              \
    "SELECT c.number, c.name, g.model, g.fingerprint, g.precision, c.kind, g.number, g.dimensions, c.images,"          \
    " c.created_at, EXISTS (SELECT 1 FROM generation b WHERE b.collection = c.number AND b.state = 0)"                 \
    " FROM collection c JOIN generation g ON g.number = c.generation"

static void read_collection(struct query *r, struct collection_row *out)
{
    *out = (struct collection_row){.number = sql_get_int(r, 0)};
    sql_copy_text(r, 1, out->name, sizeof out->name);
    sql_copy_text(r, 2, out->model, sizeof out->model);
    sql_copy_text(r, 3, out->fingerprint, sizeof out->fingerprint);
    sql_copy_text(r, 4, out->precision, sizeof out->precision);
    out->index = (enum index_kind)sql_get_int(r, 5);
    out->generation = sql_get_int(r, 6);
    out->dimensions = (uint32_t)sql_get_int(r, 7);
    out->images = sql_get_int(r, 8);
    out->created_at = sql_get_int(r, 9);
    out->building = sql_get_int(r, 10) != 0;
}

bool catalog_collection(struct session *s, const char *name, struct collection_row *out, struct err *e)
{
    struct query *r = sql_begin(s->q, COLLECTION_SELECT " WHERE c.name = ?1", VALUES(sql_text(name)), e);
    bool found = sql_row(r);
    if (found)
        read_collection(r, out);
    return sql_end(r, e) && (found || err_set(e, ERR_NOT_FOUND, "no collection %s", name));
}

bool catalog_collections(struct session *s, struct collection_row **out, size_t *n, struct err *e)
{
    struct collection_row *rows = NULL;
    *n = 0;
    struct query *r = sql_begin(s->q, COLLECTION_SELECT " ORDER BY c.name", NO_VALUES, e);
    while (sql_row(r)) {
        rows = grow(rows, *n, sizeof *rows);
        read_collection(r, &rows[(*n)++]);
    }
    *out = rows;
    if (sql_end(r, e))
        return true;
    free(rows);
    *out = NULL;
    *n = 0;
    return false;
}

bool catalog_collection_add(struct session *s, struct collection_row *row, struct err *e)
{
    int64_t taken;
    row->created_at = clock_unix();
    row->images = 0;
    if (!sql_number(s->q, "SELECT EXISTS (SELECT 1 FROM collection WHERE name = ?1)", VALUES(sql_text(row->name)), 0,
                    &taken, e))
        return false;
    if (taken)
        return err_set(e, ERR_CONFLICT, "the collection %s exists already", row->name);
    if (!sql_run(s->q, "INSERT INTO collection (name, kind, generation, images, created_at) VALUES (?1, ?2, 0, 0, ?3)",
                 VALUES(sql_text(row->name), sql_int(row->index), sql_int(row->created_at)), e))
        return false;
    row->number = sql_last_id(s->q);
    if (!sql_run(s->q,
                 "INSERT INTO generation (collection, model, fingerprint, precision, dimensions, created_at, state,"
                 " activated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?6)",
                 VALUES(sql_int(row->number), sql_text(row->model), sql_text(row->fingerprint),
                        sql_text(row->precision), sql_int(row->dimensions), sql_int(row->created_at)),
                 e))
        return false;
    row->generation = sql_last_id(s->q);
    return sql_run(s->q, "UPDATE collection SET generation = ?2 WHERE number = ?1",
                   VALUES(sql_int(row->number), sql_int(row->generation)), e);
}

bool catalog_collection_remove(struct session *s, const struct collection_row *row, struct err *e)
{
    static const char *const statements[] = {
        "DELETE FROM vector WHERE generation IN (SELECT number FROM generation WHERE collection = ?1)",
        "DELETE FROM attribute WHERE collection = ?1",
        "DELETE FROM image WHERE collection = ?1",
        "DELETE FROM generation WHERE collection = ?1",
        "DELETE FROM collection WHERE number = ?1",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (!sql_run(s->q, statements[i], VALUES(sql_int(row->number)), e))
            return false;
    return true;
}

/* ---- models ---- */

#define MODEL_SELECT                                                                                                   \
    "SELECT id, fingerprint, parent, arch, dimensions, size, trained, created_at, bytes, lineage FROM model"

static void read_model(struct query *r, struct model_row *out)
{
    *out = (struct model_row){.dimensions = (uint32_t)sql_get_int(r, 4), .size = (uint32_t)sql_get_int(r, 5)};
    sql_copy_text(r, 0, out->id, sizeof out->id);
    sql_copy_text(r, 1, out->fingerprint, sizeof out->fingerprint);
    sql_copy_text(r, 2, out->parent, sizeof out->parent);
    sql_copy_text(r, 3, out->arch, sizeof out->arch);
    out->trained = sql_get_int(r, 6) != 0;
    out->created_at = sql_get_int(r, 7);
    out->bytes = sql_get_int(r, 8);
    out->lineage = mem_text(sql_get_text(r, 9));
}

bool catalog_model(struct session *s, const char *id, struct model_row *out, struct err *e)
{
    struct query *r = sql_begin(s->q, MODEL_SELECT " WHERE id = ?1", VALUES(sql_text(id)), e);
    bool found = sql_row(r);
    if (found)
        read_model(r, out);
    return sql_end(r, e) && (found || err_set(e, ERR_NOT_FOUND, "no model %s", id));
}

bool catalog_models(struct session *s, struct model_row **out, size_t *n, struct err *e)
{
    struct model_row *rows = NULL;
    *n = 0;
    struct query *r = sql_begin(s->q, MODEL_SELECT " ORDER BY id", NO_VALUES, e);
    while (sql_row(r)) {
        rows = grow(rows, *n, sizeof *rows);
        read_model(r, &rows[(*n)++]);
    }
    bool ok = sql_end(r, e);
    if (!ok) {
        while (*n > 0)
            model_row_clear(&rows[--*n]);
        free(rows);
        rows = NULL;
    }
    *out = rows;
    return ok;
}

bool catalog_model_add(struct session *s, struct model_row *row, struct err *e)
{
    int64_t taken;
    if (!sql_number(s->q, "SELECT EXISTS (SELECT 1 FROM model WHERE id = ?1)", VALUES(sql_text(row->id)), 0, &taken, e))
        return false;
    if (taken)
        return err_set(e, ERR_CONFLICT, "the model %s exists already", row->id);
    if (row->created_at == 0)
        row->created_at = clock_unix();
    return sql_run(s->q, "INSERT INTO model VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                   VALUES(sql_text(row->id), sql_text(row->fingerprint), sql_text(row->parent), sql_text(row->arch),
                          sql_int(row->dimensions), sql_int(row->size), sql_int(row->trained), sql_int(row->created_at),
                          sql_int(row->bytes), sql_text(row->lineage)),
                   e);
}

/* The collection that has vectors of the model, with the number of their generation: false when there is none. */
static bool find_user(struct session *s, const char *model, char collection[ID_MAX + 1], int64_t *generation,
                      bool *found, struct err *e)
{
    struct query *r = sql_begin(s->q,
                                "SELECT c.name, g.number FROM generation g JOIN collection c ON c.number = g.collection"
                                " WHERE g.model = ?1 AND g.state <= 2 ORDER BY g.number LIMIT 1",
                                VALUES(sql_text(model)), e);
    *found = sql_row(r);
    if (*found) {
        sql_copy_text(r, 0, collection, ID_MAX + 1);
        *generation = sql_get_int(r, 1);
    }
    return sql_end(r, e);
}

bool catalog_model_remove(struct session *s, const char *id, struct err *e)
{
    char collection[ID_MAX + 1];
    int64_t generation;
    bool used;
    if (!find_user(s, id, collection, &generation, &used, e))
        return false;
    if (used)
        return err_set(e, ERR_CONFLICT, "generation %lld of the collection %s is of the model %s",
                       (long long)generation, collection, id);
    if (!sql_run(s->q, "DELETE FROM model WHERE id = ?1", VALUES(sql_text(id)), e))
        return false;
    return sql_changed(s->q) > 0 || err_set(e, ERR_NOT_FOUND, "no model %s", id);
}

/* ---- keys ---- */

static bool read_key(struct query *r, struct key_row *out, struct err *e)
{
    size_t len;
    const void *hash = sql_get_blob(r, 1, &len);
    *out = (struct key_row){.role = (enum role)sql_get_int(r, 2), .created_at = sql_get_int(r, 4)};
    sql_copy_text(r, 0, out->id, sizeof out->id);
    sql_copy_text(r, 3, out->name, sizeof out->name);
    if (len != HASH_SIZE)
        return err_set(e, ERR_CORRUPT, "the hash of key %s has %zu bytes", out->id, len);
    memcpy(out->hash, hash, HASH_SIZE);
    return true;
}

bool catalog_keys(struct session *s, struct key_row **out, size_t *n, struct err *e)
{
    struct key_row *rows = NULL;
    bool ok = true;
    *n = 0;
    struct query *r =
        sql_begin(s->q, "SELECT id, hash, role, name, created_at FROM key ORDER BY created_at, id", NO_VALUES, e);
    while (ok && sql_row(r)) {
        rows = grow(rows, *n, sizeof *rows);
        ok = read_key(r, &rows[(*n)++], e);
    }
    ok = sql_end(r, e) && ok;
    if (!ok) {
        free(rows);
        rows = NULL;
        *n = 0;
    }
    *out = rows;
    return ok;
}

bool catalog_key_counts(struct session *s, int64_t *all, int64_t *admins, struct err *e)
{
    return sql_number(s->q, "SELECT count(*) FROM key", NO_VALUES, 0, all, e) &&
           sql_number(s->q, "SELECT count(*) FROM key WHERE role = ?1", VALUES(sql_int(ROLE_ADMIN)), 0, admins, e);
}

bool catalog_key_add(struct session *s, struct key_row *row, struct err *e)
{
    int64_t taken;
    if (!sql_number(s->q, "SELECT EXISTS (SELECT 1 FROM key WHERE id = ?1)", VALUES(sql_text(row->id)), 0, &taken, e))
        return false;
    if (taken)
        return err_set(e, ERR_CONFLICT, "the key %s exists already", row->id);
    if (row->created_at == 0)
        row->created_at = clock_unix();
    return sql_run(s->q, "INSERT INTO key (id, hash, role, name, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                   VALUES(sql_text(row->id), sql_blob(row->hash, HASH_SIZE), sql_int(row->role), sql_text(row->name),
                          sql_int(row->created_at)),
                   e);
}

bool catalog_key_remove(struct session *s, const char *id, struct err *e)
{
    if (!sql_run(s->q, "DELETE FROM key WHERE id = ?1", VALUES(sql_text(id)), e))
        return false;
    return sql_changed(s->q) > 0 || err_set(e, ERR_NOT_FOUND, "no key %s", id);
}
