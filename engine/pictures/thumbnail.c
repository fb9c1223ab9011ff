/* thumbnail.c - decode small, resize, encode. */
#include "engine/pictures/thumbnail.h"

#include "base/num.h"
#include "engine/pictures/preprocess.h"

enum { QUALITY = 85 };

/* length * part / whole, rounded, at least 1. */
static uint32_t scale_length(uint32_t length, uint32_t part, uint32_t whole)
{
    const uint64_t scaled = ((uint64_t)length * part + whole / 2) / whole;
    return scaled ? (uint32_t)scaled : 1;
}

bool thumbnail_write(const void *bytes, size_t len, const struct image_limits *limits, uint32_t side, struct buf *out,
                     struct err *e)
{
    struct image_info info;
    struct image img = {0}, small = {0};
    bool ok = false;
    if (side < THUMBNAIL_MIN_SIDE || side > THUMBNAIL_MAX_SIDE)
        return err_field(e, "size", "a thumbnail has %d to %d pixels a side", THUMBNAIL_MIN_SIDE, THUMBNAIL_MAX_SIDE);
    if (!image_probe(bytes, len, limits, &info, e))
        return false;
    const uint32_t longest = info.width > info.height ? info.width : info.height;
    const uint32_t goal = side < longest ? side : longest;
    const uint32_t width = scale_length(info.width, goal, longest), height = scale_length(info.height, goal, longest);
    if (image_decode(bytes, len, limits, width < height ? width : height, &img, e) &&
        image_resize(&img, width, height, RESIZE_BICUBIC, &small, e))
        ok = image_write_jpeg(&small, QUALITY, out, e);
    image_clear(&img);
    image_clear(&small);
    return ok;
}
