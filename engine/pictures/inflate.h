/* inflate.h - what PNG takes from zlib beside its pixels: bounded inflating, and the checksum of a chunk. */
#ifndef ANCHORD_ENGINE_PICTURES_INFLATE_H
#define ANCHORD_ENGINE_PICTURES_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Appends what a zlib stream holds to out.  False: it is damaged, or longer than `max` bytes; a part may be there. */
bool inflate_bounded(const void *bytes, size_t len, size_t max, struct buf *out);
uint32_t checksum(const void *bytes, size_t len); /* CRC-32 */

#endif
