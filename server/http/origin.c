/* origin.c - comparisons of Host and Origin with the lists of the settings. */
#include "server/http/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"

/* What may follow a name: nothing, or a port. */
static bool is_port(const char *text)
{
    if (*text != ':')
        return !*text;
    size_t digits = strspn(text + 1, "0123456789");
    return digits <= 5 && !text[1 + digits];
}

/* The name in "name", "name:80", "[::1]:80", without brackets; false when it does not fit or is none. */
static bool name_of(const char *host, char *out, size_t size)
{
    bool bracket = *host == '[';
    const char *start = host + bracket;
    size_t n = strcspn(start, bracket ? "]" : ":");
    if (n == 0 || n >= size || (bracket && (start[n] != ']' || !memchr(start, ':', n))) ||
        !is_port(start + n + bracket))
        return false;
    snprintf(out, size, "%.*s", to_int(n), start);
    return true;
}

static bool is_loopback_name(const char *name)
{
    struct in_addr v4;
    struct in6_addr v6;
    size_t n = strlen(name);
    if (!strcasecmp(name, "localhost") || (n > 10 && !strcasecmp(name + n - 10, ".localhost")))
        return true;
    if (inet_pton(AF_INET, name, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool listed(const struct conf_list *l, const char *text)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i], "*") || !strcasecmp(l->items[i], text))
            return true;
    return false;
}

bool origin_host_is_ours(const struct origins *o, const char *host)
{
    char name[256];
    if (!host || (o->hosts->n == 0 && !o->loopback))
        return true;
    if (!name_of(host, name, sizeof name))
        return false;
    return listed(o->hosts, name) || listed(o->hosts, host) || ((o->loopback || o->local) && is_loopback_name(name));
}

enum origin_kind origin_of(const struct origins *o, const char *origin, const char *host)
{
    if (!origin)
        return ORIGIN_NONE;
    if (listed(o->pages, origin))
        return ORIGIN_LISTED;
    const char *authority = !strncasecmp(origin, "http://", 7)    ? origin + 7
                            : !strncasecmp(origin, "https://", 8) ? origin + 8
                                                                  : NULL;
    return authority && host && !strcasecmp(authority, host) ? ORIGIN_SAME : ORIGIN_FOREIGN;
}

bool origin_is_hidden(const char *fetch_site, const char *fetch_dest)
{
    return fetch_site && !strcasecmp(fetch_site, "cross-site") && !(fetch_dest && !strcasecmp(fetch_dest, "document"));
}

const char *origin_allow(const struct origins *o, const char *origin)
{
    for (size_t i = 0; i < o->pages->n; i++)
        if (!strcmp(o->pages->items[i], "*"))
            return "*";
    return origin;
}
