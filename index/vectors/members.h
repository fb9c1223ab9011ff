/* members.h - the images of a segment, and which of them share a row of its graph.
 *
 * Images with the same vector (the same picture under many ids) are one row.  As rows of their own they would
 * link to each other alone, all being nearest, and hide whatever lies behind them.
 *
 *     struct members m = {.d = d};
 *     members_add(&m, slot, number, members_digest(row, d), row);
 *     for (size_t i = m.heads[r]; i != MEMBERS_END; i = m.twins[i])
 *         ... m.slots[i] is one of the images of row r ...
 *     members_clear(&m);
 */
#ifndef ANCHORD_INDEX_VECTORS_MEMBERS_H
#define ANCHORD_INDEX_VECTORS_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/vectors/table.h"

#define MEMBERS_END UINT32_MAX

struct members {
    size_t d;
    /* of each image */
    size_t n, room;
    size_t *slots;
    int64_t *numbers;
    uint64_t *digests; /* of the vectors */
    uint32_t *twins;   /* the next image of the same row, or MEMBERS_END */
    /* of each row */
    size_t n_rows;
    const float **rows; /* each [d], borrowed */
    uint32_t *heads;    /* the first image */
    struct table by_digest;
};

/* Room for `more` images, so that adding them one by one does not copy what is there. */
void members_reserve(struct members *m, size_t more);

/* Adds an image; gives its row in the graph, which is a new one when no image before has the same vector. */
size_t members_add(struct members *m, size_t slot, int64_t number, uint64_t digest, const float *row);

/* Adds all of `from`, in the same order and rows. */
void members_append(struct members *m, const struct members *from);
void members_clear(struct members *m);

/* Tells a vector from another one: 64 bits of it. */
uint64_t members_digest(const float *row, size_t d);

#endif
