/* embedding_error.h - how far two ways to embed the same pictures are apart.
 *
 * Plain cosine says little, since all vectors of an untrained network are nearly parallel.  So 1 - cos between the
 * two vectors of a picture is told relative to the median 1 - cos between different pictures.
 */
#ifndef ANCHORD_TESTS_LIB_EMBEDDING_ERROR_H
#define ANCHORD_TESTS_LIB_EMBEDDING_ERROR_H

#include <stddef.h>

struct embedding_error {
    double median, mean, largest; /* relative, over the pictures */
    double between;               /* the median 1 - cos between different pictures */
};

/* exact and other: [n, dimensions], unit length, n > 1. */
struct embedding_error embedding_error(const float *exact, const float *other, size_t n, size_t dimensions);

#endif
