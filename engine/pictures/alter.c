/* alter.c - the changes, one function each. */
#include "engine/pictures/alter.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

static const double kept_side = 0.8, brightness = 1.4, angle = 15;
enum { QUALITY = 30 };

const char *alteration_name(enum alteration a)
{
    static const char *const names[] = {
        [ALTER_NOTHING] = "nothing",   [ALTER_CROP] = "crop",       [ALTER_FLIP] = "flip",
        [ALTER_BRIGHT] = "brightness", [ALTER_ROTATE] = "rotation", [ALTER_JPEG] = "jpeg"};
    return names[a];
}

static bool make(struct image *out, uint32_t width, uint32_t height, struct err *e)
{
    *out = (struct image){.width = width, .height = height};
    out->rgb = mem_try((size_t)width * height, 3, e);
    return out->rgb != NULL;
}

static const uint8_t *pixel(const struct image *img, size_t x, size_t y)
{
    return img->rgb + (y * img->width + x) * 3;
}

static bool crop(const struct image *in, struct image *out, struct err *e)
{
    uint32_t w = (uint32_t)fmax(1, round(kept_side * in->width)), h = (uint32_t)fmax(1, round(kept_side * in->height));
    if (!make(out, w, h, e))
        return false;
    for (size_t y = 0; y < h; y++)
        memcpy(out->rgb + y * w * 3, pixel(in, (in->width - w) / 2, y + (in->height - h) / 2), (size_t)w * 3);
    return true;
}

static void flip(const struct image *in, struct image *out)
{
    for (size_t y = 0; y < in->height; y++)
        for (size_t x = 0; x < in->width; x++)
            memcpy(out->rgb + (y * in->width + x) * 3, pixel(in, in->width - 1 - x, y), 3);
}

static void brighten(const struct image *in, struct image *out)
{
    for (size_t i = 0; i < (size_t)in->width * in->height * 3; i++)
        out->rgb[i] = (uint8_t)fmin(255, round(brightness * in->rgb[i]));
}

/* Bilinear; coordinates beyond the edge are those of the edge. */
static void sample(const struct image *in, double x, double y, uint8_t out[3])
{
    x = fmin(fmax(x, 0), in->width - 1.0);
    y = fmin(fmax(y, 0), in->height - 1.0);
    size_t x0 = (size_t)x, y0 = (size_t)y;
    size_t x1 = min_size(x0 + 1, in->width - 1), y1 = min_size(y0 + 1, in->height - 1);
    double fx = x - (double)x0, fy = y - (double)y0;
    for (size_t c = 0; c < 3; c++) {
        double top = pixel(in, x0, y0)[c] * (1 - fx) + pixel(in, x1, y0)[c] * fx;
        double bottom = pixel(in, x0, y1)[c] * (1 - fx) + pixel(in, x1, y1)[c] * fx;
        out[c] = (uint8_t)round(top * (1 - fy) + bottom * fy);
    }
}

static void rotate(const struct image *in, struct image *out)
{
    double turn = angle * M_PI / 180, s = sin(turn), c = cos(turn);
    double mx = (in->width - 1.0) / 2, my = (in->height - 1.0) / 2;
    for (size_t y = 0; y < in->height; y++)
        for (size_t x = 0; x < in->width; x++) {
            double dx = (double)x - mx, dy = (double)y - my;
            sample(in, mx + c * dx - s * dy, my + s * dx + c * dy, out->rgb + (y * in->width + x) * 3);
        }
}

static bool recompress(const struct image *in, struct image *out, struct err *e)
{
    struct buf jpeg = {0};
    bool ok =
        image_write_jpeg(in, QUALITY, &jpeg, e) && image_decode(jpeg.data, jpeg.len, &image_default_limits, 0, out, e);
    buf_clear(&jpeg);
    return ok;
}

bool image_alter(const struct image *in, enum alteration a, struct image *out, struct err *e)
{
    if (a == ALTER_CROP)
        return crop(in, out, e);
    if (a == ALTER_JPEG)
        return recompress(in, out, e);
    if (!make(out, in->width, in->height, e))
        return false;
    switch (a) {
    case ALTER_FLIP: flip(in, out); break;
    case ALTER_BRIGHT: brighten(in, out); break;
    case ALTER_ROTATE: rotate(in, out); break;
    default: memcpy(out->rgb, in->rgb, (size_t)in->width * in->height * 3);
    }
    return true;
}
