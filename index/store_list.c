/* store_list.c - what the store tells of the images of a collection: one, pages, counts, labels. */
#include "index/store_parts.h"

/* A reading session, and the number of a collection. */
static struct session *enter(struct store *s, const char *collection, int64_t *number, struct err *e)
{
    struct collection_row row;
    if (!shelf_find(s->shelf, collection, &row, NULL, e))
        return NULL;
    *number = row.number;
    return catalog_reader(s->catalog, e);
}

bool store_image(struct store *s, const char *collection, const char *id, struct image_row *out, struct err *e)
{
    int64_t number;
    struct session *r = enter(s, collection, &number, e);
    bool ok = r && catalog_image(r, number, id, out, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_images(struct store *s, const char *collection, const struct image_page *page, struct image_row **out,
                  size_t *n, bool *more, struct err *e)
{
    int64_t number;
    struct session *r = enter(s, collection, &number, e);
    bool ok = r && catalog_images(r, number, page, out, n, more, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_numbers(struct store *s, const char *collection, const struct filter *f, int64_t **out, size_t *n,
                   struct err *e)
{
    int64_t number;
    struct session *r = enter(s, collection, &number, e);
    bool ok = r && catalog_numbers(r, number, f, out, n, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_images_numbered(struct store *s, const int64_t *numbers, size_t n, struct image_row *rows, size_t *found,
                           struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_images_numbered(r, numbers, n, rows, found, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

static bool count_listed(struct session *r, int64_t collection, const char *const *ids, size_t n, int64_t *count,
                         struct err *e)
{
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        struct image_row row;
        struct err missing = {0};
        if (catalog_image(r, collection, ids[i], &row, &missing)) {
            image_row_clear(&row);
            ++*count;
        } else if (missing.code != ERR_NOT_FOUND) {
            return err_move(e, &missing);
        }
    }
    return true;
}

bool store_count(struct store *s, const char *collection, const struct filter *f, const char *const *ids, size_t n_ids,
                 int64_t *count, struct err *e)
{
    int64_t number;
    struct session *r = enter(s, collection, &number, e);
    bool ok = r && (ids ? count_listed(r, number, ids, n_ids, count, e) : catalog_count(r, number, f, count, e));
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_label_counts(struct store *s, const char *collection, size_t **each, size_t *labels, struct err *e)
{
    int64_t number;
    struct session *r = enter(s, collection, &number, e);
    bool ok = r && catalog_label_counts(r, number, each, labels, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_labels(struct store *s, const char *collection, const char *after, size_t limit, struct label_row **out,
                  size_t *n, bool *more, int64_t *unlabelled, struct err *e)
{
    int64_t number;
    struct session *r = enter(s, collection, &number, e);
    bool ok =
        r && catalog_unlabelled(r, number, unlabelled, e) && catalog_labels(r, number, after, limit, out, n, more, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_count_unshared(struct store *s, const char *collection, const char *other, size_t most, int64_t *n,
                          struct err *e)
{
    struct collection_row row;
    int64_t number;
    struct session *r = shelf_find(s->shelf, other, &row, NULL, e) ? enter(s, collection, &number, e) : NULL;
    bool ok = r && catalog_count_unshared(r, number, row.number, most, n, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}
