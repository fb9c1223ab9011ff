/* shelf.h - the collections as searches meet them: each row with its index, in memory.
 *
 * The writer changes the shelf after each commit; any thread looks things up.  An index that was handed out
 * is a reference of the caller's own.
 */
#ifndef ANCHORD_INDEX_SHELF_H
#define ANCHORD_INDEX_SHELF_H

#include "index/store.h"
#include "index/vectors/vindex.h"

struct shelf;

struct shelf *shelf_new(void);
void shelf_free(struct shelf *s); /* releases the indexes; NULL is fine */

/* ERR_NOT_FOUND.  `index` may be NULL when only the row is wanted. */
MUST_CHECK bool shelf_find(struct shelf *s, const char *name, struct collection_row *row, struct vindex **index,
                           struct err *e);
/* All rows, by name; for free(). */
void shelf_rows(struct shelf *s, struct collection_row **out, size_t *n);
void shelf_totals(struct shelf *s, struct store_stats *out); /* adds images, vectors, segments_sealed */

/* ---- the writer's side ---- */

void shelf_add(struct shelf *s, const struct collection_row *row, struct vindex *index); /* takes the index */
void shelf_remove(struct shelf *s, int64_t collection);
void shelf_count(struct shelf *s, int64_t collection, int64_t change); /* more or fewer images */
struct vindex *shelf_index(struct shelf *s, int64_t collection);       /* borrowed; NULL: no such collection */

/* ---- the next generation of a collection: its index fills while the active one serves ---- */

/* Takes the index, which has no vectors yet; what was there before goes.  False when there is no such collection:
 * the index is then released. */
bool shelf_begin_next(struct shelf *s, int64_t collection, int64_t generation, struct vindex *index);
/* Borrowed; NULL unless this generation is the next one. */
struct vindex *shelf_next(struct shelf *s, int64_t collection, int64_t generation);
/* The same as a reference of the caller's own; any thread. */
struct vindex *shelf_share_next(struct shelf *s, int64_t collection, int64_t generation);
/* The next one's index where it follows what happens to image `number`: below it has been loaded.  Borrowed, or NULL. */
struct vindex *shelf_next_of_image(struct shelf *s, int64_t collection, int64_t number);
int64_t shelf_loaded(struct shelf *s, int64_t collection); /* the images up to this number are loaded ... */
void shelf_set_loaded(struct shelf *s, int64_t collection, int64_t to); /* ... INT64_MAX: all, also those to come */
void shelf_set_building(struct shelf *s, int64_t collection, bool building); /* as the row shows */
void shelf_drop_next(struct shelf *s, int64_t collection);
/* The next one serves from now on; `row` describes it.  False, and nothing changes, when there is no next one. */
MUST_CHECK bool shelf_switch(struct shelf *s, const struct collection_row *row);

/* Any thread: nothing can be done about what the index of this generation lacks, or nothing needs to be any more. */
void shelf_set_whole(struct shelf *s, int64_t collection, int64_t generation);

#endif
