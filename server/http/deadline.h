/* deadline.h - closes connections that take too long, which libmicrohttpd cannot.
 *
 * The library's timeout only counts the time without any byte, and a client that sends one byte now and then lives for
 * ever.
 *
 * Each connection has one `struct deadline`, embedded in its own state.  The connection's thread moves the due time as
 * the request proceeds.  One thread looks at all of them a few times a second and shuts a socket down when its time has
 * come.  Where the connection's thread has said LATE_ANSWER, the client is told first, and has a second to read that.
 * Only the writing end is shut at once, so that further bytes of the client do not reset the connection.
 *
 * Both threads could write to the socket then, so only one may.  From the moment on that the connection is given up,
 * deadline_set() fails; a thread that is about to answer calls it first.
 *
 * A file descriptor number is used again as soon as it is closed.  So deadline_forget() must come before the close:
 * under the lock that the shutdown is done under.
 */
#ifndef ANCHORD_SERVER_HTTP_DEADLINE_H
#define ANCHORD_SERVER_HTTP_DEADLINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DEADLINE_NEVER  INT64_MAX
#define DEADLINE_PASSED INT64_MIN

enum late {             /* what becomes of a client that is late */
            LATE_CUT,   /* the connection ends */
            LATE_ANSWER /* a request is awaited and nothing of an answer was sent: it is told so first */
};

struct deadline {
    _Atomic int64_t due; /* clock_ns(), its lowest bit an enum late; or DEADLINE_PASSED with that bit */
    int fd;
    /* the list's */
    int64_t cut_at; /* clock_ns(): when one that was told is cut; 0: never */
    struct deadline *prev, *next;
};

struct deadlines_options {                           /* both are called by the same thread */
    void (*tick)(void *context);                     /* about five times a second; NULL: nothing */
    void (*late)(void *context, struct deadline *c); /* writes the answer; must be quick.  NULL: all are only cut */
    void *context;
};

struct deadlines;
struct deadlines *deadlines_new(const struct deadlines_options *o, struct err *e); /* NULL on failure */
void deadlines_free(struct deadlines *d); /* NULL is fine; connections that are left are forgotten */

/* The server stops: requests that are not complete are late now, and clients that have not read their answer by `at`
 * (clock_ns()) are late then.  A client that waits for the server is left alone. */
void deadlines_end(struct deadlines *d, int64_t at);

void deadline_watch(struct deadlines *d, struct deadline *c, int fd, int64_t due); /* LATE_CUT */
void deadline_forget(struct deadlines *d, struct deadline *c);

/* False: the connection was given up, and nothing may be written to it any more. */
static inline bool deadline_set(struct deadline *c, int64_t due, enum late what)
{
    int64_t old = atomic_load(&c->due);
    do {
        if (old <= DEADLINE_PASSED + 1)
            return false;
    } while (!atomic_compare_exchange_weak(&c->due, &old, (due & ~(int64_t)1) | (int64_t)what));
    return true;
}

/* Returns once no late() is under way any more that began before.  A caller whose deadline_set() failed calls it before
 * it changes what late() looks at. */
void deadlines_settle(struct deadlines *d);

/* It was given up, and the client was told. */
static inline bool deadline_was_answered(struct deadline *c)
{
    return atomic_load(&c->due) == DEADLINE_PASSED + LATE_ANSWER;
}

/* The moment from which a transfer that began at `start` and has moved `bytes` so far is too slow.  It always has
 * `floor_s` seconds, and longer as long as it keeps up `rate` bytes a second on average. */
int64_t deadline_of_transfer(int64_t start, int64_t floor_s, uint64_t bytes, int64_t rate);

#endif
