/* view.c - a collection's index together with what the catalogue knows: filters before, metadata after. */
#include "index/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "index/store_impl.h"

struct view {
    struct store *store;
    struct collection_row row; /* as it was when the view was taken */
    struct vindex *index;
};

struct view *store_view(struct store *s, const char *collection, int64_t generation, struct err *e)
{
    struct view *v = mem_new(1, sizeof *v);
    v->store = s;
    if (shelf_find(s->shelf, collection, &v->row, &v->index, e) &&
        (generation == 0 || generation == v->row.generation ||
         err_set(e, ERR_PRECONDITION, "the active generation of %s is %lld", collection,
                 (long long)v->row.generation)))
        return v;
    view_release(v);
    return NULL;
}

void view_release(struct view *v)
{
    if (v)
        vindex_release(v->index);
    free(v);
}

int64_t view_generation(const struct view *v)
{
    return v->row.generation;
}

const char *view_model(const struct view *v)
{
    return v->row.model;
}

const char *view_fingerprint(const struct view *v)
{
    return v->row.fingerprint;
}

const char *view_precision(const struct view *v)
{
    return v->row.precision;
}

uint32_t view_dimensions(const struct view *v)
{
    return v->row.dimensions;
}

size_t view_images(const struct view *v)
{
    return vindex_living(v->index);
}

bool view_vector(struct view *v, const char *id, float *out, struct err *e)
{
    return vindex_vector(v->index, id, out, e);
}

/* The index says only that there is metadata; an image that went meanwhile has none. */
static bool add_metadata(struct session *s, struct hits *h, struct err *e)
{
    for (size_t i = 0; i < h->n; i++) {
        char *text;
        if (!h->items[i].metadata)
            continue;
        if (!catalog_metadata(s, h->items[i].number, &text, e))
            return false;
        h->items[i].metadata = arena_text(&h->arena, text);
        free(text);
    }
    return true;
}

static bool has_metadata(const struct hits *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->items[i].metadata)
            return true;
    return false;
}

bool view_search(struct view *v, const struct search *q, struct hits *out, struct err *e)
{
    struct catalog *catalog = v->store->catalog;
    struct session *s = NULL;
    int64_t *numbers = NULL;
    size_t n = 0;
    bool ok = false;
    if (q->filter) {
        s = catalog_reader(catalog, e);
        if (!s || !catalog_numbers(s, v->row.number, q->filter, &numbers, &n, e))
            goto done;
        catalog_reader_done(catalog, s); /* others may read while we search */
        s = NULL;
    }
    if (!vindex_search(v->index, q, numbers, n, out, e))
        goto done;
    if (has_metadata(out)) {
        s = catalog_reader(catalog, e);
        if (!s || !add_metadata(s, out, e)) {
            hits_clear(out);
            goto done;
        }
    }
    ok = true;
done:
    catalog_reader_done(catalog, s);
    free(numbers);
    return ok;
}
