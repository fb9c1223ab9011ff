/* store.h - everything that anchord keeps: collections, images, vectors, models, keys.
 *
 * One data folder, locked by one process:
 *
 *     DIR/anchord.db (+ -wal)   blobs/ab/<sha256>   segments/<generation>/<n>.faiss   models/<id>.safetensors
 *     DIR/backups/   DIR/lock   DIR/ballast (16 MB, given up when the disk is full; reserve.h)
 *
 * The catalogue (SQLite) is the truth; files in segments/ are a cache that is rebuilt from it.
 *
 * Writing.  A `struct write` is submitted and completes later on the writer's thread, which takes a group of
 * them, writes and syncs the image files, renames, syncs each folder once, commits once, publishes to the
 * views, and only then calls done().  A write that is done without an error survives kill -9 and power loss.
 * After an I/O error of the disk the store is `degraded`: every further write fails with ERR_IO, reading
 * goes on.  A full disk is ERR_FULL and passes when there is room again: what grows is refused in good time, deletes,
 * revocations of keys and sweeps work even then (reserve.h).
 *
 * Reading.  Catalogue look-ups are safe from any thread.  Search goes through a view (view.h).
 *
 * Ownership: what is passed in a write is borrowed until done(); what is handed out is the caller's, to be
 * released by the matching _clear.
 */
#ifndef ANCHORD_INDEX_STORE_H
#define ANCHORD_INDEX_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "index/filter.h"

enum { ID_MAX = 128, IMAGE_ID_MAX = 256, METADATA_MAX = 4096, LABEL_MAX = 256 };

/* [A-Za-z0-9._-]{1,128}, not beginning with a dot: collections, models, keys and backups, which name files and folders. */
bool id_is_valid(const char *id);
/* 1 to IMAGE_ID_MAX bytes of UTF-8 without control characters: images, whose ids never become names of files. */
bool image_id_is_valid(const char *id);

enum index_kind { INDEX_AUTO, INDEX_FLAT, INDEX_HNSW };

struct collection_row {
    int64_t number; /* the catalogue's */
    char name[ID_MAX + 1];
    char model[ID_MAX + 1]; /* the active generation's model id */
    char fingerprint[HASH_HEX];
    char precision[8]; /* "fp32" or "bf16" */
    enum index_kind index;
    int64_t generation; /* global number, never used again */
    uint32_t dimensions;
    int64_t images, created_at;
    bool building; /* another generation is being completed */
    bool lacking;  /* the index has fewer vectors than there are images; of the shelf */
};

/* A generation: an encoder and the vectors it made of one collection.  One is active for each collection; at most
 * one is being completed, to become the active one. */
enum generation_state {
    GENERATION_BUILDING, /* being completed, for the first time or (activated_at > 0) for a roll-back */
    GENERATION_ACTIVE,
    GENERATION_RETIRED, /* was active; kept for a roll-back */
    GENERATION_FAILED,  /* could not be completed; kept for its `error` until the next switch */
    GENERATION_DROPPED  /* nobody sees it any more; its vectors go step by step */
};

enum { GENERATION_ERROR_MAX = 240 };

struct generation_row {
    int64_t number; /* global, never used again */
    int64_t collection_number;
    char collection[ID_MAX + 1];
    char model[ID_MAX + 1];
    char fingerprint[HASH_HEX];
    char precision[8];
    uint32_t dimensions;
    enum generation_state state;
    bool skip_unreadable;                         /* complete also without the images that cannot be embedded */
    int64_t created_at, activated_at, retired_at; /* 0: never */
    char error[GENERATION_ERROR_MAX];
    /* from generation_counts() and the switch */
    int64_t done, total; /* living images with a vector of their current revision; all living images */
    int64_t unreadable;  /* of `done`: those that cannot be embedded and have a mark instead */
};

struct generation_vector {   /* what reembed made of one image */
    int64_t image, revision; /* that it was made of: dropped when the image has another by now */
    const float *value;      /* [dimensions]; NULL: this revision cannot be embedded */
};

struct image_row {
    int64_t number; /* global, never used again */
    char id[IMAGE_ID_MAX + 1];
    int64_t revision; /* grows with each change; global, so that it also tells re-creations apart */
    char sha256[HASH_HEX];
    char media_type[16];
    uint32_t width, height; /* upright */
    int64_t bytes, created_at, updated_at;
    char *label;    /* NULL: none; owned */
    char *metadata; /* compact JSON object text; NULL: none; owned */
};
void image_row_clear(struct image_row *row);

struct model_row {
    char id[ID_MAX + 1];
    char fingerprint[HASH_HEX], parent[HASH_HEX];
    char arch[32];
    uint32_t dimensions, size; /* input side in pixels */
    bool trained;
    int64_t created_at, bytes;
    char *lineage; /* JSON object text; NULL: none; owned */
};
void model_row_clear(struct model_row *row);

enum role { ROLE_NONE, ROLE_READ, ROLE_WRITE, ROLE_ADMIN };

