/* address.c - parsing, resolving, listening. */
#include "server/http/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"

bool address_parse(const char *text, struct address *out, struct err *e)
{
    const char *colon = strrchr(text, ':');
    const char *start = text, *end = colon;
    char *rest = NULL;

    if (*text == '[' && colon && colon > text && colon[-1] == ']') {
        start++;
        end--;
    } else if (colon && memchr(text, ':', (size_t)(colon - text))) {
        return err_set(e, ERR_BAD_INPUT, "an IPv6 host needs brackets: [::1]:8080");
    }
    if (!colon || end <= start || (size_t)(end - start) >= sizeof out->host)
        return err_set(e, ERR_BAD_INPUT, "not HOST:PORT");
    unsigned long port = strtoul(colon + 1, &rest, 10);
    if (colon[1] < '0' || colon[1] > '9' || *rest || port > 65535)
        return err_set(e, ERR_BAD_INPUT, "the port is not a number from 0 to 65535");
    snprintf(out->host, sizeof out->host, "%.*s", to_int((size_t)(end - start)), start);
    out->port = (uint16_t)port;
    return true;
}

void address_url(const struct address *a, bool tls, char *out, size_t size)
{
    bool v6 = strchr(a->host, ':');
    snprintf(out, size, "%s://%s%s%s:%u", tls ? "https" : "http", v6 ? "[" : "", a->host, v6 ? "]" : "", a->port);
}

void address_local_url(const struct address *a, bool tls, char *out, size_t size)
{
    struct address local = *a;
    struct in6_addr v6;
    struct in_addr v4;
    if (inet_pton(AF_INET, a->host, &v4) == 1 && v4.s_addr == htonl(INADDR_ANY))
        snprintf(local.host, sizeof local.host, "127.0.0.1");
    else if (inet_pton(AF_INET6, a->host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6))
        snprintf(local.host, sizeof local.host, "::1");
    address_url(&local, tls, out, size);
}

/* An IPv4 client of an IPv6 socket too. */
bool address_is_loopback(const struct sockaddr *sa)
{
    if (!sa)
        return false;
    if (sa->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24 == 127;
    if (sa->sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage got;
    socklen_t len = sizeof got;
    if (getsockname(fd, (struct sockaddr *)&got, &len) != 0)
        return 0;
    return ntohs(got.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&got)->sin_port
                                          : ((struct sockaddr_in6 *)(void *)&got)->sin6_port);
}

/* Accepted sockets inherit TCP_NODELAY: answers leave at once. */
static int open_socket(const struct addrinfo *ai, int backlog)
{
    int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, backlog) == 0)
        return fd;
    close(fd);
    return -1;
}

int address_listen(struct address *a, int backlog, bool *loopback, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    char port[8];
    int fd = -1;

    snprintf(port, sizeof port, "%u", a->port);
    int why = getaddrinfo(a->host, port, &hints, &found);
    if (why != 0) {
        err_set(e, ERR_BAD_INPUT, "%s: %s", a->host, gai_strerror(why));
        return -1;
    }
    *loopback = address_is_loopback(found->ai_addr);
    fd = open_socket(found, backlog);
    if (fd < 0)
        err_sys(e, "listening on %s:%u", a->host, a->port);
    else
        a->port = port_of(fd);
    freeaddrinfo(found);
    return fd;
}

void address_of_client(const struct sockaddr *sa, char out[ADDRESS_TEXT])
{
    struct in6_addr v6;
    snprintf(out, ADDRESS_TEXT, "-");
    if (sa && sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, out, ADDRESS_TEXT);
    } else if (sa && sa->sa_family == AF_INET6) {
        v6 = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&v6))
            memset(v6.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &v6, out, ADDRESS_TEXT);
    }
}
