/* json_large.h - integers from 2^63 to 2^64 - 1, which the parser has no room for, put in a dress that it lets through.
 *
 * Before parsing, 18446744073709551615 becomes the text "\u0000" "18446744073709551615".  No text of a client can look
 * like that, for \u0000 in one is refused at the same look over the document.  json_dump() writes it as a number again.
 */
#ifndef ANCHORD_BASE_JSON_LARGE_H
#define ANCHORD_BASE_JSON_LARGE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* `out` stays empty when there is nothing to dress.  The text need not be valid JSON.  ERR_BAD_INPUT for an integer beyond
 * the range and for \u0000 in a text. */
MUST_CHECK bool json_large_dress(const char *text, size_t len, struct buf *out, struct err *e);

#endif
