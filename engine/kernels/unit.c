/* unit.c - L2 normalisation. */
#include "engine/kernels/unit.h"

#include <math.h>

bool unit_vector(const float *x, size_t n, float *out)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    if (!isfinite(sum) || !(sum > 0))
        return false;
    double scale = 1 / sqrt(sum);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((double)x[i] * scale);
    return true;
}
