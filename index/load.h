/* load.h - vectors on their way from the catalogue into an index, and what becomes of those that are damaged.
 *
 * A vector whose checksum is wrong, or that is not finite and of unit length, is never searched.  It is counted, told
 * once for each load, and removed from the catalogue.  Its image then lacks a vector, and whoever can embed makes it
 * again (generation_lacking(), generation_pending()).
 *
 * On the writer's thread, outside of a transaction.
 */
#ifndef ANCHORD_INDEX_LOAD_H
#define ANCHORD_INDEX_LOAD_H

#include "index/store_parts.h"

struct loading {
    struct store *store;
    struct vindex *index;
    int64_t generation;
    uint32_t dimensions;
    /* out */
    int64_t n, last;  /* how many vectors were seen, and the number of the last image */
    int64_t *damaged; /* load_vectors() frees it */
    size_t n_damaged;
};

/* The vectors of a generation within a range of images into its index. */
MUST_CHECK bool load_vectors(struct loading *l, struct session *s, struct vector_range range, struct err *e);
/* An index for the active generation of a collection, with all vectors that the catalogue has; NULL on failure. */
struct vindex *load_index(struct store *s, const struct collection_row *row, struct err *e);

#endif
