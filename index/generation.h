/* generation.h - what is known of the generations of a collection, and what one lacks to be complete.
 *
 * The change of a collection's encoder, seen from the index:
 *
 *     WRITE_GENERATION_START      a new generation, without vectors
 *     WRITE_GENERATION_LOAD ...   its index to be gets what the catalogue has of it (nothing, or much after a restart)
 *     WRITE_GENERATION_VECTORS ... whoever can embed (index/ cannot) makes what generation_pending() names
 *     WRITE_GENERATION_SWITCH     one transaction: every living image has a vector of its current revision in it, and
 *                                 it is the active one from now on
 *
 * A roll-back begins with WRITE_GENERATION_RETURN and goes the same way.  A crash may break all of it off at any
 * moment.  It goes on where it was, for the stored rows say what is missing.
 */
#ifndef ANCHORD_INDEX_GENERATION_H
#define ANCHORD_INDEX_GENERATION_H

#include "index/store.h"

/* The generations of a collection, newest first, with their counts; for free(). */
MUST_CHECK bool generation_list(struct store *s, const char *collection, struct generation_row **out, size_t *n,
                                struct err *e);
/* The generations of all collections in one state, by number, without counts; for free(). */
MUST_CHECK bool generation_list_in(struct store *s, enum generation_state state, struct generation_row **out, size_t *n,
                                   struct err *e);
/* The active ones whose index lacks vectors of images: they were damaged, and wait to be made again; for free(). */
MUST_CHECK bool generation_lacking(struct store *s, struct generation_row **out, size_t *n, struct err *e);
/* The lacking vectors of this one are made, or cannot be. */
void generation_set_whole(struct store *s, const struct generation_row *row);
/* Another generation of the collection whose vectors may be taken over; *number 0: none. */
MUST_CHECK bool generation_donor(struct store *s, const struct generation_row *row, int64_t *number, struct err *e);
MUST_CHECK bool generation_pending(struct store *s, const struct generation_row *row, int64_t donor, int64_t after,
                                   size_t limit, struct pending **out, size_t *n, struct err *e);

/* One of the images that it has as unreadable; "" when there is none. */
MUST_CHECK bool generation_unreadable(struct store *s, const struct generation_row *row, char id[IMAGE_ID_MAX + 1],
                                      struct err *e);

/* Once all vectors are loaded: takes the saved graph of the generation to be, and lets its index build. */
void generation_load_graph(struct store *s, const struct generation_row *row);
/* Whether a graph of the generation to be is still being built that searches should not be without. */
bool generation_is_indexing(struct store *s, const struct generation_row *row);

#endif
