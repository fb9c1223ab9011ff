/* base64.h - RFC 4648 base64 (by nettle), as JSON bodies carry images and vectors. */
#ifndef ANCHORD_BASE_BASE64_H
#define ANCHORD_BASE_BASE64_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the encoding of `len` bytes, with padding, to out. */
void base64_encode(const void *data, size_t len, struct buf *out);

/* Decodes; white space anywhere is skipped (some clients fold lines).  *out is the caller's to free.
 * ERR_BAD_INPUT for other characters or missing padding. */
MUST_CHECK bool base64_decode(const char *text, size_t len, void **out, size_t *out_len, struct err *e);

#endif
