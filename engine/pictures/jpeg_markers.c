/* jpeg_markers.c - the marker walk (ITU-T T.81, annex B). */
#include "engine/pictures/jpeg_markers.h"

#include <stdbool.h>
#include <string.h>

#include "base/num.h"
#include "engine/pictures/exif.h"
#include "engine/pictures/icc.h"

enum { SOI = 0xd8, EOI = 0xd9, SOS = 0xda, APP1 = 0xe1, APP2 = 0xe2, RST0 = 0xd0, RST7 = 0xd7, TEM = 0x01 };

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

/* An APP2 segment: "ICC_PROFILE", the number of the part, how many there are, the part. */
static void take_icc(const uint8_t *body, size_t len, struct jpeg_icc *icc)
{
    enum { HEAD = 14 };
    if (len < HEAD || memcmp(body, "ICC_PROFILE", 12) != 0)
        return;
    const unsigned number = body[12], all = body[13];
    if (number == 0 || number > all || (icc->said && icc->said != all) || icc->bytes[number - 1]) {
        icc->damaged = true;
        return;
    }
    icc->said = (uint8_t)all;
    icc->bytes[number - 1] = body + HEAD;
    icc->len[number - 1] = len - HEAD;
}

void jpeg_markers_icc(const struct jpeg_markers *m, struct buf *out)
{
    const struct jpeg_icc *icc = &m->icc;
    size_t total = 0;
    for (size_t i = 0; i < icc->said; i++) {
        if (!icc->bytes[i])
            return;
        total += icc->len[i];
    }
    for (size_t i = 0; !icc->damaged && total <= ICC_MAX && i < icc->said; i++)
        buf_add(out, icc->bytes[i], icc->len[i]);
}

void jpeg_markers_read(const uint8_t *bytes, size_t len, struct jpeg_markers *out)
{
    bool have_exif = false;
    unsigned marker;
    size_t at = 0;
    *out = (struct jpeg_markers){.orientation = 1};
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
            out->scans++;
        if (marker == APP1 && !have_exif && size - 2 >= 6 && memcmp(body, "Exif\0\0", 6) == 0) {
            out->orientation = exif_orientation(body, size - 2);
            have_exif = true;
        }
        if (marker == APP2)
            take_icc(body, size - 2, &out->icc);
        at += size;
    }
}
