/* ring.h - a queue of rows that overwrites its oldest.
 *
 * The rows and the cursor are tensors of a loss (loss_add()), so that a checkpoint holds the queue as it is.
 */
#ifndef ANCHORD_ENGINE_OBJECTIVES_RING_H
#define ANCHORD_ENGINE_OBJECTIVES_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring {      /* borrows both */
    float *rows;   /* [capacity, d] */
    float *cursor; /* [2]: the slot that is written next; how many hold something.  Whole numbers below 2^24 */
    size_t capacity, d;
};

/* n rows after the newest; rows beyond the end go on at the beginning.  Of more than `capacity` the last ones stay. */
void ring_push(const struct ring *r, const float *rows, size_t n);
bool ring_full(const struct ring *r);

#endif
