/* dispatch.h - drives api calls over bounded queues and the store's writer.
 *
 * The names of things on the way of a request:
 *
 *     connection   a client's socket (server/http/http_exchange.h)
 *     exchange     one request on it and its answer, to the last byte sent
 *     task         what the dispatcher is given: a request, its call, and what is left of the stage at hand
 *     request      what was asked: method, path, parameters, body (call.h)
 *     call         the request being answered: it moves in stages, and its response grows
 *     stage        one function of a call, run on one thread without waiting (stage.h)
 *     turn         a place of a task in the heavy queue; embeds one picture after the other
 *     write        one change that a stage asks of the store (index/store.h)
 *     group        the writes that the writer commits together
 *
 * The queues:
 *
 *     light   catalogue look-ups, search, rendering; a few threads
 *     heavy   one piece of work for each image (decode, forward, hash), and stages that a call names heavy; one thread
 *             a core, each with its own plans
 *     query   queries that look at much: those that a call names lengthy, which a light stage becomes when it
 *             turns out so (api/requests/step.h)
 *     watch   /healthz, /readyz and /metrics: one thread, which nothing else can take
 *
 * A huge upload fills the heavy queue and never the light one, so searching goes on.  Calls take turns: one has as many
 * images in the queue as there are heavy threads.  Each image that is finished sends the next to the end.  So a single
 * picture waits for a few others and not for a whole upload.  A queue that cannot take a whole stage refuses the call
 * at once (503).  Nothing waits while it holds a thread: whoever finishes the last piece of a stage moves the call on.
 *
 * An answer that goes on (CALL_GOES_ON) is done() once for each piece: its owner sends what the body holds and hands it back with
 * dispatch_go_on().  Until there is more it is an entry of a list that dispatch_wake() looks through.
 *
 * A task is a call with what dispatching it takes; it is owned by whoever submits it and must live until done().
 */
#ifndef ANCHORD_API_REQUESTS_DISPATCH_H
#define ANCHORD_API_REQUESTS_DISPATCH_H

#include <stdatomic.h>

#include "api/requests/call.h"
#include "api/services/app.h"
#include "base/pool.h"

struct dispatch;
struct task {
    struct request request; /* set by the owner */
    struct call call;       /* call.response when done; freed by the owner with call_free() */
    /* On any thread; the task may be gone when it returns.  The call is CALL_DONE or CALL_GOES_ON. */
    void (*done)(struct task *task);

    /* the dispatcher's */
    struct work work;
    struct dispatch *d;
    int64_t queued_at;
    bool begun;
    atomic_size_t pending;    /* images or writes of this stage that are not finished */
    atomic_size_t next_image; /* the first that no thread has taken */
    struct task *next_waiting;
};

struct dispatch_options {
    struct app *app; /* borrowed */
    size_t heavy_threads, light_threads, query_threads, heavy_queue, light_queue, query_queue;
    int64_t queue_timeout_s; /* a call that waited longer for its first thread is refused */
};

struct dispatch *dispatch_new(const struct dispatch_options *o, struct err *e); /* NULL on failure */
/* Every task that was submitted must be done.  NULL is fine. */
void dispatch_free(struct dispatch *d);

/* Always ends in done(), perhaps before it returns. */
void dispatch_submit(struct dispatch *d, struct task *task);
/* The piece that a task in CALL_GOES_ON held was sent: it is done() again when there is more. */
void dispatch_go_on(struct dispatch *d, struct task *task);
/* To be called a few times a second: runs the answers that can go on.  Once the server drains, each is done() at once with
 * nothing added, for its owner to end. */
void dispatch_wake(struct dispatch *d);
/* From now on calls that wait for a thread are refused instead of run; those that run are finished. */
void dispatch_hurry(struct dispatch *d);
/* Runs `pong` on a light thread when its turn comes, which proves that the queue moves; while one is on its
 * way this does nothing. */
void dispatch_ping(struct dispatch *d, void (*pong)(void));
/* Puts the lengths of the queues, and how long requests take lately, into the metrics and the app.  One thread, a few times a
 * second. */
void dispatch_measure(struct dispatch *d);

#endif
