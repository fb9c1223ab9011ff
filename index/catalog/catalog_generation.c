/* catalog_generation.c - generations: their states, the one transaction that changes the active one, their vectors with
 * checksums, and what they lack. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "index/catalog/catalog_parts.h"

/* The states as they are stored; the statements below name them by number. */
_Static_assert(GENERATION_BUILDING == 0 && GENERATION_ACTIVE == 1 && GENERATION_RETIRED == 2 &&
                   GENERATION_FAILED == 3 && GENERATION_DROPPED == 4,
               "stored");

#define GENERATION_SELECT                                                                                              \
    "SELECT g.number, g.collection, c.name, g.model, g.fingerprint, g.precision, g.dimensions, g.state,"               \
    " g.skip_unreadable, g.created_at, g.activated_at, g.retired_at, g.error"                                          \
    " FROM generation g JOIN collection c ON c.number = g.collection"

static void read_generation(struct query *r, struct generation_row *out)
{
    *out = (struct generation_row){.number = sql_get_int(r, 0), .collection_number = sql_get_int(r, 1)};
    sql_copy_text(r, 2, out->collection, sizeof out->collection);
    sql_copy_text(r, 3, out->model, sizeof out->model);
    sql_copy_text(r, 4, out->fingerprint, sizeof out->fingerprint);
    sql_copy_text(r, 5, out->precision, sizeof out->precision);
    out->dimensions = (uint32_t)sql_get_int(r, 6);
    out->state = (enum generation_state)sql_get_int(r, 7);
    out->skip_unreadable = sql_get_int(r, 8) != 0;
    out->created_at = sql_get_int(r, 9);
    out->activated_at = sql_get_int(r, 10);
    out->retired_at = sql_get_int(r, 11);
    sql_copy_text(r, 12, out->error, sizeof out->error);
}

bool catalog_generation(struct session *s, int64_t number, struct generation_row *out, struct err *e)
{
    struct query *r =
        sql_begin(s->q, GENERATION_SELECT " WHERE g.number = ?1 AND g.state <> 4", VALUES(sql_int(number)), e);
    bool found = sql_row(r);
    if (found)
        read_generation(r, out);
    return sql_end(r, e) && (found || err_set(e, ERR_NOT_FOUND, "no generation %lld", (long long)number));
}

/* All rows that a query answers; ends it. */
static bool take_generations(struct query *r, struct generation_row **out, size_t *n, struct err *e)
{
    struct generation_row *rows = NULL;
    *n = 0;
    while (sql_row(r)) {
        rows = mem_grow(rows, *n + 1, sizeof *rows);
        read_generation(r, &rows[(*n)++]);
    }
    *out = rows;
    if (sql_end(r, e))
        return true;
    free(rows);
    *out = NULL;
    *n = 0;
    return false;
}

bool catalog_generations(struct session *s, int64_t collection, struct generation_row **out, size_t *n, struct err *e)
{
    return take_generations(sql_begin(s->q,
                                      GENERATION_SELECT " WHERE g.collection = ?1 AND g.state <> 4"
                                                        " ORDER BY g.number DESC",
                                      VALUES(sql_int(collection)), e),
                            out, n, e);
}

bool catalog_generations_in(struct session *s, enum generation_state state, struct generation_row **out, size_t *n,
                            struct err *e)
{
    return take_generations(
        sql_begin(s->q, GENERATION_SELECT " WHERE g.state = ?1 ORDER BY g.number", VALUES(sql_int(state)), e), out, n,
        e);
}

bool catalog_generation_counts(struct session *s, struct generation_row *row, struct err *e)
{
    return sql_number(s->q,
                      "SELECT count(*) FROM image i WHERE i.collection = ?1 AND EXISTS (SELECT 1 FROM vector v"
                      " INDEXED BY vector_current"
                      " WHERE v.generation = ?2 AND v.image = i.number AND v.revision = i.revision)",
                      VALUES(sql_int(row->collection_number), sql_int(row->number)), 0, &row->done, e) &&
           sql_number(s->q,
                      "SELECT count(*) FROM vector v INDEXED BY vector_unreadable JOIN image i ON i.number = v.image"
                      " WHERE v.generation = ?1 AND length(v.value) = 0 AND v.revision = i.revision",
                      VALUES(sql_int(row->number)), 0, &row->unreadable, e) &&
           sql_number(s->q, "SELECT images FROM collection WHERE number = ?1", VALUES(sql_int(row->collection_number)),
                      0, &row->total, e);
}

