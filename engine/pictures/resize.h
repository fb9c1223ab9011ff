/* resize.h - resampling a part of a picture (internal to the engine; image_resize() is the public one). */
#ifndef ANCHORD_ENGINE_PICTURES_RESIZE_H
#define ANCHORD_ENGINE_PICTURES_RESIZE_H

#include "engine/pictures/preprocess.h"

/* Resizes the picture to width x height, but makes only the window that begins at (x, y) and is out->width x
 * out->height large.  Pixels that only matter outside of the window are never touched.  The caller allocates out; the
 * window lies inside of the resized picture. */
struct resize {
    uint32_t width, height, x, y;
    enum resize_filter filter;
};
MUST_CHECK bool resize_window(const struct image *in, const struct resize *r, struct image *out, struct err *e);

#endif
