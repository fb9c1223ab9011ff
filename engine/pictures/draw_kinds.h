/* draw_kinds.h - the painters behind draw.h: what there is at a point of a thing (internal to the engine).
 *
 * A painter knows its thing in coordinates of its own: the centre is (0, 0), it reaches about 1 in each
 * direction, y goes down.  draw.c has moved, turned and scaled them, and adds background and shadow.
 */
#ifndef ANCHORD_ENGINE_PICTURES_DRAW_KINDS_H
#define ANCHORD_ENGINE_PICTURES_DRAW_KINDS_H

#include <stdbool.h>

#include "engine/pictures/draw_tools.h"

struct scene { /* what the seed has decided */
    uint64_t seed;
    double light_x, light_y, light_z; /* towards the light, unit length */
    double hue;                       /* -1..1: how this one differs in colour from others of its kind */
    double shape;                     /* -1..1: and in form */
};

struct paint {
    struct colour colour;
    double cover; /* 0: nothing here, 1: the thing */
};

struct kind {
    const char *name;
    struct paint (*paint)(const struct scene *s, double x, double y);
    bool fills;  /* a texture or landscape: no background shows */
    double turn; /* most rotation, radians */
};
extern const struct kind draw_kinds[];

#endif
