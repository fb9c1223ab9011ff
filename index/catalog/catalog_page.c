/* catalog_page.c - images in order, a page at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "index/catalog/catalog.h"
#include "index/catalog/catalog_parts.h"

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
