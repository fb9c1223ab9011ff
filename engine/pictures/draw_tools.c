/* draw_tools.c - colours and noise, for those who paint. */
#include "engine/pictures/draw_tools.h"

#include <math.h>

struct colour mix_colours(struct colour a, struct colour b, double t)
{
    return (struct colour){a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

struct colour dim_colour(struct colour c, double factor)
{
    return (struct colour){c.r * factor, c.g * factor, c.b * factor};
}

/* A number in 0..1 for each point of the integer grid. */
static double lattice(uint64_t seed, int64_t x, int64_t y)
{
    uint64_t h = seed ^ (uint64_t)x * 0x9e3779b97f4a7c15u ^ (uint64_t)y * 0xc2b2ae3d27d4eb4fu;
    h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 32)) * 0x94d049bb133111ebu;
    return (double)((h ^ (h >> 29)) >> 11) * 0x1p-53;
}

double smooth_noise(uint64_t seed, double x, double y)
{
    const double left = floor(x), top = floor(y);
    const int64_t i = (int64_t)left, j = (int64_t)top;
    double u = x - left, v = y - top;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    const double above = lattice(seed, i, j) * (1 - u) + lattice(seed, i + 1, j) * u;
    const double below = lattice(seed, i, j + 1) * (1 - u) + lattice(seed, i + 1, j + 1) * u;
    return above * (1 - v) + below * v;
}

double cloud_noise(uint64_t seed, double x, double y)
{
    double sum = 0, weight = 0.5;
    for (uint64_t octave = 0; octave < 4; octave++, weight *= 0.5) {
        sum += weight * smooth_noise(seed + octave, x, y);
        x *= 2;
        y *= 2;
    }
    return sum / 0.9375; /* of all weights */
}
