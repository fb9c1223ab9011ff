/* image.c - finding the codec, checking limits, turning pictures upright. */
#include "engine/pictures/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/image_codec.h"

const struct image_limits image_default_limits = {
    .bytes = 32u << 20, .pixels = 50000000, .side = 16384, .scans = 100, .millis = 10000};

static const struct codec *const codecs[] = {&codec_jpeg, &codec_png, &codec_webp};

static const struct codec *find_codec(const void *bytes, size_t len)
{
    for (size_t i = 0; i < COUNT(codecs); i++)
        if (codecs[i]->sniff(bytes, len))
            return codecs[i];
    return NULL;
}

enum image_format image_sniff(const void *bytes, size_t len)
{
    const struct codec *c = find_codec(bytes, len);
    return c ? c->format : IMAGE_UNKNOWN;
}

const char *image_media_type(enum image_format f)
{
    for (size_t i = 0; i < COUNT(codecs); i++)
        if (codecs[i]->format == f)
            return codecs[i]->media_type;
    return "application/octet-stream";
}

bool image_check_size(const struct image_limits *limits, uint64_t width, uint64_t height, struct err *e)
{
    const uint64_t longest = width > height ? width : height;
    if (width == 0 || height == 0)
        return err_set(e, ERR_UNDECODABLE, "%llu x %llu pixels: there is no picture in it", (unsigned long long)width,
                       (unsigned long long)height);
    if (longest > limits->side)
        return err_set(e, ERR_TOO_LARGE, "%llu x %llu pixels: the longest side allowed is %u",
                       (unsigned long long)width, (unsigned long long)height, limits->side);
    if (width * height > limits->pixels)
        return err_set(e, ERR_TOO_LARGE, "%llu x %llu pixels: at most %llu pixels are allowed",
                       (unsigned long long)width, (unsigned long long)height, (unsigned long long)limits->pixels);
    return true;
}

int64_t image_deadline(const struct image_limits *limits)
{
    return limits->millis ? clock_ns() + (int64_t)limits->millis * 1000000 : INT64_MAX;
}

/* The codec for what lies in src; NULL with an error. */
static const struct codec *accept_source(const struct image_source *src, struct err *e)
{
    const struct codec *c = find_codec(src->bytes, src->len);
    const char *foreign = c ? NULL : image_foreign_name(src->bytes, src->len);
    if (foreign)
        err_set(e, ERR_MEDIA_TYPE, "%s pictures are not read: convert them to JPEG, PNG or WebP", foreign);
    else if (!c)
        err_set(e, ERR_MEDIA_TYPE, "the content is not a JPEG, PNG or WebP picture");
    else if (src->len > src->limits->bytes) {
        err_set(e, ERR_TOO_LARGE, "%zu bytes: at most %zu are allowed for a picture", src->len, src->limits->bytes);
        c = NULL;
    }
    return c;
}

/* EXIF orientations, as the way from an upright pixel to the stored one. */
static const struct turn {
    bool transposed, mirror_x, mirror_y; /* first swap x and y, then mirror in the stored picture */
} turns[9] = {
    [1] = {false, false, false}, [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true},
    [5] = {true, false, false},  [6] = {true, false, true},  [7] = {true, true, true},  [8] = {true, true, false},
};

bool image_probe(const void *bytes, size_t len, const struct image_limits *limits, struct image_info *info,
                 struct err *e)
{
    const struct image_source src = {bytes, len, limits};
    const struct codec *c = accept_source(&src, e);
    if (!c || !c->probe(&src, info, e))
        return false;
    info->format = c->format;
    if (turns[info->orientation].transposed) {
        uint32_t width = info->width;
        info->width = info->height;
        info->height = width;
    }
    return true;
}

