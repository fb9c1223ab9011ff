/* preprocess.c - torchvision's evaluation transform: resize, make a square, normalise. */
#include "engine/pictures/preprocess.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/resize.h"

enum { MAX_SIDE = 1024 };

const struct preprocess preprocess_imagenet = {.resize = 256,
                                               .size = 224,
                                               .filter = RESIZE_BILINEAR,
                                               .mean = {0.485f, 0.456f, 0.406f},
                                               .std = {0.229f, 0.224f, 0.225f}};

const char *const fit_names[] = {[FIT_CROP] = "crop", [FIT_PAD] = "pad", [FIT_SQUASH] = "squash", NULL};

bool fit_parse(const char *name, enum fit *out, struct err *e)
{
    for (int i = 0; fit_names[i]; i++)
        if (strcmp(name, fit_names[i]) == 0) {
            *out = (enum fit)i;
            return true;
        }
    return err_field(e, "fit", "must be crop, pad or squash");
}

bool preprocess_check(const struct preprocess *p, struct err *e)
{
    if (p->size == 0 || p->resize == 0 || p->size > MAX_SIDE || p->resize > MAX_SIDE)
        return err_set(e, ERR_BAD_INPUT, "resize %u and crop %u must be 1 to %d", p->resize, p->size, MAX_SIDE);
    if (p->size > p->resize)
        return err_set(e, ERR_BAD_INPUT, "the crop %u is larger than the resized picture %u", p->size, p->resize);
    if (p->fit != FIT_CROP && p->fit != FIT_PAD && p->fit != FIT_SQUASH)
        return err_set(e, ERR_BAD_INPUT, "unknown fit %d", (int)p->fit);
    if (p->fit != FIT_CROP && p->size != p->resize)
        return err_set(e, ERR_BAD_INPUT, "fit %s cuts nothing: resize %u must be the size %u", fit_names[p->fit],
                       p->resize, p->size);
    if (p->filter != RESIZE_BILINEAR && p->filter != RESIZE_BICUBIC)
        return err_set(e, ERR_BAD_INPUT, "unknown resize filter %d", (int)p->filter);
    for (size_t c = 0; c < 3; c++)
        if (!isfinite(p->mean[c]) || !isfinite(p->std[c]) || !(p->std[c] > 0))
            return err_set(e, ERR_BAD_INPUT, "mean and std must be finite, std positive");
    return true;
}

/* Half of the space that is left over; a half pixel goes to the even side (Python's round). */
static uint32_t centre(uint32_t outer, uint32_t inner)
{
    const uint32_t space = outer - inner, half = space / 2;
    return half + (space & half & 1);
}

/* length * part / whole, rounded, at least 1. */
static uint32_t scale_length(uint32_t length, uint32_t part, uint32_t whole)
{
    const uint64_t scaled = ((uint64_t)length * part + whole / 2) / whole;
    return scaled ? (uint32_t)scaled : 1;
}

struct window { /* of the resized picture, and where in the network's square it goes */
    struct resize from;
    uint32_t x, y, width, height;
};

/* Where the crop lies in the resized picture: the shorter side becomes p->resize, the longer one keeps the
 * ratio and is rounded down. */
static struct window place_crop(const struct preprocess *p, uint32_t width, uint32_t height)
{
    const uint32_t shorter = width < height ? width : height;
    struct window w = {.from.filter = p->filter, .width = p->size, .height = p->size};
    w.from.width = (uint32_t)((uint64_t)p->resize * width / shorter);
    w.from.height = (uint32_t)((uint64_t)p->resize * height / shorter);
    w.from.x = centre(w.from.width, p->size);
    w.from.y = centre(w.from.height, p->size);
    return w;
}

/* All of the picture: between bars, or squashed. */
static struct window place_whole(const struct preprocess *p, uint32_t width, uint32_t height)
{
    const uint32_t longer = width > height ? width : height;
    struct window w = {.from.filter = p->filter, .width = p->size, .height = p->size};
    if (p->fit == FIT_PAD) {
        w.width = scale_length(width, p->size, longer);
        w.height = scale_length(height, p->size, longer);
    }
    w.from.width = w.width;
    w.from.height = w.height;
    w.x = (p->size - w.width) / 2;
    w.y = (p->size - w.height) / 2;
    return w;
}

uint32_t preprocess_goal(const struct preprocess *p, uint32_t width, uint32_t height)
{
    const uint32_t shorter = width < height ? width : height, longer = width > height ? width : height;
    return p->fit == FIT_PAD ? scale_length(shorter, p->size, longer) : p->resize;
}

void preprocess_bars(const struct preprocess *p, uint8_t rgb[3])
{
    for (size_t c = 0; c < 3; c++)
        rgb[c] = (uint8_t)lroundf(fminf(fmaxf(p->mean[c], 0), 1) * 255);
}

/* One row of n values; the coefficients repeat with the channels, so that the loop has no channels. */
HOT_LOOP static void normalise_row(const uint8_t *in, const float *scale, const float *shift, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)in[i] * scale[i] + shift[i];
}

static void normalise(const struct preprocess *p, const struct image *crop, float *out)
{
    const size_t n = (size_t)p->size * 3;
    float scale[MAX_SIDE * 3], shift[MAX_SIDE * 3];
    for (size_t i = 0; i < n; i++) {
        scale[i] = 1.0f / (255.0f * p->std[i % 3]);
        shift[i] = -p->mean[i % 3] / p->std[i % 3];
    }
    for (size_t y = 0; y < p->size; y++)
        normalise_row(crop->rgb + y * n, scale, shift, n, out + y * n);
}

/* The square is the window, or holds it between bars. */
static bool fill_square(const struct preprocess *p, const struct image *img, const struct window *w,
                        struct image *square, struct err *e)
{
    struct image part = {0};
    uint8_t bars[3];
    if (w->width == square->width && w->height == square->height)
        return resize_window(img, &w->from, square, e);
    preprocess_bars(p, bars);
    const bool ok = image_new(w->width, w->height, &part, e) && resize_window(img, &w->from, &part, e);
    for (size_t i = 0; ok && i < (size_t)square->width * square->height; i++)
        memcpy(square->rgb + i * 3, bars, 3);
    for (size_t y = 0; ok && y < w->height; y++)
        memcpy(square->rgb + ((y + w->y) * square->width + w->x) * 3, part.rgb + y * w->width * 3,
               (size_t)w->width * 3);
    image_clear(&part);
    return ok;
}

bool preprocess_run(const struct preprocess *p, const struct image *img, float *out, struct err *e)
{
    const struct window w =
        p->fit == FIT_CROP ? place_crop(p, img->width, img->height) : place_whole(p, img->width, img->height);
    struct image square = {0};
    const bool ok = image_new(p->size, p->size, &square, e) && fill_square(p, img, &w, &square, e);
    if (ok)
        normalise(p, &square, out);
    image_clear(&square);
    return ok;
}
