/* snapshot.h - what one search holds: the chunks with vectors and entries, and the sealed graph.
 *
 * A slot is a vector and its entry; slots are numbered from 0 and never used again.  Chunk c has CHUNK_SLOTS slots,
 * from c * CHUNK_SLOTS on.  Chunks never move, so that a row may be pointed at for as long as its chunk is held.  A
 * snapshot is an immutable list of chunks and at most one sealed segment.  The vindex publishes a new one when a chunk
 * is added, a segment was built or an empty chunk goes.
 *
 * Time is a version, counted up with each change.  Slot s is there for a search that began at version V,
 * with `count` slots published, when s < count and died(s) > V.  Therefore a replacement (a new slot, and the
 * death of the old one, at one version) is seen whole or not at all.
 *
 * Threads: snapshots and chunks are counted atomically.  Entries are written under the vindex's lock; id and
 * number of a published slot never change, so that they may be read without it.
 */
#ifndef ANCHORD_INDEX_VECTORS_SNAPSHOT_H
#define ANCHORD_INDEX_VECTORS_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment;

enum { CHUNK_SLOTS = 1024 };
#define ALIVE UINT64_MAX

struct slot {
    int64_t number, revision;
    char *id;    /* owned; never NULL once published */
    char *label; /* owned; NULL: none */
};

struct chunk {
    atomic_size_t refs;
    size_t d;
    size_t living; /* under the vindex's lock */
    float *rows;   /* [CHUNK_SLOTS, d], 64-byte aligned; owned */
    struct slot slots[CHUNK_SLOTS];
    _Atomic uint64_t died[CHUNK_SLOTS]; /* version at which the slot died; ALIVE */
};

struct snapshot {
    atomic_size_t refs;
    struct segment *sealed; /* NULL: none; shared */
    size_t sealed_end;      /* slots from here on are in no segment */
    size_t n_chunks;
    struct chunk *chunks[]; /* NULL once all of a chunk's images were dead; shared */
};

struct chunk *chunk_new(size_t d, bool first); /* first: of its index */

/* A snapshot of the same as `from` (NULL: nothing), with `more` further places for chunks that are NULL. */
struct snapshot *snapshot_new(const struct snapshot *from, size_t more);
struct snapshot *snapshot_share(struct snapshot *p);
void snapshot_release(struct snapshot *p); /* NULL is fine */

/* Only before the snapshot is published: sets the segment (taken over), lets go of chunk c. */
void snapshot_seal(struct snapshot *p, struct segment *sealed, size_t sealed_end);
void snapshot_drop_chunk(struct snapshot *p, size_t c);

static inline struct chunk *snapshot_chunk(const struct snapshot *p, size_t slot)
{
    return p->chunks[slot / CHUNK_SLOTS];
}

static inline struct slot *snapshot_slot(const struct snapshot *p, size_t slot)
{
    return &snapshot_chunk(p, slot)->slots[slot % CHUNK_SLOTS];
}

static inline float *snapshot_row(const struct snapshot *p, size_t slot)
{
    struct chunk *c = snapshot_chunk(p, slot);
    return c->rows + slot % CHUNK_SLOTS * c->d;
}

static inline _Atomic uint64_t *snapshot_died(const struct snapshot *p, size_t slot)
{
    return &snapshot_chunk(p, slot)->died[slot % CHUNK_SLOTS];
}

/* Whether the slot had not died by `version`. */
static inline bool snapshot_alive(const struct snapshot *p, size_t slot, uint64_t version)
{
    return snapshot_chunk(p, slot) && atomic_load_explicit(snapshot_died(p, slot), memory_order_relaxed) > version;
}

#endif
