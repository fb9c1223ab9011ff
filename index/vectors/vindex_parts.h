/* vindex_parts.h - the inside of a vindex, shared by vindex*.c.
 *
 * Slots below snapshot->sealed_end are members of the sealed segment, or dead; the others are fresh.  Changes
 * come from the store's writer and, where living slots are moved, from the builder; each is one version.
 *
 * Locks: the builder's lock may be held when `lock` is taken, never the other way round.
 */
#ifndef ANCHORD_INDEX_VECTORS_VINDEX_PARTS_H
#define ANCHORD_INDEX_VECTORS_VINDEX_PARTS_H

#include "base/thread.h"
#include "index/vectors/snapshot.h"
#include "index/vectors/table.h"
#include "index/vectors/vindex.h"

enum { HNSW_FROM = 10000, SEAL_AT = 4096 };

/* The thread that builds: there while there is work, and a little longer. */
struct builder {
    size_t built, saved; /* the builder's own: graphs published so far, the one that the file has */
    size_t saved_members;
    struct sleeper sleeper;
    bool running; /* under the sleeper's lock */
};

struct vindex {
    atomic_size_t refs;
    struct vindex_options o;
    char *cache_dir; /* owned copy; NULL: no files */
    uint64_t seed;   /* of the hash of ids */

    /* Guards what follows.  Held for short whiles only: never over a scan, a build or a file. */
    pthread_rwlock_t lock;
    struct snapshot *snapshot;
    size_t count;                  /* slots published */
    uint64_t version;              /* of the last change */
    size_t living, sealed_living;  /* all; those below sealed_end */
    size_t held;                   /* slots in chunks that are still there */
    struct table by_number, by_id; /* living slots */
    bool ready;                    /* building may begin */

    struct builder builder;
};

#define NO_SLOT SIZE_MAX

/* The living slot of a number or an id, or NO_SLOT.  The lock must be held. */
size_t vindex_find_number(const struct vindex *x, int64_t number);
size_t vindex_find_id(const struct vindex *x, const char *id);

/* Appends a slot and makes it the one of its number and id.  The lock must be held for writing. */
void vindex_append(struct vindex *x, const struct entry *entry, const float *vector);
/* The slot dies with the change under way: nothing leads to it any more.  The same lock. */
void vindex_bury(struct vindex *x, size_t slot);

void builder_close(struct vindex *x); /* stops the work and waits for its end */
/* After each change, without the lock: starts or wakes the builder when there is something to do. */
void builder_call(struct vindex *x);

/* Does the next piece of work that is due, on the calling thread.  False when there is none (e is not set) and
 * when it failed. */
bool vindex_build_step(struct vindex *x, struct err *e);
/* Whether there is such work. */
bool vindex_build_due(struct vindex *x);
/* Publishes a segment that was loaded; the living that it lacks become fresh. */
void vindex_adopt(struct vindex *x, struct segment *sealed);
/* Writes the sealed segment's file if it has changed; with `doubled`, only if the graph has doubled since. */
void vindex_save(struct vindex *x, bool doubled);
/* As vindex_load_cache(), without a call to the builder.  False: it has been done before. */
bool vindex_use_cache(struct vindex *x);

#endif
