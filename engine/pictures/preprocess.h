/* preprocess.h - from a picture to the network's input: resize, crop, normalise, as data.
 *
 * Training, serving and the command line all come through here with the same struct, which is stored in
 * the model file: there is no second implementation to drift away from this one.
 *
 * The rule is torchvision's for evaluation: the shorter side becomes `resize`, the longer one keeps the ratio
 * and is rounded down; then the middle square, where half a pixel of odd space goes to the even side (Python's
 * round).  Resampling is Pillow's: separable, antialiased (the filter's support grows with the scale), weights
 * of 22 bits, the result of each pass rounded to 8 bits.  The pixels are equal to Pillow's, bit for bit, as
 * long as the picture was decoded at full size; with DCT scaling (image_decode()) they differ a little.
 */
#ifndef ANCHORD_ENGINE_PICTURES_PREPROCESS_H
#define ANCHORD_ENGINE_PICTURES_PREPROCESS_H

#include "engine/pictures/image.h"

enum resize_filter { RESIZE_BILINEAR, RESIZE_BICUBIC };

struct preprocess {
    uint32_t resize;           /* the shorter side becomes this (256 for ImageNet's rule) */
    uint32_t size;             /* then the middle size x size square (224) */
    enum resize_filter filter;
    float mean[3], std[3];     /* of values in 0..1, RGB */
};
extern const struct preprocess preprocess_imagenet; /* 256, 224, bilinear, ImageNet's mean and std */

/* Refuses sizes of 0 or over 1024, size > resize, and std that is not positive and finite. */
MUST_CHECK bool preprocess_check(const struct preprocess *p, struct err *e);

/* Resizes the whole picture to width x height. */
MUST_CHECK bool image_resize(const struct image *in, uint32_t width, uint32_t height,
                             enum resize_filter filter, struct image *out, struct err *e);

/* Fills out [size, size, 3] with (value / 255 - mean) / std. */
MUST_CHECK bool preprocess_run(const struct preprocess *p, const struct image *img, float *out,
                               struct err *e);

#endif
