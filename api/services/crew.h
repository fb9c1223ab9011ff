/* crew.h - threads that embed stored images: a batch in, vectors out.
 *
 * Two pools: the idle one at the lowest priority, which also gives way to requests, and the brisk one at the priority of
 * requests, for the last few images before a switch.
 */
#ifndef ANCHORD_API_SERVICES_CREW_H
#define ANCHORD_API_SERVICES_CREW_H

#include "api/services/app.h"
#include "index/generation.h"

struct crew;

struct crew *crew_new(struct app *app, size_t threads, struct err *e); /* NULL on failure */
void crew_free(struct crew *c);                                        /* NULL is fine */
void crew_hurry(struct crew *c); /* from now on nothing is begun: the program stops */

struct crew_batch {
    struct encoder *encoder;
    const struct pending *items;
    size_t n;
    float *vectors;     /* out [n, dimensions] */
    struct err *errors; /* out [n]; ERR_NOT_FOUND: the image is gone */
    struct err trouble; /* out: nothing to do with a single image */
};
/* Embeds them all, or takes over a donor's vector, and waits. */
void crew_embed(struct crew *c, struct crew_batch *b, bool brisk);

#endif