bool catalog_generation_unreadable(struct session *s, int64_t number, char id[IMAGE_ID_MAX + 1], struct err *e)
{
    struct query *r =
        sql_begin(s->q,
                  "SELECT i.id FROM vector v INDEXED BY vector_unreadable JOIN image i ON i.number = v.image"
                  " WHERE v.generation = ?1 AND length(v.value) = 0 AND v.revision = i.revision LIMIT 1",
                  VALUES(sql_int(number)), e);
    id[0] = 0;
    if (sql_row(r))
        sql_copy_text(r, 0, id, IMAGE_ID_MAX + 1);
    return sql_end(r, e);
}

bool catalog_generation_previous(struct session *s, int64_t collection, int64_t *number, struct err *e)
{
    return sql_number(s->q,
                      "SELECT number FROM generation WHERE collection = ?1 AND state = 2 ORDER BY turn DESC LIMIT 1",
                      VALUES(sql_int(collection)), 0, number, e);
}

/* ---- changing ---- */

bool catalog_generation_add(struct session *s, struct generation_row *row, struct err *e)
{
    row->created_at = clock_unix();
    row->state = GENERATION_BUILDING;
    if (!sql_run(s->q,
                 "INSERT INTO generation (collection, model, fingerprint, precision, dimensions, created_at, state,"
                 " skip_unreadable) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
                 VALUES(sql_int(row->collection_number), sql_text(row->model), sql_text(row->fingerprint),
                        sql_text(row->precision), sql_int(row->dimensions), sql_int(row->created_at),
                        sql_int(row->skip_unreadable)),
                 e))
        return false;
    row->number = sql_last_id(s->q);
    return true;
}

bool catalog_generation_set(struct session *s, int64_t number, enum generation_state state, const char *error,
                            struct err *e)
{
    return sql_run(s->q, "UPDATE generation SET state = ?2, error = ?3 WHERE number = ?1",
                   VALUES(sql_int(number), sql_int(state), sql_text(error)), e);
}

bool catalog_generation_switch(struct session *s, const struct generation_row *row, size_t keep, struct err *e)
{
    struct sql_value collection = sql_int(row->collection_number), number = sql_int(row->number),
                     now = sql_int(clock_unix());
    return sql_run(s->q,
                   "UPDATE generation SET state = 2, retired_at = ?2, turn = (SELECT max(turn) + 1 FROM generation)"
                   " WHERE collection = ?1 AND state = 1",
                   VALUES(collection, now), e) &&
           sql_run(s->q, "UPDATE generation SET state = 1, activated_at = ?2, error = '' WHERE number = ?1",
                   VALUES(number, now), e) &&
           sql_run(s->q, "UPDATE collection SET generation = ?2 WHERE number = ?1", VALUES(collection, number), e) &&
           sql_run(
               s->q,
               "UPDATE generation SET state = 4 WHERE collection = ?1 AND (state = 3 OR (state = 2 AND number NOT IN"
               " (SELECT number FROM generation WHERE collection = ?1 AND state = 2 ORDER BY turn DESC LIMIT ?2)))",
               VALUES(collection, sql_int((int64_t)keep)), e);
}

bool catalog_generation_reopen(struct session *s, int64_t number, bool skip_unreadable, struct err *e)
{
    return sql_run(s->q, "DELETE FROM vector INDEXED BY vector_unreadable WHERE generation = ?1 AND length(value) = 0",
                   VALUES(sql_int(number)), e) &&
           sql_run(s->q, "UPDATE generation SET state = 0, skip_unreadable = ?2, error = '' WHERE number = ?1",
                   VALUES(sql_int(number), sql_int(skip_unreadable)), e);
}

