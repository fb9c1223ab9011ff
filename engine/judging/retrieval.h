/* retrieval.h - how good an encoder is: figures over vectors with labels.
 *
 * All vectors are rows [n, d].  Ranking is by cosine of unit rows, best first, ties by the lower index.
 * Sources: recall@k and kNN as in Wu et al. 2018 (arXiv:1805.01978); R-precision and MAP@R as in Musgrave et
 * al. 2020 (arXiv:2003.08505).
 */
#ifndef ANCHORD_ENGINE_JUDGING_RETRIEVAL_H
#define ANCHORD_ENGINE_JUDGING_RETRIEVAL_H

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
/* Row i of views [n, d] is a view of the picture in row i of unit [n, d].  It is searched for among all rows of unit.
 * hits as above. */
struct instance instance_measure(const float *views, const float *unit, size_t n, size_t d, int8_t *hits);

/* The k nearest other rows of row `query`, best first: out [k]; fewer when there are fewer.  Gives how many. */
size_t nearest_rows(const float *unit, size_t n, size_t d, size_t query, size_t k, size_t *out);

/* Weighted kNN accuracy: votes exp(cos / temperature) of the k nearest in the bank. */
double knn_accuracy(const float *bank, const int32_t *bank_labels, size_t n_bank, const float *queries,
                    const int32_t *labels, size_t n, size_t d, size_t k, double temperature);

struct interval {
    double mean, low, high;
};
/* Paired bootstrap of mean(after - before) over queries where both are >= 0: 95 % interval from `resamples`
 * resamples. */
struct interval paired_bootstrap(const int8_t *before, const int8_t *after, size_t n, size_t resamples, uint64_t seed);

#endif
