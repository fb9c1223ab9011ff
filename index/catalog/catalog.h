/* catalog.h - what anchord remembers: collections, generations, images, vectors, models, keys.
 *
 * The catalogue is the truth; everything that searches faster is rebuilt from it.  All SQL stands behind this
 * header, and nothing above it knows that SQLite is what it talks to.
 *
 *     collection  name, active generation, number of images
 *     generation  an encoder and the vectors it made of one collection; its number is never used again
 *     image       id within its collection, hash of its file, label, metadata; `number` is never used again and
 *                 `revision` comes from one global counter, so a revision names one state of one image for ever
 *     vector      (generation, image, revision, value, checksum): stale once the image has another revision; an empty value
 *                 says that this revision of the image cannot be embedded
 *     attribute   the leaves of the metadata, one row each, for filters: "a.b" for nested members, a row for
 *                 each element of a list; number, text or flag (0 or 1) is set
 *
 * A session sees the catalogue.  The one writing session belongs to the store's writer thread, which alone changes
 * anything.  It does so between catalog_begin() and catalog_commit(), and sees its own changes at once.  Reading
 * sessions are taken by any thread, for one question, and see what is committed.
 */
#ifndef ANCHORD_INDEX_CATALOG_CATALOG_H
#define ANCHORD_INDEX_CATALOG_CATALOG_H

#include "index/catalog/upkeep.h"
#include "index/values/rows.h"
#include "index/values/write.h"

#define CATALOG_FILE "anchord.db" /* its name in a data folder and in a backup */

struct catalog;
struct session;

/* Opens or creates the file and brings the schema up to date.  Checks the structure of all tables but the vectors,
 * which are read in full at every start.  Once it is open, all that is read is on the disk, whatever syncs failed
 * before.  For that the log is written again, synced, and copied into the file.  ERR_CONFLICT: written by a newer
 * anchord, or not ours.  ERR_CORRUPT: damaged. */
struct catalog *catalog_open(const char *path, struct err *e);
/* Opens a copy for reading only: there is no writing session.  The copy must have this anchord's schema. */
struct catalog *catalog_open_copy(const char *path, struct err *e);
void catalog_close(struct catalog *c, bool damaged); /* `damaged`: after an I/O error; NULL is fine */

/* *whole: nothing is wrong with the table of vectors.  ERR_IO when it cannot be said. */
MUST_CHECK bool catalog_check_vectors(struct catalog *c, bool *whole, struct err *e);
/* The table of vectors is damaged: makes it anew, without any, in one transaction.  While nobody else has a
 * session. */
MUST_CHECK bool catalog_remake_vectors(struct catalog *c, struct err *e);

struct session *catalog_writer(struct catalog *c);
/* Waits for a free one, as long as the work may take (work_limit.h), at most some seconds: then ERR_BUSY.  Lengthy work
 * leaves some to the rest, and all leave one to whoever is urgent.  NULL on failure. */
struct session *catalog_reader(struct catalog *c, struct err *e);
struct session *catalog_urgent_reader(struct catalog *c, struct err *e);
void catalog_reader_done(struct catalog *c, struct session *s); /* NULL is fine */

/* ---- snapshots: in between, a session sees the catalogue as of one moment.  They nest. ---- */

MUST_CHECK bool catalog_snapshot(struct session *s, struct err *e);
void catalog_snapshot_end(struct session *s); /* of the last that began */

/* ---- transactions of the writing session ---- */

MUST_CHECK bool catalog_begin(struct session *s, struct err *e);
MUST_CHECK bool catalog_commit(struct session *s, struct err *e); /* durable when true; undone when false */
void catalog_rollback(struct session *s);
/* One change among those of a transaction, that may fail without the others. */
MUST_CHECK bool catalog_mark(struct session *s, struct err *e);
MUST_CHECK bool catalog_keep(struct session *s, struct err *e);
/* Takes back what happened since the mark.  False: the whole transaction is lost. */
MUST_CHECK bool catalog_undo(struct session *s);

/* Does the upkeep that the engine needs (upkeep.h), by the writing session, outside of a transaction.  *owed (may be
 * NULL): bytes that are committed and have not got their place, afterwards, also when it failed.  A reader in the way
 * is no failure. */
MUST_CHECK bool catalog_upkeep(struct session *s, enum upkeep what, int64_t *owed, struct err *e);
/* Bytes on disk, any thread: of the catalogue, and of what the engine keeps beside it. */
void catalog_sizes(const struct catalog *c, int64_t *file, int64_t *beside);

/* A consistent copy as of now into the new file `path`, which is not yet synced. */
MUST_CHECK bool catalog_copy(struct session *s, const char *path, struct err *e);
/* Reads the whole file and checks that everything in it agrees. */
MUST_CHECK bool catalog_verify(struct session *s, struct err *e);

/* ---- collections and generations ---- */

