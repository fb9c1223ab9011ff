/* origin.h - which host names a request may be addressed to, and which web pages may send it.
 *
 * A page on any site can make a browser talk to a server on loopback, and by DNS rebinding even read the answers.  So
 * Host must be a name that is ours: one of `allowed_hosts`.  When that is empty and the server listens on loopback, it
 * must be a loopback name.  A client on this machine may always use a loopback name: the health check of a container
 * does, and rebinding cannot make one up.  A request that changes or computes something must not come from a foreign
 * page (Origin).  Where no key is asked for, no request that costs work may (gate.c).  Pages of `cors_origins`
 * (`admin_cors_origins` on the admin listener) may call and read; no others get an Access-Control-Allow-Origin.
 */
#ifndef ANCHORD_SERVER_HTTP_ORIGIN_H
#define ANCHORD_SERVER_HTTP_ORIGIN_H

#include "base/conf.h"

struct origins { /* borrowed from the settings */
    const struct conf_list *hosts, *pages;
    bool loopback; /* the listener is */
    bool local;    /* the client is */
};

/* `host`: the header's value, with or without a port; NULL (HTTP/1.0) passes: no browser sends that. */
bool origin_host_is_ours(const struct origins *o, const char *host);

enum origin_kind { ORIGIN_NONE, ORIGIN_SAME, ORIGIN_LISTED, ORIGIN_FOREIGN };
enum origin_kind origin_of(const struct origins *o, const char *origin, const char *host);
/* A browser fetches a picture, a script or a frame for a page of another site, without saying which.  Somebody who
 * follows a link means it. */
bool origin_is_hidden(const char *fetch_site, const char *fetch_dest);
/* The value of Access-Control-Allow-Origin for a listed origin: "*" or the origin itself. */
const char *origin_allow(const struct origins *o, const char *origin);

#endif
