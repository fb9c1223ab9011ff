/* colour.h - from the colours of a file to sRGB, for which networks and browsers take pixels.
 *
 * A conversion leads from one ICC profile to sRGB.  It takes milliseconds to make, so the process keeps the last few.
 * A profile that is sRGB, or equals it to one step of 255, is known for that and costs nothing more.
 *
 *     struct colour_conversion *c = colour_open(icc, len, COLOUR_RGB, 3);
 *     if (c)
 *         colour_apply(c, rgb, width * height);
 *     colour_close(c);
 *
 * Threads: all functions may be called by any thread; a conversion may be used by many at once.
 */
#ifndef ANCHORD_ENGINE_PICTURES_COLOUR_H
#define ANCHORD_ENGINE_PICTURES_COLOUR_H

#include "engine/pictures/icc.h"

struct colour_conversion;

/* `channels` of the pixels that will be given: 3 or 4 (RGBA) for grey and RGB, 4 for CMYK.  NULL: the pixels stay as
 * they are.  Then the profile means sRGB, or says nothing that can be used (icc_trim()), or there is none (len 0). */
struct colour_conversion *colour_open(const void *icc, size_t len, enum colour_model model, unsigned channels);
void colour_close(struct colour_conversion *c); /* NULL is fine */

/* Pixels of grey (as three equal channels) or RGB, in place; a fourth channel stays. */
void colour_apply(const struct colour_conversion *c, uint8_t *pixels, size_t n);
/* n pixels of four inks, each 255 - ink as JPEG has them, to RGB. */
void colour_of_inks(const struct colour_conversion *c, const uint8_t *inks, size_t n, uint8_t *rgb);

#endif
