/* demand.h - what requests want of this machine at the moment, so that work in the background gives way.
 *
 * The server's dispatcher tells, jobs and re-embedding ask.  Threads: any; nothing takes a lock.
 */
#ifndef ANCHORD_API_SERVICES_DEMAND_H
#define ANCHORD_API_SERVICES_DEMAND_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct demand {
    atomic_size_t images;        /* of requests, that wait for a core or have one */
    _Atomic int64_t embedded_at; /* clock_ns() of the last of them that went well */
    atomic_uint p99_us;   /* what one in a hundred of the last seconds' requests took longer than (those that read,
                                  * with one picture at most); 0: there were few */
    atomic_bool draining; /* nothing new is begun: /readyz says no */
    atomic_bool hurry;    /* later: what takes long is to stop */
};

/* n images more.  False, and nothing is counted, when there would be more than `most`. */
MUST_CHECK bool demand_add_images(struct demand *d, size_t n, size_t most);
void demand_image_done(struct demand *d, bool embedded);
/* Some images wait, and one was embedded within the last `ns`: so embedding works. */
bool demand_is_met(const struct demand *d, int64_t ns);
/* More images wait than this, or requests take longer; p99_us 0: that is not looked at. */
bool demand_exceeds(const struct demand *d, size_t images, unsigned p99_us);
bool demand_is_draining(const struct demand *d);

#endif
