/* arch_resnet.c - the ResNets (He et al. 2015) with torchvision's names, shapes and placement of the strides ("v1.5":
 * in the 3x3 convolution of a bottleneck).
 *
 *     stem        conv1 + bn1, ReLU; with the imagenet stem a 3x3/2 max-pool follows
 *     layer1..4   residual blocks; each ends with relu(main path + shortcut)
 *     head        global average pool
 *
 * Every convolution is without bias and followed by a batch norm.  In a block the shortcut's convolution comes first,
 * so that the last of the main path can add to it and write over it; its weights stand behind those of the main path
 * all the same, as in torchvision's files.
 */
#include "engine/arch_resnet.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "engine/arch_family.h"

enum { EXPANSION = 4 };

static const char *const names[] = {[RESNET_18] = "resnet18", [RESNET_34] = "resnet34", [RESNET_50] = "resnet50", NULL};

static const struct {
    bool bottleneck;
    uint32_t blocks[4]; /* of layer1..4 */
} variants[] = {
    [RESNET_18] = {false, {2, 2, 2, 2}},
    [RESNET_34] = {false, {3, 4, 6, 3}},
    [RESNET_50] = {true, {3, 4, 6, 3}},
};

static const char *const stems[] = {
    [STEM_IMAGENET] = "imagenet", [STEM_SMALL1] = "small1", [STEM_SMALL2] = "small2", NULL};

static const struct setting settings[RESNET_SETTINGS] = {
    [RESNET_STEM] = {"stem", SETTING_CHOICE, AT(struct arch, set[RESNET_STEM]), .choices = stems},
    [RESNET_WIDTH] = {"width", SETTING_INT, AT(struct arch, set[RESNET_WIDTH]), .lo = 8, .hi = 256}, /* of layer1 */
};
static const uint32_t usual[RESNET_SETTINGS] = {[RESNET_STEM] = STEM_IMAGENET, [RESNET_WIDTH] = 64};

static bool check(const struct arch *a, struct err *e)
{
    enum { STEP = 8 };
    uint32_t width = a->set[RESNET_WIDTH], lo = (uint32_t)settings[RESNET_WIDTH].lo,
             hi = (uint32_t)settings[RESNET_WIDTH].hi;
    return (width >= lo && width <= hi && width % STEP == 0) ||
           err_field(e, "width", "the width must be a multiple of %d from %u to %u, not %u", STEP, lo, hi, width);
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

/* One residual block: basic (conv1 3x3, conv2 3x3) or a bottleneck (1x1, 3x3, 1x1), with `mid` channels inside.  The
 * stride is that of conv1 in a basic block, of conv2 in a bottleneck, and of the shortcut, which is a convolution where
 * the shape changes. */
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
    uint32_t stem = a->set[RESNET_STEM], width = a->set[RESNET_WIDTH];
    bool large = stem == STEM_IMAGENET;
    struct convolution c = declare(g, "", "conv1", "bn1", 3, width, large ? 7 : 3, stem == STEM_SMALL1 ? 1 : 2);
    x = add_relu(g, add_conv(g, &c, x));
    return large ? graph_then(g, &op_maxpool, (struct op_settings){.window = 3, .stride = 2, .pad = 1}, NULL, x) : x;
}

static size_t build(const struct arch *a, size_t x, struct graph *g)
{
    bool bottleneck = variants[a->variant].bottleneck;

    g->stage = 1;
    x = add_stem(g, a, x);
    for (uint32_t stage = 0; stage < 4; stage++) {
        g->stage++;
        for (uint32_t i = 0; i < variants[a->variant].blocks[stage]; i++) {
            char name[24];
            snprintf(name, sizeof name, "layer%u.%u.", stage + 1, i);
            x = add_block(g, name, bottleneck, a->set[RESNET_WIDTH] << stage, stage > 0 && i == 0 ? 2 : 1, x);
        }
    }
    return graph_then(g, &op_mean, (struct op_settings){0}, NULL, x);
}

static uint32_t features(const struct arch *a)
{
    return a->set[RESNET_WIDTH] * 8 * (variants[a->variant].bottleneck ? EXPANSION : 1);
}

static bool is_small(const struct arch *a)
{
    return a->set[RESNET_STEM] != STEM_IMAGENET;
}

/* ImageNet's rule for the large stem (resize to 8/7 of the side, cut the middle out), small ones whole. */
static struct preprocess preprocess(const struct arch *a, uint32_t size)
{
    struct preprocess p = preprocess_imagenet;
    p.size = size ? size : is_small(a) ? 32 : 224;
    p.resize = is_small(a) ? p.size : (p.size * 8 + 3) / 7;
    return p;
}

/* ---- files of torchvision and timm ---- */

static bool has(const struct safetensors *s, const char *name)
{
    return safetensors_find(s, name) != NULL;
}

static bool recognises(const struct safetensors *s)
{
    const struct safetensor *first = safetensors_find(s, "conv1.weight");
    return first && first->rank == 4 && first->shape[1] == 3 && first->shape[2] == first->shape[3] &&
           (first->shape[2] == 7 || first->shape[2] == 3) && has(s, "layer1.0.conv1.weight");
}

/* A 3x3 stem is taken for small1: its stride is in no shape. */
static void guess(const struct safetensors *s, struct arch *out)
{
    const struct safetensor *first = safetensors_find(s, "conv1.weight");
    out->variant = has(s, "layer1.0.conv3.weight")   ? RESNET_50
                   : has(s, "layer3.5.conv1.weight") ? RESNET_34
                                                     : RESNET_18;
    out->set[RESNET_STEM] = first->shape[2] == 7 ? STEM_IMAGENET : STEM_SMALL1;
    out->set[RESNET_WIDTH] = first->shape[0];
}

static bool ignores(const char *tensor)
{
    const char *dot = strrchr(tensor, '.');
    return strncmp(tensor, "fc.", 3) == 0 || (dot && strcmp(dot, ".num_batches_tracked") == 0);
}

static bool agrees(const struct arch *guess, const struct arch *told, struct err *e)
{
    return is_small(guess) == is_small(told) ||
           err_set(e, ERR_BAD_INPUT, "--stem %s does not fit the %s stem in the file", stems[told->set[RESNET_STEM]],
                   is_small(guess) ? "3x3" : "7x7");
}

const struct family family_resnet = {
    .names = names,
    .settings = settings,
    .n_settings = COUNT(settings),
    .usual = usual,
    .check = check,
    .build = build,
    .features = features,
    .is_small = is_small,
    .preprocess = preprocess,
    .foreign = "a ResNet with torchvision's names (conv1.weight, layer1.0.conv1.weight, ...)",
    .recognises = recognises,
    .guess = guess,
    .unsaid = "stem",
    .ignores = ignores,
    .agrees = agrees,
    .classifier = "fc",
};
