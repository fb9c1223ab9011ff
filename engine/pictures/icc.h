/* icc.h - the part of an ICC profile that leads from a picture's numbers to its colours (ICC.1:2022).
 *
 * A profile is hostile until proven otherwise, and a colour engine is a large reader.  So the engine never sees one as
 * it came, but a small one of the same meaning.  That has the header, and the tags that the way into the profile
 * connection space needs.  The type, the channels and the table sizes of each tag are checked against the bytes that
 * are there.
 */
#ifndef ANCHORD_ENGINE_PICTURES_ICC_H
#define ANCHORD_ENGINE_PICTURES_ICC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum colour_model { COLOUR_GREY = 1, COLOUR_RGB = 3, COLOUR_CMYK = 4 }; /* the value is the number of channels */
enum { ICC_MAX = 4 << 20 }; /* bytes of a profile; those of printing presses have up to 3 MB */

/* Appends the small profile to out.  False, and nothing appended: it is damaged, of another colour model, too large, or
 * of a kind that is not read.  Those are device links, named colours, ICC.2, spectral and floating-point pipelines. */
bool icc_trim(const uint8_t *bytes, size_t len, enum colour_model model, struct buf *out);

#endif
