/* bodies.h - memory for request bodies: charged as they arrive, with a part for small ones and a share for each client.
 *
 * A client is a key, or an address where there are no keys.  One alone gets at most half, so that it never shuts all
 * others out.  Small bodies (QUOTA_SMALL) find the eighth that quota.h keeps for them, whatever large ones take, and
 * count towards no share.
 *
 * Threads: any.
 */
#ifndef ANCHORD_SERVER_HTTP_BODIES_H
#define ANCHORD_SERVER_HTTP_BODIES_H

#include "base/err.h"
#include "base/quota.h"

struct bodies;
struct bodies *bodies_new(size_t total);
void bodies_free(struct bodies *b); /* NULL is fine; all was given back */

/* ERR_BUSY when so much is not there, or more than the client's share. */
MUST_CHECK bool bodies_take(struct bodies *b, const char *client, size_t bytes, bool small, struct err *e);
/* `client`, `bytes` and `small` as they were taken, in one piece or several. */
void bodies_give(struct bodies *b, const char *client, size_t bytes, bool small);
size_t bodies_held(struct bodies *b);

#endif
