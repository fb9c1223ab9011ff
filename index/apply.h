/* apply.h - one write as changes of the catalogue inside the writer's transaction, and what follows from it. */
#ifndef ANCHORD_INDEX_APPLY_H
#define ANCHORD_INDEX_APPLY_H

#include "index/effect.h"

enum write_need { WRITE_GROWS, WRITE_KEEPS, WRITE_FREES }; /* room; what frees some may use the reserve */
enum write_need apply_need(enum write_kind kind);

/* Changes the catalogue and stages the image's file.  On failure the caller takes back all three to where they
 * were: the transaction, the staged files, the number of effects. */
MUST_CHECK bool apply_write(struct group *g, struct write *w, struct err *e);

/* ---- shared by apply*.c ---- */

MUST_CHECK bool apply_put(struct group *g, struct write *w, struct err *e);
MUST_CHECK bool apply_patch(struct group *g, struct write *w, struct err *e);
MUST_CHECK bool apply_delete(struct group *g, struct write *w, struct err *e);
MUST_CHECK bool apply_to_many(struct group *g, struct write *w, struct err *e);
MUST_CHECK bool apply_generation(struct group *g, struct write *w, struct err *e);
/* Finds the collection and the image; old->number is 0 when there is none. */
MUST_CHECK bool apply_find(struct group *g, const struct write *w, const char *id, struct collection_row *c,
                           struct image_row *old, struct err *e);
/* Changes the row as the patch says, in memory alone. */
MUST_CHECK bool apply_patch_row(struct image_row *row, const struct image_patch *p, struct err *e);
/* Removes one image; counts it in w->count. */
MUST_CHECK bool apply_removal(struct group *g, struct write *w, int64_t collection, int64_t number, struct err *e);
/* The model may have been deleted, or made anew, since its encoder was loaded: ERR_STALE. */
MUST_CHECK bool apply_check_model(struct group *g, const char *id, const char *fingerprint, struct err *e);
/* Whether a look-up found its row; *ok false: it failed for another reason than that there is none. */
bool apply_is_there(bool found, const struct err *why, bool *ok, struct err *e);

#endif
