/* vindex.h - the vectors of one generation of one collection, and the search among them.
 *
 * Vectors lie in chunks that never move.  Most of them are in the sealed segment: an HNSW graph over the rows where
 * they lie, immutable, cached on disk with a checksum.  The fresh ones are searched exactly, so a vector that was just
 * added is found at once.  A replaced image is a new slot and the death of the old one.  The background thread makes
 * larger segments of the fresh, and smaller ones without the dead; it publishes a new snapshot of it all by pointer.
 *
 * Threads: vindex_add, _remove and _relabel come from the store's writer alone.  Any thread may call vindex_search and
 * vindex_vector at any time, on a reference taken with vindex_share().
 *
 * HNSW: Malkov and Yashunin 2018 (arXiv:1603.09320), by FAISS.
 */
#ifndef ANCHORD_INDEX_VECTORS_VINDEX_H
#define ANCHORD_INDEX_VECTORS_VINDEX_H

#include "index/values/rows.h"
#include "index/values/search.h"

struct vindex;

struct vindex_options {
    uint32_t dimensions;
    enum index_kind kind;
    int64_t generation;
    const char *cache_dir;     /* segments/<generation>; NULL: no files */
    size_t hnsw_from, seal_at; /* as in store_options; 0: defaults */
    bool background;
};

struct entry { /* what an answer shows without asking the catalogue */
    int64_t number, revision;
    const char *id, *label; /* label NULL: none; copied by the callee */
};

struct vindex *vindex_new(const struct vindex_options *o, struct err *e);
struct vindex *vindex_share(struct vindex *x);
void vindex_release(struct vindex *x); /* the last one stops the background work; NULL is fine */

/* Of unit length and finite: anything else would poison the searches that meet it. */
MUST_CHECK bool vindex_check_vector(const float *vector, size_t dimensions, struct err *e);

/* Adds a vector (copied; unit length, finite).  An entry with the same number replaces the older one. */
MUST_CHECK bool vindex_add(struct vindex *x, const struct entry *entry, const float *vector, struct err *e);
void vindex_remove(struct vindex *x, int64_t number); /* unknown numbers are fine */
/* New label and revision, same vector. */
MUST_CHECK bool vindex_relabel(struct vindex *x, const struct entry *entry, struct err *e);

/* Start-up: after all entries were added with vindex_add, uses the segment files that match instead of building again.
 * A file matches by checksum, and by number and revision of each member.  Damaged or foreign files are deleted and
 * rebuilt in the background.  An index with a cache folder builds nothing before this was called; a second call does
 * nothing. */
void vindex_load_cache(struct vindex *x);

size_t vindex_living(struct vindex *x);
MUST_CHECK bool vindex_vector(struct vindex *x, const char *id, float *out, struct err *e);

/* As view_search(); `numbers` (ascending, from the catalogue) stands for `q->filter`, whose numbers they are: all are
 * searched when both are NULL.  A hit has no metadata. */
MUST_CHECK bool vindex_search(struct vindex *x, const struct search *q, const int64_t *numbers, size_t n_numbers,
                              struct hits *out, struct err *e);

struct vindex_stats {
    size_t living, dead, fresh, segments;
    uint64_t bytes;
    bool building;
};
void vindex_get_stats(struct vindex *x, struct vindex_stats *out);

#endif
