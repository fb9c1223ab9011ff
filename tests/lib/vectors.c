/* vectors.c - clustered unit vectors from a seed. */
#include "tests/lib/vectors.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

static void normalise(float *v, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < d; i++)
        sum += (double)v[i] * (double)v[i];
    for (size_t i = 0; i < d; i++)
        v[i] = (float)((double)v[i] / sqrt(sum));
}

/* out = centre + noise of about the length `spread`, at unit length. */
static void near(struct rng *r, const float *centre, size_t d, double spread, float *out)
{
    double scale = spread / sqrt((double)d);
    for (size_t i = 0; i < d; i++)
        out[i] = (float)((centre ? (double)centre[i] : 0) + scale * rng_normal(r));
    normalise(out, d);
}

float *vectors_clustered(uint64_t seed, size_t n, size_t d, size_t clusters, double spread)
{
    float *centres = mem_aligned(clusters * d, sizeof *centres), *v = mem_aligned(n * d, sizeof *v);
    struct rng r = rng_new(seed);
    for (size_t c = 0; c < clusters; c++)
        near(&r, NULL, d, 1, centres + c * d);
    for (size_t i = 0; i < n; i++)
        near(&r, centres + i % clusters * d, d, spread, v + i * d);
    free(centres);
    return v;
}

void vectors_near(uint64_t seed, const float *vector, size_t d, double spread, float *out)
{
    struct rng r = rng_new(seed);
    near(&r, vector, d, spread, out);
}
