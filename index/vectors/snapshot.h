/* snapshot.h - what one search holds: the chunks with vectors and entries, and the sealed graph.
 *
 * A slot is a vector and its entry; slots are numbered from 0 and never used again.  Chunk c has the slots
 * c * CHUNK_SLOTS onwards; chunks never move, so that a row may be pointed at for as long as its chunk is
 * held.  A picture is an immutable list of chunks and at most one sealed segment; the vindex publishes a new
 * one when a chunk is added, a segment was built or an empty chunk goes.
 *
 * Time is a version, counted up with each change.  Slot s is there for a search that began at version V,
 * with `count` slots published, when s < count and died(s) > V.  Therefore a replacement (a new slot, and the
 * death of the old one, at one version) is seen whole or not at all.
 *
 * Threads: pictures and chunks are counted atomically.  Entries are written under the vindex's lock; id and
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
    bool has_metadata;
};

struct chunk {
    atomic_size_t refs;
    size_t d;
    size_t living; /* under the vindex's lock */
    float *rows;   /* [CHUNK_SLOTS, d], 64-byte aligned; owned */
    struct slot slots[CHUNK_SLOTS];
    _Atomic uint64_t died[CHUNK_SLOTS]; /* version at which the slot died; ALIVE */
};

struct picture {
    atomic_size_t refs;
    struct segment *sealed; /* NULL: none; shared */
    size_t sealed_end;      /* slots from here on are in no segment */
    size_t n_chunks;
    struct chunk *chunks[]; /* NULL once all of a chunk's images were dead; shared */
};

struct chunk *chunk_new(size_t d, bool first); /* first: of its index */

/* A picture of the same as `from` (NULL: nothing), with `more` further places for chunks that are NULL. */
struct picture *picture_new(const struct picture *from, size_t more);
struct picture *picture_share(struct picture *p);
void picture_release(struct picture *p); /* NULL is fine */

/* Only before the picture is published: sets the segment (taken over), lets go of chunk c. */
void picture_seal(struct picture *p, struct segment *sealed, size_t sealed_end);
void picture_drop_chunk(struct picture *p, size_t c);

static inline struct chunk *picture_chunk(const struct picture *p, size_t slot)
{
    return p->chunks[slot / CHUNK_SLOTS];
}

static inline struct slot *picture_slot(const struct picture *p, size_t slot)
{
    return &picture_chunk(p, slot)->slots[slot % CHUNK_SLOTS];
}

static inline float *picture_row(const struct picture *p, size_t slot)
{
    struct chunk *c = picture_chunk(p, slot);
    return c->rows + slot % CHUNK_SLOTS * c->d;
}

static inline _Atomic uint64_t *picture_died(const struct picture *p, size_t slot)
{
    return &picture_chunk(p, slot)->died[slot % CHUNK_SLOTS];
}

/* Whether the slot had not died by `version`. */
static inline bool picture_alive(const struct picture *p, size_t slot, uint64_t version)
{
    return picture_chunk(p, slot) && atomic_load_explicit(picture_died(p, slot), memory_order_relaxed) > version;
}

#endif
