/* lanes.h - a heavy thread's plans: one lane for each encoder that it has used lately.
 *
 * Threads: a set of lanes belongs to one thread.
 */
#ifndef ANCHORD_API_SERVICES_LANES_H
#define ANCHORD_API_SERVICES_LANES_H

#include "engine/encoder.h"

struct lanes;
struct lanes *lanes_new(void);
void lanes_free(struct lanes *l); /* NULL is fine */
/* The lane for this encoder, made at its first use; borrowed until the next call.  The one that was not
 * used for longest makes room.  NULL on failure. */
struct lane *lanes_get(struct lanes *l, struct encoder *enc, struct err *e);

#endif
