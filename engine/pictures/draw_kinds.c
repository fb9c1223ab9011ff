/* draw_kinds.c - the painters: one function for each kind of drawn picture. */
#include "engine/pictures/draw_kinds.h"

#include <math.h>

#include "base/num.h"
#include "engine/pictures/draw.h"

static const struct colour BLACK = {0.02, 0.02, 0.025}, WHITE = {0.9, 0.9, 0.88};
static const struct colour GREEN = {0.08, 0.3, 0.06}, BROWN = {0.22, 0.11, 0.05};

/* 0 below `low`, 1 above `high`, smooth between. */
static double step_up(double low, double high, double x)
{
    const double t = fmin(fmax((x - low) / (high - low), 0), 1);
    return t * t * (3 - 2 * t);
}

/* Covered where d < 0, with a soft edge. */
static double inside(double d)
{
    return 1 - step_up(-0.012, 0.012, d);
}

static double ellipse(double x, double y, double rx, double ry)
{
    return (hypot(x / rx, y / ry) - 1) * fmin(rx, ry);
}

static double box(double x, double y, double rx, double ry, double corner)
{
    const double dx = fabs(x) - rx + corner, dy = fabs(y) - ry + corner;
    return hypot(fmax(dx, 0), fmax(dy, 0)) + fmin(fmax(dx, dy), 0) - corner;
}

/* Distance to the segment from a to b. */
static double segment(double x, double y, double ax, double ay, double bx, double by)
{
    const double ux = bx - ax, uy = by - ay;
    const double t = fmin(fmax(((x - ax) * ux + (y - ay) * uy) / (ux * ux + uy * uy), 0), 1);
    return hypot(x - ax - t * ux, y - ay - t * uy);
}

static struct paint lay_over(struct paint below, struct colour c, double cover)
{
    below.colour = mix_colours(below.colour, c, cover);
    below.cover = fmax(below.cover, cover);
    return below;
}

/* Light on a surface with the normal (nx, ny, nz): ambient, diffuse and a highlight. */
static struct colour shade(const struct scene *s, struct colour c, double nx, double ny, double nz, double gloss)
{
    const double towards = fmax(nx * s->light_x + ny * s->light_y + nz * s->light_z, 0);
    const double mirror = 2 * towards * nz - s->light_z;
    return mix_colours(dim_colour(c, 0.3 + 0.8 * towards), WHITE, gloss * pow(fmax(mirror, 0), 20));
}

/* A dome over the unit disc. */
static struct colour shade_dome(const struct scene *s, struct colour c, double x, double y, double gloss)
{
    return shade(s, c, x, y, sqrt(fmax(1 - x * x - y * y, 0)), gloss);
}

/* Flat things are brighter on the side of the light. */
static struct colour shade_flat(const struct scene *s, struct colour c, double x, double y)
{
    return dim_colour(c, 0.75 + 0.25 * (x * s->light_x + y * s->light_y) + 0.15 * s->light_z);
}

static struct paint paint_ball(const struct scene *s, double x, double y)
{
    static const struct colour panels[] = {{0.75, 0.08, 0.06}, {0.85, 0.85, 0.8}, {0.08, 0.2, 0.65},
                                           {0.85, 0.85, 0.8},  {0.85, 0.6, 0.05}, {0.85, 0.85, 0.8}};
    const double bend = atan2(y + 0.25, x + 0.2 * s->shape) / 6.283185307179586 + 0.5;
    const double hub = hypot(y + 0.25, x + 0.2 * s->shape);
    struct colour c = panels[(size_t)(bend * 6) % COUNT(panels)];
    c = mix_colours(WHITE, c, step_up(0.1, 0.12, hub));
    return (struct paint){shade_dome(s, c, x, y, 0.5), inside(hypot(x, y) - 1)};
}

