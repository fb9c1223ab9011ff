/* store.h - everything that anchord keeps: collections, images, vectors, models, keys.
 *
 * One data folder, locked by one process:
 *
 *     DIR/anchord.db (and its log)   blobs/ab/<sha256>   segments/<generation>/<n>.faiss   models/<id>.safetensors
 *     DIR/backups/   DIR/lock   DIR/ballast (16 MB, given up when the disk is full; reserve.h)
 *
 * The catalogue is the truth; files in segments/ are a cache that is rebuilt from it.
 *
 * Writing.  A `struct write` is submitted and completes later on the writer's thread, which takes a group of them.  The
 * thread writes and syncs the image files, renames them, syncs each folder once and commits once.  It publishes to the
 * views, and only then calls done().  A write that is done without an error survives kill -9 and power loss.  After an
 * I/O error of the disk the store is `degraded`: every further write fails with ERR_IO, reading goes on.  A full disk
 * is ERR_FULL and passes when there is room again.  Writes that grow are refused in good time; deletes, revocations of
 * keys and sweeps work even then (reserve.h).
 *
 * Reading.  Catalogue look-ups are safe from any thread.  Search goes through a view (view.h).
 *
 * Ownership: memory that is passed in a write is borrowed until done(); memory that is handed out is the caller's, to
 * be released by the matching _clear.
 */
#ifndef ANCHORD_INDEX_STORE_H
#define ANCHORD_INDEX_STORE_H

#include "index/flaw.h"
#include "index/values/rows.h"
#include "index/values/write.h"

/* ---- opening ---- */

struct store_options {
    const char *dir;
    uint64_t min_free_bytes;        /* uploads are ERR_FULL below this; 0: 256 MB */
    size_t queue;                   /* most waiting writes; 0: 1024 */
    size_t hnsw_from;               /* an `auto` collection is searched exactly below this many; 0: 10000 */
    size_t seal_at;                 /* fresh vectors that become a sealed segment; 0: a good default */
    bool background;                /* seal and rebuild in the background (off in some tests) */
    uint64_t thumbnail_cache_bytes; /* 0: none is kept */
    size_t keep_generations;        /* retired ones that a collection keeps for a roll-back */
    /* Whether the file is the model of this fingerprint, for backups and checks: the index knows no networks.
     * ERR_CORRUPT when it is not.  NULL: any file is. */
    bool (*check_model)(const char *path, const char *fingerprint, struct err *e);
};

struct store;
struct store *store_open(const struct store_options *o, struct err *e); /* NULL; ERR_BUSY when locked */
void store_close(struct store *s);                                      /* finishes queued writes; NULL is fine */
bool store_is_writable(struct store *s);                                /* false once degraded */
/* Is there room for a file of so many bytes beside the images?  ERR_FULL. */
MUST_CHECK bool store_has_room(struct store *s, uint64_t bytes, struct err *e);
/* For the files of others, when they must write something small to free something: gives up the reserve.  False: there
 * is none. */
bool store_make_room(struct store *s);

/* ---- writing ---- */

/* Queues the writes (all or none).  ERR_BUSY when the queue is full, ERR_IO once degraded. */
MUST_CHECK bool store_submit(struct store *s, struct write *const *writes, size_t n, struct err *e);
/* The same, and waits for them; each has its own error.  For the command line, start-up and tests. */
MUST_CHECK bool store_write_all(struct store *s, struct write *const *writes, size_t n, struct err *e);
/* The same with one; gives w->err. */
MUST_CHECK bool store_write(struct store *s, struct write *w, struct err *e);

/* ---- reading ---- */

MUST_CHECK bool store_collection(struct store *s, const char *name, struct collection_row *out, struct err *e);
/* *out: an array for the caller to free(). */
MUST_CHECK bool store_collections(struct store *s, struct collection_row **out, size_t *n, struct err *e);
MUST_CHECK bool store_image(struct store *s, const char *collection, const char *id, struct image_row *out,
                            struct err *e);

/* *out: free each with image_row_clear(), then free().  *more: another page follows. */
MUST_CHECK bool store_images(struct store *s, const char *collection, const struct image_page *page,
                             struct image_row **out, size_t *n, bool *more, struct err *e);