MUST_CHECK bool catalog_collection(struct session *s, const char *name, struct collection_row *out, struct err *e);
MUST_CHECK bool catalog_collections(struct session *s, struct collection_row **out, size_t *n, struct err *e);
/* Fills number, generation and created_at.  ERR_CONFLICT: the name is taken. */
MUST_CHECK bool catalog_collection_add(struct session *s, struct collection_row *row, struct err *e);
/* With all its images, vectors and generations. */
MUST_CHECK bool catalog_collection_remove(struct session *s, const struct collection_row *row, struct err *e);

/* ---- generations ---- */

/* ERR_NOT_FOUND, also for one that is dropped. */
MUST_CHECK bool catalog_generation(struct session *s, int64_t number, struct generation_row *out, struct err *e);
/* The generations of a collection that are not dropped, newest first; for free(). */
MUST_CHECK bool catalog_generations(struct session *s, int64_t collection, struct generation_row **out, size_t *n,
                                    struct err *e);
/* The generations of all collections in one state, by number; for free(). */
MUST_CHECK bool catalog_generations_in(struct session *s, enum generation_state state, struct generation_row **out,
                                       size_t *n, struct err *e);
/* Fills done, total and unreadable; reads a row of an index for each image. */
MUST_CHECK bool catalog_generation_counts(struct session *s, struct generation_row *row, struct err *e);
/* One of the images that cannot be embedded; "" when there is none. */
MUST_CHECK bool catalog_generation_unreadable(struct session *s, int64_t number, char id[IMAGE_ID_MAX + 1],
                                              struct err *e);
/* A new one, BUILDING.  Fills number, state and created_at. */
MUST_CHECK bool catalog_generation_add(struct session *s, struct generation_row *row, struct err *e);
MUST_CHECK bool catalog_generation_set(struct session *s, int64_t number, enum generation_state state,
                                       const char *error, struct err *e);
/* The one of the collection that was retired last; *number 0: none. */
MUST_CHECK bool catalog_generation_previous(struct session *s, int64_t collection, int64_t *number, struct err *e);
/* Makes `row` the active one of its collection and retires the one before.  Of the retired the last `keep` stay; the
 * others and the failed ones are dropped.  It is one transaction, or a collection without an active generation is
 * seen. */
MUST_CHECK bool catalog_generation_switch(struct session *s, const struct generation_row *row, size_t keep,
                                          struct err *e);
/* A retired one is being completed again.  It forgets which images could not be embedded. */
MUST_CHECK bool catalog_generation_reopen(struct session *s, int64_t number, bool skip_unreadable, struct err *e);
/* Removes at most `limit` vectors of a dropped generation, and itself when none is left; *left tells. */
MUST_CHECK bool catalog_generation_sweep(struct session *s, int64_t number, int64_t limit, bool *left, struct err *e);
/* Stores what was made of one revision of an image; *stored false: it has another by now, or is gone. */
MUST_CHECK bool catalog_generation_vector(struct session *s, const struct generation_row *row,
                                          const struct generation_vector *v, bool *stored, struct err *e);
/* Living images without a current vector, by number, beyond `after`.  `donor` is another generation (0: none) with the
 * same encoder; its vector is given where it is current.  For pending_free(). */
MUST_CHECK bool catalog_pending(struct session *s, const struct generation_row *row, int64_t donor, int64_t after,
                                size_t limit, struct pending **out, size_t *n, struct err *e);

/* ---- images ---- */

MUST_CHECK bool catalog_image(struct session *s, int64_t collection, const char *id, struct image_row *out,
                              struct err *e);
/* Adds or replaces; `old` is the row that is there (NULL: none).  Fills *out. */
MUST_CHECK bool catalog_image_put(struct session *s, const struct collection_row *c, const struct image_put *put,
                                  const struct image_row *old, struct image_row *out, struct err *e);
/* Gives `row` (as read, with label and metadata changed by the caller) its next revision; its vector follows. */
MUST_CHECK bool catalog_image_update(struct session *s, int64_t collection, struct image_row *row, struct err *e);
/* Removes by number; gives the hash of its file. */
MUST_CHECK bool catalog_image_remove(struct session *s, int64_t collection, int64_t number, char sha256[HASH_HEX],
                                     struct err *e);
MUST_CHECK bool catalog_hash_used(struct session *s, const char *sha256, bool *used, struct err *e);
struct image_user { /* an image that names a file */
    int64_t collection_number, number;
    char collection[ID_MAX + 1], id[ID_MAX + 1];
};
/* The first `limit` of those that name this hash; for free(), never NULL. */
MUST_CHECK bool catalog_hash_users(struct session *s, const char *sha256, size_t limit, struct image_user **out,
                                   size_t *n, struct err *e);
/* The hashes that images name and that begin with these two digits, ascending, once each; for free(). */
MUST_CHECK bool catalog_hashes(struct session *s, const char *two_digits, char (**out)[HASH_HEX], size_t *n,
                               struct err *e);
