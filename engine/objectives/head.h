/* head.h - the layers behind the encoder that only training uses: a projector, and behind it a predictor. */
#ifndef ANCHORD_ENGINE_OBJECTIVES_HEAD_H
#define ANCHORD_ENGINE_OBJECTIVES_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAD_LAYERS_MAX = 4 };

struct head_layer {   /* linear, then batch norm, then ReLU; the bias is left out before a batch norm */
    uint32_t outputs; /* 0, in the last layer of a predictor: as many as the projector has */
    bool norm, relu;
};

struct head_layers {
    struct head_layer projector[HEAD_LAYERS_MAX]; /* the target branch has it too */
    size_t n_projector;                           /* 0: z is the encoder's output itself */
    struct head_layer predictor[HEAD_LAYERS_MAX]; /* the online branch alone (Grill et al. 2020) */
    size_t n_predictor;
};

#endif
