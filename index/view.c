/* view.c - a collection's index together with what the catalogue knows: filters before, metadata after. */
#include "index/view.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "index/store_parts.h"
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
         err_set(e, ERR_PRECONDITION, "the active generation of %s is %lld", collection, (long long)v->row.generation)))
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

/* How often a search is done again because the catalogue does not have what it found, or not any more.  Between a commit
 * and its publication the index shows versions that the catalogue has no more.  That is over in a moment, unless the
 * writer has to wait for a processor: so the later tries leave it one, and the last one takes what the catalogue has. */
enum { TRIES = 8, EAGER_TRIES = 3, PAUSE_US = 1000 };

/* A search of one snapshot of the catalogue: the filter, and what the hits show. */
struct looking {
    struct view *view;
    struct session *session;
    const struct search *q;
    struct hits *hits;
    bool any;    /* a hit takes over the version of the snapshot where that is another one */
    bool begun;  /* the snapshot */
    bool resort; /* a score has changed */
};

/* The image has another version in the snapshot than the index had: the vector of that version counts.  There is none
 * (*there) when the collection has changed its model since the view was taken: then the one that was found has to do. */
static bool score_again(struct looking *l, struct hit *h, int64_t revision, bool *there, struct err *e)
{
    size_t d = l->view->row.dimensions;
    float *value = arena_new(&l->hits->arena, d, sizeof *value);
    if (!catalog_hit_vector(l->session, l->view->row.generation, h->number, revision, d, value, there, e))
        return false;
    if (*there) {
        h->score = (float)scan_cosine(l->q->vector, value, d);
        h->vector = l->q->with_vector ? value : NULL;
        l->resort = true;
    }
    return true;
}

static void show(struct looking *l, struct hit *h, const struct hit_row *row)
{
    h->label = arena_text(&l->hits->arena, row->label);
    h->metadata = arena_text(&l->hits->arena, row->metadata);
}

/* Fills in what the snapshot says of a hit.  *fits: it is the version that was found. */
static bool show_hit(struct looking *l, struct hit *h, bool *fits, bool *there, struct err *e)
{
    struct hit_row row;
    if (!catalog_hit(l->session, h->number, &row, e))
        return false;
    *there = row.revision != 0;
    *fits = *there && row.revision == h->revision;
    bool scored = false, ok = *fits || !l->any || !*there || score_again(l, h, row.revision, &scored, e);
    if (*fits || scored || (l->q->filter && *there))
        show(l, h, &row);
    else /* its label stays as it was found: an index that serves no more, after a change of model, shows what was */
        h->metadata = arena_text(&l->hits->arena, row.metadata);
    hit_row_clear(&row);
    return ok;
}

/* Without a filter what was found counts: a version that came after the first snapshot began is in a second one. */
static bool show_newer(struct looking *l, const bool *done, size_t *lost, struct err *e)
{
    bool ok = true, fits, there;
    catalog_snapshot_end(l->session);
    l->begun = catalog_snapshot(l->session, e);
    for (size_t i = 0; ok && l->begun && i < l->hits->n; i++) {
        if (done[i])
            continue;
        ok = show_hit(l, &l->hits->items[i], &fits, &there, e);
        if (!fits)
            ++*lost;
    }
    return ok && l->begun;
}

static int by_score(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : strcmp(x->id, y->id);
}

/* Drops the hits that are gone, and puts the others in order when a score has changed. */
static void drop_and_order(struct looking *l)
{
    struct hits *hits = l->hits;
    size_t n = 0;
    for (size_t i = 0; i < hits->n; i++)
        if (hits->items[i].number)
            hits->items[n++] = hits->items[i];
    if (l->resort)
        qsort(hits->items, n, sizeof *hits->items, by_score);
    while (l->q->has_threshold && n > 0 && hits->items[n - 1].score < l->q->threshold)
        n--;
    hits->n = n;
}

/* *lost counts the hits that are not shown as they were found. */
static bool show_hits(struct looking *l, size_t *lost, struct err *e)
{
    struct hits *hits = l->hits;
    bool *done = mem_new(hits->n + 1, sizeof *done), ok = true, there;
    size_t open = 0;
    for (size_t i = 0; ok && i < hits->n; i++) {
        ok = show_hit(l, &hits->items[i], &done[i], &there, e);
        if (l->q->filter && !there) {
            hits->items[i].number = 0;
            ++*lost;
        }
        open += !done[i];
    }
    if (ok && open > 0 && !l->q->filter)
        ok = show_newer(l, done, lost, e);
    free(done);
    if (ok)
        drop_and_order(l);
    return ok;
}

/* The snapshot begins before the search: a filter finds only what is in it. */
static bool look(struct looking *l, size_t *lost, struct err *e)
{
    const struct search *q = l->q;
    struct view *v = l->view;
    struct hit_row none;
    int64_t *numbers = NULL;
    size_t n = 0;
    bool ok = (q->filter ? catalog_numbers(l->session, v->row.number, q->filter, &numbers, &n, e)
                         : catalog_hit(l->session, 0, &none, e)) && /* a first read, with which it begins */
              vindex_search(v->index, q, numbers, n, l->hits, e) &&
              show_hits(l, lost, e);
    free(numbers);
    return ok;
}

static bool look_once(struct view *v, const struct search *q, bool any, struct hits *out, size_t *lost, struct err *e)
{
    struct catalog *catalog = v->store->catalog;
    struct looking l = {.view = v, .session = catalog_reader(catalog, e), .q = q, .hits = out, .any = any};
    if (!l.session)
        return false;
    *lost = 0;
    l.begun = catalog_snapshot(l.session, e);
    bool ok = l.begun && look(&l, lost, e);
    if (l.begun)
        catalog_snapshot_end(l.session);
    catalog_reader_done(catalog, l.session);
    return ok;
}

bool view_search(struct view *v, const struct search *q, struct hits *out, struct err *e)
{
    size_t lost = 1;
    for (int i = 0; i < TRIES && lost > 0; i++) {
        hits_clear(out);
        if (i >= EAGER_TRIES)
            usleep(PAUSE_US);
        if (!look_once(v, q, q->filter || i == TRIES - 1, out, &lost, e)) {
            hits_clear(out);
            return false;
        }
    }
    return true;
}
