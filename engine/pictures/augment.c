/* augment.c - recipes, and one random view. */
#include "engine/pictures/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { CROP_TRIES = 10 };

#define BLUR .sigma_min = 0.1, .sigma_max = 2
#define SAME(...)                                                                                                      \
    {                                                                                                                  \
        {__VA_ARGS__},                                                                                                 \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }

static const struct recipe recipes[] = {
    {"simclr", "SimCLR for ImageNet: strong colour, blur half of the time",
     SAME(.crop_min = 0.08, .crop_max = 1, .flip = 0.5, .jitter = 0.8, .brightness = 0.8, .contrast = 0.8,
          .saturation = 0.8, .hue = 0.2, .gray = 0.2, .blur = 0.5, BLUR)},
    {"moco", "MoCo v2 for ImageNet: milder crop and colour",
     SAME(.crop_min = 0.2, .crop_max = 1, .flip = 0.5, .jitter = 0.8, .brightness = 0.4, .contrast = 0.4,
          .saturation = 0.4, .hue = 0.1, .gray = 0.2, .blur = 0.5, BLUR)},
    {"byol",
     "BYOL and Barlow Twins: one view always blurred, the other sometimes solarised",
     {{.crop_min = 0.08,
       .crop_max = 1,
       .flip = 0.5,
       .jitter = 0.8,
       .brightness = 0.4,
       .contrast = 0.4,
       .saturation = 0.2,
       .hue = 0.1,
       .gray = 0.2,
       .blur = 1,
       BLUR},
      {.crop_min = 0.08,
       .crop_max = 1,
       .flip = 0.5,
       .jitter = 0.8,
       .brightness = 0.4,
       .contrast = 0.4,
       .saturation = 0.2,
       .hue = 0.1,
       .gray = 0.2,
       .blur = 0.1,
       .solarize = 0.2,
       BLUR}}},
    {"vicreg", "VICReg: as BYOL, the same for both views",
     SAME(.crop_min = 0.08, .crop_max = 1, .flip = 0.5, .jitter = 0.8, .brightness = 0.4, .contrast = 0.4,
          .saturation = 0.2, .hue = 0.1, .gray = 0.2, .blur = 0.5, .solarize = 0.1, BLUR)},
    {"cifar", "SimCLR for small pictures: no blur",
     SAME(.crop_min = 0.08, .crop_max = 1, .flip = 0.5, .jitter = 0.8, .brightness = 0.4, .contrast = 0.4,
          .saturation = 0.4, .hue = 0.1, .gray = 0.2, BLUR)},
    {"supcon", "SupCon for small pictures: larger crops, no blur",
     SAME(.crop_min = 0.2, .crop_max = 1, .flip = 0.5, .jitter = 0.8, .brightness = 0.4, .contrast = 0.4,
          .saturation = 0.4, .hue = 0.1, .gray = 0.2, BLUR)},
    {"small", "small pictures and short runs: larger crops still",
     SAME(.crop_min = 0.4, .crop_max = 1, .flip = 0.5, .jitter = 0.8, .brightness = 0.4, .contrast = 0.4,
          .saturation = 0.4, .hue = 0.1, .gray = 0.2, BLUR)},
    {"finetune", "fine-tuning with labels: little is changed",
     SAME(.crop_min = 0.4, .crop_max = 1, .flip = 0.5, .jitter = 0.5, .brightness = 0.2, .contrast = 0.2,
          .saturation = 0.2, .hue = 0.02, .gray = 0.05, BLUR)},
    {"finetune-views", "fine-tuning without labels",
     SAME(.crop_min = 0.25, .crop_max = 1, .flip = 0.5, .jitter = 0.8, .brightness = 0.4, .contrast = 0.4,
          .saturation = 0.4, .hue = 0.1, .gray = 0.2, .blur = 0.5, BLUR)},
    {"none", "the whole picture, unchanged", SAME(.crop_min = 1, .crop_max = 1, BLUR)},
};

const struct recipe *recipe_list(size_t *n)
{
    *n = COUNT(recipes);
    return recipes;
}

const struct recipe *recipe_find(const char *name)
{
    for (size_t i = 0; i < COUNT(recipes); i++)
        if (strcmp(recipes[i].name, name) == 0)
            return &recipes[i];
    return NULL;
}

