/* gemm_blas.c - matrix products by OpenBLAS. */
#include "engine/kernels/gemm.h"

#include <cblas.h>

#include "base/num.h"

void omp_set_num_threads(int n); /* OpenMP 4.5, 3.2.1; clang has no omp.h of its own */

void gemm_use_threads(size_t n)
{
    omp_set_num_threads(to_int(n));
    openblas_set_num_threads(to_int(n));
}

void gemm_nt(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b, float beta, float *c)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, to_int(m), to_int(n), to_int(k), alpha, a, to_int(k), b,
                to_int(k), beta, c, to_int(n));
}

void gemm_nn(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b, float beta, float *c)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, to_int(m), to_int(n), to_int(k), alpha, a, to_int(k), b,
                to_int(n), beta, c, to_int(n));
}

void gemm_tn(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b, float beta, float *c)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, to_int(m), to_int(n), to_int(k), alpha, a, to_int(m), b,
                to_int(n), beta, c, to_int(n));
}

void gram_add(size_t m, size_t n, const double *a, double *c)
{
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, to_int(n), to_int(m), 1, a, to_int(n), 1, c, to_int(n));
}
