/* address.h - HOST:PORT texts, the sockets that listen there, and clients' addresses as text. */
#ifndef ANCHORD_SERVER_HTTP_ADDRESS_H
#define ANCHORD_SERVER_HTTP_ADDRESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct address {
    char host[256]; /* without brackets */
    uint16_t port;  /* 0: any free one */
};

/* "127.0.0.1:8080", "[::1]:0", "localhost:80".  ERR_BAD_INPUT. */
MUST_CHECK bool address_parse(const char *text, struct address *out, struct err *e);
/* "http://127.0.0.1:8080"; brackets are put around an IPv6 host. */
void address_url(const struct address *a, bool tls, char *out, size_t size);

/* The same for a client on this machine: an address that stands for all of them becomes the loopback one. */
void address_local_url(const struct address *a, bool tls, char *out, size_t size);

/* Resolves, binds and listens.  Gives the descriptor; -1 on failure (ERR_BAD_INPUT: no such host).  Sets a->port to the
 * port that it got, and *loopback to whether the address is of the loopback kind. */
MUST_CHECK int address_listen(struct address *a, int backlog, bool *loopback, struct err *e);

enum { ADDRESS_TEXT = 64 };
bool address_is_loopback(const struct sockaddr *sa); /* NULL is none */
/* The client's address; of IPv6 the first 64 bits, which is what one client has. */
void address_of_client(const struct sockaddr *sa, char out[ADDRESS_TEXT]);

#endif