struct key_row {
    char id[12];                   /* 8 characters; public */
    unsigned char hash[HASH_SIZE]; /* SHA-256 of the whole key text */
    enum role role;
    char name[ID_MAX + 1];
    int64_t created_at;
};

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

enum write_kind {
    WRITE_IMAGE_PUT,         /* put */
    WRITE_IMAGE_PATCH,       /* patch */
    WRITE_IMAGE_DELETE,      /* id, if_match; ERR_NOT_FOUND */
    WRITE_IMAGES_DELETE,     /* ids or filter; `count` tells how many went; one transaction */
    WRITE_IMAGES_PATCH,      /* the same with patch (but its id); ERR_TOO_LARGE beyond PATCH_MANY_MAX */
    WRITE_COLLECTION_CREATE, /* row_collection: name, model, fingerprint, precision, index, dimensions; fills the rest.
                              * `created` false: one of that name is there, and row_collection is it.  ERR_STALE:
                              * the model is gone, or another by now */
    WRITE_COLLECTION_DELETE, /* ERR_CONFLICT for `default` */
    WRITE_MODEL_ADD,         /* row_model; file: complete and synced, below DIR/models (store_model_draft()), linked to
                              * store_model_path(); NULL: it is there already.  `created` false: the same model is kept
                              * under the id.  ERR_CONFLICT: another one is */
    WRITE_MODEL_DELETE,      /* id; ERR_CONFLICT while a generation uses it; fills row_model but for
                              * what is to be freed; unlinks the file after the commit */
    WRITE_KEY_ADD,           /* row_key */
    WRITE_KEY_REVOKE,        /* id.  Both: ERR_CONFLICT when there would be keys and none with the role admin, unless
                              * admin_elsewhere: nobody could manage them over HTTP */
    /* generations: row_generation is filled by all of them */
    WRITE_GENERATION_START,  /* collection; row_generation: model, fingerprint, precision, dimensions, skip_unreadable.
                              * `created` false: the same is being built already.  ERR_CONFLICT: the model is
                              * active already, or another generation is being built.  ERR_STALE as above */
    WRITE_GENERATION_RETURN, /* collection; row_generation.number: a retired one, 0: the one retired last; `created` as
                              * above */
    WRITE_GENERATION_CANCEL, /* collection; ERR_NOT_FOUND: nothing is being built */
    /* of reembed; by row_generation.number; ERR_NOT_FOUND when it is not being built (any more) */
    WRITE_GENERATION_FAIL,    /* row_generation.error */
    WRITE_GENERATION_VECTORS, /* vectors; `count`: how many were not stale */
    WRITE_GENERATION_LOAD,    /* the next vectors into the index to be; `count`: how many, 0: all are there, -1: it
                              * could not be done and begins anew */
    WRITE_GENERATION_SWITCH,  /* demands completeness: else ERR_BUSY with `count` missing vectors; when these are few,
                              * puts into the collection wait a little for the next try.  ERR_UNDECODABLE: there
                              * are unreadable images and they may not be skipped */
    WRITE_GENERATION_SWEEP,   /* some vectors of a dropped generation; `count`: what is left of it */
    WRITE_BACKUP              /* fills `name`: a folder below DIR/backups made by the server */
};

enum write_need { WRITE_GROWS, WRITE_KEEPS, WRITE_FREES }; /* room; what frees some may use the reserve */
enum write_need write_need(enum write_kind kind);

struct precondition {         /* HTTP's If-Match and If-None-Match */
    int64_t match_revision;   /* > 0: the image must exist with this revision ... */
    const char *match_sha256; /* ... and this content; else ERR_PRECONDITION */
    bool must_exist;          /* If-Match: * */
    bool must_be_new;         /* If-None-Match: * */
};

struct image_put {
    const char *id;
    const void *bytes; /* the file as it came */
    size_t len;
    char sha256[HASH_HEX];
    const char *media_type;
    uint32_t width, height;
    const char *label;    /* NULL or "": none */
    const char *metadata; /* compact JSON object; NULL: none */
    const float *vector;  /* [dimensions], unit length, finite */
    int64_t generation;   /* that `vector` belongs to; ERR_STALE when it is no longer the active one */
};

struct image_patch {
    const char *id;
    bool set_label;
    const char *label;           /* NULL or "" clears */
    const struct json *metadata; /* RFC 7396 patch; NULL leaves it; a JSON null value clears all */
    bool clear_metadata;         /* before `metadata` is merged */
};

enum { PATCH_MANY_MAX = 10000 };

struct write {
    enum write_kind kind;
    const char *collection;
    struct precondition pre;
    struct image_put put;
    struct image_patch patch;
    const char *id;         /* image, model or key to delete */
    const char *file;       /* WRITE_MODEL_ADD */
    const char *const *ids; /* WRITE_IMAGES_DELETE by list */
    size_t n_ids;
    const struct filter *filter; /* WRITE_IMAGES_DELETE by filter */

