/* http_client.h - a small HTTP/1.1 client for the command line to talk to a running server.
 *
 * One connection, opened when first needed, kept, and opened again when the server has closed it, plain or over TLS.
 * A client belongs to one thread.
 *
 *     struct http_client *c = http_client_new("http://127.0.0.1:8080", key, NULL, e);
 *     http_client_ask(c, &(struct http_ask){.method = "GET", .target = "/readyz"}, &reply, e)
 */
#ifndef ANCHORD_SERVER_COMMANDS_HTTP_CLIENT_H
#define ANCHORD_SERVER_COMMANDS_HTTP_CLIENT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "server/commands/tls_link.h"

struct http_ask {
    const char *method, *target; /* "PUT", "/v1/...?label=cat": percent-encoded already */
    const char *content_type;    /* NULL without a body */
    const void *body;
    size_t len;
};

struct http_reply {
    int status;
    int retry_after; /* seconds; 0: not said */
    struct buf body; /* the caller's to clear; emptied by http_client_ask() first */
};

struct http_client;

/* `url`: http://HOST[:PORT] or https://, a final slash is fine; `key`: NULL for none; `trust`: NULL for the system's
 * authorities.  ERR_BAD_INPUT for other urls. */
struct http_client *http_client_new(const char *url, const char *key, const struct tls_trust *trust, struct err *e);
void http_client_free(struct http_client *c); /* NULL is fine */

/* Sends and reads the whole answer, whatever its status.  ERR_FORBIDDEN for a server that is not trusted, ERR_IO when there is no connection or no proper
 * answer within two minutes. */
MUST_CHECK bool http_client_ask(struct http_client *c, const struct http_ask *q, struct http_reply *r, struct err *e);

#endif
