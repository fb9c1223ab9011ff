/* arch.c - the ResNets: depths, blocks, and the names of their weights. */
#include "engine/arch.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

struct depth_row {
    uint32_t depth;
    const char *name;
    bool bottleneck;
    uint32_t blocks[4]; /* of layer1..4 */
};

static const struct depth_row depths[] = {
    {18, "resnet18", false, {2, 2, 2, 2}},
    {34, "resnet34", false, {3, 4, 6, 3}},
    {50, "resnet50", true, {3, 4, 6, 3}},
};

static const char *const stems[] = {[STEM_IMAGENET] = "imagenet", [STEM_SMALL1] = "small1", [STEM_SMALL2] = "small2"};

enum { EXPANSION = 4, PROJECTION_MAX = 4096, WIDTH_STEP = 8, WIDTH_MAX = 256 };

static const struct depth_row *depth_row(const struct arch *a)
{
    for (size_t i = 0; i < COUNT(depths); i++)
        if (depths[i].depth == a->depth)
            return &depths[i];
    return NULL;
}

bool arch_check(const struct arch *a, struct err *e)
{
    if (!depth_row(a))
        return err_field(e, "depth", "the depth must be 18, 34 or 50, not %u", a->depth);
    if ((size_t)a->stem >= COUNT(stems))
        return err_field(e, "stem", "the stem must be imagenet, small1 or small2");
    if (a->width < WIDTH_STEP || a->width > WIDTH_MAX || a->width % WIDTH_STEP != 0)
        return err_field(e, "width", "the width must be a multiple of %d from %d to %d, not %u", WIDTH_STEP, WIDTH_STEP,
                         WIDTH_MAX, a->width);
    if (a->projection > PROJECTION_MAX)
        return err_field(e, "projection", "the projection must have at most %d dimensions, not %u", PROJECTION_MAX,
                         a->projection);
    return true;
}

bool arch_parse(const char *name, struct arch *out, struct err *e)
{
    for (size_t i = 0; i < COUNT(depths); i++) {
        if (strcmp(name, depths[i].name) != 0)
            continue;
        *out = (struct arch){.depth = depths[i].depth, .stem = STEM_IMAGENET, .width = 64};
        return true;
    }
    return err_field(e, "arch", "the architecture must be resnet18, resnet34 or resnet50");
}

const char *arch_name(const struct arch *a)
{
    const struct depth_row *row = depth_row(a);
    return row ? row->name : "unknown";
}

bool stem_parse(const char *name, enum stem *out, struct err *e)
{
    for (size_t i = 0; i < COUNT(stems); i++) {
        if (strcmp(name, stems[i]) != 0)
            continue;
        *out = (enum stem)i;
        return true;
    }
    return err_field(e, "stem", "the stem must be imagenet, small1 or small2");
}

const char *stem_name(enum stem s)
{
    return (size_t)s < COUNT(stems) ? stems[s] : "unknown";
}

uint32_t arch_features(const struct arch *a)
{
    const struct depth_row *row = depth_row(a);
    return a->width * 8 * (row && row->bottleneck ? EXPANSION : 1);
}

uint32_t arch_dimensions(const struct arch *a)
{
    return a->projection ? a->projection : arch_features(a);
}

/* ---- the network ---- */

struct convolution { /* and the batch norm behind it, their weights declared */
    struct op_settings set;
    size_t conv, norm;
};

static const struct op_settings norm_settings = {.epsilon = 1e-5f};

static struct convolution declare(struct graph *g, const char *block, const char *conv, const char *norm, size_t in,
                                  size_t out, size_t window, size_t stride)
{
    char name[2][48];
    struct convolution c = {.set = {.channels = out, .window = window, .stride = stride, .pad = window / 2}};
    snprintf(name[0], sizeof name[0], "%s%s", block, conv);
    snprintf(name[1], sizeof name[1], "%s%s", block, norm);
    c.conv = graph_declare(g, &op_conv, c.set, in, name[0]);
    c.norm = graph_declare(g, &op_norm, norm_settings, out, name[1]);
    return c;
}

static size_t add_conv(struct graph *g, const struct convolution *c, size_t x)
{
    x = graph_add(g, &op_conv, c->set, c->conv, 1, &x);
    return graph_add(g, &op_norm, norm_settings, c->norm, 1, &x);
}

static size_t add_relu(struct graph *g, size_t x)
{
    return graph_then(g, &op_relu, (struct op_settings){0}, NULL, x);
}

/* One residual block: basic (conv1 3x3, conv2 3x3) or a bottleneck (1x1, 3x3, 1x1), with `mid` channels inside.  The stride is that of
 * conv1 in a basic block, of conv2 in a bottleneck, and of the shortcut, which is a convolution where the shape changes. */
static size_t add_block(struct graph *g, const char *name, bool bottleneck, size_t mid, size_t stride, size_t x)
{
    size_t in = g->nodes[x].c, out = bottleneck ? mid * EXPANSION : mid, n = 0, y = x, shortcut = x;
    struct convolution path[3], down;

    if (bottleneck)
        path[n++] = declare(g, name, "conv1", "bn1", in, mid, 1, 1);
    else
        path[n++] = declare(g, name, "conv1", "bn1", in, mid, 3, stride);
    path[n++] = declare(g, name, "conv2", "bn2", mid, mid, 3, bottleneck ? stride : 1);
    if (bottleneck)
        path[n++] = declare(g, name, "conv3", "bn3", mid, out, 1, 1);
    if (stride != 1 || in != out) {
        down = declare(g, name, "downsample.0", "downsample.1", in, out, 1, stride);
        shortcut = add_conv(g, &down, x);
    }
    for (size_t i = 0; i < n; i++) {
        y = add_conv(g, &path[i], y);
        if (i + 1 < n)
            y = add_relu(g, y);
    }
    return add_relu(g, graph_add(g, &op_add, (struct op_settings){0}, 0, 2, (size_t[]){y, shortcut}));
}

static size_t add_stem(struct graph *g, const struct arch *a, size_t x)
{
    bool large = a->stem == STEM_IMAGENET;
    struct convolution c = declare(g, "", "conv1", "bn1", 3, a->width, large ? 7 : 3, a->stem == STEM_SMALL1 ? 1 : 2);
    x = add_relu(g, add_conv(g, &c, x));
    return large ? graph_then(g, &op_maxpool, (struct op_settings){.window = 3, .stride = 2, .pad = 1}, NULL, x) : x;
}

size_t arch_build(const struct arch *a, size_t rows, size_t size, struct graph *g)
{
    const struct depth_row *row = depth_row(a);
    size_t x = graph_input(g, rows, size, size, 3);

    assert(row);
    g->stage = 1;
    x = add_stem(g, a, x);
    for (uint32_t stage = 0; stage < 4; stage++) {
        g->stage++;
        for (uint32_t i = 0; i < row->blocks[stage]; i++) {
            char name[24];
            snprintf(name, sizeof name, "layer%u.%u.", stage + 1, i);
            x = add_block(g, name, row->bottleneck, a->width << stage, stage > 0 && i == 0 ? 2 : 1, x);
        }
    }
    x = graph_then(g, &op_mean, (struct op_settings){0}, NULL, x);
    if (a->projection)
        x = graph_then(g, &op_linear, (struct op_settings){.channels = a->projection}, "projection", x);
    return x;
}
