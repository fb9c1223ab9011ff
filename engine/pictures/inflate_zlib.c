/* inflate_zlib.c - zlib, piece by piece into a buffer. */
#include "engine/pictures/inflate.h"

#define ZLIB_CONST /* what is read is not written to */
#include <zlib.h>

#include "base/num.h"

bool inflate_bounded(const void *bytes, size_t len, size_t max, struct buf *out)
{
    unsigned char piece[16384];
    z_stream z = {.next_in = bytes, .avail_in = (uInt)len}; /* a chunk's length has 31 bits */
    const size_t start = out->len;
    int state = inflateInit(&z);
    if (state != Z_OK)
        return false;
    while (state == Z_OK) {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        state = inflate(&z, Z_NO_FLUSH);
        const size_t n = sizeof piece - z.avail_out;
        if (out->len - start + n > max)
            state = Z_MEM_ERROR;
        else
            buf_add(out, piece, n);
    }
    inflateEnd(&z);
    return state == Z_STREAM_END;
}

uint32_t checksum(const void *bytes, size_t len)
{
    return (uint32_t)crc32_z(0, bytes, len);
}
