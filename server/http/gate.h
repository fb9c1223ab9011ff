/* gate.h - everything that is decided about a request before its body is read.
 *
 * In this order: the framing guard (http_guard.h), Host, Origin, the route and its method, the key and its role, the
 * rate.  A request that does not pass has cost a few microseconds and no memory.
 */
#ifndef ANCHORD_SERVER_HTTP_GATE_H
#define ANCHORD_SERVER_HTTP_GATE_H

#include "api/requests/route.h"
#include "server/http/auth.h"
#include "server/http/http_guard.h"
#include "server/http/origin.h"

struct gate_route { /* finds routes; route_find() in the program */
    const void *context;
    bool (*find)(const void *context, enum listener l, enum method m, const char *path, struct route_match *out,
                 struct err *e);
};

struct gate_options {
    const struct conf *conf; /* borrowed */
    struct auth *auth;       /* borrowed */
    struct gate_route route;
    bool loopback[2]; /* [enum listener] */
};

struct gate;
struct gate *gate_new(const struct gate_options *o);
void gate_free(struct gate *g); /* NULL is fine */

struct visit {
    /* in */
    enum listener listener;
    const struct head *head;
    const char *address; /* of the client, as rates count it */
    bool local;          /* the client is on this machine's loopback */
    /* out; texts are borrowed from the head or static */
    struct head_facts facts;
    struct route_match match; /* its route NULL: none was found */
    struct caller caller;
    const char *allow;        /* NULL: no Allow header is needed; static, or of `match` */
    const char *allow_origin; /* NULL: no Access-Control-Allow-Origin */
    bool foreign;             /* a page that is not listed asks */
    bool is_options;          /* it passed, and the answer is an empty one */
    bool is_preflight;        /* ... of CORS */
    unsigned retry_after;     /* seconds; 0: no such header */
    const char *reason;       /* a short name for the metrics when it did not pass */
};

MUST_CHECK bool gate_admit(struct gate *g, struct visit *v, struct err *e);

#endif
