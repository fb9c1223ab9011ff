/* profiles.h - ICC profiles made by little-cms, and the files that carry them. */
#ifndef ANCHORD_TESTS_LIB_PROFILES_H
#define ANCHORD_TESTS_LIB_PROFILES_H

#include "base/buf.h"

enum profile_kind { PROFILE_SRGB, PROFILE_P3, PROFILE_ADOBE_RGB, PROFILE_GREY, PROFILE_INKS };

/* Appends a profile: sRGB; Display P3; Adobe RGB; grey of gamma 1.8; four inks by a table.  In that table black ink
 * alone counts and lightness is 100 (1 - K). */
void t_profile(enum profile_kind kind, struct buf *out);

/* Append what carries a profile: APP2 segments of `part` bytes, in falling order; an iCCP chunk; an ICCP chunk of WebP. */
void t_icc_segments(const struct buf *icc, size_t part, struct buf *out);
void t_icc_chunk(const struct buf *icc, struct buf *out);
void t_icc_webp(const struct buf *icc, struct buf *out);

#endif
