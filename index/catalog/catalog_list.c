/* catalog_list.c - questions about many images: counts, labels, numbers, pages in order, what hits show. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
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

/* ---- pages ---- */

/* Of a filter that keeps so few, all are looked up and put in order; of others the images are gone through in order
 * until a page is full. */
enum { FEW = 4096 };

struct place {    /* of an image */
    int64_t time; /* 0 in the order of ids */
    char *id;
    int64_t number;
    int sign; /* -1: descending */
};

struct places {
    const struct image_page *page;
    struct place *items; /* one more than the page has, in order */
    size_t n, limit;
    struct arena arena; /* holds the ids */
};

static const char *const times[] = {
    [IMAGES_BY_ID] = "0", [IMAGES_BY_CREATED_AT] = "created_at", [IMAGES_BY_UPDATED_AT] = "updated_at"};

static int in_order(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->sign * (x->time != y->time ? (x->time > y->time) - (x->time < y->time) : strcmp(x->id, y->id));
}

/* Where the page begins: behind this place.  No id is empty, and none has the byte 0xff. */
static struct place start_of(const struct image_page *page)
{
    static char first[] = "", last[] = "\xff";
    struct place p = {.sign = page->descending ? -1 : 1};
    bool by_id = page->order == IMAGES_BY_ID;
    if (page->after_id) {
        p.id = (char *)(uintptr_t)page->after_id;
        p.time = by_id ? 0 : page->after_time;
    } else {
        p.id = page->descending ? last : first;
        p.time = by_id ? 0 : page->descending ? INT64_MAX : INT64_MIN;
    }
    return p;
}

static struct place read_place(struct places *p, struct query *r)
{
    return (struct place){sql_get_int(r, 2), arena_text(&p->arena, sql_get_text(r, 0)), sql_get_int(r, 1),
                          p->page->descending ? -1 : 1};
}

static bool look_up_few(struct session *s, const struct selection *x, struct places *p, struct err *e)
{
    size_t n;
    int64_t *numbers = selection_numbers(x, &n);
    const struct place start = start_of(p->page);
    char text[160];
    bool ok = true;
    snprintf(text, sizeof text, "SELECT id, number, %s FROM image WHERE number = ?1", times[p->page->order]);
    p->items = mem_new(n + 1, sizeof *p->items);
    for (size_t i = 0; ok && i < n; i++) {
        struct query *r = sql_begin_once(s->q, text, VALUES(sql_int(numbers[i])), e);
        if (sql_row(r)) {
            p->items[p->n] = read_place(p, r);
            p->n += in_order(&start, &p->items[p->n]) < 0;
        }
        ok = sql_end(r, e);
    }
    free(numbers);
    qsort(p->items, p->n, sizeof *p->items, in_order);
    p->n = min_size(p->n, p->limit);
    return ok;
}

static struct query *begin_in_order(struct session *s, int64_t collection, const struct image_page *page, struct err *e)
{
    const struct place start = start_of(page);
    const char *way = page->descending ? "DESC" : "ASC", *beyond = page->descending ? "<" : ">",
               *time = times[page->order];
    char text[320];
    if (page->order == IMAGES_BY_ID) {
        snprintf(text, sizeof text, "SELECT id, number, 0 FROM image WHERE collection = ?1 AND id %s ?2 ORDER BY id %s",
                 beyond, way);
        return sql_begin_once(s->q, text, VALUES(sql_int(collection), sql_text(start.id)), e);
    }
    snprintf(text, sizeof text,
             "SELECT id, number, %s FROM image WHERE collection = ?1 AND (%s, id) %s (?2, ?3) ORDER BY %s %s, id %s",
             time, time, beyond, time, way, way);
    return sql_begin_once(s->q, text, VALUES(sql_int(collection), sql_int(start.time), sql_text(start.id)), e);
}

static bool go_through(struct session *s, int64_t collection, const struct selection *x, struct places *p,
                       struct err *e)
{
    p->items = mem_new(p->limit + 1, sizeof *p->items);
    struct query *r = begin_in_order(s, collection, p->page, e);
    while (p->n < p->limit && sql_row(r))
        if (!x || selection_has(x, sql_get_int(r, 1)))
            p->items[p->n++] = read_place(p, r);
    return sql_end(r, e);
}

static bool read_row(struct session *s, int64_t number, struct image_row *out, bool *found, struct err *e)
{
    struct query *r =
        sql_begin(s->q, "SELECT " IMAGE_COLUMNS " FROM image WHERE number = ?1", VALUES(sql_int(number)), e);
    *found = sql_row(r);
    if (*found)
        catalog_read_image(r, out);
    if (sql_end(r, e))
        return true;
    if (*found)
        image_row_clear(out);
    return false;
}

bool catalog_images_numbered(struct session *s, const int64_t *numbers, size_t n, struct image_row *rows, size_t *found,
                             struct err *e)
{
    *found = 0;
    for (size_t i = 0; i < n; i++) {
        bool there;
        if (!read_row(s, numbers[i], &rows[*found], &there, e)) {
            while (*found > 0)
                image_row_clear(&rows[--*found]);
            return false;
        }
        *found += there;
    }
    return true;
}

static bool find_places(struct session *s, int64_t collection, struct places *p, struct err *e)
{
    if (!p->page->filter)
        return go_through(s, collection, NULL, p, e);
    struct selection *x = catalog_select(s, collection, p->page->filter, e);
    bool ok = x && (selection_count(x) <= FEW ? look_up_few(s, x, p, e) : go_through(s, collection, x, p, e));
    selection_free(x);
    return ok;
}

static bool read_places(struct session *s, const struct places *p, struct image_row *rows, size_t *n, struct err *e)
{
    int64_t *numbers = mem_new(p->n + 1, sizeof *numbers);
    for (size_t i = 0; i < p->n; i++)
        numbers[i] = p->items[i].number;
    bool ok = catalog_images_numbered(s, numbers, p->n, rows, n, e);
    free(numbers);
    return ok;
}

bool catalog_images(struct session *s, int64_t collection, const struct image_page *page, struct image_row **out,
                    size_t *n, bool *more, struct err *e)
{
    struct places p = {.page = page, .limit = page->limit + 1};
    struct image_row *rows = mem_try(page->limit + 1, sizeof *rows, e);
    *n = 0;
    bool begun = rows && catalog_snapshot(s, e);
    bool ok = begun && find_places(s, collection, &p, e) && read_places(s, &p, rows, n, e);
    if (begun)
        catalog_snapshot_end(s);
    *more = *n > page->limit;
    if (*more)
        image_row_clear(&rows[--*n]);
    if (!ok) {
        free(rows);
        rows = NULL;
    }
    arena_clear(&p.arena);
    free(p.items);
    *out = rows;
    return ok;
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
