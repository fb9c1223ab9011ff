/* plan_cache.c - a small least-recently-used cache of plans. */
#include "api/services/plan_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { KEPT = 3 }; /* serving one model, re-embedding to another, and one by the way */

struct plan_cache {
    struct lane *recent[KEPT]; /* last used first; NULLs at the end */
};

struct plan_cache *plan_cache_new(void)
{
    return mem_new(1, sizeof(struct plan_cache));
}

void plan_cache_free(struct plan_cache *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < KEPT; i++)
        lane_free(l->recent[i]);
    free(l);
}

static struct lane *to_front(struct plan_cache *l, size_t i)
{
    struct lane *lane = l->recent[i];
    memmove(&l->recent[1], &l->recent[0], i * sizeof l->recent[0]);
    return l->recent[0] = lane;
}

struct lane *plan_cache_get(struct plan_cache *l, struct encoder *enc, struct err *e)
{
    for (size_t i = 0; i < KEPT && l->recent[i]; i++)
        if (lane_encoder(l->recent[i]) == enc)
            return to_front(l, i);
    struct lane *fresh = lane_new(enc, 1, e);
    if (!fresh)
        return NULL;
    lane_free(l->recent[KEPT - 1]);
    l->recent[KEPT - 1] = fresh;
    return to_front(l, KEPT - 1);
}
