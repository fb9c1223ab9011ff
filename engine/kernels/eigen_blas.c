/* eigen_blas.c - eigenvalues by LAPACK. */
#include "engine/kernels/eigen.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

/* The Fortran entry; "L" in C's row order is Fortran's upper triangle. */
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
                   const int *lwork, int *info, size_t jobz_len, size_t uplo_len);

void eigenvalues(double *matrix, size_t n, double *values)
{
    int order = to_int(n), room = order * 64 + 64, info = 0;
    double *work = mem_new((size_t)room, sizeof *work);
    dsyev_("N", "U", &order, matrix, &order, values, work, &room, &info, 1, 1);
    for (size_t i = 0; info != 0 && i < n; i++)
        values[i] = 0; /* it does not converge for matrices with NaN: no rank is known */
    free(work);
}