static struct paint paint_orange(const struct scene *s, double x, double y)
{
    const double bump = 0.25 * (smooth_noise(s->seed, 22 * x, 22 * y) - 0.5);
    const struct colour peel = {0.85, 0.33 + 0.06 * s->hue, 0.02};
    const struct colour c = mix_colours(GREEN, peel, step_up(0.03, 0.1, hypot(x + 0.1, y + 0.6)));
    return (struct paint){shade_dome(s, c, x + bump, y + bump, 0.2), inside(hypot(x, y * 1.04) - 1)};
}

static struct paint paint_ladybird(const struct scene *s, double x, double y)
{
    static const double spots[][2] = {{0.35, -0.3}, {0.5, 0.2}, {0.25, 0.6}, {0.0, -0.45}};
    struct paint p = {BLACK, inside(ellipse(x, y + 0.72, 0.4, 0.3))};
    for (int leg = -1; leg <= 1; leg++) {
        const double d = segment(fabs(x), y, 0.5, 0.35 * leg, 1.05, 0.55 * leg);
        p = lay_over(p, BLACK, inside(d - 0.04));
    }
    struct colour c = {0.7, 0.05 + 0.03 * s->hue, 0.02};
    c = mix_colours(c, BLACK, inside(fabs(x) - 0.025));
    for (size_t i = 0; i < COUNT(spots); i++)
        c = mix_colours(c, BLACK, inside(hypot(fabs(x) - spots[i][0], y - spots[i][1]) - 0.15));
    return lay_over(p, shade_dome(s, c, x, y, 0.6), inside(ellipse(x, y, 0.78, 0.88)));
}

static struct paint paint_flower(const struct scene *s, double x, double y)
{
    const double far = hypot(x, y), angle = atan2(y, x), petals = s->shape > 0 ? 8 : 6;
    const double edge = 0.62 + 0.36 * fabs(cos(angle * petals / 2));
    const struct colour inner = {0.75, 0.12, 0.4 + 0.2 * s->hue}, outer = {0.85, 0.45, 0.65 + 0.15 * s->hue};
    struct colour c = mix_colours(inner, outer, far / edge);
    c = dim_colour(c, 0.8 + 0.2 * fabs(cos(angle * petals / 2)) + 0.1 * sin(angle * 40));
    struct paint p = {shade_flat(s, c, x, y), inside(far - edge)};
    const double grains = 0.7 + 0.5 * smooth_noise(s->seed, 30 * x, 30 * y);
    const struct colour middle = dim_colour((struct colour){0.8, 0.55, 0.05}, grains);
    return lay_over(p, shade_dome(s, middle, x / 0.3, y / 0.3, 0.1), inside(far - 0.27));
}

static struct paint paint_leaf(const struct scene *s, double x, double y)
{
    const double width = (0.5 + 0.08 * s->shape) * sqrt(fmax(1 - y * y, 0)) * (1 - 0.25 * y);
    const double vein = fabs(sin(9 * (y + 0.7 * fabs(x))));
    struct colour c = {0.1 + 0.05 * s->hue, 0.36, 0.05};
    c = mix_colours((struct colour){0.35, 0.5, 0.18}, c, step_up(0.03, 0.12, fmin(vein, fabs(x) * 5)));
    c = dim_colour(c, 0.8 + 0.4 * cloud_noise(s->seed, 5 * x, 5 * y));
    struct paint p = {BROWN, inside(segment(x, y, 0, 0.9, 0.08, 1.3) - 0.03)};
    return lay_over(p, shade_flat(s, c, x, y), inside(fmax(fabs(x) - width, fabs(y) - 0.98)));
}

static struct paint paint_fish(const struct scene *s, double x, double y)
{
    const double body = ellipse(x + 0.15, y, 0.75, 0.42 + 0.06 * s->shape);
    const double tail = fmax(fabs(y) - (x - 0.4) * 0.9, x - 0.95);
    const double fin = fmax(fabs(x + 0.1) - (0.75 + y) * 0.6, y + 0.35);
    const struct colour deep = {0.08, 0.3, 0.55 + 0.2 * s->hue}, pale = {0.75, 0.8, 0.8};
    const double scales = 0.82 + 0.18 * sin(24 * x) * sin(24 * y);
    const struct colour skin = dim_colour(mix_colours(deep, pale, step_up(-0.2, 0.35, y)), scales);
    struct paint p = {shade_flat(s, dim_colour(deep, 0.8 + 0.3 * sin(40 * y)), x, y),
                      inside(fmin(fmax(tail, 0.35 - x), fmax(fin, -0.7 - y)))};
    p = lay_over(p, shade_dome(s, skin, x, y / 0.5, 0.35), inside(body));
    p = lay_over(p, WHITE, inside(hypot(x + 0.62, y + 0.08) - 0.085));
    return lay_over(p, BLACK, inside(hypot(x + 0.63, y + 0.08) - 0.045));
}

