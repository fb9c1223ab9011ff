/* faiss_plain.h - one of FAISS's own indexes, for a bench to compare with. */
#ifndef ANCHORD_BENCH_LIB_FAISS_PLAIN_H
#define ANCHORD_BENCH_LIB_FAISS_PLAIN_H

#include "index/vectors/faiss_shim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An index of vectors [n, d] by inner product, as faiss::index_factory() makes it of `kind` ("Flat", "HNSW32,Flat"); `ef`
 * 0: it has no efSearch.  For faiss_Index_free(); ends the program on failure. */
FaissIndex *faiss_plain_new(int d, const char *kind, int ef, size_t n, const float *vectors);

#ifdef __cplusplus
}
#endif

#endif
