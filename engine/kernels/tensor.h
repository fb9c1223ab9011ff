/* tensor.h - a block of numbers with a shape: NHWC (channels innermost), fp32 or bf16.
 *
 * A tensor is a value that borrows its data.  bf16 is the upper half of an fp32, rounded to nearest even.
 */
#ifndef ANCHORD_ENGINE_KERNELS_TENSOR_H
#define ANCHORD_ENGINE_KERNELS_TENSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype { DTYPE_F32, DTYPE_BF16 };

struct tensor {
    enum dtype dtype;
    size_t n, h, w, c;
    void *data; /* [n, h, w, c]; borrowed */
};

static inline size_t dtype_size(enum dtype d)
{
    return d == DTYPE_BF16 ? sizeof(uint16_t) : sizeof(float);
}

static inline size_t tensor_count(const struct tensor *t)
{
    return t->n * t->h * t->w * t->c;
}

static inline float bf16_to_float(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline size_t tensor_bytes(const struct tensor *t)
{
    return tensor_count(t) * dtype_size(t->dtype);
}

/* A NaN stays one: the branch keeps rounding from carrying its mantissa over into infinity. */
static inline uint16_t bf16_from_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* n values from one to the other, rounded to nearest even. */
void bf16_widen(const uint16_t *in, size_t n, float *out);
void bf16_narrow(const float *in, size_t n, uint16_t *out);

/* Copies tensor_count(t) values into t->data, rounding to its dtype. */
void tensor_fill(const struct tensor *t, const float *values);

#endif
