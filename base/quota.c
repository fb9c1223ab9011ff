/* quota.c - one counter. */
#include "base/quota.h"

bool quota_take(struct quota *q, size_t bytes, bool small)
{
    size_t limit = small ? q->total : quota_for_large(q);
    size_t before = atomic_fetch_add_explicit(&q->used, bytes, memory_order_relaxed);
    if (before <= limit && bytes <= limit - before)
        return true;
    quota_give(q, bytes);
    return false;
}

void quota_give(struct quota *q, size_t bytes)
{
    atomic_fetch_sub_explicit(&q->used, bytes, memory_order_relaxed);
}

bool meter_set(struct meter *m, size_t bytes)
{
    if (!m->quota)
        return true;
    if (bytes <= m->held) {
        quota_give(m->quota, m->held - bytes);
        m->held = bytes;
        return true;
    }
    m->too_large = m->too_large || bytes > m->most;
    m->refused = m->refused || m->too_large || !quota_take(m->quota, bytes - m->held, bytes <= QUOTA_SMALL);
    if (m->refused)
        return false;
    m->held = bytes;
    return true;
}
