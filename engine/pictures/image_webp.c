/* image_webp.c - WebP pictures, lossy and lossless, by libwebp; of an animation the first frame. */
#include <string.h>

#include <webp/decode.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/colour.h"
#include "engine/pictures/exif.h"
#include "engine/pictures/image_codec.h"

enum { RIFF_HEADER = 12, CHUNK_HEADER = 8, FRAME_HEADER = 16 };

struct span { /* borrowed from the file */
    const uint8_t *bytes;
    size_t len;
};

struct container {                /* what stands around the pixels; lengths 0: absent */
    struct span exif, icc, frame; /* the first of each; a frame with its header */
};

struct picture { /* the pixels that will be decoded, and where on the canvas they lie */
    struct span data;
    uint32_t x, y;
    bool alpha;
};

static bool sniff(const uint8_t *bytes, size_t len)
{
    return len >= RIFF_HEADER && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static uint32_t read_le24(const uint8_t *p)
{
    return (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint32_t read_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | read_le24(p);
}

/* The chunks may stand in front of the pixels or behind them. */
static struct container read_container(const uint8_t *bytes, size_t len)
{
    struct container c = {0};
    size_t at = RIFF_HEADER;
    while (len - at >= CHUNK_HEADER) {
        const size_t size = read_le32(bytes + at + 4), padded = size + (size & 1);
        struct span *to = memcmp(bytes + at, "EXIF", 4) == 0   ? &c.exif
                          : memcmp(bytes + at, "ICCP", 4) == 0 ? &c.icc
                          : memcmp(bytes + at, "ANMF", 4) == 0 ? &c.frame
                                                               : NULL;
        if (size > len - at - CHUNK_HEADER)
            break;
        if (to && !to->len)
            *to = (struct span){bytes + at + CHUNK_HEADER, size};
        if (padded > len - at - CHUNK_HEADER)
            break;
        at += CHUNK_HEADER + padded;
    }
    return c;
}

/* A frame: x / 2, y / 2, width - 1, height - 1 and the duration, three bytes each, and flags; then chunks as in a file. */
static bool find_picture(const struct image_source *src, const struct container *c, const WebPBitstreamFeatures *f,
                         struct picture *p)
{
    WebPBitstreamFeatures own;
    *p = (struct picture){.data = {src->bytes, src->len}, .alpha = f->has_alpha};
    if (!f->has_animation)
        return true;
    if (c->frame.len <= FRAME_HEADER)
        return false;
    const uint8_t *head = c->frame.bytes;
    const uint64_t x = 2 * (uint64_t)read_le24(head), y = 2 * (uint64_t)read_le24(head + 3);
    const uint64_t width = (uint64_t)read_le24(head + 6) + 1, height = (uint64_t)read_le24(head + 9) + 1;
    p->data = (struct span){head + FRAME_HEADER, c->frame.len - FRAME_HEADER};
    p->x = (uint32_t)x;
    p->y = (uint32_t)y;
    if (x + width > (uint64_t)f->width || y + height > (uint64_t)f->height ||
        WebPGetFeatures(p->data.bytes, p->data.len, &own) != VP8_STATUS_OK || own.has_animation ||
        (uint64_t)own.width != width || (uint64_t)own.height != height)
        return false;
    p->alpha = own.has_alpha || own.width < f->width || own.height < f->height; /* beside it there is nothing */
    return true;
}

static bool damaged(struct err *e)
{
    return err_set(e, ERR_UNDECODABLE, "the WebP is damaged or truncated");
}

static bool read_features(const struct image_source *src, struct container *c, struct picture *p,
                          struct image_info *info, struct err *e)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures(src->bytes, src->len, &f) != VP8_STATUS_OK)
        return damaged(e);
    if (!image_check_size(src->limits, (uint64_t)f.width, (uint64_t)f.height, e))
        return false;
    *c = read_container(src->bytes, src->len);
    if (!find_picture(src, c, &f, p))
        return damaged(e);
    *info = (struct image_info){.format = IMAGE_WEBP,
                                .width = (uint32_t)f.width,
                                .height = (uint32_t)f.height,
                                .orientation = exif_orientation(c->exif.bytes, c->exif.len)};
    return true;
}

static bool probe(const struct image_source *src, struct image_info *info, struct err *e)
{
    struct container c;
    struct picture p;
    return read_features(src, &c, &p, info, e);
}

/* Into its place on a canvas that is clear, or that it covers. */
static bool decode_picture(const struct picture *p, struct image *img)
{
    const size_t channels = p->alpha ? 4 : 3, stride = img->width * channels, start = p->y * stride + p->x * channels;
    const size_t size = stride * img->height - start;
    return p->alpha ? WebPDecodeRGBAInto(p->data.bytes, p->data.len, img->rgb + start, size, to_int(stride)) != NULL
                    : WebPDecodeRGBInto(p->data.bytes, p->data.len, img->rgb + start, size, to_int(stride)) != NULL;
}

static bool decode(const struct image_source *src, uint32_t goal, struct image *out, struct image_info *info,
                   struct err *e)
{
    struct container c;
    struct picture p;
    UNUSED(goal);
    if (!read_features(src, &c, &p, info, e))
        return false;
    const size_t inside = (size_t)info->width * info->height * 4; /* libwebp's own, when it is lossless */
    struct image img = {0};
    if (!image_prepare(src, info, info->width, info->height, p.alpha ? 4 : 3, inside, &img, e)) {
        image_clear(&img);
        return false;
    }
    if (!decode_picture(&p, &img)) {
        image_clear(&img);
        return damaged(e);
    }
    struct colour_conversion *colour = colour_open(c.icc.bytes, c.icc.len, COLOUR_RGB, p.alpha ? 4 : 3);
    if (colour)
        colour_apply(colour, img.rgb, (size_t)img.width * img.height);
    colour_close(colour);
    if (p.alpha)
        image_flatten(&img);
    *out = img;
    return true;
}

const struct codec codec_webp = {IMAGE_WEBP, "image/webp", sniff, probe, decode};
