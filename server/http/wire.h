/* wire.h - stands between the sockets and libmicrohttpd: it gets only bytes that framing.h has proven.
 *
 *     wire_open(&w, fd, tls, on_line)     once the connection is there
 *     ... libmicrohttpd calls recv() or, with TLS, gnutls_record_recv(), and both end up here ...
 *     wire_close(&w)                      before its descriptor is closed
 *
 * The program's symbols come before a library's, so these two calls of libmicrohttpd are ours; for any other descriptor
 * they are what they always were.  A head, a line of a chunk or a trailer is kept until it is whole and right, and then
 * passed on at once.  Content goes straight into libmicrohttpd's buffer.  In place of what is refused, and of all that
 * follows, the library gets one line that it refuses too, wherever it stands.  So requests that came before are
 * answered first, and then http_refusal.h says why and the connection ends.
 *
 * libmicrohttpd, which hears of a socket only when something changes (EPOLLET), takes a short read for an empty socket.
 * That is true here: a read is short only where the kernel had nothing more, or the client's end was seen.  In the
 * latter case the socket is woken once more.  So a client that leaves is noticed at once, also when its last bytes and
 * its end came together.
 *
 * A wire belongs to its connection's thread.
 */
#ifndef ANCHORD_SERVER_HTTP_WIRE_H
#define ANCHORD_SERVER_HTTP_WIRE_H

#include "base/buf.h"
#include "server/http/framing.h"

struct wire {
    struct framing framing;
    int fd;
    bool tls;
    bool ended;      /* the client sends nothing more */
    bool told;       /* of the request line that is there */
    uint64_t begun;  /* requests that libmicrohttpd has begun */
    struct buf kept; /* read and not passed on; all but the last framing.held bytes are proven */
    size_t passed;   /* of the first of those */
    void (*on_line)(struct wire *w);
};

/* False: a function that ours hides is not to be found. */
MUST_CHECK bool wire_can_read(void);

/* `on_line`: a request line is there and the rest of its head is awaited.  False: a descriptor beyond all that can be
 * watched; the connection must not be served. */
MUST_CHECK bool wire_open(struct wire *w, int fd, bool tls, void (*on_line)(struct wire *w));
void wire_close(struct wire *w); /* fine when not open */

/* libmicrohttpd begins a request.  False: the reader has not seen its head, so something is badly wrong. */
MUST_CHECK bool wire_vouches(struct wire *w);

#endif
