/* catalog_list.c - questions about many images: pages, counts, the numbers that a filter keeps. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "index/catalog/catalog.h"
#include "index/catalog/catalog_impl.h"

/* ---- pages ---- */

/* Of a filter that keeps so few, all are looked up and put in order; of others the images are gone through in the
 * order of their ids until a page is full. */
enum { FEW = 4096 };

struct place { /* of an image in the order of ids */
    char *id;
    int64_t number;
};

struct places {
    struct place *items; /* at most `limit` of them, in order */
    size_t n, limit;
    struct arena arena;  /* holds the ids */
};

static int by_id(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return strcmp(x->id, y->id);
}

static void add_place(struct places *p, struct query *r)
{
    p->items[p->n++] = (struct place){arena_text(&p->arena, sql_get_text(r, 0)), sql_get_int(r, 1)};
}

static bool look_up_few(struct session *s, const struct selection *x, const char *after, struct places *p, struct err *e)
{
    size_t n;
    int64_t *numbers = selection_numbers(x, &n);
    bool ok = true;
    p->items = mem_new(n + 1, sizeof *p->items);
    for (size_t i = 0; ok && i < n; i++) {
        struct query *r = sql_begin(s->q, "SELECT id, number FROM image WHERE number = ?1 AND id > ?2",
                                    VALUES(sql_int(numbers[i]), sql_text(after)), e);
        if (sql_row(r))
            add_place(p, r);
        ok = sql_end(r, e);
    }
    free(numbers);
    qsort(p->items, p->n, sizeof *p->items, by_id);
    p->n = min_size(p->n, p->limit);
    return ok;
}

static bool go_through(struct session *s, int64_t collection, const struct selection *x, const char *after,
                       struct places *p, struct err *e)
{
    p->items = mem_new(p->limit + 1, sizeof *p->items);
    struct query *r = sql_begin(s->q, "SELECT id, number FROM image WHERE collection = ?1 AND id > ?2 ORDER BY id",
                                VALUES(sql_int(collection), sql_text(after)), e);
    while (p->n < p->limit && sql_row(r))
        if (!x || selection_has(x, sql_get_int(r, 1)))
            add_place(p, r);
    return sql_end(r, e);
}

static bool read_places(struct session *s, const struct places *p, struct image_row *rows, size_t *n, struct err *e)
{
    for (*n = 0; *n < p->n; ++*n) {
        struct query *r = sql_begin(s->q, "SELECT " IMAGE_COLUMNS " FROM image WHERE number = ?1",
                                    VALUES(sql_int(p->items[*n].number)), e);
        bool found = sql_row(r);
        if (found)
            catalog_read_image(r, &rows[*n]);
        if (!sql_end(r, e)) {
            if (found)
                image_row_clear(&rows[*n]);
            return false;
        }
    }
    return true;
}

static bool find_places(struct session *s, int64_t collection, const struct filter *f, const char *after,
                        struct places *p, struct err *e)
{
    if (!f)
        return go_through(s, collection, NULL, after, p, e);
    struct selection *x = catalog_select(s, collection, f, e);
    bool ok = x && (selection_count(x) <= FEW ? look_up_few(s, x, after, p, e)
                                              : go_through(s, collection, x, after, p, e));
    selection_free(x);
    return ok;
}

bool catalog_images(struct session *s, int64_t collection, const struct filter *f, const char *after, size_t limit,
                    struct image_row **out, size_t *n, bool *more, struct err *e)
{
    struct places p = {.limit = limit + 1};
    struct image_row *rows = mem_try(limit + 1, sizeof *rows, e);
    *n = 0;
    bool begun = rows && catalog_snapshot(s, e);
    bool ok = begun && find_places(s, collection, f, after ? after : "", &p, e) && read_places(s, &p, rows, n, e);
    if (begun)
        catalog_snapshot_end(s);
    *more = *n > limit;
    if (*more)
        image_row_clear(&rows[--*n]);
    if (!ok) {
        while (*n > 0)
            image_row_clear(&rows[--*n]);
        free(rows);
        rows = NULL;
    }
    arena_clear(&p.arena);
    free(p.items);
    *out = rows;
    return ok;
}

/* ---- counts ---- */

bool catalog_count(struct session *s, int64_t collection, const struct filter *f, int64_t *count, struct err *e)
{
    if (!f)
        return sql_number(s->q, "SELECT images FROM collection WHERE number = ?1", VALUES(sql_int(collection)), 0, count,
                          e);
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
    struct query *r = sql_begin(s->q, "SELECT count(*), coalesce(label, '') = '' FROM image WHERE collection = ?1 GROUP BY label",
                                VALUES(sql_int(collection)), e);
    while (sql_row(r)) {
        size_t count = (size_t)sql_get_int(r, 0);
        if (sql_get_int(r, 1)) {
            counts[0] += count; /* "" is no label */
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

bool catalog_count_unshared(struct session *s, int64_t collection, int64_t other, size_t most, int64_t *n, struct err *e)
{
    return sql_number(s->q,
                      "SELECT count(*) FROM (SELECT DISTINCT v.sha256 FROM image v WHERE v.collection = ?1 AND NOT EXISTS"
                      " (SELECT 1 FROM image t WHERE t.sha256 = v.sha256 AND t.collection = ?2) LIMIT ?3)",
                      VALUES(sql_int(collection), sql_int(other), sql_int((int64_t)most)), 0, n, e);
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
    struct query *r = sql_begin(s->q, "SELECT revision, label, metadata FROM image WHERE number = ?1",
                                VALUES(sql_int(number)), e);
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
    struct query *r = sql_begin(s->q,
                                "SELECT value, checksum FROM vector WHERE generation = ?1 AND image = ?2 AND revision = ?3",
                                VALUES(sql_int(generation), sql_int(number), sql_int(revision)), e);
    const void *value = sql_row(r) ? sql_get_blob(r, 0, &len) : NULL;
    *there = value && len == dimensions * sizeof *out &&
             vector_state(r, 1, (struct vector_place){generation, number}, value, len) != VECTOR_DAMAGED;
    if (*there)
        memcpy(out, value, len);
    return sql_end(r, e);
}
