/* deadline.h - closes connections that take too long, which libmicrohttpd cannot: its timeout only counts
 * the time without any byte, and a client that sends one byte now and then lives for ever.
 *
 * Each connection has one `struct deadline`, embedded in its own state.  Its thread moves the due time as
 * the request proceeds (a relaxed store); one thread looks at all of them a few times a second and shuts
 * the socket down when the time has come.
 *
 * A file descriptor number is used again as soon as it is closed, so deadline_forget() must come before the
 * close: under the lock that the shutdown is done under.
 */
#ifndef ANCHORD_SERVER_HTTP_DEADLINE_H
#define ANCHORD_SERVER_HTTP_DEADLINE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DEADLINE_NEVER INT64_MAX

struct deadline {
    _Atomic int64_t due; /* clock_ns() */
    int fd;
    struct deadline *prev, *next; /* the list's */
};

struct deadlines;
/* `tick` is called about five times a second by the same thread; NULL: nothing. */
struct deadlines *deadlines_new(void (*tick)(void *context), void *context, struct err *e); /* NULL on failure */
void deadlines_free(struct deadlines *d); /* NULL is fine; connections that are left are forgotten */

void deadline_watch(struct deadlines *d, struct deadline *c, int fd, int64_t due);
void deadline_forget(struct deadlines *d, struct deadline *c);
static inline void deadline_set(struct deadline *c, int64_t due)
{
    atomic_store_explicit(&c->due, due, memory_order_relaxed);
}

/* When a transfer that began at `start` and has moved `bytes` so far is too slow: it always has `floor_s`
 * seconds, and longer as long as it keeps up `rate` bytes a second on average. */
int64_t deadline_of_transfer(int64_t start, int64_t floor_s, uint64_t bytes, int64_t rate);

#endif
