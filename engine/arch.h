/* arch.h - what an encoder is made of: its architecture, and the network and weights that follow from it.
 *
 * A ResNet (He et al. 2015) with torchvision's placement of the strides ("v1.5": in the 3x3 convolution of a
 * bottleneck).  This is the one description that the network builder, the model file and the importer share:
 *
 *     stem        conv1 + bn1, ReLU; with the imagenet stem a 3x3/2 max-pool follows
 *     layer1..4   residual blocks; each ends with relu(main path + shortcut)
 *     head        global average pool, then projection.weight where there is one; unit length
 *
 * Every convolution is without bias and followed by a batch norm.
 *
 * Everything here but the graph is a value or static; nothing needs release.  Threads: all functions are pure.
 */
#ifndef ANCHORD_ENGINE_ARCH_H
#define ANCHORD_ENGINE_ARCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/ops/graph.h"

enum stem { STEM_IMAGENET, STEM_SMALL1, STEM_SMALL2 }; /* 7x7/2 + max-pool; 3x3 stride 1; 3x3 stride 2 */

struct arch {
    uint32_t depth; /* 18, 34 or 50 */
    enum stem stem;
    uint32_t width;      /* channels of the first stage; 64 is the paper's */
    uint32_t projection; /* output dimensions of a linear layer after the pooling; 0: none */
};

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

/* Appends the network, its weights declared in torchvision's order, for `rows` square pictures of size x size pixels; gives
 * the node that gives the vectors, not of unit length yet.  `a` must have passed arch_check().  Weights of a network
 * that is there already are shared.  Every batch norm follows a convolution; a block's shortcut comes before its main path, so that
 * the last convolution can add to it. */
size_t arch_build(const struct arch *a, size_t rows, size_t size, struct graph *g);

#endif
