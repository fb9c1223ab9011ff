/* arch.c - the ResNets: depths, blocks, and the names and shapes of their weights. */
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

size_t arch_blocks(const struct arch *a, struct arch_block out[ARCH_BLOCKS_MAX])
{
    const struct depth_row *row = depth_row(a);
    uint32_t in = a->width;
    size_t n = 0;

    assert(row);
    for (uint32_t stage = 0; stage < 4; stage++) {
        uint32_t mid = a->width << stage;
        for (uint32_t i = 0; i < row->blocks[stage]; i++) {
            struct arch_block b = {.bottleneck = row->bottleneck, .in = in, .mid = mid};
            b.out = row->bottleneck ? mid * EXPANSION : mid;
            b.stride = stage > 0 && i == 0 ? 2 : 1;
            b.downsample = b.stride != 1 || b.in != b.out;
            snprintf(b.prefix, sizeof b.prefix, "layer%u.%u", stage + 1, i);
            in = b.out;
            assert(n < ARCH_BLOCKS_MAX);
            out[n++] = b;
        }
    }
    return n;
}

struct spec_list {
    struct weight_spec *out; /* [ARCH_WEIGHTS_MAX] */
    size_t n;
};

static struct weight_spec *add_spec(struct spec_list *l, enum weight_kind kind)
{
    assert(l->n < ARCH_WEIGHTS_MAX);
    struct weight_spec *s = &l->out[l->n++];
    *s = (struct weight_spec){.kind = kind};
    return s;
}

static void add_norm(struct spec_list *l, const char *prefix, const char *name, uint32_t channels)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        struct weight_spec *s = add_spec(l, (enum weight_kind)(WEIGHT_BN_SCALE + i));
        snprintf(s->name, sizeof s->name, "%s%s.%s", prefix, name, parts[i]);
        s->rank = 1;
        s->shape[0] = channels;
        s->count = channels;
    }
}

/* A square convolution and the batch norm that follows it. */
static void add_conv(struct spec_list *l, const char *prefix, const char *conv, const char *norm, uint32_t in,
                     uint32_t out, uint32_t side)
{
    struct weight_spec *s = add_spec(l, WEIGHT_CONV);
    snprintf(s->name, sizeof s->name, "%s%s.weight", prefix, conv);
    s->rank = 4;
    s->shape[0] = out;
    s->shape[1] = in;
    s->shape[2] = s->shape[3] = side;
    s->count = (size_t)out * in * side * side;
    add_norm(l, prefix, norm, out);
}

static void add_block(struct spec_list *l, const struct arch_block *b)
{
    char prefix[24];
    snprintf(prefix, sizeof prefix, "%s.", b->prefix);
    if (b->bottleneck) {
        add_conv(l, prefix, "conv1", "bn1", b->in, b->mid, 1);
        add_conv(l, prefix, "conv2", "bn2", b->mid, b->mid, 3);
        add_conv(l, prefix, "conv3", "bn3", b->mid, b->out, 1);
    } else {
        add_conv(l, prefix, "conv1", "bn1", b->in, b->out, 3);
        add_conv(l, prefix, "conv2", "bn2", b->out, b->out, 3);
    }
    if (b->downsample)
        add_conv(l, prefix, "downsample.0", "downsample.1", b->in, b->out, 1);
}

size_t arch_weights(const struct arch *a, struct weight_spec out[ARCH_WEIGHTS_MAX])
{
    struct arch_block blocks[ARCH_BLOCKS_MAX];
    size_t n_blocks = arch_blocks(a, blocks);
    struct spec_list l = {.out = out};

    add_conv(&l, "", "conv1", "bn1", 3, a->width, a->stem == STEM_IMAGENET ? 7 : 3);
    for (size_t i = 0; i < n_blocks; i++)
        add_block(&l, &blocks[i]);
    if (a->projection) {
        struct weight_spec *s = add_spec(&l, WEIGHT_LINEAR);
        snprintf(s->name, sizeof s->name, "projection.weight");
        s->rank = 2;
        s->shape[0] = a->projection;
        s->shape[1] = arch_features(a);
        s->count = (size_t)s->shape[0] * s->shape[1];
    }
    return l.n;
}
