/* vectors.h - unit vectors for tests and benchmarks: in clusters, as the embeddings of real pictures are. */
#ifndef ANCHORD_TESTS_LIB_VECTORS_H
#define ANCHORD_TESTS_LIB_VECTORS_H

#include <stddef.h>
#include <stdint.h>

/* n vectors [n, d] around `clusters` random centres.  `spread` is the length of the noise beside the centre's 1 (0.6
 * gives a mean cosine of 0.74 within a cluster).  Clusters are laid out one after the other in turn: vector i belongs
 * to cluster i % clusters.  The caller frees. */
float *vectors_clustered(uint64_t seed, size_t n, size_t d, size_t clusters, double spread);

/* One vector near vectors[i], at unit length: a query. */
void vectors_near(uint64_t seed, const float *vector, size_t d, double spread, float *out);

#endif
