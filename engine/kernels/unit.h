/* unit.h - a vector brought to length one. */
#ifndef ANCHORD_ENGINE_KERNELS_UNIT_H
#define ANCHORD_ENGINE_KERNELS_UNIT_H

#include <stdbool.h>
#include <stddef.h>

/* out[n] = x[n] / |x|; out may be x.  False, with out untouched, when |x| is zero or not finite. */
bool unit_vector(const float *x, size_t n, float *out);

#endif
