/* learners.c - networks that learn, for tests. */
#include "tests/t.h"

#include "base/mem.h"
#include "engine/arch_resnet.h"
#include "engine/learning/learner_parts.h"
#include "tests/lib/hashed_weights.h"
#include "tests/lib/learners.h"

const struct learner_kind learner_kinds[LEARNER_KINDS] = {
    {"blas", BACKEND_BLAS, PRECISION_FP32},
#if ANCHORD_ONEDNN
    {"dnnl", BACKEND_DNNL, PRECISION_FP32},
#endif
};
#if ANCHORD_ONEDNN
const struct learner_kind learner_rounded = {"bf16", BACKEND_DNNL, PRECISION_BF16};
#endif

float *learner_pictures(unsigned first, size_t n, size_t size)
{
    size_t each = size * size * 3;
    float *all = mem_aligned(n * each, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        float *one = hashed_picture(first + (unsigned)i, size);
        memcpy(all + i * each, one, each * sizeof *one);
        free(one);
    }
    return all;
}

struct learner *learner_make(const struct arch *a, uint32_t size, const struct learner_options *o)
{
    struct err e = {0};
    struct model *m = hashed_model(a, size);
    struct learner *l = learner_new(m, o, &e);
    assert_ok(l, e);
    model_free(m);
    return l;
}

const struct arch odd_arch = RESNET(50, IMAGENET, 8, 24);

struct learner_options odd_options(const struct learner_kind *k)
{
    return (struct learner_options){.precision = k->precision,
                                    .backend = k->backend,
                                    .batch = ODD_BATCH,
                                    .head = {{16, true, true}, {12, false, true}, {ODD_OUTPUTS, false, false}},
                                    .n_head = 3,
                                    .seed = 3};
}

double learner_objective(struct learner *l, const float *pixels, const float *dz)
{
    struct err e = {0};
    size_t n = l->batch * learner_outputs(l);
    float *z = mem_new(n, sizeof *z);
    double sum = 0;
    assert_ok(learner_forward(l, pixels, z, &e), e);
    for (size_t i = 0; i < n; i++)
        sum += (double)z[i] * (double)dz[i];
    free(z);
    return sum;
}
