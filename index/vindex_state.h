/* vindex_state.h - the inside of a vindex, shared by vindex.c (changes) and vindex_search.c. */
#ifndef ANCHORD_INDEX_VINDEX_STATE_H
#define ANCHORD_INDEX_VINDEX_STATE_H

#include <pthread.h>

#include "index/picture.h"
#include "index/table.h"
#include "index/vindex.h"

struct vindex {
    atomic_size_t refs;
    struct vindex_options o;
    char *cache_dir; /* owned copy; NULL: no files */
    uint64_t seed;   /* of the hash of ids */

    /* Guards what follows.  Held for short whiles only: never over a scan, a build or a file. */
    pthread_rwlock_t lock;
    struct picture *picture;
    size_t count;     /* slots published */
    uint64_t version; /* of the last change */
    size_t living;
    struct table by_number, by_id; /* living slots */
};

#define NO_SLOT SIZE_MAX

/* The living slot of a number or an id, or NO_SLOT.  The lock must be held. */
size_t vindex_find_number(const struct vindex *x, int64_t number);
size_t vindex_find_id(const struct vindex *x, const char *id);

#endif