bool augmentation_check(const struct augmentation *a, struct err *e)
{
    const struct {
        const char *name;
        double value, lo, hi;
    } rows[] = {
        {"crop_min", a->crop_min, 0.001, 1},
        {"crop_max", a->crop_max, a->crop_min, 1},
        {"flip", a->flip, 0, 1},
        {"jitter", a->jitter, 0, 1},
        {"brightness", a->brightness, 0, 1},
        {"contrast", a->contrast, 0, 1},
        {"saturation", a->saturation, 0, 1},
        {"hue", a->hue, 0, 0.5},
        {"gray", a->gray, 0, 1},
        {"blur", a->blur, 0, 1},
        {"sigma_min", a->sigma_min, 0.01, 20},
        {"sigma_max", a->sigma_max, a->sigma_min, 20},
        {"solarize", a->solarize, 0, 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!(rows[i].value >= rows[i].lo && rows[i].value <= rows[i].hi))
            return err_field(e, rows[i].name, "must be from %g to %g", rows[i].lo, rows[i].hi);
    return true;
}

struct augmenter {
    uint32_t size;
    float *blurred; /* [size, size, 3] */
};

struct augmenter *augmenter_new(uint32_t size)
{
    struct augmenter *w = mem_new(1, sizeof *w);
    w->size = size;
    w->blurred = mem_aligned((size_t)size * size * 3, sizeof *w->blurred);
    return w;
}

void augmenter_free(struct augmenter *w)
{
    if (!w)
        return;
    free(w->blurred);
    free(w);
}

struct box {
    uint32_t x, y, width, height;
};

/* The middle of the picture, cut where its aspect leaves 3/4 to 4/3. */
static struct box middle_box(uint32_t width, uint32_t height)
{
    double ratio = (double)width / (double)height;
    struct box b = {.width = width, .height = height};
    if (ratio < 3.0 / 4)
        b.height = (uint32_t)(width * 4.0 / 3 + 0.5);
    else if (ratio > 4.0 / 3)
        b.width = (uint32_t)(height * 4.0 / 3 + 0.5);
    b.x = (width - b.width) / 2;
    b.y = (height - b.height) / 2;
    return b;
}

static struct box random_box(const struct augmentation *a, uint32_t width, uint32_t height, struct rng *r)
{
    for (int i = 0; i < CROP_TRIES; i++) {
        double area = (double)width * (double)height * rng_between(r, a->crop_min, a->crop_max);
        double ratio = exp(rng_between(r, log(3.0 / 4), log(4.0 / 3)));
        double w = floor(sqrt(area * ratio) + 0.5), h = floor(sqrt(area / ratio) + 0.5);
        if (w >= 1 && h >= 1 && w <= width && h <= height) {
            struct box b = {.width = (uint32_t)w, .height = (uint32_t)h};
            b.x = (uint32_t)rng_below(r, width - b.width + 1);
            b.y = (uint32_t)rng_below(r, height - b.height + 1);
            return b;
        }
    }
    return middle_box(width, height);
}

/* What boxes are drawn from: the picture; the square that bars make of it; or one that is squashed later. */
static struct box frame_of(const struct preprocess *p, const struct image *img)
{
    const uint32_t longer = img->width > img->height ? img->width : img->height;
    if (p->fit == FIT_CROP)
        return (struct box){.width = img->width, .height = img->height};
    struct box frame = {.width = longer, .height = longer};
    if (p->fit == FIT_PAD) { /* x, y: where the picture lies in it */
        frame.x = (longer - img->width) / 2;
        frame.y = (longer - img->height) / 2;
    }
    return frame;
}

/* The part of [0, whole) pixels that corresponds to [*from, *from + *n) of [0, frame). */
static void squash_range(uint32_t frame, uint32_t whole, uint32_t *from, uint32_t *n)
{
    const uint32_t first = (uint32_t)((uint64_t)*from * whole / frame),
                   end = (uint32_t)((uint64_t)(*from + *n) * whole / frame);
    *from = first < whole ? first : whole - 1;
    *n = end > *from ? end - *from : 1;
}

/* The box of the frame as a picture; what of it lies beside the picture is bars. */
static bool cut_out(const struct image *img, const struct preprocess *p, struct box frame, struct box b,
                    struct image *part, struct err *e)
{
    uint8_t bars[3];
    if (!image_new(b.width, b.height, part, e))
        return false;
    preprocess_bars(p, bars);
    const size_t left = max_size(b.x, frame.x) - frame.x; /* in the picture */
    const size_t right = min_size((size_t)b.x + b.width, (size_t)frame.x + img->width) - frame.x;
    for (uint32_t y = 0; y < b.height; y++) {
        const int64_t row = (int64_t)b.y + y - frame.y;
        uint8_t *to = part->rgb + (size_t)y * b.width * 3;
        const bool covered = row >= 0 && row < img->height && b.x + b.width > frame.x && b.x < frame.x + img->width;
        for (size_t x = 0; x < b.width && (!covered || right - left < b.width); x++)
            memcpy(to + x * 3, bars, 3);
        if (covered)
            memcpy(to + (left + frame.x - b.x) * 3, img->rgb + ((size_t)row * img->width + left) * 3,
                   (right - left) * 3);
    }
    return true;
}

/* The box of the frame, resized to size x size, as values 0..1. */
static bool crop(const struct image *img, const struct preprocess *p, struct box frame, struct box b, uint32_t size,
                 float *out, struct err *e)
{
    struct image part = {0}, small = {0};
    bool ok = cut_out(img, p, frame, b, &part, e);
    ok = ok && image_resize(&part, size, size, p->filter, &small, e);
    for (size_t i = 0; ok && i < (size_t)size * size * 3; i++)
        out[i] = (float)small.rgb[i] * (1 / 255.0f);
    image_clear(&part);
    image_clear(&small);
    return ok;
}

static void jitter(const struct augmentation *a, float *rgb, size_t n, struct rng *r)
{
    int order[4] = {0, 1, 2, 3};
    for (size_t i = 4; i > 1; i--) {
        size_t j = (size_t)rng_below(r, i);
        int t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
    for (size_t i = 0; i < 4; i++) {
        double amount[] = {a->brightness, a->contrast, a->saturation, a->hue};
        double x = amount[order[i]], draw = rng_between(r, -x, x);
        if (!(x > 0))
            continue;
        switch (order[i]) {
        case 0: augment_brightness(rgb, n, (float)fmax(0, 1 + draw)); break;
        case 1: augment_contrast(rgb, n, (float)fmax(0, 1 + draw)); break;
        case 2: augment_saturation(rgb, n, (float)fmax(0, 1 + draw)); break;
        default: augment_hue(rgb, n, (float)draw); break;
        }
    }
}

static bool chance(struct rng *r, double probability)
{
    return rng_unit(r) < probability;
}

static void normalise(const struct preprocess *p, float *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            rgb[3 * i + c] = (rgb[3 * i + c] - p->mean[c]) / p->std[c];
}

bool augment(struct augmenter *w, const struct augmentation *a, const struct preprocess *p, const struct image *img,
             struct rng *r, float *out, struct err *e)
{
    size_t size = w->size, n = size * size;
    bool whole = a->crop_min >= 1; /* not even the aspect changes */
    const struct box frame = frame_of(p, img);
    struct box box =
        whole ? (struct box){0, 0, frame.width, frame.height} : random_box(a, frame.width, frame.height, r);
    if (p->fit == FIT_SQUASH) {
        squash_range(frame.width, img->width, &box.x, &box.width);
        squash_range(frame.height, img->height, &box.y, &box.height);
    }
    if (!crop(img, p, frame, box, w->size, out, e))
        return false;
    if (chance(r, a->flip))
        augment_flip(out, size);
    if (chance(r, a->jitter))
        jitter(a, out, n, r);
    if (chance(r, a->gray))
        augment_gray(out, n);
    if (chance(r, a->blur)) {
        float sigma = (float)rng_between(r, a->sigma_min, a->sigma_max);
        augment_blur(out, size, sigma, max_size(size / 20, 1), w->blurred);
    }
    if (chance(r, a->solarize))
        augment_solarize(out, n);
    normalise(p, out, n);
    return true;
}
