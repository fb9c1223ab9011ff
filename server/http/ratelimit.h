/* ratelimit.h - token buckets, one for each key or address.
 *
 * A bucket holds up to `burst` tokens and gains `rate` a second; a request takes one.  The table has a fixed size.
 * When a set of it is full, the least recently used bucket makes room; it is forgotten, which forgives.  Threads: any.
 */
#ifndef ANCHORD_SERVER_HTTP_RATELIMIT_H
#define ANCHORD_SERVER_HTTP_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct ratelimit;
/* `rate` tokens a second; 0: everything passes. */
struct ratelimit *ratelimit_new(double rate, double burst);
void ratelimit_free(struct ratelimit *r); /* NULL is fine */

/* Takes a token of `name` at time `now` (clock_ns).  When there is none, *wait_s is after how many whole
 * seconds there will be one, at least 1. */
bool ratelimit_take(struct ratelimit *r, const char *name, int64_t now, unsigned *wait_s);

#endif
