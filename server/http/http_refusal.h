/* http_refusal.h - refusals that no handler of ours can make: requests that libmicrohttpd cannot parse, and those that
 * come too slowly.
 *
 * libmicrohttpd answers what it refuses itself (431, 414, malformed chunks ...) with a page of HTML that nobody counts.
 * Its call of MHD_queue_response() ends up here, for the program's symbols come before a library's.  Instead of the
 * page the client gets an error object like all others.  It has a request id, a line in the access log and a count.
 * Our own answers go to the library's function, which refusal_find_queue() finds.
 *
 * A late client is answered 408, which libmicrohttpd has no way to do before a request is complete.  Both are written
 * straight to the socket; deadline.h sees to it that nobody else writes then.  Under TLS the error object goes through
 * libmicrohttpd, and a late client is only cut.
 */
#ifndef ANCHORD_SERVER_HTTP_HTTP_REFUSAL_H
#define ANCHORD_SERVER_HTTP_HTTP_REFUSAL_H

#include "server/http/http_exchange.h"

bool refusal_find_queue(struct front *f); /* fills f->queue */

/* Answers in the middle of a body; the caller has said LATE_CUT and lets the connection end.  Not under TLS. */
void refusal_say(struct connection *c, const struct err *e, const char *reason);

/* Of deadline.h: the connection's request is late.  `context` is not used. */
void refusal_late(void *context, struct deadline *d);

#endif
