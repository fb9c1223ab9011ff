/* catalog_list.c - questions about many images: counts, labels, the numbers that a filter keeps, what hits show. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "index/catalog/catalog.h"
#include "index/catalog/catalog_parts.h"

/* ---- counts ---- */

bool catalog_count(struct session *s, int64_t collection, const struct filter *f, int64_t *count, struct err *e)
{
    if (!f)
        return sql_number(s->q, "SELECT images FROM collection WHERE number = ?1", VALUES(sql_int(collection)), 0,
                          count, e);
    struct selection *x = catalog_select(s, collection, f, e);
    *count = x ? (int64_t)selection_count(x) : 0;
    selection_free(x);
    return x != NULL;
}

bool catalog_label_counts(struct session *s, int64_t collection, size_t **each, size_t *labels, struct err *e)
{
    size_t room = 64;
    size_t *counts = mem_new(room, sizeof *counts);
    *labels = 0;
    struct query *r = sql_begin(s->q, "SELECT count(*), label IS NULL FROM image WHERE collection = ?1 GROUP BY label",
                                VALUES(sql_int(collection)), e);
    while (sql_row(r)) {
        size_t count = (size_t)sql_get_int(r, 0);
        if (sql_get_int(r, 1)) {
            counts[0] = count;
            continue;
        }
        if (*labels + 1 == room) {
            room *= 2;
            counts = mem_grow(counts, room, sizeof *counts);
        }
        counts[++*labels] = count;
    }
    bool ok = sql_end(r, e);
    if (!ok) {
        free(counts);
        counts = NULL;
    }
    *each = counts;
    return ok;
}

bool catalog_count_unshared(struct session *s, int64_t collection, int64_t other, size_t most, int64_t *n,
                            struct err *e)
{
    return sql_number(
        s->q,
        "SELECT count(*) FROM (SELECT DISTINCT v.sha256 FROM image v WHERE v.collection = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM image t WHERE t.sha256 = v.sha256 AND t.collection = ?2) LIMIT ?3)",
        VALUES(sql_int(collection), sql_int(other), sql_int((int64_t)most)), 0, n, e);
}

bool catalog_labels(struct session *s, int64_t collection, const char *after, size_t limit, struct label_row **out,
                    size_t *n, bool *more, struct err *e)
{
    struct label_row *rows = mem_new(limit + 1, sizeof *rows);
    struct query *r =
        sql_begin(s->q,
                  "SELECT label, count(*) FROM image WHERE collection = ?1 AND label > ?2"
                  " GROUP BY label ORDER BY label LIMIT ?3",
                  VALUES(sql_int(collection), sql_text(after ? after : ""), sql_int((int64_t)limit + 1)), e);
    for (*n = 0; *n <= limit && sql_row(r); ++*n)
        rows[*n] = (struct label_row){mem_text(sql_get_text(r, 0)), sql_get_int(r, 1)};
    bool ok = sql_end(r, e);
    *more = *n > limit;
    if (*more)
        free(rows[--*n].label);
    if (!ok) {
        while (*n > 0)
            free(rows[--*n].label);
        free(rows);
        rows = NULL;
    }
    *out = rows;
    return ok;
}

bool catalog_unlabelled(struct session *s, int64_t collection, int64_t *count, struct err *e)
{
    return sql_number(s->q, "SELECT count(*) FROM image WHERE collection = ?1 AND label IS NULL",
                      VALUES(sql_int(collection)), 0, count, e);
}

bool catalog_total_images(struct session *s, int64_t *count, struct err *e)
{
    return sql_number(s->q, "SELECT count(*) FROM image", NO_VALUES, 0, count, e);
}

static bool all_numbers(struct session *s, int64_t collection, int64_t **out, size_t *n, struct err *e)
{
    size_t room = 256;
    int64_t *numbers = mem_new(room, sizeof *numbers);
    struct query *r = sql_begin(s->q, "SELECT number FROM image WHERE collection = ?1 ORDER BY number",
                                VALUES(sql_int(collection)), e);
    for (*n = 0; sql_row(r);) {
        if (*n == room) {
            room *= 2;
            numbers = mem_grow(numbers, room, sizeof *numbers);
        }
        numbers[(*n)++] = sql_get_int(r, 0);
    }
    *out = numbers;
    if (sql_end(r, e))
        return true;
    free(numbers);
    *out = NULL;
    return false;
}

bool catalog_numbers(struct session *s, int64_t collection, const struct filter *f, int64_t **out, size_t *n,
                     struct err *e)
{
    *out = NULL;
    *n = 0;
    if (!f)
        return all_numbers(s, collection, out, n, e);
    struct selection *x = catalog_select(s, collection, f, e);
    if (x)
        *out = selection_numbers(x, n);
    selection_free(x);
    return x != NULL;
}

/* ---- hits ---- */

bool catalog_hit(struct session *s, int64_t number, struct hit_row *out, struct err *e)
{
    *out = (struct hit_row){0};
    struct query *r =
        sql_begin(s->q, "SELECT revision, label, metadata FROM image WHERE number = ?1", VALUES(sql_int(number)), e);
    if (sql_row(r)) {
        out->revision = sql_get_int(r, 0);
        out->label = mem_text(sql_get_text(r, 1));
        out->metadata = mem_text(sql_get_text(r, 2));
    }
    if (sql_end(r, e))
        return true;
    hit_row_clear(out);
    return false;
}

void hit_row_clear(struct hit_row *row)
{
    free(row->label);
    free(row->metadata);
    *row = (struct hit_row){0};
}

bool catalog_hit_vector(struct session *s, int64_t generation, int64_t number, int64_t revision, size_t dimensions,
                        float *out, bool *there, struct err *e)
{
    size_t len = 0;
    struct query *r =
        sql_begin(s->q, "SELECT value, checksum FROM vector WHERE generation = ?1 AND image = ?2 AND revision = ?3",
                  VALUES(sql_int(generation), sql_int(number), sql_int(revision)), e);
    const void *value = sql_row(r) ? sql_get_blob(r, 0, &len) : NULL;
    *there = value && len == dimensions * sizeof *out &&
             vector_state(r, 1, (struct vector_place){generation, number}, value, len) != VECTOR_DAMAGED;
    if (*there)
        memcpy(out, value, len);
    return sql_end(r, e);
}
