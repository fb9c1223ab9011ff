/* jpeg_markers.c - the marker walk (ITU-T T.81, annex B). */
#include "engine/pictures/jpeg_markers.h"

#include <stdbool.h>
#include <string.h>

#include "base/num.h"
#include "engine/pictures/exif.h"

enum { SOI = 0xd8, EOI = 0xd9, SOS = 0xda, APP1 = 0xe1, RST0 = 0xd0, RST7 = 0xd7, TEM = 0x01 };

/* The code of the next marker, or EOI at the end; *at is moved behind it.  Between segments and in entropy
 * coded data alike, FF 00 is a stuffed byte and FF FF is fill. */
static unsigned next_marker(const uint8_t *bytes, size_t len, size_t *at)
{
    while (*at < len) {
        const uint8_t *ff = memchr(bytes + *at, 0xff, len - *at);
        if (!ff)
            break;
        *at = (size_t)(ff - bytes) + 1;
        while (*at < len && bytes[*at] == 0xff)
            ++*at;
        if (*at < len && bytes[(*at)++] != 0)
            return bytes[*at - 1];
    }
    *at = len;
    return EOI;
}

static bool stands_alone(unsigned marker)
{
    return marker == SOI || marker == TEM || (marker >= RST0 && marker <= RST7);
}

struct jpeg_markers jpeg_markers_read(const uint8_t *bytes, size_t len)
{
    struct jpeg_markers found = {.orientation = 1};
    bool have_exif = false;
    unsigned marker;
    size_t at = 0;
    while ((marker = next_marker(bytes, len, &at)) != EOI) {
        if (stands_alone(marker))
            continue;
        if (len - at < 2)
            break;
        const size_t size = max_size((size_t)bytes[at] << 8 | bytes[at + 1], 2); /* libjpeg forgives 0 and 1 */
        if (size > len - at)
            break;
        const uint8_t *body = bytes + at + 2;
        if (marker == SOS)
            found.scans++;
        if (marker == APP1 && !have_exif && size - 2 >= 6 && memcmp(body, "Exif\0\0", 6) == 0) {
            found.orientation = exif_orientation(body, size - 2);
            have_exif = true;
        }
        at += size;
    }
    return found;
}
