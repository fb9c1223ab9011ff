/* percent.h - percent-encoding in URLs (RFC 3986, 2.1). */
#ifndef ANCHORD_BASE_PERCENT_H
#define ANCHORD_BASE_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Decodes `len` bytes into out, which has room for len + 1.  False for a percent sign without two
 * hexadecimal digits, and for %00, which no text of ours may hold. */
bool percent_decode(const char *in, size_t len, char *out);

/* Appends the text, encoded for a path segment or a query value: only unreserved characters stay. */
void percent_encode(const char *text, struct buf *out);

#endif
