/* image_codec.h - what each picture format gives to image.c: one table row of functions.
 *
 * A codec deals with the pixels as they are stored; image.c turns them upright afterwards.
 */
#ifndef ANCHORD_ENGINE_PICTURES_IMAGE_CODEC_H
#define ANCHORD_ENGINE_PICTURES_IMAGE_CODEC_H

#include "engine/pictures/image.h"

struct image_source { /* borrowed; at most limits->bytes long */
    const uint8_t *bytes;
    size_t len;
    const struct image_limits *limits;
};

struct codec {
    enum image_format format;
    const char *media_type;
    bool (*sniff)(const uint8_t *bytes, size_t len);
    /* Both fill width and height as stored (not upright) and the orientation, after the limits. */
    bool (*probe)(const struct image_source *src, struct image_info *info, struct err *e);
    bool (*decode)(const struct image_source *src, uint32_t goal, struct image *out, struct image_info *info,
                   struct err *e);
};
extern const struct codec codec_jpeg, codec_png, codec_webp;

/* Checks stored dimensions against the limits; every codec calls it before it decodes a pixel. */
MUST_CHECK bool image_check_size(const struct image_limits *limits, uint64_t width, uint64_t height, struct err *e);

/* The picture that a codec decodes into: width x height with `channels` bytes a pixel.  It is taken from the limits'
 * budget together with what turning it upright takes and with `extra` bytes of the decoder's own. */
MUST_CHECK bool image_prepare(const struct image_source *src, const struct image_info *info, uint32_t width,
                              uint32_t height, size_t channels, size_t extra, struct image *out, struct err *e);

/* RGBA in img->rgb (4 bytes for each pixel) becomes RGB over white, in place. */
void image_flatten(struct image *img);

/* A moment (base/clock.h) after which a decode must stop; INT64_MAX without a limit. */
int64_t image_deadline(const struct image_limits *limits);

#endif