bool catalog_generation_sweep(struct session *s, int64_t number, int64_t limit, bool *left, struct err *e)
{
    int64_t found, dropped;
    if (!sql_number(s->q, "SELECT EXISTS (SELECT 1 FROM generation WHERE number = ?1 AND state = 4)",
                    VALUES(sql_int(number)), 0, &dropped, e))
        return false;
    if (!dropped)
        return err_set(e, ERR_NOT_FOUND, "generation %lld is not dropped", (long long)number);
    if (!sql_run(s->q, "DELETE FROM vector WHERE rowid IN (SELECT rowid FROM vector WHERE generation = ?1 LIMIT ?2)",
                 VALUES(sql_int(number), sql_int(limit)), e) ||
        !sql_number(s->q, "SELECT EXISTS (SELECT 1 FROM vector WHERE generation = ?1)", VALUES(sql_int(number)), 0,
                    &found, e))
        return false;
    *left = found != 0;
    return *left || sql_run(s->q, "DELETE FROM generation WHERE number = ?1 AND state = 4", VALUES(sql_int(number)), e);
}

/* ---- vectors ---- */

/* With its place, so that a vector that got another's key is not taken for that one's. */
static int64_t checksum_of(struct vector_place p, const void *value, size_t len)
{
    uint64_t seed = (uint64_t)p.generation * 0x9e3779b97f4a7c15u + (uint64_t)p.image;
    return (int64_t)hash_quick(value, len, seed);
}

enum vector_state vector_state(struct query *r, int column, struct vector_place p, const void *value, size_t len)
{
    if (sql_is_null(r, column))
        return VECTOR_UNCHECKED;
    return sql_get_int(r, column) == checksum_of(p, value, len) ? VECTOR_INTACT : VECTOR_DAMAGED;
}

bool catalog_vector_put(struct session *s, struct vector_place p, int64_t revision, const float *value,
                        uint32_t dimensions, struct err *e)
{
    size_t len = value ? dimensions * sizeof *value : 0;
    const void *bytes = value ? (const void *)value : "";
    return sql_run(s->q,
                   "INSERT INTO vector (generation, image, revision, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5)"
                   " ON CONFLICT (generation, image) DO UPDATE SET revision = excluded.revision,"
                   " value = excluded.value, checksum = excluded.checksum",
                   VALUES(sql_int(p.generation), sql_int(p.image), sql_int(revision), sql_blob(bytes, len),
                          sql_int(checksum_of(p, bytes, len))),
                   e);
}

bool catalog_vector_drop(struct session *s, int64_t generation, int64_t image, struct err *e)
{
    return sql_run(s->q, "DELETE FROM vector WHERE generation = ?1 AND image = ?2",
                   VALUES(sql_int(generation), sql_int(image)), e);
}

bool catalog_vectors(struct session *s, int64_t generation, uint32_t dimensions, struct vector_range range,
                     bool (*each)(void *arg, const struct catalog_vector *v, struct err *e), void *arg, struct err *e)
{
    bool ok = true;
    struct query *r =
        sql_begin(s->q,
                  "SELECT i.number, i.revision, i.id, i.label, v.value, v.checksum"
                  " FROM vector v JOIN image i ON i.number = v.image"
                  " WHERE v.generation = ?1 AND v.image BETWEEN ?2 AND ?3 AND v.revision = i.revision"
                  " AND length(v.value) > 0 ORDER BY v.image LIMIT ?4",
                  VALUES(sql_int(generation), sql_int(range.first), sql_int(range.last), sql_int(range.limit)), e);
    while (ok && sql_row(r)) {
        size_t len;
        struct catalog_vector v = {.number = sql_get_int(r, 0),
                                   .revision = sql_get_int(r, 1),
                                   .id = sql_get_text(r, 2),
                                   .label = sql_get_text(r, 3),
                                   .value = sql_get_blob(r, 4, &len)};
        v.checksum = vector_state(r, 5, (struct vector_place){generation, v.number}, v.value, len);
        if (len != dimensions * sizeof *v.value)
            v.checksum = VECTOR_DAMAGED;
        if (v.checksum == VECTOR_DAMAGED)
            v.value = NULL;
        ok = each(arg, &v, e);
    }
    return sql_end(r, e) && ok;
}

static bool is_current(struct session *s, const struct generation_row *row, const struct generation_vector *v,
                       bool *current, struct err *e)
{
    int64_t found;
    if (!sql_number(s->q, "SELECT EXISTS (SELECT 1 FROM image WHERE number = ?1 AND collection = ?2 AND revision = ?3)",
                    VALUES(sql_int(v->image), sql_int(row->collection_number), sql_int(v->revision)), 0, &found, e))
        return false;
    *current = found != 0;
    return true;
}

