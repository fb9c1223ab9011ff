/* tensor.c - fp32 values into a tensor of either dtype. */
#include "engine/kernels/tensor.h"

#include "base/num.h"

HOT_LOOP static void to_bf16(const float *restrict in, size_t n, uint16_t *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_from_float(in[i]);
}

void tensor_fill(const struct tensor *t, const float *values)
{
    size_t n = tensor_count(t);
    if (t->dtype == DTYPE_BF16)
        to_bf16(values, n, t->data);
    else
        memcpy(t->data, values, n * sizeof *values);
}
