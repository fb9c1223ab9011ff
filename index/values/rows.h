/* rows.h - what is stored, row by row: collections, generations, images, models, keys; and the ids that name them.
 *
 * Plain values, which the catalogue fills, the store hands on and the API shows.
 */
#ifndef ANCHORD_INDEX_VALUES_ROWS_H
#define ANCHORD_INDEX_VALUES_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct filter;

enum { ID_MAX = 128, IMAGE_ID_MAX = 256, METADATA_MAX = 4096, LABEL_MAX = 256 };

/* [A-Za-z0-9._-]{1,128}, not beginning with a dot: collections, models, keys and backups, which name files and folders. */
bool id_is_valid(const char *id);
/* 1 to IMAGE_ID_MAX bytes of UTF-8 without control characters: images, whose ids never become names of files. */
bool image_id_is_valid(const char *id);

/* ---- collections ---- */

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

/* ---- generations ---- */

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

struct pending { /* an image without a current vector */
    int64_t number, revision;
    char id[IMAGE_ID_MAX + 1];
    char sha256[HASH_HEX];
    int64_t bytes;
    float *vector; /* [dimensions] of the donor; NULL: none; owned */
};
void pending_free(struct pending *items, size_t n);

const char *generation_state_name(enum generation_state state); /* "building"; static */
/* Whether they have equal vectors: the same fingerprint, precision and dimensions, whatever the model's id. */
bool generation_same_encoder(const struct generation_row *a, const struct generation_row *b);

/* ---- images ---- */

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

enum image_order { IMAGES_BY_ID, IMAGES_BY_CREATED_AT, IMAGES_BY_UPDATED_AT }; /* those of one second by id */
struct image_page {
    const struct filter *filter; /* NULL: all */
    enum image_order order;
    bool descending;
    const char *after_id; /* the last image of the page before; NULL: the first page ... */
    int64_t after_time;   /* ... and when it was created or updated */
    size_t limit;
};

struct label_row {
    char *label; /* owned */
    int64_t images;
};

/* ---- models and keys ---- */

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

#endif
