/* draw_tools.h - what drawn pictures are made of: colours, and noise that is the same for the same seed (internal to the engine). */
#ifndef ANCHORD_ENGINE_PICTURES_DRAW_TOOLS_H
#define ANCHORD_ENGINE_PICTURES_DRAW_TOOLS_H

#include <stdint.h>

struct colour { /* linear in brightness, about 0..1 */
    double r, g, b;
};

struct colour mix_colours(struct colour a, struct colour b, double t); /* t = 0: a */
struct colour dim_colour(struct colour c, double factor);
/* Smooth noise in 0..1 with features of about 1 unit, and its sum over octaves. */
double smooth_noise(uint64_t seed, double x, double y);
double cloud_noise(uint64_t seed, double x, double y);

#endif
