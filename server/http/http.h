/* http.h - the HTTP server: two listeners, requests in, tasks out, answers back.
 *
 *     struct http *h = http_new(&(struct http_options){...}, e);
 *     ... requests arrive as tasks at service.submit() ...
 *     http_drain(h, ...);
 *     http_free(h);
 *
 * libmicrohttpd (0.9.75) does the protocol, on a few epoll threads that parse and copy and nothing else.  Its only home
 * is http.c, http_exchange.c, http_stream.c and http_refusal.c.  A connection is suspended while its task is at work,
 * so thousands of waiting requests hold no thread.
 *
 * Five functions of ours have the names of a library's.  The linker finds the program's first, so libmicrohttpd calls them:
 *
 *     epoll_wait           http.c           with a full list of events the library waits again before it looks at any
 *     epoll_ctl            http.c           the library aborts when a listening socket was removed twice
 *     recv                 wire.c           the library gets only bytes that the strict reader has proven
 *     gnutls_record_recv   wire.c           the same under TLS
 *     MHD_queue_response   http_refusal.c   the library's own refusals become error objects, counted and logged
 */
#ifndef ANCHORD_SERVER_HTTP_HTTP_H
#define ANCHORD_SERVER_HTTP_HTTP_H

#include "api/requests/dispatch.h"
#include "base/conf.h"
#include "server/http/gate.h"

struct http_service { /* who answers; dispatch.h in the program */
    void *context;
    /* Takes a task with its request set; calls task->done() once, from any thread, even before it returns. */
    void (*submit)(void *context, struct task *task);
    /* Takes a task back whose call is CALL_GOES_ON, as dispatch_go_on() does. */
    void (*go_on)(void *context, struct task *task);
};

struct http_options {
    const struct conf *conf; /* borrowed, as all here */
    struct gate *gate;
    struct http_service service;
    int sockets[2];                 /* [enum listener], listening; taken over */
    const char *tls_cert, *tls_key; /* PEM texts; NULL: no TLS */
    void (*tick)(void *context);    /* called a few times a second; NULL: nothing */
    void *tick_context;
};

struct http;
struct http *http_new(const struct http_options *o, struct err *e); /* NULL on failure; the sockets are closed */

/* Stops listening: new connections are refused at once, answers from now on close theirs. */
void http_quiesce(struct http *h);
/* The time for stopping is nearly over.  Requests that are not complete are answered 503, and a client that has not
 * read its answer by `end` (clock_ns()) is cut. */
void http_hurry(struct http *h, int64_t end);
/* Requests whose answer is not complete. */
size_t http_in_flight(struct http *h);
/* Waits for the tasks that are at work (there must be somebody who ends them), then closes everything; requests that
 * come meanwhile are answered 503.  NULL is fine. */
void http_free(struct http *h);

#endif
