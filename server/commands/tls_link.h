/* tls_link.h - TLS over a connected socket, as the command line's HTTP client uses it.
 *
 * A link belongs to one thread.
 */
#ifndef ANCHORD_SERVER_COMMANDS_TLS_LINK_H
#define ANCHORD_SERVER_COMMANDS_TLS_LINK_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* How a server is known; both NULL: by the authorities that the system trusts, and its name. */
struct tls_trust {
    const char *certificate; /* the SHA-256 of its certificate in hex: by this alone */
    const char *ca_file;     /* by these authorities (PEM) and its name */
};

struct tls_link;
/* Shakes hands with `host` on a blocking socket, which stays the caller's.  ERR_FORBIDDEN when the server is not who
 * it should be, ERR_IO when no handshake comes about, ERR_BAD_INPUT for a ca_file that cannot be used. */
struct tls_link *tls_link_open(int fd, const char *host, const struct tls_trust *trust, struct err *e);
void tls_link_close(struct tls_link *l); /* NULL is fine; before the socket is closed */

/* As send() and recv(): bytes, 0 at the end, -1 on failure. */
ssize_t tls_link_send(struct tls_link *l, const void *data, size_t len);
ssize_t tls_link_receive(struct tls_link *l, void *out, size_t len);

#endif
