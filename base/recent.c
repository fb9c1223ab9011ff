/* recent.c - a ring of histograms, one for each second. */
#include "base/recent.h"

#include <math.h>
#include <stddef.h>

#include "base/num.h"

/* Bucket b ends at SHORTEST * 2^(b/4): from 16 microseconds to minutes. */
enum { SHORTEST_NS = 16000, STEPS = 4, SLICE_NS = 1000000000 };

static size_t bucket_of(int64_t ns)
{
    double b = ns > SHORTEST_NS ? ceil(STEPS * log2((double)ns / SHORTEST_NS)) : 0;
    return min_size((size_t)b, RECENT_BUCKETS - 1);
}

void recent_add(struct recent *r, int64_t ns)
{
    size_t slice = atomic_load_explicit(&r->slice, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->counts[slice][bucket_of(ns)], 1, memory_order_relaxed);
}

/* Whoever adds to a slice while it is cleared may lose his one: that moves no percentile. */
static void move_window(struct recent *r, int64_t now)
{
    int64_t gone = (now - r->slice_start) / SLICE_NS;
    for (int64_t i = 0; i < gone && i < RECENT_SLICES; i++) {
        size_t next = (atomic_load_explicit(&r->slice, memory_order_relaxed) + 1) % RECENT_SLICES;
        for (size_t b = 0; b < RECENT_BUCKETS; b++)
            atomic_store_explicit(&r->counts[next][b], 0, memory_order_relaxed);
        atomic_store_explicit(&r->slice, next, memory_order_relaxed);
    }
    if (gone > 0)
        r->slice_start = now;
}

double recent_p99(struct recent *r, int64_t now)
{
    uint64_t sums[RECENT_BUCKETS] = {0}, total = 0, above = 0;
    move_window(r, now);
    for (size_t s = 0; s < RECENT_SLICES; s++)
        for (size_t b = 0; b < RECENT_BUCKETS; b++)
            sums[b] += atomic_load_explicit(&r->counts[s][b], memory_order_relaxed);
    for (size_t b = 0; b < RECENT_BUCKETS; b++)
        total += sums[b];
    if (total < RECENT_LEAST)
        return 0;
    size_t b = RECENT_BUCKETS - 1;
    while (b > 0 && (above + sums[b]) * 100 <= total) /* at most one in a hundred is above */
        above += sums[b--];
    return SHORTEST_NS * 1e-9 * exp2((double)b / STEPS);
}
