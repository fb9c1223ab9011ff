/* reembed_pool.h - threads that embed stored images: a batch in, vectors out.
 *
 * There are two pools.  The idle one runs at the lowest priority, and also gives way to requests.  The foreground one
 * runs at the priority of requests, for the last few images before a switch.
 */
#ifndef ANCHORD_API_SERVICES_REEMBED_POOL_H
#define ANCHORD_API_SERVICES_REEMBED_POOL_H

#include "api/services/app.h"
#include "index/generation.h"

struct reembed_pool;

struct reembed_pool *reembed_pool_new(struct app *app, size_t threads, struct err *e); /* NULL on failure */
void reembed_pool_free(struct reembed_pool *c);                                        /* NULL is fine */
void reembed_pool_stop(struct reembed_pool *c); /* from now on nothing is begun: the program stops */

struct reembed_work {
    struct encoder *encoder;
    const struct pending *items;
    size_t n;
    float *vectors;     /* out [n, dimensions] */
    struct err *errors; /* out [n]; ERR_NOT_FOUND: the image is gone */
    struct err trouble; /* out: nothing to do with a single image */
};
/* Embeds them all, or takes over a donor's vector, and waits. */
void reembed_pool_embed(struct reembed_pool *c, struct reembed_work *b, bool foreground);

#endif
