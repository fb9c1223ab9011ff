/* cosine.c - predict the other view's direction. */
#include "engine/objectives/cosine.h"

#include "engine/objectives/objective_parts.h"
#include "engine/objectives/unit_rows.h"

size_t cosine_workspace(size_t n, size_t d)
{
    return 2 * n * d + 2 * n;
}

double cosine_to_other_view(const struct loss_batch *b, double slope, float *work, float *grad)
{
    size_t n = b->n, d = b->d;
    float *u = work, *t = u + n * d, *norms = t + n * d, *target_norms = norms + n;
    double sum = 0;

    unit_rows_forward(b->z, n, d, u, norms);
    unit_rows_forward(b->target, n, d, t, target_norms);
    for (size_t i = 0; i < n; i++) {
        const float *to = t + other_view(i, n) * d;
        for (size_t j = 0; j < d; j++) {
            sum += (double)u[i * d + j] * (double)to[j];
            grad[i * d + j] = (float)(slope / (double)n) * to[j];
        }
    }
    unit_rows_backward(u, norms, n, d, grad);
    return sum / (double)n;
}
