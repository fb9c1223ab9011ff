/* gemm.h - products of row-major matrices, fp32 but for one, without gaps between their rows.
 *
 * beta = 0 overwrites c (whatever was in it, NaN too); beta = 1 adds to it.  Sizes fit an int.
 * Threads: any thread may call.  How many threads one product uses is the process's OMP_NUM_THREADS, unless the calling
 * thread has said otherwise.
 */
#ifndef ANCHORD_ENGINE_KERNELS_GEMM_H
#define ANCHORD_ENGINE_KERNELS_GEMM_H

#include <stddef.h>

/* The products and OpenMP loops of the calling thread use n threads from now on. */
void gemm_use_threads(size_t n);

/* c[m, n] = alpha * a[m, k] * b[n, k]^T + beta * c */
void gemm_nt(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b, float beta, float *c);
/* c[m, n] = alpha * a[m, k] * b[k, n] + beta * c */
void gemm_nn(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b, float beta, float *c);
/* c[m, n] = alpha * a[k, m]^T * b[k, n] + beta * c */
void gemm_tn(size_t m, size_t n, size_t k, float alpha, const float *a, const float *b, float beta, float *c);

/* c[n, n] += a[m, n]^T * a in double; only the lower triangle of c is read and written. */
void gram_add(size_t m, size_t n, const double *a, double *c);

#endif
