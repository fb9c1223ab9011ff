/* view.c - a collection's index together with what the catalogue knows: filters before, metadata after. */
#include "index/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "index/store_impl.h"
#include "index/vectors/scan.h"

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

/* ---- searching ---- */

/* How often a search is done again because images that it found were deleted meanwhile. */
enum { TRIES = 3 };

/* A search of one snapshot of the catalogue: the filter, and what the hits show. */
struct looking {
    struct view *view;
    struct session *session;
    const struct search *q;
    struct hits *hits;
    bool resort; /* a score has changed */
};

/* The image has another version in the snapshot than the index had: the vector of that version counts.  There is none
 * when the collection has changed its model since the view was taken: then the one that was found has to do. */
static bool score_again(struct looking *l, struct hit *h, int64_t revision, struct err *e)
{
    size_t d = l->view->row.dimensions;
    bool there;
    float *value = arena_new(&l->hits->arena, d, sizeof *value);
    if (!catalog_hit_vector(l->session, l->view->row.generation, h->number, revision, d, value, &there, e))
        return false;
    if (there) {
        h->score = (float)scan_cosine(l->q->vector, value, d);
        h->vector = l->q->with_vector ? value : NULL;
        l->resort = true;
    }
    return true;
}

/* Fills in what the snapshot says of a hit. */
static bool show_hit(struct looking *l, struct hit *h, bool *there, struct err *e)
{
    struct hit_row row;
    if (!catalog_hit(l->session, h->number, &row, e))
        return false;
    h->label = arena_text(&l->hits->arena, row.label);
    h->metadata = arena_text(&l->hits->arena, row.metadata);
    int64_t revision = row.revision;
    hit_row_clear(&row);
    *there = revision != 0;
    return !*there || revision == h->revision || score_again(l, h, revision, e);
}

static int by_score(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : strcmp(x->id, y->id);
}

/* Drops the hits that the snapshot has not, and puts the others in order; *lost counts them. */
static bool show_hits(struct looking *l, size_t *lost, struct err *e)
{
    struct hits *hits = l->hits;
    size_t n = 0, all = hits->n;
    for (size_t i = 0; i < all; i++) {
        bool there;
        if (!show_hit(l, &hits->items[i], &there, e))
            return false;
        if (there)
            hits->items[n++] = hits->items[i];
    }
    *lost = all - n;
    if (l->resort)
        qsort(hits->items, n, sizeof *hits->items, by_score);
    while (l->q->has_threshold && n > 0 && hits->items[n - 1].score < l->q->threshold)
        n--;
    hits->n = n;
    return true;
}

/* The snapshot begins before a filtered search, which finds only what is in it; another search finds what is newer too,
 * so its begins afterwards. */
static bool look(struct looking *l, size_t *lost, struct err *e)
{
    const struct search *q = l->q;
    struct view *v = l->view;
    int64_t *numbers = NULL;
    size_t n = 0;
    bool ok = (!q->filter || catalog_numbers(l->session, v->row.number, q->filter, &numbers, &n, e)) &&
              vindex_search(v->index, q, numbers, n, l->hits, e) && show_hits(l, lost, e);
    free(numbers);
    return ok;
}

static bool look_once(struct view *v, const struct search *q, struct hits *out, size_t *lost, struct err *e)
{
    struct catalog *catalog = v->store->catalog;
    struct looking l = {.view = v, .session = catalog_reader(catalog, e), .q = q, .hits = out};
    if (!l.session)
        return false;
    bool begun = catalog_snapshot(l.session, e);
    bool ok = begun && look(&l, lost, e);
    if (begun)
        catalog_snapshot_end(l.session);
    catalog_reader_done(catalog, l.session);
    return ok;
}

bool view_search(struct view *v, const struct search *q, struct hits *out, struct err *e)
{
    size_t lost = 0;
    for (int i = 0; i < TRIES; i++) {
        hits_clear(out);
        if (!look_once(v, q, out, &lost, e)) {
            hits_clear(out);
            return false;
        }
        if (lost == 0)
            break;
    }
    return true;
}
