/* prototypes.c - directions that embeddings are compared with. */
#include "engine/objectives/prototypes.h"

#include <string.h>

#include "base/rng.h"
#include "engine/kernels/gemm.h"
#include "engine/objectives/contrast.h"
#include "engine/objectives/sinkhorn.h"
#include "engine/objectives/unit_rows.h"

void prototypes_unit(float *c, size_t k, size_t d)
{
    float norm;
    for (size_t i = 0; i < k; i++)
        unit_rows_forward(c + i * d, 1, d, c + i * d, &norm);
}

void prototypes_start(float *c, size_t k, size_t d, uint64_t seed)
{
    struct rng r = rng_for(seed, 0x70726f746f, 0);
    for (size_t i = 0; i < k * d; i++)
        c[i] = (float)rng_normal(&r);
    prototypes_unit(c, k, d);
}

void prototypes_logits(const float *u, const float *c, size_t n, size_t k, size_t d, double temperature, float *s)
{
    gemm_nt(n, k, d, (float)(1 / temperature), u, c, 0, s);
}

void prototypes_backward(const float *g, const float *u, const float *c, size_t n, size_t k, size_t d, double scale,
                         float *du, float *dc)
{
    gemm_nn(n, d, k, (float)scale, g, c, 1, du);
    if (dc)
        gemm_tn(k, d, n, (float)scale, g, u, 0, dc);
}

void prototypes_codes(float *q, size_t n, size_t k, size_t iterations)
{
    if (iterations)
        sinkhorn(q, n, k, iterations);
    else
        contrast_softmax(q, n, k);
}

size_t prototypes_swap(const float *q, size_t assigned, size_t views, size_t rows, size_t k, float *w)
{
    size_t pairs = 0, each = rows * k;
    memset(w, 0, views * each * sizeof *w);
    for (size_t v = 0; v < views; v++)
        for (size_t a = 0; a < assigned; a++) {
            if (a == v)
                continue;
            for (size_t i = 0; i < each; i++)
                w[v * each + i] += q[a * each + i];
            pairs++;
        }
    return pairs;
}
