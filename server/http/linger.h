/* linger.h - lets a client read an answer that came before it had sent all of its request.
 *
 * A socket that is closed with unread bytes in it resets the connection.  The reset takes the answer along that the
 * client has not read yet (RFC 9112, 9.6).  So such a socket is only shut for writing, and further bytes are read and
 * dropped.  That lasts until the client closes it, falls silent for two seconds, has had half a minute or sent 64 MB.
 *
 *     lingerer_take(l, fd);    before the owner closes his descriptor
 *
 * One thread does it for all; when there are too many, the oldest is closed.  Any thread may give it one.
 */
#ifndef ANCHORD_SERVER_HTTP_LINGER_H
#define ANCHORD_SERVER_HTTP_LINGER_H

#include "base/err.h"

struct lingerer;
struct lingerer *lingerer_new(struct err *e); /* NULL on failure */
void lingerer_free(struct lingerer *l);       /* closes those that are left; NULL is fine */

/* Duplicates the descriptor of a connected socket; fine when that fails. */
void lingerer_take(struct lingerer *l, int fd);

enum { LINGER_MOST = 64 }; /* sockets at once */

#endif
