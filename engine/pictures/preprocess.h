/* preprocess.h - from a picture to the network's input: resize, crop, normalise, as data.
 *
 * Training, serving and the command line all come through here with the same struct, which is stored in the model file.
 * There is no second implementation to drift away from this one.
 *
 * With `crop` the rule is torchvision's for evaluation.  The shorter side becomes `resize`; the longer one keeps the
 * ratio and is rounded down.  Then the middle square is cut, where half a pixel of odd space goes to the even side
 * (Python's round).  Resampling is Pillow's: separable, antialiased (the filter's support grows with the scale),
 * weights of 22 bits, the result of each pass rounded to 8 bits.  The pixels are equal to Pillow's, bit for bit, as
 * long as the picture was decoded at full size.  With DCT scaling (image_decode()) they differ a little.
 */
#ifndef ANCHORD_ENGINE_PICTURES_PREPROCESS_H
#define ANCHORD_ENGINE_PICTURES_PREPROCESS_H

#include "engine/pictures/image.h"

enum resize_filter { RESIZE_BILINEAR, RESIZE_BICUBIC };

/* How a picture that is no square becomes one: its middle; all of it between bars of the mean colour; all of it, squashed. */
enum fit { FIT_CROP, FIT_PAD, FIT_SQUASH };
extern const char *const fit_names[]; /* "crop", "pad", "squash", NULL */

struct preprocess {
    uint32_t resize; /* crop: the shorter side becomes this (256 for ImageNet's rule); else `size` */
    uint32_t size;   /* crop: then the middle size x size square (224); pad: the longer side; squash: both */
    enum fit fit;
    enum resize_filter filter;
    float mean[3], std[3]; /* of values in 0..1, RGB */
};
extern const struct preprocess preprocess_imagenet; /* 256, 224, bilinear, ImageNet's mean and std */

MUST_CHECK bool fit_parse(const char *name, enum fit *out, struct err *e); /* ERR_BAD_INPUT for another name */

/* Refuses sizes of 0 or over 1024, size > resize, another resize than size where nothing is cut, and std that is not positive and finite. */
MUST_CHECK bool preprocess_check(const struct preprocess *p, struct err *e);

/* The shorter side that a picture of these sides will be resized to: what image_decode() wants to know. */
uint32_t preprocess_goal(const struct preprocess *p, uint32_t width, uint32_t height);

/* The colour of the bars, 8 bits a channel: nearly zeros, once normalised. */
void preprocess_bars(const struct preprocess *p, uint8_t rgb[3]);

/* Resizes the whole picture to width x height. */
MUST_CHECK bool image_resize(const struct image *in, uint32_t width, uint32_t height, enum resize_filter filter,
                             struct image *out, struct err *e);

/* Fills out [size, size, 3] with (value / 255 - mean) / std. */
MUST_CHECK bool preprocess_run(const struct preprocess *p, const struct image *img, float *out, struct err *e);

#endif
