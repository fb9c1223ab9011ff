/* image_webp.c - still WebP pictures, lossy and lossless, by libwebp. */
#include <string.h>

#include <webp/decode.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/exif.h"
#include "engine/pictures/image_codec.h"

enum { RIFF_HEADER = 12, CHUNK_HEADER = 8 };

static bool sniff(const uint8_t *bytes, size_t len)
{
    return len >= RIFF_HEADER && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static uint32_t read_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* Looks for the EXIF chunk, which may stand behind the pixels. */
static uint8_t find_orientation(const uint8_t *bytes, size_t len)
{
    size_t at = RIFF_HEADER;
    while (len - at >= CHUNK_HEADER) {
        const size_t size = read_le32(bytes + at + 4), padded = size + (size & 1);
        if (size > len - at - CHUNK_HEADER)
            break;
        if (memcmp(bytes + at, "EXIF", 4) == 0)
            return exif_orientation(bytes + at + CHUNK_HEADER, size);
        if (padded > len - at - CHUNK_HEADER)
            break;
        at += CHUNK_HEADER + padded;
    }
    return 1;
}

static bool read_features(const struct image_source *src, WebPBitstreamFeatures *f, struct image_info *info,
                          struct err *e)
{
    if (WebPGetFeatures(src->bytes, src->len, f) != VP8_STATUS_OK)
        return err_set(e, ERR_UNDECODABLE, "the WebP is damaged or truncated");
    if (f->has_animation)
        return err_set(e, ERR_UNDECODABLE, "animated WebP is not supported");
    if (!image_check_size(src->limits, (uint64_t)f->width, (uint64_t)f->height, e))
        return false;
    *info = (struct image_info){.format = IMAGE_WEBP, .width = (uint32_t)f->width, .height = (uint32_t)f->height,
                                .orientation = find_orientation(src->bytes, src->len)};
    return true;
}

static bool probe(const struct image_source *src, struct image_info *info, struct err *e)
{
    WebPBitstreamFeatures f;
    return read_features(src, &f, info, e);
}

static bool decode(const struct image_source *src, uint32_t goal, struct image *out,
                   struct image_info *info, struct err *e)
{
    WebPBitstreamFeatures f;
    UNUSED(goal);
    if (!read_features(src, &f, info, e))
        return false;
    const size_t channels = f.has_alpha ? 4 : 3, stride = info->width * channels, size = stride * info->height;
    const size_t inside = (size_t)info->width * info->height * 4; /* libwebp's own, when it is lossless */
    struct image img = {0};
    if (!image_prepare(src, info, info->width, info->height, channels, inside, &img, e)) {
        image_clear(&img);
        return false;
    }
    const uint8_t *done = f.has_alpha
                              ? WebPDecodeRGBAInto(src->bytes, src->len, img.rgb, size, to_int(stride))
                              : WebPDecodeRGBInto(src->bytes, src->len, img.rgb, size, to_int(stride));
    if (!done) {
        image_clear(&img);
        return err_set(e, ERR_UNDECODABLE, "the WebP is damaged or truncated");
    }
    if (f.has_alpha)
        image_flatten(&img);
    *out = img;
    return true;
}

const struct codec codec_webp = {IMAGE_WEBP, "image/webp", sniff, probe, decode};
