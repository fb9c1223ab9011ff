/* tensor.c - values from fp32 to bf16 and back. */
#include "engine/kernels/tensor.h"

#include "base/num.h"

HOT_LOOP void bf16_widen(const uint16_t *restrict in, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_to_float(in[i]);
}

HOT_LOOP void bf16_narrow(const float *restrict in, size_t n, uint16_t *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_from_float(in[i]);
}

void tensor_fill(const struct tensor *t, const float *values)
{
    size_t n = tensor_count(t);
    if (t->dtype == DTYPE_BF16)
        bf16_narrow(values, n, t->data);
    else
        memcpy(t->data, values, n * sizeof *values);
}
