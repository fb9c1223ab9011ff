/* catalog_vector.c - vectors with their checksums: stored, read for an index, dropped, checked for the first time. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "index/catalog/catalog.h"
#include "index/catalog/catalog_parts.h"

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
                  "SELECT i.number, i.revision, i.id, i.label, i.metadata IS NOT NULL, v.value, v.checksum"
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
                                   .has_metadata = sql_get_int(r, 4) != 0,
                                   .value = sql_get_blob(r, 5, &len)};
        v.checksum = vector_state(r, 6, (struct vector_place){generation, v.number}, v.value, len);
        if (len != dimensions * sizeof *v.value)
            v.checksum = VECTOR_DAMAGED;
        if (v.checksum == VECTOR_DAMAGED)
            v.value = NULL;
        ok = each(arg, &v, e);
    }
    return sql_end(r, e) && ok;
}

/* ---- those of before ---- */

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
