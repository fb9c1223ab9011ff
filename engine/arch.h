/* arch.h - what an encoder is made of: its architecture, its blocks, and the weights it needs.
 *
 * A ResNet (He et al. 2015) with torchvision's placement of the strides ("v1.5": in the 3x3 convolution of a
 * bottleneck).  This is the one description that the network builder, the model file and the importer share:
 *
 *     stem        conv1 + bn1, ReLU; with the imagenet stem a 3x3/2 max-pool follows
 *     layer1..4   arch_blocks() of them; each ends with relu(main path + shortcut)
 *     head        global average pool, then projection.weight where there is one; unit length
 *
 * Every convolution is without bias and followed by a batch norm; a batch norm is `weight`, `bias`,
 * `running_mean`, `running_var`, and its epsilon is ARCH_BN_EPSILON.
 *
 * Everything here is a value or static; nothing needs release.  Threads: all functions are pure.
 */
#ifndef ANCHORD_ENGINE_ARCH_H
#define ANCHORD_ENGINE_ARCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum stem { STEM_IMAGENET, STEM_SMALL1, STEM_SMALL2 }; /* 7x7/2 + max-pool; 3x3 stride 1; 3x3 stride 2 */

struct arch {
    uint32_t depth; /* 18, 34 or 50 */
    enum stem stem;
    uint32_t width;      /* channels of the first stage; 64 is the paper's */
    uint32_t projection; /* output dimensions of a linear layer after the pooling; 0: none */
};

#define ARCH_BN_EPSILON 1e-5f
enum { ARCH_BLOCKS_MAX = 16, ARCH_WEIGHTS_MAX = 280, ARCH_NAME_MAX = 48 };

/* Refuses depths other than 18, 34 and 50, widths that are not a multiple of 8 in 8..256 and projections
 * over 4096: ERR_BAD_INPUT naming the field. */
MUST_CHECK bool arch_check(const struct arch *a, struct err *e);
/* "resnet18", "resnet34", "resnet50" with the imagenet stem and width 64.  ERR_BAD_INPUT otherwise. */
MUST_CHECK bool arch_parse(const char *name, struct arch *out, struct err *e);
const char *arch_name(const struct arch *a); /* "resnet18"; static */
/* "imagenet", "small1", "small2".  ERR_BAD_INPUT otherwise. */
MUST_CHECK bool stem_parse(const char *name, enum stem *out, struct err *e);
const char *stem_name(enum stem s);             /* static */
uint32_t arch_features(const struct arch *a);   /* channels that the pooling gives: 512 for ResNet-18 */
uint32_t arch_dimensions(const struct arch *a); /* of the vector: the projection's, else the features */

struct arch_block {        /* one residual block: basic (conv1 3x3, conv2 3x3) or bottleneck (1x1, 3x3, 1x1) */
    char prefix[16];       /* "layer1.0" */
    bool bottleneck;       /* conv3 and bn3 exist */
    bool downsample;       /* the shortcut is downsample.0 (1x1, stride) + downsample.1 (batch norm) */
    uint32_t in, mid, out; /* channels: of the input, inside a bottleneck (= out in a basic block), of the output */
    uint32_t stride;       /* 1 or 2: of conv1 in a basic block, of conv2 in a bottleneck, and of downsample.0 */
};
/* Fills `out` in order of execution; gives how many. */
size_t arch_blocks(const struct arch *a, struct arch_block out[ARCH_BLOCKS_MAX]);

enum weight_kind { WEIGHT_CONV, WEIGHT_BN_SCALE, WEIGHT_BN_SHIFT, WEIGHT_BN_MEAN, WEIGHT_BN_VARIANCE, WEIGHT_LINEAR };

struct weight_spec {          /* a tensor that the architecture needs, with torchvision's name and shape */
    char name[ARCH_NAME_MAX]; /* "layer1.0.conv1.weight" */
    enum weight_kind kind;
    uint32_t rank, shape[4]; /* convolutions [out, in, height, width]; the projection [out, in] */
    size_t count;            /* product of the shape */
};
/* Fills `out` in torchvision's order (conv1.weight, bn1.weight, bn1.bias, bn1.running_mean, bn1.running_var,
 * layer1.0.conv1.weight, ..., projection.weight); gives how many.  `a` must have passed arch_check(). */
size_t arch_weights(const struct arch *a, struct weight_spec out[ARCH_WEIGHTS_MAX]);

#endif
