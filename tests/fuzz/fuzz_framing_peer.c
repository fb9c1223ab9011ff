/* fuzz_framing_peer.c - the strict reader against libmicrohttpd: whatever both accept, both end at the same byte.
 *
 * An input is what a client sends.  The reader says which of it is proven; a daemon of libmicrohttpd gets just that
 * over a socket pair, and the line that stands for a refusal where there was one, as wire.c does it.  Each request that
 * the daemon makes of it must be the reader's of the same number: method, target and every byte of the body.  It may
 * refuse more, never begin more.
 */
#include <dlfcn.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "server/http/framing.h"
#include "tests/fuzz/fuzz.h"

enum { MOST = 32, INPUT_MAX = 48 << 10, ROUNDS = 2000 };

struct story { /* the requests of one connection, as one of the two tells it */
    struct request_seen {
        struct buf line, body; /* "METHOD TARGET" */
        bool complete;
    } requests[MOST];
    size_t n;
    bool refused;   /* something was answered with an error */
    bool may_close; /* a request asked for the end of the connection, or may have */
    bool over;
};

static struct story strict, peer;

static void forget(struct story *s)
{
    for (size_t i = 0; i < s->n; i++) {
        buf_clear(&s->requests[i].line);
        buf_clear(&s->requests[i].body);
    }
    *s = (struct story){0};
}

static struct request_seen *last_of(struct story *s)
{
    return s->n ? &s->requests[s->n - 1] : NULL;
}

/* ---- the reader's ---- */

static void begin_strict(const char *head, size_t n)
{
    size_t skip = n > 2 && head[0] == '\r' ? 2 : 0;
    const char *first = memchr(head + skip, ' ', n - skip);
    FUZZ_CHECK(first);
    const char *second = memchr(first + 1, ' ', (size_t)(head + n - first - 1));
    FUZZ_CHECK(second && strict.n < MOST);
    buf_add(&strict.requests[strict.n++].line, head + skip, (size_t)(second - head) - skip);
}

/* Gives how many bytes are proven. */
static size_t tell_strict(const char *bytes, size_t size)
{
    struct framing f = {0};
    size_t proven = 0;
    for (size_t i = 0; i < size && !f.status && strict.n < MOST; i++) {
        bool content = framing_content(&f) > 0;
        uint64_t heads = f.heads;
        framing_read(&f, bytes + i, 1);
        if (content)
            buf_char(&last_of(&strict)->body, bytes[i]);
        if (f.heads > heads)
            begin_strict(bytes + proven, i + 1 - proven);
        if (!f.held)
            proven = i + 1;
        if (strict.n && f.state == FRAMING_START && !f.held)
            last_of(&strict)->complete = true;
    }
    strict.refused = f.status != 0;
    return proven;
}

/* ---- libmicrohttpd's ---- */

/* Not the program's own of that name. */
static enum MHD_Result (*queue)(struct MHD_Connection *c, unsigned status, struct MHD_Response *r);
static struct MHD_Daemon *daemon_of_it;
static struct MHD_Response *nothing;

static void *on_line(void *cls, const char *uri, struct MHD_Connection *c)
{
    (void)cls;
    (void)c;
    FUZZ_CHECK(peer.n < MOST);
    buf_text(&peer.requests[peer.n++].line, uri); /* the method is put in front once it is known */
    return NULL;
}

static bool has_field(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name) != NULL;
}

/* It does not take "chunked" with blanks behind it for chunked, and all that follows for the body.  The guard refuses
 * that (501) before a body is read. */
