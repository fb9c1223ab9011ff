/* pointwise.c - sums and ReLUs of tensors, piece by piece. */
#include "engine/kernels/pointwise.h"

#include "base/num.h"

enum { PIECE = 1024 }; /* values: fp32 copies of a piece stay in the first-level cache */

HOT_LOOP static void add(const float *a, const float *b, size_t n, float *y)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

HOT_LOOP static void rectify(const float *x, size_t n, float *y)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

/* The piece as fp32: where it lies, or widened into `buffer`. */
static const float *load(const struct tensor *t, size_t at, size_t n, float *buffer)
{
    if (t->dtype == DTYPE_F32)
        return (const float *)t->data + at;
    bf16_widen((const uint16_t *)t->data + at, n, buffer);
    return buffer;
}

/* b NULL: the ReLU of a. */
static void run(const struct tensor *a, const struct tensor *b, const struct tensor *y)
{
    size_t count = tensor_count(y);

#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < count; at += PIECE) {
        float first[PIECE], second[PIECE], out[PIECE];
        size_t n = min_size(PIECE, count - at);
        float *to = y->dtype == DTYPE_F32 ? (float *)y->data + at : out;
        if (b)
            add(load(a, at, n, first), load(b, at, n, second), n, to);
        else
            rectify(load(a, at, n, first), n, to);
        if (y->dtype == DTYPE_BF16)
            bf16_narrow(out, n, (uint16_t *)y->data + at);
    }
}

void pointwise_add(const struct tensor *a, const struct tensor *b, const struct tensor *y)
{
    run(a, b, y);
}

void pointwise_relu(const struct tensor *x, const struct tensor *y)
{
    run(x, NULL, y);
}