/* The hashes that the images of a collection name, once each; for free(). */
MUST_CHECK bool catalog_collection_hashes(struct session *s, int64_t collection, char (**out)[HASH_HEX], size_t *n,
                                          struct err *e);
/* Like store_images(). */
MUST_CHECK bool catalog_images(struct session *s, int64_t collection, const struct image_page *page,
                               struct image_row **out, size_t *n, bool *more, struct err *e);
/* The images of these numbers that are there, in this order: rows [n], of which *found are filled. */
MUST_CHECK bool catalog_images_numbered(struct session *s, const int64_t *numbers, size_t n, struct image_row *rows,
                                        size_t *found, struct err *e);
/* Like store_labels(), in two. */
MUST_CHECK bool catalog_labels(struct session *s, int64_t collection, const char *after, size_t limit,
                               struct label_row **out, size_t *n, bool *more, struct err *e);
MUST_CHECK bool catalog_unlabelled(struct session *s, int64_t collection, int64_t *count, struct err *e);
/* Like store_count(). */
MUST_CHECK bool catalog_count(struct session *s, int64_t collection, const struct filter *f, int64_t *count,
                              struct err *e);
/* Like store_label_counts(). */
MUST_CHECK bool catalog_label_counts(struct session *s, int64_t collection, size_t **each, size_t *labels,
                                     struct err *e);
/* Different contents of a collection that the other one does not have; counts no further than `most`. */
MUST_CHECK bool catalog_count_unshared(struct session *s, int64_t collection, int64_t other, size_t most, int64_t *n,
                                       struct err *e);
/* The numbers of the images that match (NULL: all), ascending; for free(), never NULL. */
MUST_CHECK bool catalog_numbers(struct session *s, int64_t collection, const struct filter *f, int64_t **out, size_t *n,
                                struct err *e);
MUST_CHECK bool catalog_total_images(struct session *s, int64_t *count, struct err *e); /* of all collections */

struct hit_row {            /* what an answer shows of an image, of one version of it */
    int64_t revision;       /* 0: there is no such image */
    char *label, *metadata; /* NULL: none; owned */
};
MUST_CHECK bool catalog_hit(struct session *s, int64_t number, struct hit_row *out, struct err *e);
void hit_row_clear(struct hit_row *row);
/* The vector [dimensions] that a generation has of one revision; *there false: it has none. */
MUST_CHECK bool catalog_hit_vector(struct session *s, int64_t generation, int64_t number, int64_t revision,
                                   size_t dimensions, float *out, bool *there, struct err *e);

struct catalog_vector { /* one living image of a generation; borrowed during the call */
    int64_t number, revision;
    const char *id, *label; /* label NULL: none */
    const float *value;     /* [dimensions]; NULL when damaged */
    enum vector_state { VECTOR_INTACT, VECTOR_UNCHECKED /* it has no checksum yet */, VECTOR_DAMAGED } checksum;
};
/* Calls `each` with the current vectors of images numbered first to last, at most `limit` (-1: all); it may stop
 * with an error. */
struct vector_range {
    int64_t first, last, limit;
};
#define ALL_VECTORS ((struct vector_range){0, INT64_MAX, -1})
MUST_CHECK bool catalog_vectors(struct session *s, int64_t generation, uint32_t dimensions, struct vector_range range,
                                bool (*each)(void *arg, const struct catalog_vector *v, struct err *e), void *arg,
                                struct err *e);

/* Removes one that is damaged; one that is not there is fine. */
MUST_CHECK bool catalog_vector_drop(struct session *s, int64_t generation, int64_t image, struct err *e);
/* Gives checksums to some more vectors from before there were any.  *row is where it goes on, 0 to begin with.  *left
 * is false once there are none. */
MUST_CHECK bool catalog_vectors_check(struct session *s, int64_t *row, int64_t limit, bool *left, struct err *e);

/* ---- models and keys ---- */

MUST_CHECK bool catalog_models(struct session *s, struct model_row **out, size_t *n, struct err *e);
MUST_CHECK bool catalog_model(struct session *s, const char *id, struct model_row *out, struct err *e);
MUST_CHECK bool catalog_model_add(struct session *s, struct model_row *row, struct err *e);
/* ERR_CONFLICT while a generation uses it. */
MUST_CHECK bool catalog_model_remove(struct session *s, const char *id, struct err *e);
MUST_CHECK bool catalog_keys(struct session *s, struct key_row **out, size_t *n, struct err *e);
/* How many there are, and how many of them have the role admin. */
MUST_CHECK bool catalog_key_counts(struct session *s, int64_t *all, int64_t *admins, struct err *e);
MUST_CHECK bool catalog_key_add(struct session *s, struct key_row *row, struct err *e);
MUST_CHECK bool catalog_key_remove(struct session *s, const char *id, struct err *e);

#endif
