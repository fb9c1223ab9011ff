/* augment.h - random views of a picture, the same for the same seed whatever thread draws them.
 *
 * Order: crop and resize (antialiased), flip, jitter (brightness, contrast, saturation, hue in random order,
 * clipped to 0..1 after each), grey, blur, solarise, normalise.  The meaning of each parameter is
 * torchvision's (contrast blends with the mean of the grey picture, hue is a shift in turns).
 *
 * The named recipes are those of the papers (research: SimCLR arXiv:2002.05709, MoCo v2 arXiv:2003.04297, BYOL
 * arXiv:2006.07733, SwAV arXiv:2006.09882).  A recipe has one augmentation for each of two views.
 */
#ifndef ANCHORD_ENGINE_PICTURES_AUGMENT_H
#define ANCHORD_ENGINE_PICTURES_AUGMENT_H

#include "base/rng.h"
#include "engine/pictures/preprocess.h"

struct augmentation {
    double crop_min, crop_max; /* part of the area, uniform; aspect 3/4 to 4/3, log-uniform */
    double flip;               /* probability, here and below */
    double jitter;
    double brightness, contrast, saturation; /* factor from 1 - x to 1 + x */
    double hue;                              /* shift from -x to x, in turns; at most 0.5 */
    double gray;
    double blur;
    double sigma_min, sigma_max; /* in pixels of the result */
    double solarize;             /* values from 0.5 up are inverted */
};

struct recipe {
    const char *name, *help;
    struct augmentation view[2];
};

const struct recipe *recipe_find(const char *name); /* NULL when there is none */
const struct recipe *recipe_list(size_t *n);
/* ERR_BAD_INPUT with the field in e->param. */
MUST_CHECK bool augmentation_check(const struct augmentation *a, struct err *e);

struct augmenter; /* scratch of one thread */
struct augmenter *augmenter_new(uint32_t size);
void augmenter_free(struct augmenter *w); /* NULL is fine */

/* Fills out [size, size, 3], normalised with p's mean and std (p->size and resize play no part). */
MUST_CHECK bool augment(struct augmenter *w, const struct augmentation *a, const struct preprocess *p,
                        const struct image *img, struct rng *r, float *out, struct err *e);

/* The single steps, on pixels [n, 3] or [size, size, 3] with values 0..1; each clips its result. */
void augment_brightness(float *rgb, size_t n, float factor);
void augment_contrast(float *rgb, size_t n, float factor);
void augment_saturation(float *rgb, size_t n, float factor);
void augment_hue(float *rgb, size_t n, float turns);
void augment_gray(float *rgb, size_t n);
void augment_solarize(float *rgb, size_t n);
void augment_flip(float *rgb, size_t size);
/* Weights of a Gaussian, sum 1: kernel [2 * radius + 1]. */
void augment_blur_kernel(float sigma, size_t radius, float *kernel);
/* Separable, reflected at the edges; scratch [size * size * 3]. */
void augment_blur(float *rgb, size_t size, float sigma, size_t radius, float *scratch);

#endif
