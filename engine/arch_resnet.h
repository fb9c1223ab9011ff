/* arch_resnet.h - ResNets by name, for who needs a certain one: arch_resnet.c, and tests. */
#ifndef ANCHORD_ENGINE_ARCH_RESNET_H
#define ANCHORD_ENGINE_ARCH_RESNET_H

#include "engine/arch.h"

enum { RESNET_18, RESNET_34, RESNET_50 };            /* arch.variant */
enum { RESNET_STEM, RESNET_WIDTH, RESNET_SETTINGS }; /* in arch.set */
enum { STEM_IMAGENET, STEM_SMALL1, STEM_SMALL2 };    /* 7x7/2 + max-pool; 3x3 stride 1; 3x3 stride 2 */

/* Initialisers of struct arch: RESNET(18, SMALL2, 8, 0), and the same of values. */
#define RESNET(depth, stem, width, projection) RESNET_OF(RESNET_##depth, STEM_##stem, width, projection)
#define RESNET_OF(variant, stem, width, projection)                                                                    \
    {                                                                                                                  \
        ARCH_RESNET, variant, projection,                                                                              \
        {                                                                                                              \
            stem, width                                                                                                \
        }                                                                                                              \
    }

#endif
