/* catalog_list.c - questions about many images: pages, counts, the numbers that a filter keeps. */
#include <stdlib.h>

#include "base/mem.h"
#include "index/catalog/catalog.h"
#include "index/catalog/catalog_impl.h"
#include "index/filter.h"

/* "<select> FROM image WHERE collection = ?1 [AND filter]" with its values; `rest` values can be added. */
struct question {
    struct buf text, values;
};

static void ask(struct question *a, const char *select, int64_t collection, const struct filter *f)
{
    struct sql_value first = sql_int(collection);
    *a = (struct question){0};
    buf_add(&a->values, &first, sizeof first);
    buf_print(&a->text, "SELECT %s FROM image WHERE collection = ?1", select);
    if (f) {
        buf_text(&a->text, " AND ");
        filter_sql(f, &a->text, &a->values);
    }
}

/* Gives the parameter's number. */
static int add_value(struct question *a, struct sql_value v)
{
    buf_add(&a->values, &v, sizeof v);
    return (int)(a->values.len / sizeof v);
}

static struct query *begin(struct question *a, struct session *s, struct err *e)
{
    const struct sql_value *values = (const void *)a->values.data;
    return sql_begin_once(s->q, a->text.data, values, a->values.len / sizeof *values, e);
}

static bool end(struct question *a, struct query *r, struct err *e)
{
    bool ok = sql_end(r, e);
    buf_clear(&a->text);
    buf_clear(&a->values);
    return ok;
}

bool catalog_images(struct session *s, int64_t collection, const struct filter *f, const char *after, size_t limit,
                    struct image_row **out, size_t *n, bool *more, struct err *e)
{
    struct question a;
    struct image_row *rows = mem_try(limit + 1, sizeof *rows, e);
    if (!rows)
        return false;
    ask(&a, IMAGE_COLUMNS, collection, f);
    if (after)
        buf_print(&a.text, " AND id > ?%d", add_value(&a, sql_text(after)));
    buf_print(&a.text, " ORDER BY id LIMIT ?%d", add_value(&a, sql_int((int64_t)limit + 1)));
    struct query *r = begin(&a, s, e);
    *n = 0;
    while (*n <= limit && sql_row(r))
        catalog_read_image(r, &rows[(*n)++]);
    bool ok = end(&a, r, e);
    *more = *n > limit;
    if (*more)
        image_row_clear(&rows[--*n]);
    if (!ok) {
        while (*n > 0)
            image_row_clear(&rows[--*n]);
        free(rows);
        rows = NULL;
    }
    *out = rows;
    return ok;
}

bool catalog_count(struct session *s, int64_t collection, const struct filter *f, int64_t *count, struct err *e)
{
    struct question a;
    ask(&a, "count(*)", collection, f);
    struct query *r = begin(&a, s, e);
    *count = sql_row(r) ? sql_get_int(r, 0) : 0;
    return end(&a, r, e);
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

bool catalog_total_images(struct session *s, int64_t *count, struct err *e)
{
    return sql_number(s->q, "SELECT count(*) FROM image", NO_VALUES, 0, count, e);
}

bool catalog_numbers(struct session *s, int64_t collection, const struct filter *f, int64_t **out, size_t *n,
                     struct err *e)
{
    struct question a;
    size_t used = 0, room = 256;
    int64_t *numbers = mem_new(room, sizeof *numbers);
    ask(&a, "number", collection, f);
    buf_text(&a.text, " ORDER BY number");
    struct query *r = begin(&a, s, e);
    while (sql_row(r)) {
        if (used == room) {
            room *= 2;
            numbers = mem_grow(numbers, room, sizeof *numbers);
        }
        numbers[used++] = sql_get_int(r, 0);
    }
    bool ok = end(&a, r, e);
    if (!ok) {
        free(numbers);
        numbers = NULL;
        used = 0;
    }
    *out = numbers;
    *n = used;
    return ok;
}

bool catalog_metadata(struct session *s, int64_t number, char **out, struct err *e)
{
    *out = NULL;
    struct query *r = sql_begin(s->q, "SELECT metadata FROM image WHERE number = ?1", VALUES(sql_int(number)), e);
    if (sql_row(r))
        *out = mem_text(sql_get_text(r, 0));
    return sql_end(r, e);
}
