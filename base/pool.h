/* pool.h - a fixed number of threads behind one bounded queue.
 *
 * Work is an open struct that the caller embeds in its own and owns; the pool only links it.  run() gets
 * the thread's own state (made by the hooks), which is how each thread keeps a plan and scratch.
 *
 * Threads: any thread may add.  A worker may add to its own pool; it never waits for room.
 */
#ifndef ANCHORD_BASE_POOL_H
#define ANCHORD_BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

struct work {
    void (*run)(struct work *w, void *thread_state);
    struct work *next; /* the pool's */
};

struct pool_options {
    const char *name; /* thread names, at most 10 bytes */
    size_t threads;
    size_t capacity;                     /* most waiting works */
    void *(*thread_open)(void *context); /* (optional) makes a thread's state, in that thread */
    void (*thread_close)(void *state);   /* (optional) */
    void *context;
    int nice; /* of the threads, where whoever makes the pool has not less priority already */
};

struct pool;

MUST_CHECK struct pool *pool_new(const struct pool_options *o, struct err *e);
/* Queues n works or none: ERR_BUSY when they do not all fit. */
MUST_CHECK bool pool_add(struct pool *p, struct work *const *works, size_t n, struct err *e);
/* Queues one even past the capacity: for the next step of something that was admitted already. */
void pool_push(struct pool *p, struct work *w);
size_t pool_waiting(struct pool *p);
size_t pool_threads(const struct pool *p);
/* Runs each(i, slot, context) for i = 0 .. n - 1 on the pool's threads, and waits.  `slot` is below pool_threads() and the
 * same for all items that one thread takes, so scratch can be kept for each slot.  tick, when not NULL, is called
 * on the caller's thread about once a second and at the end.  p NULL: all on the caller's thread, slot 0.
 * Not from a thread of the pool itself. */
void pool_each(struct pool *p, size_t n, void (*each)(size_t i, size_t slot, void *context),
               void (*tick)(size_t done, size_t n, void *context), void *context);
/* Runs everything that is queued, then ends the threads.  NULL is fine. */
void pool_free(struct pool *p);

#endif
