/* code.c - vectors rounded to bytes, and their inner products. */
#include "index/vectors/code.h"

#include <math.h>
#include <string.h>

#include "base/num.h"

enum { LARGEST = 127 };

HOT_LOOP void code_make(const float *row, const float *centre, size_t d, int8_t *out, struct code *code)
{
    float largest = 0;
    double bias = 0;
    for (size_t i = 0; i < d; i++) {
        float r = row[i] - centre[i];
        largest = fmaxf(largest, fabsf(r));
        bias += (double)r * (double)centre[i];
    }
    *code = (struct code){.scale = largest / LARGEST, .bias = (float)bias};
    float inverse = largest > 0 ? LARGEST / largest : 0;
    for (size_t i = 0; i < d; i++)
        out[i] = (int8_t)lrintf((row[i] - centre[i]) * inverse);
}

HOT_LOOP int32_t code_product(const int8_t *a, const int8_t *b, size_t d)
{
    int32_t sum = 0;
    for (size_t i = 0; i < d; i++)
        sum += (int32_t)a[i] * b[i];
    return sum;
}

void code_centre(const float *const *rows, size_t n, size_t d, float *centre)
{
    memset(centre, 0, d * sizeof *centre);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            centre[k] += rows[i][k] / (float)n;
}
