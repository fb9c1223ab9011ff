/* draw.h - pictures that the program draws by itself: things and textures in many poses and lights.
 *
 * They are the golden images of model files and the catalogue of the demo.  A kind is what is shown (an
 * orange, a brick wall); the seed picks pose, size, colours, light and background.  The same kind, seed and
 * side give the same picture on one machine; the last bit may differ between maths libraries.
 *
 *     struct image img;
 *     draw_picture(3, 17, 256, &img, e);      the 17th flower
 */
#ifndef ANCHORD_ENGINE_PICTURES_DRAW_H
#define ANCHORD_ENGINE_PICTURES_DRAW_H

#include "engine/pictures/image.h"

enum { DRAW_KINDS = 16 };

const char *draw_kind_name(uint32_t kind); /* "flower"; static; a word that is fit for a file name */

/* A square picture of `side` pixels, 8 to 4096.  ERR_BAD_INPUT for an unknown kind or side. */
MUST_CHECK bool draw_picture(uint32_t kind, uint64_t seed, uint32_t side, struct image *out, struct err *e);

#endif
