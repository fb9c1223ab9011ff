/* multipart.h - multipart/form-data (RFC 7578, RFC 2046 section 5.1) over a body that lies in memory.
 *
 *     struct part *parts;
 *     size_t n;
 *     if (multipart_parse(content_type, body, len, 1000, &arena, &parts, &n, e))
 *         ... parts[0].name, parts[0].data[0..len) ...
 *
 * The data of a part points into the body; names are copies in the arena.  The body is hostile until proven otherwise.
 * Lines end in CRLF, headers are short and free of control characters.  Every part has one Content-Disposition with one
 * name.  The closing delimiter must be there.  Time is linear in the body.
 */
#ifndef ANCHORD_API_REQUESTS_MULTIPART_H
#define ANCHORD_API_REQUESTS_MULTIPART_H

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

struct part {
    const char *name;
    const char *filename;     /* NULL: none; that of filename* where there is one */
    const char *content_type; /* NULL: none */
    const char *data;         /* borrowed from the body; not zero-terminated */
    size_t len;
};

/* ERR_BAD_INPUT; ERR_TOO_LARGE for more than max_parts. */
MUST_CHECK bool multipart_parse(const char *content_type, const void *body, size_t len, size_t max_parts,
                                struct arena *a, struct part **parts, size_t *n, struct err *e);

#endif
