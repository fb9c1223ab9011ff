/* http_exchange.h - one request and its answer, between libmicrohttpd's callbacks (http.c) and the tasks that
 * answer (dispatch.h).
 *
 *     HEAD      the header is there: the gate admits it, or it is refused at once, its body unread
 *     BODY      pieces are put together; what is over a limit is dropped until the body ends
 *     WORKING   the connection is suspended; the task belongs to the service
 *     ANSWER    the task's response waits to be queued
 *     SENT      ... and was; an answer that goes on (http_stream.h) stays here to its end
 *
 * A connection has one exchange at a time, so its memory is part of the connection's.
 */
#ifndef ANCHORD_SERVER_HTTP_HTTP_EXCHANGE_H
#define ANCHORD_SERVER_HTTP_HTTP_EXCHANGE_H

#include <microhttpd.h>

#include "server/http/address.h"
#include "server/http/bodies.h"
#include "server/http/deadline.h"
#include "server/http/gate.h"
#include "server/http/http.h"
#include "server/http/wire.h"

enum { REQUEST_ID_SIZE = 65 };

struct front { /* what all exchanges share */
    struct http_options o;
    /* MHD_queue_response() of the library, which our own of that name hides (http_refusal.h) */
    enum MHD_Result (*queue)(struct MHD_Connection *c, unsigned status, struct MHD_Response *r);
    atomic_bool draining;    /* no new connections, and each answer closes its own */
    atomic_bool stopping;    /* ... and what is not at work yet will not be */
    atomic_size_t in_flight; /* from complete header to complete answer */
    atomic_size_t suspended; /* tasks that the service has, and refusals on their way */
    atomic_size_t streams;   /* answers that go on */
    struct bodies *bodies;
    uint64_t id_seed;
    atomic_uint_least64_t ids;
};

enum exchange_phase { PHASE_HEAD, PHASE_BODY, PHASE_WORKING, PHASE_ANSWER, PHASE_SENT };

struct exchange {
    enum exchange_phase phase;
    struct task task;
    struct visit visit;
    struct head head;
    struct arena arena;
    struct err over; /* what the body ran into; answered when it has ended */
    char *body;
    size_t body_len, body_room;
    size_t received, dropped; /* bytes read before and after that */
    size_t held;              /* of front->bodies ... */
    bool small;               /* ... as a small body */
    int64_t start;            /* clock_ns() when the header was complete */
    int status;               /* answered; 0: nothing was */
    size_t sent;              /* bytes of the answer's body */
    struct buf piece;         /* of an answer that goes on: what is being sent ... */
    size_t given;             /* ... and how much of it the library has */
    int64_t stream_start;     /* clock_ns() when such an answer began; 0: it is none */
    bool close;               /* the connection ends with this answer */
    char id[REQUEST_ID_SIZE]; /* request id; empty: there is no exchange */
};

struct connection { /* lives as long as the socket */
    struct front *front;
    struct MHD_Connection *mhd;
    enum listener listener;
    struct deadline deadline;
    struct wire wire;
    char address[ADDRESS_TEXT];
    bool local;         /* the client is on loopback */
    atomic_bool unread; /* it is answered before all of its request was read: linger.h */
    struct exchange exchange;
};

struct connection *connection_of(struct MHD_Connection *mhd);     /* NULL: not one of ours */
void request_id_make(struct front *f, char out[REQUEST_ID_SIZE]); /* a new one; any thread */

/* Takes the connection out of the library's hands until MHD_resume_connection(), after which front->suspended goes down by
 * one.  False: the server is stopping, and there would be nobody to resume it. */
MUST_CHECK bool connection_suspend(struct connection *c);

/* Each is called on the connection's thread.  False: close the connection without an answer. */
MUST_CHECK bool exchange_begin(struct connection *c, const char *method, const char *path, const char *version);
MUST_CHECK bool exchange_take_body(struct connection *c, const void *data, size_t len);
MUST_CHECK bool exchange_continue(struct connection *c); /* the body is complete, or the task is done */
void exchange_end(struct connection *c);                 /* sent, or the client has gone */

#endif
