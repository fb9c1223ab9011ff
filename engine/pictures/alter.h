/* alter.h - a picture changed in one plain way, to ask how much of a change an encoder forgives.
 *
 * No random numbers: the same picture gives the same pixels.  For random views see augment.h.
 */
#ifndef ANCHORD_ENGINE_PICTURES_ALTER_H
#define ANCHORD_ENGINE_PICTURES_ALTER_H

#include "engine/pictures/image.h"

enum alteration {
    ALTER_NOTHING,
    ALTER_CROP,   /* the middle 80 % of each side */
    ALTER_FLIP,   /* left and right */
    ALTER_BRIGHT, /* 1.4 times as bright, clipped */
    ALTER_ROTATE, /* by 15 degrees about the middle; what comes in is what stands at the edge */
    ALTER_JPEG,   /* through JPEG of quality 30 */
    ALTERATIONS
};

const char *alteration_name(enum alteration a); /* "crop"; static */
/* *out is the caller's to clear. */
MUST_CHECK bool image_alter(const struct image *in, enum alteration a, struct image *out, struct err *e);

#endif
