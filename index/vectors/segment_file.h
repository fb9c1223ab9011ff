/* segment_file.h - the bytes of a saved segment.
 *
 * All numbers as this machine has them in memory (a file of another kind of machine fails its magic):
 *
 *     header (64 bytes)    magic, generation, d, M, n, n_links, n_members, entry
 *     int64  numbers[n_members]   in the catalogue
 *     uint64 digests[n_members]   of their vectors (members_digest())
 *     int32  rows[n_members]      in the graph
 *     int32  levels[n], links[n_links]   as in struct faiss_graph
 *     SHA-256 (32 bytes) of everything before
 */
#ifndef ANCHORD_INDEX_VECTORS_SEGMENT_FILE_H
#define ANCHORD_INDEX_VECTORS_SEGMENT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "index/vectors/faiss_shim.h"

struct segment_file {
    int64_t generation;
    size_t d, M;
    struct faiss_graph graph;
    size_t n_members;
    const int64_t *numbers;  /* [n_members] */
    const uint64_t *digests; /* [n_members] */
    const int32_t *rows;     /* [n_members] */
    void *data;              /* of a file that was read: what the pointers point into; owned */
};

MUST_CHECK bool segment_file_write(const struct segment_file *f, const char *path, struct err *e);

/* ERR_CORRUPT unless size and checksum are right and levels and links fit together; where links and rows lead is
 * the reader's to check. */
MUST_CHECK bool segment_file_read(const char *path, struct segment_file *out, struct err *e);
void segment_file_clear(struct segment_file *f);

#endif