bool catalog_generation_vector(struct session *s, const struct generation_row *row, const struct generation_vector *v,
                               bool *stored, struct err *e)
{
    if (!is_current(s, row, v, stored, e))
        return false;
    if (!*stored)
        return true;
    return catalog_vector_put(s, (struct vector_place){row->number, v->image}, v->revision, v->value, row->dimensions,
                              e);
}

/* ---- what is missing ---- */

static void read_pending(struct query *r, const struct generation_row *row, int64_t donor, struct pending *out)
{
    size_t len;
    *out = (struct pending){.number = sql_get_int(r, 0), .revision = sql_get_int(r, 1), .bytes = sql_get_int(r, 4)};
    sql_copy_text(r, 2, out->id, sizeof out->id);
    sql_copy_text(r, 3, out->sha256, sizeof out->sha256);
    const void *value = sql_get_blob(r, 5, &len);
    struct vector_place place = {donor, out->number};
    if (!value || len != row->dimensions * sizeof *out->vector ||
        vector_state(r, 6, place, value, len) == VECTOR_DAMAGED) /* it is made anew */
        return;
    out->vector = mem_new(row->dimensions, sizeof *out->vector);
    memcpy(out->vector, value, len);
}

bool catalog_pending(struct session *s, const struct generation_row *row, int64_t donor, int64_t after, size_t limit,
                     struct pending **out, size_t *n, struct err *e)
{
    struct pending *items = mem_new(limit, sizeof *items);
    /* By number, from where the batch before ended: any other order would sort all images for each batch. */
    struct query *r = sql_begin(s->q,
                                "SELECT i.number, i.revision, i.id, i.sha256, i.bytes, d.value, d.checksum"
                                " FROM image i NOT INDEXED LEFT JOIN vector d"
                                "  ON d.generation = ?2 AND d.image = i.number AND d.revision = i.revision WHERE "
                                "i.number > ?4 AND i.collection = ?1 AND NOT EXISTS"
                                " (SELECT 1 FROM vector v INDEXED BY vector_current"
                                "  WHERE v.generation = ?3 AND v.image = i.number AND v.revision = i.revision)"
                                " ORDER BY i.number LIMIT ?5",
                                VALUES(sql_int(row->collection_number), sql_int(donor), sql_int(row->number),
                                       sql_int(after), sql_int((int64_t)limit)),
                                e);
    *n = 0;
    for (; *n < limit && sql_row(r); ++*n)
        read_pending(r, row, donor, &items[*n]);
    *out = items;
    if (sql_end(r, e))
        return true;
    pending_free(items, *n);
    *out = NULL;
    *n = 0;
    return false;
}

/* ---- vectors of a time before checksums ---- */

struct unchecked {
    int64_t row, sum;
};

static size_t read_unchecked(struct query *r, size_t limit, struct unchecked *out)
{
    size_t n = 0, len;
    for (; n < limit && sql_row(r); n++) {
        struct vector_place p = {sql_get_int(r, 1), sql_get_int(r, 2)};
        const void *value = sql_get_blob(r, 3, &len);
        out[n] = (struct unchecked){sql_get_int(r, 0), checksum_of(p, value ? value : "", len)};
    }
    return n;
}

bool catalog_vectors_check(struct session *s, int64_t *row, int64_t limit, bool *left, struct err *e)
{
    struct unchecked *items = mem_new((size_t)limit, sizeof *items);
    struct query *r =
        sql_begin(s->q,
                  "SELECT rowid, generation, image, value FROM vector WHERE rowid > ?1 AND checksum IS NULL"
                  " ORDER BY rowid LIMIT ?2",
                  VALUES(sql_int(*row), sql_int(limit)), e);
    size_t n = read_unchecked(r, (size_t)limit, items);
    bool ok = sql_end(r, e) && catalog_begin(s, e);
    for (size_t i = 0; ok && i < n; i++)
        ok = sql_run(s->q, "UPDATE vector SET checksum = ?2 WHERE rowid = ?1",
                     VALUES(sql_int(items[i].row), sql_int(items[i].sum)), e);
    ok = ok && catalog_commit(s, e);
    if (!ok)
        catalog_rollback(s);
    if (ok && n > 0)
        *row = items[n - 1].row;
    *left = n == (size_t)limit;
    free(items);
    return ok;
}
