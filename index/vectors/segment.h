/* segment.h - a sealed segment: an HNSW graph over vectors that lie elsewhere.
 *
 * A segment is immutable and counted.  It knows its members by slot (where the vindex has them), by number (what the
 * catalogue calls them) and by row (the vector).  A row lies in a chunk that a snapshot holds.  Use a segment only
 * together with a snapshot that holds the chunks of its members.
 *
 *     struct members m = {.d = d};
 *     members_add(&m, slot, number, members_digest(row, d), row);
 *     struct segment *s = segment_build(NULL, &m, &stop, e);
 *     ... segment_search(s, ...) ...
 *     segment_release(s);
 *     members_clear(&m);
 *
 * Files.  A segment is saved as its graph alone, about 280 bytes a member, because the vectors are in the catalogue
 * (segment_file.h).  Loading believes nothing.  A file whose size, checksum or generation is not right is refused.  A
 * member whose vector is no longer the same is left out of the graph.
 */
#ifndef ANCHORD_INDEX_VECTORS_SEGMENT_H
#define ANCHORD_INDEX_VECTORS_SEGMENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "index/vectors/members.h"
#include "index/vectors/scan.h"

enum { SEGMENT_EF = 64 }; /* how many of the nearest a search keeps in sight, unless told otherwise */

struct segment;

/* A segment with the members of `base` (NULL: none) and then `more`.  Takes long: 0.3 ms a row.  NULL with
 * ERR_BUSY soon after *stop became true, or with another error. */
struct segment *segment_build(const struct segment *base, const struct members *more, const atomic_bool *stop,
                              struct err *e);
struct segment *segment_share(struct segment *s);
void segment_release(struct segment *s); /* NULL is fine */

const struct members *segment_members(const struct segment *s);
uint64_t segment_bytes(const struct segment *s);

struct segment_query {
    const float *vector;                              /* [d], unit length, finite */
    size_t k, ef;                                     /* ef: how many wanted members to keep in sight; at least k are */
    bool (*wanted)(const void *context, size_t slot); /* NULL: all */
    const void *context;
};
/* The (about) k nearest of the wanted, and those that tie with them: *n in *out, which the caller frees. */
MUST_CHECK bool segment_search(const struct segment *s, const struct segment_query *q, struct scored **out, size_t *n,
                               struct err *e);

/* Durably, over whatever is at `path`. */
MUST_CHECK bool segment_save(const struct segment *s, const char *path, int64_t generation, struct err *e);

/* Where a member is now: its slot and its row; false when it is gone. */
typedef bool segment_find(void *arg, int64_t number, size_t *slot, const float **row);

/* NULL with ERR_CORRUPT for a damaged file and one that is not ours.  ERR_CONFLICT when it belongs to another
 * generation.  ERR_STALE when more than a tenth of its members are gone. */
struct segment *segment_load(const char *path, int64_t generation, size_t d, segment_find *find, void *arg,
                             struct err *e);

#endif