    /* in and out */
    struct collection_row row_collection;
    struct model_row row_model;
    struct key_row row_key;
    bool admin_elsewhere; /* KEY_ADD, KEY_REVOKE: the settings have a key with the role admin */
    bool needed;          /* to serve at all: also on a nearly full disk */
    struct generation_row row_generation;
    const struct generation_vector *vectors;
    size_t n_vectors;

    /* out */
    struct image_row image;    /* after PUT and PATCH; cleared by write_clear() */
    struct image_row *changed; /* after IMAGES_PATCH; likewise */
    size_t n_changed;
    bool created; /* PUT: new (true) or replaced; COLLECTION_CREATE; MODEL_ADD; GENERATION_START */
    int64_t count;
    char name[64]; /* BACKUP */
    struct err err;

    void (*done)(struct write *w); /* on the writer's thread; must be quick and must not submit-and-wait */
    void *user;
    struct write *next; /* the store's */
};

/* Queues the writes (all or none).  ERR_BUSY when the queue is full, ERR_IO once degraded. */
MUST_CHECK bool store_submit(struct store *s, struct write *const *writes, size_t n, struct err *e);
/* Submits one and waits; gives w->err.  For the command line, start-up and tests. */
MUST_CHECK bool store_write(struct store *s, struct write *w, struct err *e);
void write_clear(struct write *w); /* releases the out fields */

/* ---- reading ---- */

MUST_CHECK bool store_collection(struct store *s, const char *name, struct collection_row *out, struct err *e);
/* *out: an array for the caller to free(). */
MUST_CHECK bool store_collections(struct store *s, struct collection_row **out, size_t *n, struct err *e);
MUST_CHECK bool store_image(struct store *s, const char *collection, const char *id, struct image_row *out,
                            struct err *e);

enum image_order { IMAGES_BY_ID, IMAGES_BY_CREATED_AT, IMAGES_BY_UPDATED_AT }; /* those of one second by id */
struct image_page {
    const struct filter *filter; /* NULL: all */
    enum image_order order;
    bool descending;
    const char *after_id; /* the last image of the page before; NULL: the first page ... */
    int64_t after_time;   /* ... and when it was created or updated */
    size_t limit;
};
/* *out: free each with image_row_clear(), then free().  *more: another page follows. */
MUST_CHECK bool store_images(struct store *s, const char *collection, const struct image_page *page,
                             struct image_row **out, size_t *n, bool *more, struct err *e);
/* The images that a filter keeps (NULL: all) as numbers in the order in which they came; for free(). */
MUST_CHECK bool store_numbers(struct store *s, const char *collection, const struct filter *f, int64_t **out, size_t *n,
                              struct err *e);
/* Those of them that are there still, in this order: rows [n], of which *found are filled. */
MUST_CHECK bool store_images_numbered(struct store *s, const int64_t *numbers, size_t n, struct image_row *rows,
                                      size_t *found, struct err *e);

struct label_row {
    char *label; /* owned */
    int64_t images;
};
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
/* A new name beside them, for a file that is not yet a model's; what a crash leaves there is swept. */
void store_model_draft(struct store *s, char *out, size_t size);
/* Moves files in DIR/models that no row names to DIR/strays: a crash left them.  At the start, before anything is imported
 * and after the file that somebody put there for the start has its row. */
void store_set_models_aside(struct store *s);
MUST_CHECK bool store_keys(struct store *s, struct key_row **out, size_t *n, struct err *e); /* but the refused ones */
/* For a key that cannot be revoked because the disk does not write: store_keys() leaves it out until the program ends.
 * Fails as WRITE_KEY_REVOKE does. */
MUST_CHECK bool store_refuse_key(struct store *s, const char *id, bool admin_elsewhere, struct err *e);

/* ---- backups ---- */

struct flaw {                    /* an image or a model whose file is not as it was stored */
    bool missing;                /* the file is gone; false: it is damaged */
    char collection[ID_MAX + 1]; /* "": a model */
    char id[ID_MAX + 1];
    char sha256[HASH_HEX]; /* of an image's file */
};
struct flaws {
    struct flaw *items; /* the first of them; owned */
    size_t n;
    int64_t files; /* how many files are meant, all counted */
};

void flaws_clear(struct flaws *f);
/* Whether an error is about one file alone: it is damaged, cannot be read or is gone. */
bool is_flaw(const struct err *why);

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
 * must be whole.  Else images whose file is not are left out, with what else is stored of them, and so are models that
 * no generation needs; they are listed there, for flaws_clear().  What fails leaves the folder empty. */
MUST_CHECK bool store_restore(const char *backup, const char *dir, struct flaws *skipped, struct err *e);

struct store_stats {
    int64_t images, vectors, blobs_written, groups, writes, wal_bytes, segments_sealed, waiting;
    uint64_t free_bytes;
    double last_commit_s; /* duration of the last group */
};
void store_get_stats(struct store *s, struct store_stats *out);

#endif
