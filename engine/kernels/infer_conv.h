/* infer_conv.h - one interface for a convolution, and the implementations behind it.
 *
 * A convolution is prepared for one shape (open), bound to its buffers once, and then run any number of times
 * without allocating:
 *
 *     const struct infer_kernel *k = infer_dnnl.supports(&spec) ? &infer_dnnl : &infer_patches;
 *     struct infer_weights *w = k->pack(&spec, oihw, bias, e);       shared, read-only
 *     struct infer_conv *c = k->open(&spec, w, e);                        one thread's
 *     k->bind(c, x, y, scratch);
 *     k->forward(c);
 *
 * y[n, out_h, out_w, k] = relu?(conv(x[n, h, w, c]) + bias + (accumulate ? y : 0)), x and y in the dtype of the spec.
 */
#ifndef ANCHORD_ENGINE_KERNELS_INFER_CONV_H
#define ANCHORD_ENGINE_KERNELS_INFER_CONV_H

#include "base/err.h"
#include "engine/kernels/tensor.h"

struct conv_spec {
    enum dtype dtype;  /* of x and y; sums are fp32 */
    size_t n, h, w, c; /* input */
    size_t k;          /* output channels */
    size_t window, stride, pad;
    bool accumulate, relu;
};

static inline size_t conv_out(size_t side, const struct conv_spec *s)
{
    return (side + 2 * s->pad - s->window) / s->stride + 1;
}

struct infer_weights; /* in the layout of one kernel */
struct infer_conv;    /* one convolution of one plan */

struct infer_kernel {
    const char *name;
    bool (*supports)(const struct conv_spec *s);
    /* weights [k, c, window, window] and bias [k], both fp32, are copied.  NULL on failure. */
    struct infer_weights *(*pack)(const struct conv_spec *s, const float *weights, const float *bias, struct err *e);
    void (*weights_free)(struct infer_weights *w); /* NULL is fine */
    /* `s` may differ in n from what `w` was packed for.  Borrows w.  NULL on failure. */
    struct infer_conv *(*open)(const struct conv_spec *s, const struct infer_weights *w, struct err *e);
    void (*close)(struct infer_conv *c); /* NULL is fine */
    size_t (*scratch)(
        const struct infer_conv *c); /* bytes that bind() wants, 64-byte aligned; shared between convolutions */
    bool (*bind)(struct infer_conv *c, const void *x, void *y, void *scratch, struct err *e); /* once */
    bool (*forward)(struct infer_conv *c); /* false: the library refused */
};

extern const struct infer_kernel infer_patches;  /* every fp32 shape; always built */
extern const struct infer_kernel infer_winograd; /* large 3x3 ones of stride 1 in fp32; always built */
#if ANCHORD_ONEDNN
extern const struct infer_kernel infer_dnnl;
bool infer_dnnl_has_bf16(void); /* the processor computes in it (AVX512-BF16 or AMX) */
/* And faster than in fp32: with AMX, or on AMD, whose AVX512-BF16 multiplies twice as many values in a cycle.  Intel's
 * gains less than Winograd's algorithm does in fp32. */
bool infer_dnnl_bf16_pays(void);
#endif

#endif
