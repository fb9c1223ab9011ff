/* clock.h - the two times: one that only goes forward, and the calendar's. */
#ifndef ANCHORD_BASE_CLOCK_H
#define ANCHORD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_A_SECOND INT64_C(1000000000)

/* Nanoseconds since some moment; for durations and deadlines. */
static inline int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_A_SECOND + t.tv_nsec;
}

static inline double clock_s(void)
{
    return (double)clock_ns() * 1e-9;
}

/* Unix seconds; what the API shows. */
static inline int64_t clock_unix(void)
{
    return (int64_t)time(NULL);
}

#endif
