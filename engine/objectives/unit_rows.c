/* unit_rows.c - L2 normalisation of rows, forward and backward. */
#include "engine/objectives/unit_rows.h"

#include <math.h>

static const double tiny = 1e-12;

static double dot(const float *a, const float *b, size_t d)
{
    double sum = 0;
    for (size_t k = 0; k < d; k++)
        sum += (double)a[k] * (double)b[k];
    return sum;
}

void unit_rows_forward(const float *z, size_t n, size_t d, float *u, float *norms)
{
    for (size_t i = 0; i < n; i++) {
        double norm = sqrt(dot(z + i * d, z + i * d, d));
        norms[i] = (float)norm;
        float scale = norm > tiny ? (float)(1 / norm) : 0.0f;
        for (size_t k = 0; k < d; k++)
            u[i * d + k] = z[i * d + k] * scale;
    }
}

void unit_rows_backward(const float *u, const float *norms, size_t n, size_t d, float *g)
{
    for (size_t i = 0; i < n; i++) {
        const float *ui = u + i * d;
        float *gi = g + i * d, along = (float)dot(gi, ui, d);
        float scale = (double)norms[i] > tiny ? 1 / norms[i] : 0.0f;
        for (size_t k = 0; k < d; k++)
            gi[k] = (gi[k] - along * ui[k]) * scale;
    }
}