static struct paint paint_butterfly(const struct scene *s, double x, double y)
{
    const double side = fabs(x);
    const double upper = ellipse((side - 0.48) + 0.3 * (y + 0.35), y + 0.38, 0.46, 0.4);
    const double lower = ellipse((side - 0.4) - 0.2 * (y - 0.4), y - 0.38, 0.34 + 0.05 * s->shape, 0.38);
    const double wing = fmin(upper, lower);
    struct colour c = {0.8, 0.4 + 0.15 * s->hue, 0.03};
    c = mix_colours(c, BLACK, step_up(0.55, 0.8, fabs(sin(7 * atan2(y, side + 0.05)))) * 0.9);
    c = mix_colours(c, BLACK, step_up(-0.12, -0.08, wing));
    c = mix_colours(c, WHITE, step_up(-0.07, -0.05, wing) * step_up(0.5, 0.7, sin(30 * atan2(y, side))));
    struct paint p = {shade_flat(s, c, x, y), inside(wing)};
    p = lay_over(p, BLACK, inside(segment(side, y, 0, -0.5, 0.22, -0.95) - 0.02));
    return lay_over(p, dim_colour(BROWN, 0.6), inside(ellipse(x, y, 0.07, 0.55)));
}

static struct paint paint_mug(const struct scene *s, double x, double y)
{
    const double handle = fabs(hypot((x - 0.62) / 0.9, y - 0.05) - 0.3) - 0.075;
    const double body = box(x + 0.1, y, 0.62, 0.8, 0.12), rim = ellipse(x + 0.1, y + 0.72, 0.6, 0.14);
    const struct colour glaze = {0.1 + 0.06 * s->hue, 0.4, 0.42 - 0.1 * s->hue};
    const double bend = fmin(fmax((x + 0.1) / 0.64, -1), 1), round = sqrt(fmax(1 - bend * bend, 0.0));
    const struct colour band = mix_colours(glaze, WHITE, inside(fabs(y - 0.1) - 0.14 - 0.05 * s->shape));
    struct paint p = {shade(s, glaze, 0.3, 0, 0.9, 0.2), inside(handle)};
    p = lay_over(p, shade(s, band, bend, 0, round, 0.45), inside(body));
    p = lay_over(p, mix_colours(WHITE, glaze, 0.3), inside(rim));
    return lay_over(p, dim_colour(BROWN, 0.5), inside(ellipse(x + 0.1, y + 0.7, 0.52, 0.09)));
}

static struct paint paint_bricks(const struct scene *s, double x, double y)
{
    const double row = floor(y * 5), along = x * 2.2 + (fmod(fabs(row), 2) > 0.5 ? 0.5 : 0);
    const double u = along - floor(along), v = y * 5 - row;
    const double joint = fmin(fmin(u, 1 - u) * 2.2, fmin(v, 1 - v));
    const double tone = smooth_noise(s->seed, floor(along) * 7.3, row * 5.7);
    struct colour c = {0.42 + 0.1 * tone, 0.13 + 0.06 * tone + 0.03 * s->hue, 0.08};
    c = dim_colour(c, 0.7 + 0.6 * cloud_noise(s->seed, 12 * x, 12 * y));
    const double sand = 0.7 + 0.5 * smooth_noise(s->seed, 30 * x, 30 * y);
    const struct colour mortar = dim_colour((struct colour){0.55, 0.52, 0.47}, sand);
    return (struct paint){shade_flat(s, mix_colours(mortar, c, step_up(0.06, 0.11, joint)), x, y), 1};
}

