/* columns.h - moments of the columns of a matrix: what the decorrelating objectives begin with. */
#ifndef ANCHORD_ENGINE_OBJECTIVES_COLUMNS_H
#define ANCHORD_ENGINE_OBJECTIVES_COLUMNS_H

#include <stddef.h>

/* z [n, d] -> mean [d] and variance [d] (over n, biased), summed in double in two passes. */
void column_moments(const float *z, size_t n, size_t d, float *mean, float *variance);

#endif
