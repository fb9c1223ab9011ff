/* wire.c - recv() and gnutls_record_recv() as libmicrohttpd gets them. */
#undef _FORTIFY_SOURCE /* it makes recv() an inline function, in the way of ours */
#include "server/http/wire.h"

#include <dlfcn.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "base/num.h"

enum {
    DESCRIPTORS = 1 << 20, /* Linux' own limit, unless it was raised */
    READ_AHEAD = 4 << 10   /* bytes asked for where a head or a line may end */
};

static struct wire *_Atomic wires[DESCRIPTORS]; /* by descriptor; set before the first read, cleared before the close */

static ssize_t (*tls_receive)(gnutls_session_t session, void *out, size_t room); /* gnutls' own gnutls_record_recv() */

__attribute__((constructor)) static void find_tls_receive(void)
{
    void *symbol = dlsym(RTLD_NEXT, "gnutls_record_recv");
    memcpy(&tls_receive, &symbol, sizeof symbol); /* ISO C has no cast from an object's pointer to a function's */
}

bool wire_can_read(void)
{
    return tls_receive != NULL;
}

/* ---- which connection it is ---- */

static struct wire *wire_of(int fd, bool with_tls)
{
    struct wire *w = fd >= 0 && fd < DESCRIPTORS ? atomic_load_explicit(&wires[fd], memory_order_acquire) : NULL;
    return w && w->tls == with_tls ? w : NULL;
}

bool wire_open(struct wire *w, int fd, bool with_tls, void (*on_line)(struct wire *w))
{
    *w = (struct wire){.fd = fd, .tls = with_tls, .on_line = on_line};
    if (fd < 0 || fd >= DESCRIPTORS)
        return false;
    atomic_store_explicit(&wires[fd], w, memory_order_release);
    return true;
}

void wire_close(struct wire *w)
{
    if (wire_of(w->fd, w->tls) == w)
        atomic_store_explicit(&wires[w->fd], NULL, memory_order_release);
    buf_clear(&w->kept);
}

/* ---- what is passed on ---- */

/* `session` NULL: without TLS. */
static ssize_t receive(const struct wire *w, gnutls_session_t session, void *out, size_t room)
{
    return session ? tls_receive(session, out, room) : recvfrom(w->fd, out, room, MSG_DONTWAIT, NULL, NULL);
}

/* Gives what is kept and proven; what is not moves to the front. */
static size_t give_kept(struct wire *w, char *out, size_t room)
{
    struct buf *b = &w->kept;
    size_t proven = w->framing.status ? b->len : b->len - w->framing.held;
    size_t n = min_size(room, proven - w->passed);
    if (n)
        memcpy(out, b->data + w->passed, n);
    w->passed += n;
    if (w->passed == b->len) {
        buf_clear(b);
        w->passed = 0;
    } else if (w->passed == proven) {
        b->len -= w->passed;
        memmove(b->data, b->data + w->passed, b->len);
        w->passed = 0;
    }
    return n;
}

static ssize_t keep_more(struct wire *w, gnutls_session_t session)
{
    struct buf *b = &w->kept;
    buf_reserve(b, READ_AHEAD);
    ssize_t got = receive(w, session, b->data + b->len, READ_AHEAD);
    if (got <= 0)
        return got;
    b->len += framing_read(&w->framing, b->data + b->len, (size_t)got);
    if (w->framing.status) {
        b->len -= w->framing.held;
        buf_text(b, framing_refused);
    }
    return got;
}

/* Content goes where it is wanted. */
static ssize_t read_content(struct wire *w, gnutls_session_t session, char *out, size_t room)
{
    ssize_t got = receive(w, session, out, room);
    if (got > 0)
        (void)framing_read(&w->framing, out, (size_t)got);
    return got;
}

/* libmicrohttpd waits for a request, and the first line of one is there. */
static void tell_line(struct wire *w)
{
    if (w->told || !framing_in_fields(&w->framing))
        return;
    w->told = true;
    w->on_line(w);
}

/* What recv() gives: bytes, or 0 at the end, or the error of the last attempt; fewer bytes than there is room for only
 * when the connection has no more for now. */
static ssize_t wire_read(struct wire *w, gnutls_session_t session, char *out, size_t room)
{
    size_t n = 0;
    ssize_t got = 1;
    while ((n += give_kept(w, out + n, room - n)) < room && !w->ended && !w->framing.status && got > 0) {
        uint64_t content = framing_content(&w->framing);
        if (content) {
            got = read_content(w, session, out + n, content < room - n ? (size_t)content : room - n);
            n += got > 0 ? (size_t)got : 0;
        } else {
            got = keep_more(w, session);
        }
        w->ended = got == 0;
    }
    if (n) {
        w->told = false;
        if (w->ended && !w->tls)
            shutdown(w->fd, SHUT_RD); /* tells epoll once more that there is something to read: the end */
        return (ssize_t)n;
    }
    if (w->ended || w->framing.status) /* what was refused is the end */
        return 0;
    tell_line(w);
    return got;
}

bool wire_vouches(struct wire *w)
{
    return ++w->begun <= w->framing.heads;
}

/* ---- in front of the libraries ---- */

ssize_t recv(int fd, void *out, size_t room, int flags)
{
    struct wire *w = flags ? NULL : wire_of(fd, false);
    return w ? wire_read(w, NULL, out, room) : recvfrom(fd, out, room, flags, NULL, NULL);
}

ssize_t gnutls_record_recv(gnutls_session_t session, void *out, size_t room)
{
    struct wire *w = wire_of(gnutls_transport_get_int(session), true);
    return w ? wire_read(w, session, out, room) : tls_receive(session, out, room);
}
