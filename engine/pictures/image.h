/* image.h - pictures: telling what they are, decoding them safely, writing them.
 *
 * A file is hostile until proven otherwise.  Its content decides the format, never a header or a file name.  All limits
 * are checked before a pixel is decoded.  A decode that would invent pixels is refused.  A file may be odd, or lack
 * what no pixel needs, but not a part of its pixels.  EXIF orientation 1 to 8 is applied, so width and height are
 * always those of the upright picture.  Colours are brought to sRGB by the file's ICC profile.
 *
 *     struct image_info info;
 *     struct image img;
 *     if (image_probe(bytes, len, &limits, &info, e) && image_decode(bytes, len, &limits, 224, &img, e))
 *         ... image_clear(&img);
 *
 * Decoding can take hundreds of megabytes: a progressive JPEG is held as coefficients, 6 bytes a pixel, before the
 * first row comes out.  With limits.memory all of it is taken from a budget, from before the decoding until
 * image_clear().  A decode that finds too little left waits, at most as long as a decode may take: ERR_BUSY then.
 *
 * Errors: ERR_MEDIA_TYPE (none of the formats we know), ERR_TOO_LARGE (a limit, which the text names),
 * ERR_UNDECODABLE (damaged).  Threads: all functions are pure.
 */
#ifndef ANCHORD_ENGINE_PICTURES_IMAGE_H
#define ANCHORD_ENGINE_PICTURES_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/err.h"

enum image_format { IMAGE_UNKNOWN, IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP };

struct image { /* 8-bit sRGB, upright: rgb[(y * width + x) * 3 + channel]; transparency lies over white */
    uint32_t width, height;
    uint8_t *rgb;          /* owned; released by image_clear() */
    struct budget *budget; /* that `held` bytes go back to then; NULL: none */
    size_t held;
};

struct image_info {
    enum image_format format;
    uint32_t width, height; /* upright, full size */
    uint8_t orientation;    /* EXIF, 1 to 8 */
};

struct image_limits {
    size_t bytes;          /* of the file */
    uint64_t pixels;       /* width x height, before any scaling */
    uint32_t side;         /* longest side */
    uint32_t scans;        /* of a progressive JPEG */
    uint32_t millis;       /* wall time of one decode (JPEG, PNG); 0: no limit */
    struct budget *memory; /* shared by all that decode at once; NULL: no limit */
};
extern const struct image_limits image_default_limits; /* 32 MB, 50 million, 16384, 100, 10 s */

enum image_format image_sniff(const void *bytes, size_t len);
/* The name of a file's kind when it is none of ours ("HEIC"); NULL: we do not know it, or it is one of ours.
 * Static. */
const char *image_foreign_name(const void *bytes, size_t len);
const char *image_media_type(enum image_format f); /* "image/jpeg"; static */

/* Reads the header only; checks every limit that the header shows. */
MUST_CHECK bool image_probe(const void *bytes, size_t len, const struct image_limits *limits, struct image_info *info,
                            struct err *e);

/* Decodes to RGB.  The caller will resize to a shorter side of `goal`; 0 asks for full size.  With goal > 0 a JPEG may
 * be decoded at 1/2, 1/4 or 1/8 (DCT scaling).  At least twice `goal` is left, so that the resize decides what the
 * result looks like, and not the container. */
MUST_CHECK bool image_decode(const void *bytes, size_t len, const struct image_limits *limits, uint32_t goal,
                             struct image *out, struct err *e);
MUST_CHECK bool image_new(uint32_t width, uint32_t height, struct image *out, struct err *e); /* black */
void image_clear(struct image *img); /* frees rgb, gives back what is held; an empty image is fine */

/* Appends the encoded file to out; after a failure a part of it may be there. */
MUST_CHECK bool image_write_png(const struct image *img, struct buf *out, struct err *e);
MUST_CHECK bool image_write_jpeg(const struct image *img, int quality, struct buf *out, struct err *e);

#endif