static bool reads_to_the_end(struct MHD_Connection *c)
{
    const char *coding = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Transfer-Encoding");
    return coding && strcasecmp(coding, "chunked") != 0;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **context)
{
    struct request_seen *r = last_of(&peer);
    (void)cls;
    (void)url;
    FUZZ_CHECK(r && !r->complete);
    if (!*context) {
        struct buf line = {0};
        buf_print(&line, "%s %s", method, r->line.data ? r->line.data : "");
        buf_clear(&r->line);
        r->line = line;
        *context = r;
        /* 0.9.75 closes, too, when an expectation without a body has another request right behind it. */
        if (strcmp(version, "HTTP/1.1") != 0 || has_field(c, "Connection") || has_field(c, "Expect") ||
            reads_to_the_end(c))
            peer.may_close = true;
        return MHD_YES;
    }
    if (*size) {
        buf_add(&r->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    r->complete = true;
    return queue(c, 200, nothing);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
    (void)cls;
    (void)c;
    (void)context;
    peer.over = peer.over || what == MHD_CONNECTION_NOTIFY_CLOSED;
}

static size_t leave_escaped(void *cls, struct MHD_Connection *c, char *text)
{
    (void)cls;
    (void)c;
    return strlen(text);
}

static void start(void)
{
    void *symbol = dlsym(RTLD_NEXT, "MHD_queue_response");
    memcpy(&queue, &symbol, sizeof symbol);
    daemon_of_it =
        MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                         MHD_OPTION_URI_LOG_CALLBACK, on_line, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL,
                         MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_END);
    nothing = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    FUZZ_CHECK(queue && daemon_of_it && nothing);
}

/* Errors among the answers; those that are good have no body. */
static bool has_error(const struct buf *answers)
{
    for (const char *p = answers->data; p && (p = strstr(p, "HTTP/1.")); p++)
        if (strncmp(p + 8, " 200", 4) != 0 && strncmp(p + 8, " 100", 4) != 0)
            return true;
    return false;
}

static void tell_peer(const char *bytes, size_t n, bool refused)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct buf answers = {0};
    char piece[4096];
    int pair[2];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    FUZZ_CHECK(MHD_add_connection(daemon_of_it, pair[0], (struct sockaddr *)&from, sizeof from) == MHD_YES);
    FUZZ_CHECK(send(pair[1], bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
    if (refused)
        FUZZ_CHECK(send(pair[1], framing_refused, strlen(framing_refused), MSG_NOSIGNAL) > 0);
    shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < ROUNDS && !peer.over; i++) {
        ssize_t got;
        FUZZ_CHECK(MHD_run(daemon_of_it) == MHD_YES);
        while ((got = recvfrom(pair[1], piece, sizeof piece, MSG_DONTWAIT, NULL, NULL)) > 0)
            buf_add(&answers, piece, (size_t)got);
    }
    FUZZ_CHECK(peer.over);
    for (ssize_t got; (got = recvfrom(pair[1], piece, sizeof piece, MSG_DONTWAIT, NULL, NULL)) > 0;)
        buf_add(&answers, piece, (size_t)got);
    peer.refused = has_error(&answers);
    buf_clear(&answers);
    close(pair[1]);
}

/* ---- both ---- */

static bool same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

static void compare(void)
{
    FUZZ_CHECK(peer.n <= strict.n + (peer.refused ? 1 : 0));
    for (size_t i = 0; i < peer.n; i++) {
        const struct request_seen *p = &peer.requests[i], *s = &strict.requests[i];
        if (!p->complete) {
            FUZZ_CHECK(peer.refused || (i + 1 == strict.n && !s->complete)); /* and waits no longer than the reader */
            continue;
        }
        FUZZ_CHECK(s->complete && same(&p->line, &s->line) && same(&p->body, &s->body));
    }
    if (peer.may_close)
        return;
    FUZZ_CHECK(peer.refused || peer.n == strict.n);
    FUZZ_CHECK(peer.refused || !strict.refused);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!queue)
        start();
    if (size > INPUT_MAX)
        return 0;
    forget(&strict);
    forget(&peer);
    size_t proven = tell_strict((const char *)data, size);
    tell_peer((const char *)data, proven, strict.refused);
    compare();
    return 0;
}
