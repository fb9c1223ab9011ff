/* eigen.h - eigenvalues of a symmetric matrix (LAPACK's dsyev, which OpenBLAS brings). */
#ifndef ANCHORD_ENGINE_KERNELS_EIGEN_H
#define ANCHORD_ENGINE_KERNELS_EIGEN_H

#include <stddef.h>

/* matrix [n, n]: the lower triangle is read, all of it is overwritten.  values [n], ascending. */
void eigenvalues(double *matrix, size_t n, double *values);

#endif
