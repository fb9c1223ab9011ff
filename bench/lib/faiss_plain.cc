// faiss_plain.cc - see faiss_plain.h.
#include "bench/lib/faiss_plain.h"

#include <faiss/AutoTune.h>
#include <faiss/index_factory.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

FaissIndex *faiss_plain_new(int d, const char *kind, int ef, size_t n, const float *vectors)
{
    try {
        faiss::Index *index = faiss::index_factory(d, kind, faiss::METRIC_INNER_PRODUCT);
        index->add(idx_t(n), vectors);
        if (ef > 0)
            faiss::ParameterSpace().set_index_parameter(index, "efSearch", ef);
        return reinterpret_cast<FaissIndex *>(index);
    } catch (const std::exception &e) {
        fprintf(stderr, "FAISS: %s\n", e.what());
        exit(1);
    }
}
