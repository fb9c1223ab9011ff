/* quota.h - bytes that many may hold at once, of which there are only so many; nobody waits for them.
 *
 * An eighth is kept for small holders: a holder of more than 64 KB finds none of it.  So large holders can fill a quota
 * and small ones still go on.
 *
 * A meter is one holder.  Threads: a quota is for all, a meter for one at a time.
 */
#ifndef ANCHORD_BASE_QUOTA_H
#define ANCHORD_BASE_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct quota {
    size_t total;
    atomic_size_t used;
};

enum { QUOTA_SMALL = 64 << 10 };

static inline void quota_init(struct quota *q, size_t total)
{
    q->total = total;
    atomic_init(&q->used, 0);
}

/* The most that a large holder may find. */
static inline size_t quota_for_large(const struct quota *q)
{
    return q->total - q->total / 8;
}

/* False: so much is not there. */
bool quota_take(struct quota *q, size_t bytes, bool small);
void quota_give(struct quota *q, size_t bytes);

struct meter {
    struct quota *quota; /* NULL: nothing is counted and nothing refused */
    size_t most;         /* that this one may hold */
    size_t held;
    bool refused;   /* it wanted more than it got ... */
    bool too_large; /* ... because that was beyond `most` */
};

/* From now on it holds `bytes`.  False: it cannot, holds what it held, and is refused from then on whatever more it wants. */
bool meter_set(struct meter *m, size_t bytes);

#endif
