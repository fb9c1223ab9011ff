/* client.h - an HTTP/1.1 client over raw sockets, which can send what no decent client would.
 *
 *     struct client c = client_to(port);
 *     struct reply r = {0};
 *     if (client_ask(&c, &(struct ask){.method = "GET", .target = "/healthz"}, &r)) ...
 *     reply_clear(&r);
 *     client_close(&c);
 *
 * A client is one connection, opened when it is needed and opened again when the server has closed it.
 * The lower half (client_send, client_receive) moves raw bytes.  Every wait has a deadline.  A client belongs to one
 * thread at a time.  Nothing here fails a test by itself, so that worker threads can use it.
 */
#ifndef ANCHORD_TESTS_LIB_CLIENT_H
#define ANCHORD_TESTS_LIB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct client {
    uint16_t port;
    int fd;             /* -1: not connected */
    const char *source; /* local address, such as "127.0.0.2"; NULL: any */
    struct buf in;      /* received and not consumed yet */
};

struct reply {
    int status;      /* 0: no answer */
    bool continued;  /* a 100 came first */
    bool closed;     /* the server closed the connection */
    bool keep;       /* complete, and the connection may be used again */
    struct buf head; /* status line and header lines, as they came */
    struct buf body; /* chunks put together */
    double seconds;  /* from the call until the answer was complete, or until it was given up */
};

struct ask {
    const char *method, *target; /* "GET", "/v1/models?limit=2" */
    const char *type;            /* Content-Type; NULL: none */
    const char *key;             /* API key; NULL: none */
    const char *headers;         /* further lines, each with its CRLF; NULL: none */
    const void *body;
    size_t len;
    double timeout; /* seconds; 0: 30 */
};

struct client client_to(uint16_t port);
bool client_connect(struct client *c); /* fine when connected already */
void client_close(struct client *c);   /* also drops what was received */
void client_reset(struct client *c);   /* closes with RST */
void client_half_close(struct client *c);

/* All of it or false. */
/* Timeouts, here and below: of a second or more they are given t_patience(). */
bool client_send(struct client *c, const void *bytes, size_t n, double timeout);
bool client_send_text(struct client *c, const char *text);
/* Reads one whole answer; bytes after it stay for the next call.  `head_only`: the answer to HEAD.  False: none came in
 * time (status 0), or it was cut short or malformed (status set, keep false). */
bool client_receive(struct client *c, bool head_only, double timeout, struct reply *r);
/* Reads and drops until the server closes; false when it does not in time. */
bool client_drained(struct client *c, double timeout);

/* The bytes of a request, appended to out: for pipelining, load and fragments. */
void ask_bytes(const struct ask *q, struct buf *out);
/* One request and its answer; a kept connection that turns out to be closed is opened once more. */
bool client_ask(struct client *c, const struct ask *q, struct reply *r);

/* Value of a header line, case-insensitive name, copied to out; NULL when there is none. */
char *reply_header(const struct reply *r, const char *name, char *out, size_t size);
size_t reply_header_count(const struct reply *r, const char *name);
bool reply_is_error_object(const struct reply *r);
void reply_clear(struct reply *r);

#endif
