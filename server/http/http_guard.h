/* http_guard.h - the head of a request as libmicrohttpd hands it over, checked before anything else looks at it.
 *
 * Where requests begin and end is decided before, on the bytes (framing.h).  Here the fields get their meaning, and
 * those that have one may be there once.  A second wall stands here too, should bytes ever reach libmicrohttpd past the
 * reader: a head that can be read in two ways is refused.  That is one with two lengths, a length beside chunks, any
 * coding but `chunked`, names that are no tokens, or control characters in values.  Every error means: answer, then
 * close the connection.
 */
#ifndef ANCHORD_SERVER_HTTP_HTTP_GUARD_H
#define ANCHORD_SERVER_HTTP_HTTP_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include "api/requests/call.h"
#include "base/err.h"

struct head_field {
    const char *name, *value; /* zero-terminated; value NULL: a query parameter without '=' */
    size_t name_len, value_len;
};

struct head {                     /* as it came over the wire */
    const char *method, *version; /* "GET", "HTTP/1.1" */
    const char *path;             /* still percent-encoded, without the query */
    const struct head_field *fields;
    size_t n_fields;
    const struct head_field *query; /* '+' is a space already, percent signs are not decoded */
    size_t n_query;
};

struct head_facts { /* texts are borrowed from the head; NULL: not there */
    enum method method;
    int64_t content_length; /* -1: none */
    bool chunked;
    bool expects_continue;
    const char *fetch_site,
        *fetch_dest; /* what browsers say of requests that have no Origin: of pictures, scripts, links */
    const char *host, *origin, *authorization, *api_key, *x_api_key;
    const char *content_type, *content_encoding, *accept, *if_match, *if_none_match;
    const char *generation, *request_id, *last_event_id, *wanted_method, *wanted_headers;
    const char *length_text, *coding, *expect;
};

/* ERR_BAD_INPUT and ERR_EXPECTATION.  ERR_NOT_IMPLEMENTED: a method or coding that we do not have.  ERR_TOO_LARGE: a
 * length no number holds.  ERR_MEDIA_TYPE: an encoded body.  ERR_NOT_FOUND: a target that is no path.  ERR_BAD_METHOD:
 * OPTIONS *. */
MUST_CHECK bool guard_check(const struct head *h, struct head_facts *out, struct err *e);

/* The methods that 405 and 501 answers name in Allow. */
extern const char guard_methods[];

#endif
