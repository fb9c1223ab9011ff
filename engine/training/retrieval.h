/* retrieval.h - how good an encoder is: figures over vectors with labels, and signs of collapse.
 *
 * All vectors are rows [n, d].  Ranking is by cosine of unit rows, best first, ties by the lower index.
 * Sources: recall@k and kNN as in Wu et al. 2018 (arXiv:1805.01978); R-precision and MAP@R as in Musgrave et
 * al. 2020 (arXiv:2003.08505); alignment and uniformity as in Wang and Isola 2020 (arXiv:2005.10242);
 * RankMe as in Garrido et al. 2023 (arXiv:2210.02885).
 */
#ifndef ANCHORD_ENGINE_TRAINING_RETRIEVAL_H
#define ANCHORD_ENGINE_TRAINING_RETRIEVAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

struct retrieval { /* means over the queries that have another image of their label */
    size_t queries;
    double recall_1, recall_5, recall_10, r_precision, map_r;
};

/* Leave-one-out: each row is a query among all others.  hits [n], when not NULL, gets 1, 0, or -1 (left out)
 * for recall@1 of each row. */
struct retrieval retrieval_measure(const float *unit, size_t n, size_t d, const int32_t *labels, int8_t *hits);

struct instance { /* without labels: is a picture found by a view of itself? */
    size_t queries;
    double recall_1;
};
/* views [n, d]: row i is a view of the picture in row i of unit [n, d], among all of which it is searched for.  hits as
 * above. */
struct instance instance_measure(const float *views, const float *unit, size_t n, size_t d, int8_t *hits);

/* The k nearest other rows of row `query`, best first: out [k]; fewer when there are fewer.  Gives how many. */
size_t nearest_rows(const float *unit, size_t n, size_t d, size_t query, size_t k, size_t *out);

/* Weighted kNN accuracy: votes exp(cos / temperature) of the k nearest in the bank. */
double knn_accuracy(const float *bank, const int32_t *bank_labels, size_t n_bank, const float *queries,
                    const int32_t *labels, size_t n, size_t d, size_t k, double temperature);

/* Mean squared distance of the pairs x[i], y[i] (unit rows). */
double alignment(const float *x, const float *y, size_t n, size_t d);
/* log of the mean of exp(-2 |xi - xj|^2) over distinct pairs (unit rows). */
double uniformity(const float *x, size_t n, size_t d);

/* Mean over dimensions of the standard deviation of the rows made unit: 0 is collapse, 1/sqrt(d) isotropic. */
double unit_std(const float *z, size_t n, size_t d);
/* (sum of the eigenvalues)^2 / sum of their squares, of the centred covariance: in how many dimensions the rows vary.
 * Cheap, for each step: of more than 256 rows as many are taken, evenly.  0 when they do not vary. */
double used_dimensions(const float *z, size_t n, size_t d);
/* exp of the entropy of the eigenvalues of the centred covariance: how many dimensions are used. */
double effective_rank(const float *z, size_t n, size_t d);
/* exp of the entropy of the singular values, not centred. */
double rank_me(const float *z, size_t n, size_t d);

struct interval {
    double mean, low, high;
};
/* Paired bootstrap of mean(after - before) over queries where both are >= 0: 95 % interval from `resamples`
 * resamples. */
struct interval paired_bootstrap(const int8_t *before, const int8_t *after, size_t n, size_t resamples,
                                 uint64_t seed);

#endif
