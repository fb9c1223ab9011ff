/* stores.h - a store in a scratch folder, and writes in one line each, for tests. */
#ifndef ANCHORD_TESTS_LIB_STORES_H
#define ANCHORD_TESTS_LIB_STORES_H

#include "index/store.h"
#include "index/view.h"

enum { STORES_DIMENSIONS = 16 };

/* No background work, 1 MB to be left free. */
struct store *stores_open(const char *dir, struct err *e);
/* The collection, with the model "anchord-base", which is made when it is not there; its file holds its name. */
bool stores_create(struct store *s, const char *collection, struct err *e);

/* A deterministic unit vector for a number: different numbers, different directions. */
void stores_vector(unsigned number, float out[STORES_DIMENSIONS]);

struct stores_image { /* what to put; only `id` is needed */
    const char *id, *label, *metadata;
    unsigned content;       /* images with the same number have the same bytes and vector */
    size_t bytes;           /* 0: a few hundred */
    const char *collection; /* NULL: default */
    struct precondition pre;
};

/* A put with everything it points to. */
struct stores_put {
    struct write write;
    float vector[STORES_DIMENSIONS];
    unsigned char *bytes; /* owned */
};
void stores_fill(struct stores_put *p, struct store *s, const struct stores_image *image);
void stores_put_clear(struct stores_put *p);

/* Puts and waits; `out` may be NULL. */
bool stores_put(struct store *s, const struct stores_image *image, struct image_row *out, struct err *e);
bool stores_delete(struct store *s, const char *id, struct err *e);

/* Searches by the content's vector: is `id` the best hit, with a score of 1? */
bool stores_finds(struct store *s, unsigned content, const char *id);
/* Files below DIR/blobs. */
size_t stores_count_files(const char *dir);
/* Every image of `default` (at most 1000) can be read, has its file and is found.  `dir` (may be NULL) has no files
 * without an image. */
bool stores_check(struct store *s, const char *dir, struct err *e);

#endif
