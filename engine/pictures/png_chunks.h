/* png_chunks.h - walks the chunks of a PNG file without decoding it.
 *
 * libpng stops where the pixels end and skips what no pixel needs; orientation and colour profile stand there too.  A chunk
 * with a wrong checksum says nothing.  The walk is linear, and of all compressed chunks it inflates two at most.
 */
#ifndef ANCHORD_ENGINE_PICTURES_PNG_CHUNKS_H
#define ANCHORD_ENGINE_PICTURES_PNG_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct png_chunks {
    uint8_t orientation;    /* of eXIf, wherever it stands; else of ImageMagick's "Raw profile type exif"; else 1 */
    bool damaged;           /* the checksum of tRNS is wrong: it is a part of the pixels */
    const uint8_t *profile; /* iCCP: name, method, zlib stream; borrowed; NULL: none */
    size_t profile_len;
};

struct png_chunks png_chunks_read(const uint8_t *bytes, size_t len);
/* Appends the ICC profile to out; nothing when there is none or it is damaged. */
void png_chunks_icc(const struct png_chunks *c, struct buf *out);

#endif