/* The images that a filter keeps (NULL: all) as numbers in the order in which they came; for free(). */
MUST_CHECK bool store_numbers(struct store *s, const char *collection, const struct filter *f, int64_t **out, size_t *n,
                              struct err *e);
/* The images of these numbers that are there still, in this order: rows [n], of which *found are filled. */
MUST_CHECK bool store_images_numbered(struct store *s, const int64_t *numbers, size_t n, struct image_row *rows,
                                      size_t *found, struct err *e);

/* One page of the labels with how many images each has, by label, after `after` (NULL: from the first); *unlabelled
 * images have none.  *out: free each label, then free(). */
MUST_CHECK bool store_labels(struct store *s, const char *collection, const char *after, size_t limit,
                             struct label_row **out, size_t *n, bool *more, int64_t *unlabelled, struct err *e);
MUST_CHECK bool store_count(struct store *s, const char *collection, const struct filter *f, const char *const *ids,
                            size_t n_ids, int64_t *count, struct err *e);
/* How many images each label has: *each, for free(), [1 + *labels], of which the first counts those without a label. */
MUST_CHECK bool store_label_counts(struct store *s, const char *collection, size_t **each, size_t *labels,
                                   struct err *e);
/* How many different contents of a collection the other one does not have; counts no further than `most`. */
MUST_CHECK bool store_count_unshared(struct store *s, const char *collection, const char *other, size_t most,
                                     int64_t *n, struct err *e);
/* The original bytes of an image; the content is checked against the hash.  *bytes is the caller's. */
MUST_CHECK bool store_content(struct store *s, const struct image_row *row, void **bytes, size_t *len, struct err *e);
/* The same as an open file, checked without memory for it; the descriptor is the caller's.  -1 on failure. */
MUST_CHECK int store_content_file(struct store *s, const struct image_row *row, uint64_t *len, struct err *e);
MUST_CHECK bool store_models(struct store *s, struct model_row **out, size_t *n, struct err *e);
MUST_CHECK bool store_model(struct store *s, const char *id, struct model_row *out, struct err *e);
void store_model_path(const struct store *s, const char *id, char *out, size_t size); /* DIR/models/ID.safetensors */
/* A new name beside them, for a file that is not yet a model's; a file that a crash leaves there is swept. */
void store_model_draft(struct store *s, char *out, size_t size);
/* Moves files in DIR/models that no row names to DIR/strays: a crash left them.  At the start, before anything is imported
 * and after the file that somebody put there for the start has its row. */
void store_set_models_aside(struct store *s);
MUST_CHECK bool store_keys(struct store *s, struct key_row **out, size_t *n, struct err *e); /* but the refused ones */
/* For a key that cannot be revoked because the disk does not write: store_keys() leaves it out until the program ends.
 * Fails as WRITE_KEY_REVOKE does. */
MUST_CHECK bool store_refuse_key(struct store *s, const char *id, bool admin_elsewhere, struct err *e);

/* ---- backups ---- */

struct backup_row {
    char name[64];
    int64_t created_at, bytes, images;
    struct flaws left_out; /* what was damaged or missing when it was made: its files are not in the backup */
};
void backup_row_clear(struct backup_row *row);
/* All, by name: by time.  *out: clear each, then free(). */
MUST_CHECK bool store_backups(struct store *s, struct backup_row **out, size_t *n, struct err *e);
/* ERR_NOT_FOUND, also for one that is being made. */
MUST_CHECK bool store_backup(struct store *s, const char *name, struct backup_row *out, struct err *e);
/* Any thread; takes as long as removing its files takes, but it is gone for all others at once. */
MUST_CHECK bool store_backup_delete(struct store *s, const char *name, struct err *e);
/* Restores a backup folder into an empty or new data folder; verifies hashes and counts.  `skipped` NULL: every file
 * must be whole.  Else an image whose file is not whole is left out, with all else that is stored of it.  So is a model
 * whose file is not whole, unless a generation needs it.  They are listed there, for flaws_clear().  A failure leaves
 * the folder empty. */
MUST_CHECK bool store_restore(const char *backup, const char *dir, struct flaws *skipped, struct err *e);

struct store_stats {
    int64_t images, vectors, blobs_written, groups, writes, wal_bytes, segments_sealed, waiting;
    uint64_t free_bytes;
    double last_commit_s; /* duration of the last group */
};
void store_get_stats(struct store *s, struct store_stats *out);

#endif
