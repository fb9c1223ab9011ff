/* learners.h - networks that learn, for tests: from hashed weights (hashed_weights.h), on each set of kernels. */
#ifndef ANCHORD_TESTS_LIB_LEARNERS_H
#define ANCHORD_TESTS_LIB_LEARNERS_H

#include "engine/learning/learner.h"

struct learner_kind {
    const char *name;
    enum backend backend;
    enum precision precision;
};

enum { LEARNER_KINDS = 1 + ANCHORD_ONEDNN };
extern const struct learner_kind learner_kinds[LEARNER_KINDS]; /* in fp32 */
#if ANCHORD_ONEDNN
extern const struct learner_kind learner_rounded; /* in bf16, where the processor has it (infer_dnnl_has_bf16()) */
#endif

/* n hashed pictures from number `first` on, [n, size, size, 3]; the caller's to free. */
float *learner_pictures(unsigned first, size_t n, size_t size);
/* Asserts that it can be made. */
struct learner *learner_make(const struct arch *a, uint32_t size, const struct learner_options *o);

/* A deep one of odd sizes: bottlenecks, max pooling, projection; and its options, with a head of all that a head may have. */
extern const struct arch odd_arch;
enum { ODD_SIZE = 37, ODD_BATCH = 5, ODD_OUTPUTS = 7 };
struct learner_options odd_options(const struct learner_kind *k);

/* Forward; the sum of dz * z. */
double learner_objective(struct learner *l, const float *pixels, const float *dz);

#endif
