/* probe.h - what a frozen encoder's features are worth to a classifier: linear probe and few-shot episodes.
 *
 * Both follow "How Well Do Self-Supervised Models Transfer?" (Ericsson et al. 2021, arXiv:2011.13377): features as
 * the encoder gives them before normalisation, no augmentation.
 */
#ifndef ANCHORD_ENGINE_JUDGING_PROBE_H
#define ANCHORD_ENGINE_JUDGING_PROBE_H

#include <stddef.h>
#include <stdint.h>

struct features {          /* borrowed */
    const float *x;        /* [n, d] */
    const int32_t *labels; /* [n], 0 .. classes - 1 */
    size_t n, d;
    size_t classes;
};

struct linear_probe {
    double accuracy;     /* top-1 on the test features */
    double weight_decay; /* chosen on a fifth of the training features */
};
/* Multinomial logistic regression by L-BFGS on features standardised by the training part.  It tries `grid` values of
 * the L2 penalty, log-spaced from 1e-6 to 1e2, and fits the best again on all. */
struct linear_probe linear_probe(const struct features *train, const struct features *test, size_t grid, uint64_t seed);

struct few_shot {
    double accuracy, interval; /* mean, and half of the 95 % interval, over the episodes */
    size_t episodes;           /* 0: too few classes with enough images */
    size_t classes, least;     /* those that have enough, and how many images that is */
};
/* `ways` classes, `shots` examples of each, 15 queries of each; the nearest class mean (Euclidean) wins. */
struct few_shot few_shot(const struct features *f, size_t ways, size_t shots, size_t episodes, uint64_t seed);

#endif
