/* generation_steps.h - a change of a collection's generation, step by step and without an encoder, for tests of the store.
 *
 * Vectors are those of stores.h.  Generation g sees content c as the vector of number g * 10000 + c.  Only the first
 * generation sees it as number c, as stores_put() stores it.
 */
#ifndef ANCHORD_TESTS_LIB_GENERATION_STEPS_H
#define ANCHORD_TESTS_LIB_GENERATION_STEPS_H

#include "index/generation.h"

/* Adds a model row (without a file) whose fingerprint is made of its id. */
bool generation_steps_model(struct store *s, const char *id, struct err *e);
/* Starts a generation of `default`. */
bool generation_steps_start(struct store *s, const char *model, struct generation_row *out, struct err *e);
bool generation_steps_return(struct store *s, int64_t generation, struct generation_row *out, struct err *e);
bool generation_steps_cancel(struct store *s, struct err *e);
/* Loads the index to be, in all its steps. */
bool generation_steps_load(struct store *s, const struct generation_row *row, struct err *e);
/* Stores the vectors of at most `limit` pending images, whose content numbers are in their labels ("7"); *made counts. */
bool generation_steps_embed(struct store *s, const struct generation_row *row, size_t limit, size_t *made,
                            struct err *e);
/* Stores one vector (NULL: unreadable) for a revision; *stored: it was not stale. */
bool generation_steps_vector(struct store *s, int64_t generation, int64_t image, int64_t revision, const float *value,
                             bool *stored, struct err *e);
/* *missing: how many vectors it lacks, when that is the error. */
bool generation_steps_switch(struct store *s, int64_t generation, int64_t *missing, struct err *e);
/* Load, embed, switch. */
bool generation_steps_complete(struct store *s, const struct generation_row *row, struct err *e);
/* Sweeps until nothing is left. */
bool generation_steps_sweep(struct store *s, int64_t generation, struct err *e);

/* The number of the vector that generation `number` sees in a content. */
unsigned generation_steps_number(int64_t generation, unsigned content);
/* Puts an image whose label tells its content, with the vector of the active generation. */
bool generation_steps_put(struct store *s, const char *id, unsigned content, struct err *e);
/* Is `id` the best hit for this content, with a score of 1, in the active generation? */
bool generation_steps_finds(struct store *s, unsigned content, const char *id);

#endif
