/* jpeg_markers.h - walks the markers of a JPEG file without decoding it.
 *
 * libjpeg can collect markers too (jpeg_save_markers), but its time is quadratic in their number in the
 * versions before 3.0.4: 4 MB of empty APP1 markers would take minutes.  This walk is linear.
 */
#ifndef ANCHORD_ENGINE_PICTURES_JPEG_MARKERS_H
#define ANCHORD_ENGINE_PICTURES_JPEG_MARKERS_H

#include <stddef.h>
#include <stdint.h>

struct jpeg_markers {
    size_t scans;        /* SOS markers up to the end of the image */
    uint8_t orientation; /* of the first EXIF block; 1 when there is none */
};

struct jpeg_markers jpeg_markers_read(const uint8_t *bytes, size_t len);

#endif
