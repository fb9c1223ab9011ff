/* train_conv.h - the three passes of a convolution that learns, each with several implementations.
 *
 *     CONV_FORWARD        y  = conv(x, w)
 *     CONV_BACK_DATA      dx = the gradient of x, from dy and w
 *     CONV_BACK_WEIGHTS   dw = the gradient of w, from x and dy
 *
 * x and y (and their gradients) are in the dtype of the spec.  Weights and their gradients are fp32, [k, window,
 * window, c]; sums are fp32.  No implementation is the fastest for every shape and pass: whoever trains measures them
 * (conv_picks.h).  A job is one pass for one shape, prepared; running it allocates nothing of its own.
 *
 *     struct train_conv *j = train_patches.open(&spec, CONV_FORWARD, e);
 *     train_patches.run(j, &(struct train_operands){x, y, w, scratch});
 *
 * Threads: a job is used by one thread at a time, and shares its loops out over OpenMP's threads.  The same number of
 * threads gives the same bits.
 */
#ifndef ANCHORD_ENGINE_KERNELS_TRAIN_CONV_H
#define ANCHORD_ENGINE_KERNELS_TRAIN_CONV_H

#include "engine/kernels/infer_conv.h"

enum conv_pass { CONV_FORWARD, CONV_BACK_DATA, CONV_BACK_WEIGHTS, CONV_PASSES };

struct train_operands { /* the pass tells which one is written */
    void *x;            /* [n, h, w, c], or its gradient */
    void *y;            /* [n, out_h, out_w, k], or its gradient */
    float *w;           /* [k, window, window, c], or its gradient */
    void *scratch;      /* 64-byte aligned */
};

struct train_conv;

struct train_kernel {
    const char *name;
    /* The spec's accumulate and relu do not count.  False where it would be wrong, or a library's reference code. */
    bool (*supports)(const struct conv_spec *s, enum conv_pass pass);
    struct train_conv *(*open)(const struct conv_spec *s, enum conv_pass pass, struct err *e); /* NULL on failure */
    void (*close)(struct train_conv *j);                                                       /* NULL is fine */
    size_t (*scratch)(const struct train_conv *j);                                             /* bytes */
    bool (*run)(struct train_conv *j, const struct train_operands *o); /* false: the library refused */
};

extern const struct train_kernel train_patches;  /* patches and matrix products: every shape; bf16 with oneDNN only */
extern const struct train_kernel train_winograd; /* 3x3 of stride 1; computes in fp32 whatever the dtype */
#if ANCHORD_ONEDNN
extern const struct train_kernel train_dnnl; /* oneDNN's own convolutions */
#endif

#endif
