/* store_read.c - what the store tells of what it keeps: collections, images in pages and counts, files, models, keys. */
#include <stdlib.h>
#include <string.h>

#include "index/store_parts.h"

enum { READ_TRIES = 3 };

bool store_collection(struct store *s, const char *name, struct collection_row *out, struct err *e)
{
    return shelf_find(s->shelf, name, out, NULL, e);
}

bool store_collections(struct store *s, struct collection_row **out, size_t *n, struct err *e)
{
    (void)e;
    shelf_rows(s->shelf, out, n);
    return true;
}

/* ---- images ---- */

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

/* ---- their files ---- */

static bool hash_is_used(struct store *s, const char *sha256, bool *used, struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_hash_used(r, sha256, used, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

/* What became of a file that could not be read; true: lost, or deleted and stored again since, and then it is there by now. */
static bool may_be_back(struct store *s, const struct image_row *row, const struct err *why, struct err *e)
{
    bool used = false;
    if (why->code == ERR_NOT_FOUND && !hash_is_used(s, row->sha256, &used, e))
        return false;
    return used || err_move(e, why); /* damaged, or deleted since the row was read */
}

static bool is_lost(const struct image_row *row, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "the image file %s is missing", row->sha256);
}

bool store_content(struct store *s, const struct image_row *row, void **bytes, size_t *len, struct err *e)
{
    for (int i = 0; i < READ_TRIES; i++) {
        struct err why = {0};
        if (blobs_read(s->blobs, row->sha256, bytes, len, &why))
            return true;
        if (!may_be_back(s, row, &why, e))
            return false;
    }
    return is_lost(row, e);
}

int store_content_file(struct store *s, const struct image_row *row, uint64_t *len, struct err *e)
{
    for (int i = 0; i < READ_TRIES; i++) {
        struct err why = {0};
        int fd = blobs_open_checked(s->blobs, row->sha256, len, &why);
        if (fd >= 0)
            return fd;
        if (!may_be_back(s, row, &why, e))
            return -1;
    }
    is_lost(row, e);
    return -1;
}

/* ---- models and keys ---- */

bool store_models(struct store *s, struct model_row **out, size_t *n, struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_models(r, out, n, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_model(struct store *s, const char *id, struct model_row *out, struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_model(r, id, out, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_keys(struct store *s, struct key_row **out, size_t *n, struct err *e)
{
    struct session *r = catalog_urgent_reader(s->catalog, e);
    bool ok = r && catalog_keys(r, out, n, e);
    catalog_reader_done(s->catalog, r);
    if (ok)
        *n = refused_filter(s->refused, *out, *n);
    return ok;
}

bool store_refuse_key(struct store *s, const char *id, bool admin_elsewhere, struct err *e)
{
    struct key_row *rows;
    size_t n, admins = 0, found = SIZE_MAX;
    if (!store_keys(s, &rows, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        found = strcmp(rows[i].id, id) == 0 ? i : found;
        admins += rows[i].role == ROLE_ADMIN;
    }
    bool last = found != SIZE_MAX && rows[found].role == ROLE_ADMIN && admins == 1 && n > 1 && !admin_elsewhere;
    bool known = found != SIZE_MAX;
    free(rows);
    if (!known)
        return err_set(e, ERR_NOT_FOUND, "no key %s", id);
    if (last)
        return err_set(e, ERR_CONFLICT, "this is the last key with the role admin: revoke the others first");
    refused_add(s->refused, id);
    return true;
}