static struct paint paint_planks(const struct scene *s, double x, double y)
{
    const double board = floor(y * 2.5), v = y * 2.5 - board;
    const uint64_t seed = s->seed + (uint64_t)(int64_t)board * 977;
    const double warp = cloud_noise(seed, 1.5 * x, 6 * y);
    const double rings = 0.5 + 0.5 * sin(30 * (v + 1.2 * warp));
    struct colour c =
        mix_colours((struct colour){0.5, 0.29 + 0.04 * s->hue, 0.12}, (struct colour){0.3, 0.15, 0.05}, rings * 0.7);
    c = dim_colour(c, 0.8 + 0.4 * smooth_noise(seed, 0.1, 0.1));
    return (struct paint){shade_flat(s, dim_colour(c, step_up(0.0, 0.04, fmin(v, 1 - v))), x, y), 1};
}

static struct paint paint_chessboard(const struct scene *s, double x, double y)
{
    const double depth = 1.6 + 0.45 * y; /* it leans away */
    const double u = 4.5 * x / depth, v = 6 * (y + 2) / depth;
    const double wave = sin(3.141592653589793 * u) * sin(3.141592653589793 * v);
    const struct colour dark = {0.06, 0.05, 0.07}, light = {0.78, 0.74, 0.62 + 0.1 * s->hue};
    return (struct paint){shade_flat(s, mix_colours(dark, light, step_up(-0.06, 0.06, wave)), x, y), 1};
}

static struct paint paint_zebra(const struct scene *s, double x, double y)
{
    const double warp = cloud_noise(s->seed, 1.3 * x, 1.3 * y);
    const double stripe = sin(14 * x + 9 * warp + 2 * sin(2 * y));
    const double fur = 0.85 + 0.3 * smooth_noise(s->seed, 60 * x, 8 * y);
    const struct colour light = {0.82, 0.78, 0.7 + 0.05 * s->hue};
    const struct colour c = dim_colour(mix_colours(BLACK, light, step_up(-0.15, 0.15, stripe)), fur);
    return (struct paint){shade_flat(s, c, x, y), 1};
}

static struct paint paint_tree(const struct scene *s, double x, double y)
{
    const double rough = 0.35 * (cloud_noise(s->seed, 4 * x, 4 * y) - 0.5);
    const double crown = ellipse(x, y + 0.3, 0.75 + 0.1 * s->shape, 0.68) + rough;
    const double leaves = cloud_noise(s->seed ^ 7, 11 * x, 11 * y);
    const struct colour dark = {0.02, 0.1, 0.02}, sunny = {0.3 + 0.1 * s->hue, 0.5, 0.08};
    const struct colour c = mix_colours(dark, sunny, leaves);
    const double bark = 0.7 + 0.6 * smooth_noise(s->seed, 40 * x, 5 * y);
    struct paint p = {dim_colour(BROWN, bark), inside(box(x, y - 0.6, 0.1 + 0.08 * fabs(y), 0.42, 0.02))};
    return lay_over(p, shade_dome(s, c, x, y + 0.3, 0), inside(crown));
}

static struct paint paint_mountains(const struct scene *s, double x, double y)
{
    const struct colour sky = {0.2, 0.42, 0.8}, haze = {0.75, 0.82, 0.9};
    const struct colour rocks = {0.35, 0.4, 0.5}, woods = {0.1, 0.2 + 0.03 * s->hue, 0.1};
    struct colour c = mix_colours(sky, haze, step_up(-1.2, 0.3, y));
    for (int ridge = 0; ridge < 3; ridge++) {
        const uint64_t seed = s->seed + (uint64_t)ridge * 31;
        const double top = -0.55 + 0.45 * ridge + 0.8 * (0.5 - cloud_noise(seed, 1.6 * x, 0.5));
        const double below = y - top;
        const double rock = 0.7 + 0.6 * cloud_noise(seed, 9 * (x + below), 9 * y);
        struct colour stone = mix_colours(rocks, woods, ridge / 2.0);
        if (ridge == 0)
            stone = mix_colours(WHITE, stone, step_up(0.1, 0.3, below + 0.3 * (rock - 1)));
        c = mix_colours(c, dim_colour(stone, rock), step_up(-0.01, 0.01, below));
    }
    return (struct paint){shade_flat(s, c, 0, 0), 1};
}

