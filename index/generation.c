/* generation.c - what is known of generations, for those outside the writer. */
#include "index/generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "index/store_parts.h"

bool generation_list(struct store *s, const char *collection, struct generation_row **out, size_t *n, struct err *e)
{
    struct collection_row c;
    *out = NULL;
    *n = 0;
    if (!store_collection(s, collection, &c, e))
        return false;
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_generations(r, c.number, out, n, e);
    for (size_t i = 0; ok && i < *n; i++)
        ok = catalog_generation_counts(r, &(*out)[i], e);
    catalog_reader_done(s->catalog, r);
    if (!ok) {
        free(*out);
        *out = NULL;
        *n = 0;
    }
    return ok;
}

bool generation_list_in(struct store *s, enum generation_state state, struct generation_row **out, size_t *n,
                        struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_generations_in(r, state, out, n, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool generation_lacking(struct store *s, struct generation_row **out, size_t *n, struct err *e)
{
    struct collection_row *rows;
    size_t n_rows;
    shelf_rows(s->shelf, &rows, &n_rows);
    *n = 0;
    *out = mem_new(n_rows, sizeof **out);
    struct session *r = catalog_reader(s->catalog, e);
    for (size_t i = 0; r && i < n_rows; i++)
        *n += rows[i].lacking && catalog_generation(r, rows[i].generation, &(*out)[*n], NULL);
    catalog_reader_done(s->catalog, r);
    free(rows);
    return r != NULL;
}

void generation_set_whole(struct store *s, const struct generation_row *row)
{
    shelf_set_whole(s->shelf, row->collection_number, row->number);
}

bool generation_donor(struct store *s, const struct generation_row *row, int64_t *number, struct err *e)
{
    struct generation_row *rows = NULL;
    size_t n = 0;
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_generations(r, row->collection_number, &rows, &n, e);
    catalog_reader_done(s->catalog, r);
    *number = 0;
    for (size_t i = 0; ok && i < n && *number == 0; i++)
        if (rows[i].number != row->number && generation_same_encoder(&rows[i], row))
            *number = rows[i].number;
    free(rows);
    return ok;
}

bool generation_pending(struct store *s, const struct generation_row *row, int64_t donor, int64_t after, size_t limit,
                        struct pending **out, size_t *n, struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_pending(r, row, donor, after, limit, out, n, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool generation_unreadable(struct store *s, const struct generation_row *row, char id[IMAGE_ID_MAX + 1], struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_generation_unreadable(r, row->number, id, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

void generation_load_graph(struct store *s, const struct generation_row *row)
{
    struct vindex *next = shelf_share_next(s->shelf, row->collection_number, row->number);
    if (next)
        vindex_load_cache(next);
    vindex_release(next);
}

bool generation_is_indexing(struct store *s, const struct generation_row *row)
{
    struct vindex_stats stats = {0};
    struct vindex *next = shelf_share_next(s->shelf, row->collection_number, row->number);
    if (next)
        vindex_get_stats(next, &stats);
    vindex_release(next);
    return stats.building && stats.fresh >= stats.living / 4 && stats.fresh > 4096;
}
