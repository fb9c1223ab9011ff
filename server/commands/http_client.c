/* http_client.c - requests and answers over one socket. */
#include "server/commands/http_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

enum { TIMEOUT_S = 120, HEAD_MAX = 64 * 1024, BODY_MAX = 64 << 20 };

struct http_client {
    char host[256], port[8];
    char *key; /* owned; NULL: none */
    bool tls;
    struct tls_trust trust; /* texts owned */
    int fd;                 /* -1: not connected */
    struct tls_link *link;  /* NULL: plain */
    struct buf in;          /* received and not used yet */
};

/* ---- the address ---- */

static bool parse_url(struct http_client *c, const char *url, struct err *e)
{
    c->tls = strncmp(url, "https://", 8) == 0;
    if (!c->tls && strncmp(url, "http://", 7) != 0)
        return err_set(e, ERR_BAD_INPUT, "%s: an address looks like http://127.0.0.1:8080", url);
    const char *host = url + (c->tls ? 8 : 7);
    size_t len = strcspn(host, "/");
    if (host[len] && host[len + 1])
        return err_set(e, ERR_BAD_INPUT, "%s: an address ends after the port", url);
    bool literal = host[0] == '['; /* an IPv6 address */
    const char *close = literal ? memchr(host, ']', len) : NULL, *colon = memrchr(host, ':', len);
    if (literal ? !close : len == 0)
        return err_set(e, ERR_BAD_INPUT, "%s: the host is missing", url);
    if (colon && colon < close)
        colon = NULL;
    size_t host_len = (size_t)((close ? close : colon ? colon : host + len) - host) - literal;
    size_t port_len = colon ? (size_t)(host + len - colon - 1) : 0;
    if (host_len >= sizeof c->host || port_len >= sizeof c->port)
        return err_set(e, ERR_BAD_INPUT, "%.80s: too long", url);
    snprintf(c->host, sizeof c->host, "%.*s", to_int(host_len), host + literal);
    snprintf(c->port, sizeof c->port, "%.*s", to_int(colon ? port_len : 3), colon ? colon + 1 : c->tls ? "443" : "80");
    return true;
}

struct http_client *http_client_new(const char *url, const char *key, const struct tls_trust *trust, struct err *e)
{
    struct http_client *c = mem_new(1, sizeof *c);
    c->fd = -1;
    c->key = mem_text(key);
    if (trust)
        c->trust = (struct tls_trust){mem_text(trust->certificate), mem_text(trust->ca_file)};
    if (parse_url(c, url, e))
        return c;
    http_client_free(c);
    return NULL;
}

static void hang_up(struct http_client *c)
{
    tls_link_close(c->link);
    if (c->fd >= 0)
        close(c->fd);
    c->link = NULL;
    c->fd = -1;
    c->in.len = 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    hang_up(c);
    buf_clear(&c->in);
    free(c->key);
    free((char *)(uintptr_t)c->trust.certificate);
    free((char *)(uintptr_t)c->trust.ca_file);
    free(c);
}

/* ---- the connection ---- */

