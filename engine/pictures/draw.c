/* draw.c - composing a drawn picture: pose, light, background, shadow, grain. */
#include "engine/pictures/draw.h"

#include <math.h>

#include "base/num.h"
#include "base/rng.h"
#include "engine/pictures/draw_kinds.h"

enum { MIN_SIDE = 8, MAX_SIDE = 4096, SAMPLES = 2 }; /* SAMPLES x SAMPLES for each pixel */

struct pose { /* picture coordinates (-1..1) to the thing's */
    double cos, sin, scale, x, y;
};

struct backdrop {
    struct colour near, far;
    double angle_cos, angle_sin, roughness;
};

struct canvas {
    const struct kind *kind;
    struct scene scene;
    struct pose pose;
    struct backdrop backdrop;
    double shadow_x, shadow_y; /* from a shadow towards what throws it */
    struct rng grain;
};

/* ---- the seed's decisions ---- */

static struct scene choose_scene(struct rng *r)
{
    const double angle = rng_between(r, 0.6, 2.5), height = rng_between(r, 0.4, 0.8);
    const double flat = sqrt(1 - height * height);
    struct scene s = {
        .seed = rng_next(r), .light_x = cos(angle) * flat, .light_y = -sin(angle) * flat, .light_z = height};
    s.hue = rng_between(r, -1, 1);
    s.shape = rng_between(r, -1, 1);
    return s;
}

static struct pose choose_pose(const struct kind *k, struct rng *r)
{
    const double turn = rng_between(r, -k->turn, k->turn);
    const double size = k->fills ? rng_between(r, 0.8, 1.3) : rng_between(r, 0.55, 0.85);
    const double room = k->fills ? 0.5 : 0.9 - size;
    return (struct pose){.cos = cos(turn),
                         .sin = sin(turn),
                         .scale = 1 / size,
                         .x = rng_between(r, -room, room),
                         .y = rng_between(r, -room, room)};
}

/* The painters see the light from where they stand: turned like their thing. */
static void turn_light(struct canvas *c)
{
    const double x = c->scene.light_x, y = c->scene.light_y;
    c->shadow_x = 0.09 * x;
    c->shadow_y = 0.09 * y;
    c->scene.light_x = x * c->pose.cos + y * c->pose.sin;
    c->scene.light_y = y * c->pose.cos - x * c->pose.sin;
}

static struct backdrop choose_backdrop(struct rng *r)
{
    const double angle = rng_between(r, 0, 6.283185307179586), brightness = rng_between(r, 0.45, 0.9);
    const struct colour tint = {rng_between(r, 0.8, 1), rng_between(r, 0.8, 1), rng_between(r, 0.8, 1)};
    return (struct backdrop){.near = dim_colour(tint, brightness),
                             .far = dim_colour(tint, brightness * 0.6),
                             .angle_cos = cos(angle),
                             .angle_sin = sin(angle),
                             .roughness = rng_between(r, 0.02, 0.15)};
}

/* ---- composing ---- */

static struct paint look(const struct canvas *c, double x, double y)
{
    const double dx = (x - c->pose.x) * c->pose.scale, dy = (y - c->pose.y) * c->pose.scale;
    return c->kind->paint(&c->scene, dx * c->pose.cos + dy * c->pose.sin, dy * c->pose.cos - dx * c->pose.sin);
}

static struct colour backdrop_at(const struct canvas *c, double x, double y)
{
    const struct backdrop *b = &c->backdrop;
    const double along = 0.5 + 0.35 * (x * b->angle_cos + y * b->angle_sin);
    const double rough = 1 + b->roughness * (2 * cloud_noise(c->scene.seed ^ 1, 9 * x, 9 * y) - 1);
    const double shadow = look(c, x + c->shadow_x, y + c->shadow_y).cover;
    return dim_colour(mix_colours(b->near, b->far, along), rough * (1 - 0.35 * shadow));
}

static struct colour colour_at(const struct canvas *c, double x, double y)
{
    const struct paint top = look(c, x, y);
    if (c->kind->fills || top.cover >= 1)
        return top.colour;
    return mix_colours(backdrop_at(c, x, y), top.colour, top.cover);
}

static uint8_t to_byte(double v)
{
    v = 255 * sqrt(fmax(v, 0)); /* eyes and files are about square-root */
    return (uint8_t)(fmin(v, 255) + 0.5);
}

static void draw_pixel(struct canvas *c, uint32_t side, uint32_t x, uint32_t y, uint8_t *rgb)
{
    struct colour sum = {0, 0, 0};
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        const double u = (x + (i % SAMPLES + 0.5) / SAMPLES) * 2 / side - 1;
        const double v = (y + (i / SAMPLES + 0.5) / SAMPLES) * 2 / side - 1;
        const struct colour one = colour_at(c, u, v);
        sum = (struct colour){sum.r + one.r, sum.g + one.g, sum.b + one.b};
    }
    const double grain = rng_between(&c->grain, 0.97, 1.03);
    sum = dim_colour(sum, grain / (SAMPLES * SAMPLES));
    rgb[0] = to_byte(sum.r);
    rgb[1] = to_byte(sum.g);
    rgb[2] = to_byte(sum.b);
}

const char *draw_kind_name(uint32_t kind)
{
    return kind < DRAW_KINDS ? draw_kinds[kind].name : "unknown";
}

bool draw_picture(uint32_t kind, uint64_t seed, uint32_t side, struct image *out, struct err *e)
{
    struct rng r = rng_for(seed, kind, 0);
    if (kind >= DRAW_KINDS)
        return err_set(e, ERR_BAD_INPUT, "there is no kind %u of pictures", kind);
    if (side < MIN_SIDE || side > MAX_SIDE)
        return err_set(e, ERR_BAD_INPUT, "a drawn picture has %d to %d pixels a side", MIN_SIDE, MAX_SIDE);
    if (!image_new(side, side, out, e))
        return false;
    struct canvas c = {.kind = &draw_kinds[kind]};
    c.scene = choose_scene(&r);
    c.pose = choose_pose(c.kind, &r);
    c.backdrop = choose_backdrop(&r);
    c.grain = r;
    turn_light(&c);
    for (uint32_t y = 0; y < side; y++)
        for (uint32_t x = 0; x < side; x++)
            draw_pixel(&c, side, x, y, out->rgb + ((size_t)y * side + x) * 3);
    return true;
}
