/* thumbnail.h - small previews of stored pictures. */
#ifndef ANCHORD_ENGINE_PICTURES_THUMBNAIL_H
#define ANCHORD_ENGINE_PICTURES_THUMBNAIL_H

#include "engine/pictures/image.h"

enum { THUMBNAIL_MIN_SIDE = 16, THUMBNAIL_MAX_SIDE = 1024 };

/* Appends a JPEG of the picture to out: upright, its longest side `side` pixels (smaller pictures keep their
 * size), cubic filter.  ERR_BAD_INPUT with param "size" when side is out of range; else as image_decode(). */
MUST_CHECK bool thumbnail_write(const void *bytes, size_t len, const struct image_limits *limits, uint32_t side,
                                struct buf *out, struct err *e);

#endif
