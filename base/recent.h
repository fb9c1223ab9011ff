/* recent.h - what one in a hundred has taken longer than lately: the 99th percentile over a sliding window of about five seconds.
 *
 *     static struct recent r;                     all zero at the start
 *     recent_add(&r, clock_ns() - start);         any thread, a relaxed atomic addition
 *     double seconds = recent_p99(&r, clock_ns());  one thread, a few times a second: it also moves the window
 *
 * Times are counted in buckets a fifth apart, so the answer is that much too high at most.
 */
#ifndef ANCHORD_BASE_RECENT_H
#define ANCHORD_BASE_RECENT_H

#include <stdatomic.h>
#include <stdint.h>

enum { RECENT_SLICES = 5, RECENT_BUCKETS = 96, RECENT_LEAST = 20 };

struct recent {
    atomic_uint counts[RECENT_SLICES][RECENT_BUCKETS];
    atomic_size_t slice; /* that is added to */
    int64_t slice_start; /* clock_ns(); the asking thread's */
};

void recent_add(struct recent *r, int64_t ns);
/* Seconds; 0 while fewer than RECENT_LEAST are known, for they say nothing of one in a hundred. */
double recent_p99(struct recent *r, int64_t now);

#endif