static int connect_to(const struct addrinfo *a)
{
    const struct timeval limit = {.tv_sec = TIMEOUT_S};
    const int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool dial(struct http_client *c, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (c->fd >= 0)
        return true;
    int why = getaddrinfo(c->host, c->port, &hints, &list);
    if (why != 0)
        return err_set(e, ERR_IO, "looking up %s: %s", c->host, gai_strerror(why));
    for (const struct addrinfo *a = list; a && c->fd < 0; a = a->ai_next)
        c->fd = connect_to(a);
    freeaddrinfo(list);
    if (c->fd < 0)
        return err_sys(e, "connecting to %s port %s", c->host, c->port);
    c->link = c->tls ? tls_link_open(c->fd, c->host, &c->trust, e) : NULL;
    if (c->link || !c->tls)
        return true;
    hang_up(c);
    return false;
}

static bool send_all(struct http_client *c, const void *data, size_t len)
{
    for (const char *p = data; len > 0;) {
        ssize_t n = c->link ? tls_link_send(c->link, p, len) : send(c->fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Reads some more; false at the end, at the deadline and on errors. */
static bool receive(struct http_client *c)
{
    buf_reserve(&c->in, 16384);
    for (;;) {
        char *at = c->in.data + c->in.len;
        ssize_t n = c->link ? tls_link_receive(c->link, at, 16384) : recv(c->fd, at, 16384, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        c->in.len += (size_t)n;
        c->in.data[c->in.len] = 0;
        return true;
    }
}

static void drop(struct http_client *c, size_t n)
{
    memmove(c->in.data, c->in.data + n, c->in.len - n);
    c->in.len -= n;
    c->in.data[c->in.len] = 0;
}

/* ---- a request ---- */

static bool send_request(struct http_client *c, const struct http_ask *q)
{
    struct buf head = {0};
    bool v6 = strchr(c->host, ':') != NULL;
    buf_print(&head, "%s %s HTTP/1.1\r\nHost: %s%s%s:%s\r\n", q->method, q->target, v6 ? "[" : "", c->host,
              v6 ? "]" : "", c->port);
    if (c->key)
        buf_print(&head, "Authorization: Bearer %s\r\n", c->key);
    if (q->content_type)
        buf_print(&head, "Content-Type: %s\r\nContent-Length: %zu\r\n", q->content_type, q->len);
    buf_text(&head, "\r\n");
    bool ok = send_all(c, head.data, head.len) && (q->len == 0 || send_all(c, q->body, q->len));
    buf_clear(&head);
    return ok;
}

/* ---- its answer ---- */

/* The value of a header line in a head that ends with a zero; NULL when there is none. */
static const char *header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2;
        if (strncasecmp(at, name, len) == 0 && at[len] == ':')
            return at + len + 1 + strspn(at + len + 1, " \t");
    }
    return NULL;
}

/* Reads up to the empty line and takes it out of `in`; *head is the caller's.  NULL: no proper answer. */
static char *read_head(struct http_client *c)
{
    const char *end = NULL;
    while (!(c->in.len && (end = strstr(c->in.data, "\r\n\r\n"))) && c->in.len < HEAD_MAX)
        if (!receive(c))
            return NULL;
    if (!end)
        return NULL;
    size_t len = (size_t)(end - c->in.data) + 2; /* with the last line's end */
    char *head = mem_new(len + 1, 1);
    memcpy(head, c->in.data, len);
    drop(c, len + 2);
    return head;
}

/* `head_only`: the answer to HEAD tells the length of a body that does not come. */
static bool read_body(struct http_client *c, const char *head, bool head_only, struct http_reply *r)
{
    const char *length = header(head, "Content-Length");
    unsigned long long want = length ? strtoull(length, NULL, 10) : 0;
    bool none = head_only || r->status == 204 || r->status == 304;
    if (none)
        return true;
    if (!length || want > BODY_MAX) /* our server always says how long */
        return false;
    while (c->in.len < want)
        if (!receive(c))
            return false;
    buf_add(&r->body, c->in.data, (size_t)want);
    drop(c, (size_t)want);
    return true;
}

static bool read_answer(struct http_client *c, bool head_only, struct http_reply *r)
{
    char *head = NULL;
    bool ok = false;
    do { /* an interim answer is followed by the real one */
        free(head);
        head = read_head(c);
        r->status = head && sscanf(head, "HTTP/1.%*1[01] %3d", &r->status) == 1 ? r->status : 0;
    } while (r->status >= 100 && r->status < 200);
    if (r->status >= 200) {
        const char *later = header(head, "Retry-After"), *connection = header(head, "Connection");
        r->retry_after = later ? (int)strtol(later, NULL, 10) : 0;
        ok = read_body(c, head, head_only, r);
        if (!ok || (connection && strncasecmp(connection, "close", 5) == 0))
            hang_up(c);
    }
    free(head);
    return ok;
}

bool http_client_ask(struct http_client *c, const struct http_ask *q, struct http_reply *r, struct err *e)
{
    bool kept = c->fd >= 0;
    r->body.len = 0;
    r->status = 0;
    if (!dial(c, e))
        return false;
    /* Even when sending failed there may be an answer: a server refuses a large body early. */
    bool sent = send_request(c, q);
    if (read_answer(c, strcmp(q->method, "HEAD") == 0, r))
        return true;
    bool silent = r->status == 0 && c->in.len == 0;
    hang_up(c);
    if (kept && silent) /* the server closed the kept connection before it saw the request */
        return http_client_ask(c, q, r, e);
    return err_set(e, ERR_IO, "no proper answer from %s port %s%s", c->host, c->port,
                   sent ? "" : " (the connection ended while the request was sent)");
}
