/* jpeg_markers.h - walks the markers of a JPEG file without decoding it.
 *
 * libjpeg can collect markers too (jpeg_save_markers), but before version 3.0.4 its time is quadratic in their number.
 * 4 MB of empty APP1 markers would take minutes.  This walk is linear.
 */
#ifndef ANCHORD_ENGINE_PICTURES_JPEG_MARKERS_H
#define ANCHORD_ENGINE_PICTURES_JPEG_MARKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { JPEG_ICC_PARTS = 255 };

struct jpeg_markers {
    size_t scans;                             /* SOS markers up to the end of the image */
    uint8_t orientation;                      /* of the first EXIF block; 1 when there is none */
    struct jpeg_icc {                         /* the colour profile, in numbered parts */
        uint8_t said;                         /* how many parts there are; 0: no profile */
        bool damaged;                         /* parts that contradict each other */
        const uint8_t *bytes[JPEG_ICC_PARTS]; /* by their numbers, from 0; borrowed; NULL: did not come */
        size_t len[JPEG_ICC_PARTS];
    } icc;
};

void jpeg_markers_read(const uint8_t *bytes, size_t len, struct jpeg_markers *out);
/* Appends the ICC profile to out; nothing when there is none, a part of it is missing, or it is too large. */
void jpeg_markers_icc(const struct jpeg_markers *m, struct buf *out);

#endif
