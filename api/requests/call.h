/* call.h - one request on its way through anchord, without a socket in sight.
 *
 * The server (or a test) fills a `struct request`; call_begin() finds the route; then the call is moved
 * forward in stages.  Each stage says what the next one needs, and whoever drives the call provides it:
 *
 *     CALL_READY    call call_step(): on a light thread, or on a heavy one when call->heavy says that the
 *                   stage is long (it parses a large body, makes a thumbnail, checks a model), or on one for lengthy
 *                   queries when call->lengthy says so
 *     CALL_IMAGES   call->images[0..n_images) must be embedded, each once, by call_image() on heavy threads;
 *                   then call_step() again on a light thread
 *     CALL_WRITES   call->writes[0..n_writes) must be committed by the store (the driver submits them with a
 *                   done() of its own); then call_step() again, which may be done on the writer's thread
 *                   because the stage after a write only renders
 *     CALL_GOES_ON  the answer is an endless one: send its head and what call->response.body holds, taking that away; when it
 *                   was sent, and call_is_ready(), call_step() on a light thread for what comes next.  The driver sets
 *                   call->response.begun with the head; whoever tires of it may just free the call
 *     CALL_DONE     call->response is complete
 *
 * A driver that cannot provide it (a queue is full) says so with call_refuse().  call_run() drives one call
 * to its end on the calling thread: that is all that tests and the command line need.  api/requests/dispatch.c
 * drives many at once over its queues.
 *
 * Memory: everything that a call allocates lives in call->arena, in its list of owned things or in its
 * response, until call_free().
 */
#ifndef ANCHORD_API_REQUESTS_CALL_H
#define ANCHORD_API_REQUESTS_CALL_H

#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/quota.h"
#include "engine/encoder.h"
#include "index/store.h"

struct app;

enum method {
    METHOD_OTHER,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_PUT,
    METHOD_POST,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_TRACE
};
enum listener { LISTENER_PUBLIC, LISTENER_ADMIN };

struct pair {
    const char *name, *value;
};

struct route_match;
struct request { /* everything borrowed until the call ends */
    enum method method;
    enum listener listener;
    const char *path;                /* as sent, still percent-encoded, without the query */
    const struct route_match *match; /* the route, when it was looked for already (route.h); NULL: it was not */
    const struct pair *query;        /* decoded */
    size_t n_query;
    const char *content_type; /* NULL: none; likewise below */
    const char *accept, *if_match, *if_none_match;
    const char *pin; /* anchord-generation */
    const char *last_event_id;
    const char *request_id;
    const void *body;
    size_t body_len;
    enum role role;     /* what the caller's key allows */
    const char *key_id; /* NULL: anonymous on loopback */
    bool (*gone)(
        void *context); /* whether the client has left; asked now and then while a lengthy stage runs.  NULL: never */
    void *gone_context;
};

struct header {
    const char *name, *value; /* arena or static */
};

enum { RESPONSE_HEADERS = 8 };
struct response {
    int status;
    const char *content_type; /* static; NULL when there is no body */
    struct buf body;          /* charged to app->answers by a meter of the call's */
    bool is_file;             /* the body is this file's bytes, from its beginning */
    int fd;                   /* owned, until somebody takes it; -1: taken */
    uint64_t file_len;
    int64_t whole; /* 304: the bytes that the body of 200 would have; 0: not known */
    struct header headers[RESPONSE_HEADERS];
    size_t n_headers;
    bool begun;  /* the driver's: its head is out, so that an error cannot be told any more ... */
    bool finite; /* CALL_GOES_ON: it has an end, and one that comes too early is an error */
    bool cut;    /* ... and this says that there was one: the client must see that the answer is not whole */
};

enum call_state { CALL_READY, CALL_IMAGES, CALL_WRITES, CALL_GOES_ON, CALL_DONE };

struct upload_picture { /* an encoded picture, borrowed from the request */
    const void *bytes;
    size_t len;
    bool base64;   /* as base64 text ... */
    bool data_url; /* ... behind "data:...," */
};

struct embed_item {                /* one picture to be embedded */
    struct upload_picture picture; /* call_image() decodes base64 and points this to the bytes */
    struct encoder *encoder;       /* borrowed from the call */
    bool want_hash;
    /* out */
    float *vector; /* [dimensions], in the arena */
    struct image_info info;
    char sha256[HASH_HEX];
    void *decoded; /* the bytes that were base64; freed with the call */
    struct err err;
};

struct route;
struct owned { /* to be released with the call */
    struct owned *next;
    void *p;
    void (*release)(void *);
};

struct call {
    struct app *app;
    const struct request *request;
    const struct route *route;
    const char *params[2]; /* decoded path parameters, checked: {id} is an image's, all others are names */
    struct json *json;     /* the body, when it is JSON; owned by the call */
    struct pair *form;     /* text fields of a multipart body: they count as query parameters */
    size_t n_form;
    struct encoder *encoder; /* from call_load(); owned by the call */
    struct response response;
    struct arena arena;
    struct owned *owned; /* released by call_free(), last first */

    bool (*stage)(struct call *c); /* the next one; false: it failed, c->err says why */
    bool (*part_done)(
        struct call *c); /* once a part of the request is done for good, this answers in the place of an error, which
                          * c->err tells.  NULL: the error is the answer */
    bool (*ready)(const struct call *c); /* CALL_GOES_ON: whether the next stage has something to send */
    enum call_state state;
    bool heavy;   /* CALL_READY: the next stage is long */
    bool lengthy; /* CALL_READY: the next stage asks the catalogue or the index for much */
    struct embed_item *images;
    size_t n_images;
    struct write **writes;
    size_t n_writes;
    struct err err;
    void *scratch;     /* the handler's, in the arena */
    struct load *load; /* what call_load() is to load on a heavy thread */
    unsigned looks;    /* how often call_look_again() had it look again */
};

/* Never fails: a call that cannot be begun is CALL_DONE with an error answer.  Cheap: nothing is parsed and nothing
 * looked up before the first call_step(). */
void call_begin(struct call *c, struct app *app, const struct request *r);
void call_step(struct call *c);
/* CALL_GOES_ON: there is something to send now.  Quick and without locks, on any thread that asks a few times a second. */
bool call_is_ready(const struct call *c);
/* The driver cannot do what the call waits for: it is CALL_DONE with this error. */
void call_refuse(struct call *c, const struct err *e);
/* Runs one picture on the caller's lane cache (plan_cache.h); any heavy thread. */
struct plan_cache;
void call_image(struct embed_item *item, struct plan_cache *plans, const struct image_limits *limits);
void call_run(struct call *c, struct plan_cache *plans);
void call_free(struct call *c);

#endif
