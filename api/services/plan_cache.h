/* plan_cache.h - a heavy thread's plans: one lane for each encoder that it has used lately.
 *
 * Threads: a set of plans belongs to one thread.
 */
#ifndef ANCHORD_API_SERVICES_PLAN_CACHE_H
#define ANCHORD_API_SERVICES_PLAN_CACHE_H

#include "engine/encoder.h"

struct plan_cache;
struct plan_cache *plan_cache_new(void);
void plan_cache_free(struct plan_cache *l); /* NULL is fine */
/* The lane for this encoder, made at its first use; borrowed until the next call.  The one that was not
 * used for longest makes room.  NULL on failure. */
struct lane *plan_cache_get(struct plan_cache *l, struct encoder *enc, struct err *e);

#endif
