/* view.h - the immutable picture of a collection's index that one search holds.
 *
 * A view names one generation and never mixes two.  Taking and releasing one is cheap (a reference count).  Each search
 * of it is of one moment: a replaced image is found as it was or as it is, once.  A hit shows one version of its image,
 * and that version matches the filter.
 *
 *     struct view *v = store_view(s, "default", 0, e);
 *     struct hits hits = {0};
 *     if (v && view_search(v, &(struct search){.vector = q, .limit = 10}, &hits, e)) ...
 *     hits_clear(&hits);
 *     view_release(v);
 *
 * Score is the cosine, in double precision and then rounded to a float: images whose vectors are the same score 1.
 */
#ifndef ANCHORD_INDEX_VIEW_H
#define ANCHORD_INDEX_VIEW_H

#include "index/values/search.h"

struct store;
struct view;

/* `generation` 0: the active one; another than the active one: ERR_PRECONDITION.  ERR_NOT_FOUND: no such
 * collection.  NULL on failure. */
struct view *store_view(struct store *s, const char *collection, int64_t generation, struct err *e);
void view_release(struct view *v); /* NULL is fine */

int64_t view_generation(const struct view *v);
const char *view_model(const struct view *v);     /* model id; lives as long as the view */
const char *view_precision(const struct view *v); /* of the vectors: "fp32" or "bf16" */
uint32_t view_dimensions(const struct view *v);
size_t view_images(const struct view *v); /* living */

/* The vector of a living image: out [dimensions].  ERR_NOT_FOUND. */
MUST_CHECK bool view_vector(struct view *v, const char *id, float *out, struct err *e);

/* While `limit` living images match, `limit` are given: where the approximate index finds fewer, or a
 * filter leaves few, the search is exact. */
MUST_CHECK bool view_search(struct view *v, const struct search *q, struct hits *out, struct err *e);

#endif