static struct paint paint_sea(const struct scene *s, double x, double y)
{
    const double horizon = -0.25, low_sun = hypot(x - 0.4 * s->shape, y - horizon + 0.12);
    const struct colour high = {0.25, 0.2, 0.45}, low = {0.95, 0.5 + 0.1 * s->hue, 0.2};
    if (y < horizon) {
        const struct colour sky = mix_colours(high, low, step_up(-1.3, horizon, y));
        return (struct paint){mix_colours((struct colour){1, 0.9, 0.6}, sky, step_up(0.14, 0.2, low_sun)), 1};
    }
    const double depth = y - horizon + 0.08;
    const double wave = sin(14 / depth + 5 * cloud_noise(s->seed, 2 * x / depth, 4 / depth));
    const struct colour trough = {0.03, 0.1, 0.22}, crest = {0.15, 0.3, 0.42};
    const struct colour water = mix_colours(trough, crest, 0.5 + 0.5 * wave);
    const double glitter = exp(-30 * pow(x - 0.4 * s->shape, 2)) * step_up(0.2, 0.9, wave);
    return (struct paint){mix_colours(water, low, glitter), 1};
}

static struct paint paint_house(const struct scene *s, double x, double y)
{
    const double wall = box(x, y - 0.35, 0.68, 0.5, 0.01);
    const double roof = fmax(fabs(x) * 0.8 - (y + 0.85), y + 0.12);
    const double u = fabs(x) - 0.38, v = y - 0.25;
    const struct colour plaster = {0.8, 0.72, 0.5 + 0.12 * s->hue}, glass = {0.12, 0.2, 0.3};
    struct paint p = {shade_flat(s, plaster, x, y), inside(wall)};
    p = lay_over(p, WHITE, inside(box(u, v, 0.17, 0.2, 0.01)));
    p = lay_over(p, glass, inside(box(fabs(u) - 0.075, fabs(v) - 0.09, 0.06, 0.075, 0.005)));
    p = lay_over(p, dim_colour(BROWN, 0.9 + 0.3 * s->shape), inside(box(x, y - 0.58, 0.14, 0.27, 0.01)));
    p = lay_over(p, dim_colour(BROWN, 0.8), inside(box(x - 0.4, y + 0.55, 0.09, 0.25, 0.01)));
    const double rows = 0.75 + 0.25 * sin(50 * y) + 0.15 * sin(40 * x);
    const struct colour tiles = dim_colour((struct colour){0.5, 0.12, 0.06}, rows);
    return lay_over(p, shade_flat(s, tiles, x, y), inside(roof));
}

const struct kind draw_kinds[] = {
    {"ball", paint_ball, false, 3.1},
    {"orange", paint_orange, false, 0.6},
    {"ladybird", paint_ladybird, false, 3.1},
    {"flower", paint_flower, false, 3.1},
    {"leaf", paint_leaf, false, 3.1},
    {"fish", paint_fish, false, 0.5},
    {"butterfly", paint_butterfly, false, 0.8},
    {"mug", paint_mug, false, 0.15},
    {"bricks", paint_bricks, true, 0.15},
    {"planks", paint_planks, true, 0.15},
    {"chessboard", paint_chessboard, true, 0.6},
    {"zebra", paint_zebra, true, 0.6},
    {"tree", paint_tree, false, 0.1},
    {"mountains", paint_mountains, true, 0.05},
    {"sea", paint_sea, true, 0.03},
    {"house", paint_house, false, 0.08},
};
_Static_assert(COUNT(draw_kinds) == DRAW_KINDS, "draw.h tells the number of kinds");
