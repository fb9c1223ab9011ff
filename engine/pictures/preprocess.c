/* preprocess.c - torchvision's evaluation transform: resize, crop the middle, normalise. */
#include "engine/pictures/preprocess.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/resize.h"

enum { MAX_SIDE = 1024 };

const struct preprocess preprocess_imagenet = {
    .resize = 256, .size = 224, .filter = RESIZE_BILINEAR,
    .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};

bool preprocess_check(const struct preprocess *p, struct err *e)
{
    if (p->size == 0 || p->resize == 0 || p->size > MAX_SIDE || p->resize > MAX_SIDE)
        return err_set(e, ERR_BAD_INPUT, "resize %u and crop %u must be 1 to %d", p->resize, p->size, MAX_SIDE);
    if (p->size > p->resize)
        return err_set(e, ERR_BAD_INPUT, "the crop %u is larger than the resized picture %u", p->size, p->resize);
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

/* Where the crop lies in the resized picture: the shorter side becomes p->resize, the longer one keeps the
 * ratio and is rounded down. */
static struct resize place_crop(const struct preprocess *p, uint32_t width, uint32_t height)
{
    const uint32_t shorter = width < height ? width : height;
    struct resize r = {.filter = p->filter};
    r.width = (uint32_t)((uint64_t)p->resize * width / shorter);
    r.height = (uint32_t)((uint64_t)p->resize * height / shorter);
    r.x = centre(r.width, p->size);
    r.y = centre(r.height, p->size);
    return r;
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

bool preprocess_run(const struct preprocess *p, const struct image *img, float *out, struct err *e)
{
    const struct resize r = place_crop(p, img->width, img->height);
    struct image crop = {0};
    const bool ok = image_new(p->size, p->size, &crop, e) && resize_window(img, &r, &crop, e);
    if (ok)
        normalise(p, &crop, out);
    image_clear(&crop);
    return ok;
}