/* Copies in square tiles, so that the columns of a transposed picture stay in the cache. */
static void copy_turned(const struct image *in, const struct turn *t, struct image *out)
{
    enum { TILE = 32 };
    const ptrdiff_t pixel = 3, row = 3 * (ptrdiff_t)in->width;
    const ptrdiff_t along_x = t->mirror_x ? -pixel : pixel, along_y = t->mirror_y ? -row : row;
    const uint8_t *origin =
        in->rgb + (t->mirror_x ? row - pixel : 0) + (t->mirror_y ? (ptrdiff_t)(in->height - 1) * row : 0);
    const ptrdiff_t step_x = t->transposed ? along_y : along_x, step_y = t->transposed ? along_x : along_y;
    for (size_t top = 0; top < out->height; top += TILE)
        for (size_t left = 0; left < out->width; left += TILE)
            for (size_t y = top; y < min_size(top + TILE, out->height); y++) {
                const uint8_t *from = origin + (ptrdiff_t)y * step_y + (ptrdiff_t)left * step_x;
                uint8_t *to = out->rgb + (y * out->width + left) * 3;
                for (size_t x = left; x < min_size(left + TILE, out->width); x++, from += step_x, to += 3)
                    memcpy(to, from, 3);
            }
}

static bool turn_upright(struct image *img, uint8_t orientation, struct err *e)
{
    const struct turn *t = &turns[orientation];
    struct image out;
    if (orientation == 1)
        return true;
    if (!image_new(t->transposed ? img->height : img->width, t->transposed ? img->width : img->height, &out, e))
        return false;
    copy_turned(img, t, &out);
    free(img->rgb);
    img->rgb = out.rgb;
    img->width = out.width;
    img->height = out.height;
    return true;
}

bool image_decode(const void *bytes, size_t len, const struct image_limits *limits, uint32_t goal, struct image *out,
                  struct err *e)
{
    const struct image_source src = {bytes, len, limits};
    struct image_info info = {0};
    struct image img = {0};
    const struct codec *c = accept_source(&src, e);
    if (!c || !c->decode(&src, goal, &img, &info, e) || !turn_upright(&img, info.orientation, e)) {
        image_clear(&img);
        return false;
    }
    *out = img;
    return true;
}

bool image_new(uint32_t width, uint32_t height, struct image *out, struct err *e)
{
    size_t pixels;
    *out = (struct image){.width = width, .height = height};
    if (width == 0 || height == 0 || !mul_fits(width, height, &pixels))
        return err_set(e, ERR_BAD_INPUT, "a picture cannot have %u x %u pixels", width, height);
    out->rgb = mem_try(pixels, 3, e);
    return out->rgb;
}

bool image_prepare(const struct image_source *src, const struct image_info *info, uint32_t width, uint32_t height,
                   size_t channels, size_t extra, struct image *out, struct err *e)
{
    const size_t pixels = (size_t)width * height; /* fits: the limits were checked */
    const size_t bytes = pixels * channels + extra + (info->orientation == 1 ? 0 : pixels * 3);
    *out = (struct image){.width = width, .height = height};
    if (src->limits->memory) {
        if (!budget_take(src->limits->memory, bytes, image_deadline(src->limits), &out->held, e))
            return false;
        out->budget = src->limits->memory;
    }
    out->rgb = mem_try(pixels, channels, e);
    return out->rgb;
}

void image_clear(struct image *img)
{
    free(img->rgb);
    if (img->budget)
        budget_give(img->budget, img->held);
    *img = (struct image){0};
}

void image_flatten(struct image *img)
{
    size_t pixels = (size_t)img->width * img->height;
    const uint8_t *from = img->rgb;
    uint8_t *to = img->rgb;
    for (size_t i = 0; i < pixels; i++, from += 4, to += 3) {
        unsigned alpha = from[3], white = 255 * (255 - alpha) + 127;
        for (size_t c = 0; c < 3; c++)
            to[c] = (uint8_t)((from[c] * alpha + white) / 255);
    }
    img->rgb = mem_grow(img->rgb, pixels, 3); /* gives back the fourth byte */
}
