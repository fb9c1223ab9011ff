/* queue.h - the writes that wait for the writer, and the puts that it holds back for a moment.
 *
 * A switch of the generation demands that no image lacks a vector.  Under a steady stream of uploads some always would.
 * So when a switch lacks only a few, the puts of that collection are held until the next try, or for HOLD_MS at most.
 * They are not refused: after the switch they go on.
 *
 * Not safe for threads: the writer's lock guards it.
 */
#ifndef ANCHORD_INDEX_QUEUE_H
#define ANCHORD_INDEX_QUEUE_H

#include "index/values/write.h"

enum {
    GROUP_MAX = 64,             /* writes; each may hold a descriptor */
    GROUP_BYTES_MAX = 64 << 20, /* of image files */
    HOLD_MS = 3000
};

struct write_list { /* first in, first out */
    struct write *first, **last;
    size_t n;
};

struct queue {
    struct write_list list;
    struct write_list held;
    int64_t held_collection; /* whose puts are held; 0: none */
    char held_name[ID_MAX + 1];
    int64_t until; /* clock_ns() */
};

void queue_init(struct queue *q);
void queue_push(struct queue *q, struct write *x);
size_t queue_waiting(const struct queue *q); /* held ones, too */

/* The next group into items [GROUP_MAX]; a backup is a group of its own. */
size_t queue_take_group(struct queue *q, struct write **items);

/* After a group with a switch in it: holds the puts of `collection` (0: of none). */
void queue_hold(struct queue *q, int64_t collection, const char *name);
/* Lets them go when their time is over, or `now` is true. */
void queue_check_hold(struct queue *q, bool now);

#endif
