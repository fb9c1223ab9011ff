/* demand.c - counters, and what they mean to those who give way. */
#include "api/services/demand.h"

#include "base/clock.h"

bool demand_add_images(struct demand *d, size_t n, size_t most)
{
    if (atomic_fetch_add_explicit(&d->images, n, memory_order_relaxed) + n <= most)
        return true;
    atomic_fetch_sub_explicit(&d->images, n, memory_order_relaxed);
    return false;
}

void demand_image_done(struct demand *d, bool embedded)
{
    if (embedded)
        atomic_store_explicit(&d->embedded_at, clock_ns(), memory_order_relaxed);
    atomic_fetch_sub_explicit(&d->images, 1, memory_order_relaxed);
}

bool demand_is_met(const struct demand *d, int64_t ns)
{
    return atomic_load(&d->images) > 0 && clock_ns() - atomic_load(&d->embedded_at) < ns;
}

bool demand_exceeds(const struct demand *d, size_t images, unsigned p99_us)
{
    return atomic_load_explicit(&d->images, memory_order_relaxed) > images ||
           (p99_us && atomic_load_explicit(&d->p99_us, memory_order_relaxed) > p99_us);
}

bool demand_is_draining(const struct demand *d)
{
    return atomic_load(&d->draining);
}
