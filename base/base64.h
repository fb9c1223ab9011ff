/* base64.h - RFC 4648 base64, as JSON bodies carry images and vectors. */
#ifndef ANCHORD_BASE_BASE64_H
#define ANCHORD_BASE_BASE64_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the encoding of `len` bytes, with padding, to out. */
void base64_encode(const void *data, size_t len, struct buf *out);

/* Decodes every spelling that clients have: either alphabet (+/ or -_), with padding or without, white space anywhere
 * (some fold lines), percent-encoded characters.  *out is the caller's to free.  ERR_BAD_INPUT for other characters, a
 * text that ends within a byte, and bits that stand over and are not zero. */
MUST_CHECK bool base64_decode(const char *text, size_t len, void **out, size_t *out_len, struct err *e);

#endif
