/* reembed.h - completes generations in the background: embeds what is stored and lacks a vector, then switches.
 *
 * It completes one generation at a time, the oldest first.  It reads from the catalogue what is missing, and stores
 * what it made, in batches.  So a crash costs one batch at most.
 *
 * It gives way: its threads run at the lowest priority, and none begins an image while requests want that core.  It
 * never starves: a twentieth of its own speed remains.  It works at the priority of requests only on images that came
 * in meanwhile.  Otherwise a steady stream of uploads would keep it from ever being done.
 *
 * An image that cannot be embedded any more (damaged, missing, over today's limits) is marked and passed over.  At the
 * end such a generation fails and names one, unless it may skip them.  It waits for the end of a full disk and of other
 * passing trouble.
 *
 * Threads: any.
 */
#ifndef ANCHORD_API_SERVICES_REEMBED_H
#define ANCHORD_API_SERVICES_REEMBED_H

#include "api/services/app.h"

struct reembed;

/* `threads`: that embed.  NULL on failure. */
struct reembed *reembed_start(struct app *app, size_t threads, struct err *e);
void reembed_stop(struct reembed *r);  /* NULL is fine */
void reembed_nudge(struct reembed *r); /* there is something to do, or to do no more; NULL is fine */

struct reembed_progress {
    int64_t generation; /* that is being completed; 0: none */
    double rate;        /* images a second, lately; 0: not known */
    char note[160];     /* why it does not go on at the moment; "" while it does */
};
void reembed_get_progress(struct reembed *r, struct reembed_progress *out); /* NULL: nothing goes on */

#endif
