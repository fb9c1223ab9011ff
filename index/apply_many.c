/* apply_many.c - one write that means many images: by ids, by a filter, or all; one transaction. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/work_limit.h"
#include "index/apply.h"

/* All other writes wait for it. */
enum { FILTER_SECONDS = 2 };

static bool by_filter(struct group *g, const struct write *w, int64_t **numbers, size_t *n, struct err *e)
{
    struct collection_row c;
    struct work_limit limit = {
        .until = clock_ns() + (int64_t)FILTER_SECONDS * 1000000000, .rows = INT64_MAX, .seconds = FILTER_SECONDS};
    if (!catalog_collection(g->session, w->collection, &c, e))
        return false;
    struct work_limit *before = work_limit_set(&limit);
    bool ok = catalog_numbers(g->session, c.number, w->images.filter, numbers, n, e);
    work_limit_set(before);
    return ok;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* An id may stand in a list twice. */
static size_t drop_twins(int64_t *numbers, size_t n)
{
    size_t kept = 0;
    qsort(numbers, n, sizeof *numbers, ascending);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || numbers[i] != numbers[kept - 1])
            numbers[kept++] = numbers[i];
    return kept;
}

/* Ids that are not there are passed over. */
static bool by_ids(struct group *g, const struct write *w, int64_t **numbers, size_t *n, struct err *e)
{
    *numbers = mem_new(w->images.n_ids + 1, sizeof **numbers);
    *n = 0;
    for (size_t i = 0; i < w->images.n_ids; i++) {
        struct collection_row c;
        struct image_row found;
        if ((!image_id_is_valid(w->images.ids[i]) && !err_field(e, "ids", "has an id that is none")) ||
            !apply_find(g, w, w->images.ids[i], &c, &found, e)) {
            free(*numbers);
            return false;
        }
        if (found.number)
            (*numbers)[(*n)++] = found.number;
        image_row_clear(&found);
    }
    *n = drop_twins(*numbers, *n);
    return true;
}

/* ---- deleting ---- */

static bool remove_all(struct group *g, struct write *w, int64_t collection, const int64_t *numbers, size_t n,
                       struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!apply_removal(g, w, collection, numbers[i], e))
            return false;
    return true;
}

/* ---- changing ---- */

static bool patch_one(struct group *g, struct write *w, int64_t collection, int64_t number, struct err *e)
{
    struct image_row *row = &w->images.changed[w->images.n_changed];
    size_t found;
    if (!catalog_images_numbered(g->session, &number, 1, row, &found, e))
        return false;
    if (!found)
        return true;
    w->images.n_changed++;
    if (!apply_patch_row(row, &w->images.patch, e) || !catalog_image_update(g->session, collection, row, e))
        return false;
    struct effect *fx = add_effect(g, EFFECT_RELABEL_MANY, w);
    fx->collection = collection;
    fx->number = (int64_t)w->images.n_changed - 1;
    w->count++;
    return true;
}

static bool patch_all(struct group *g, struct write *w, int64_t collection, const int64_t *numbers, size_t n,
                      struct err *e)
{
    write_clear(w); /* of an attempt before */
    if (n > PATCH_MANY_MAX)
        return err_set(e, ERR_TOO_LARGE, "these are %zu images, and one request changes %d at most", n, PATCH_MANY_MAX);
    w->images.changed = mem_new(n + 1, sizeof *w->images.changed);
    for (size_t i = 0; i < n; i++)
        if (!patch_one(g, w, collection, numbers[i], e))
            return false;
    return true;
}

bool apply_to_many(struct group *g, struct write *w, struct err *e)
{
    struct collection_row c;
    int64_t *numbers;
    size_t n;
    if (!catalog_collection(g->session, w->collection, &c, e) ||
        !(w->images.ids ? by_ids(g, w, &numbers, &n, e) : by_filter(g, w, &numbers, &n, e)))
        return false;
    bool ok = w->kind == WRITE_IMAGES_DELETE ? remove_all(g, w, c.number, numbers, n, e)
                                             : patch_all(g, w, c.number, numbers, n, e);
    free(numbers);
    return ok;
}
