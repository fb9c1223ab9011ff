/* gemm_bf16.h - products of row-major bf16 matrices with fp32 sums, by oneDNN; prepared once for their sizes.
 *
 * c[m, n] = a b, or c += a b.  Matrix a is [m, k], or [k, m] read as its transpose.  Matrix b is [k, n], or [n, k] read
 * as its transpose.  Matrix c is fp32 or bf16.  How many threads a product uses is the process's OMP_NUM_THREADS.
 */
#ifndef ANCHORD_ENGINE_KERNELS_GEMM_BF16_H
#define ANCHORD_ENGINE_KERNELS_GEMM_BF16_H

#include "base/err.h"
#include "engine/kernels/tensor.h"

struct gemm_spec {
    size_t m, n, k;
    bool a_transposed, b_transposed, accumulate;
    enum dtype c;
};

struct gemm_bf16;

struct gemm_bf16 *gemm_bf16_new(const struct gemm_spec *s, struct err *e); /* NULL on failure */
void gemm_bf16_free(struct gemm_bf16 *g);                                  /* NULL is fine */
size_t gemm_bf16_scratch(const struct gemm_bf16 *g);                       /* bytes, 64-byte aligned */
bool gemm_bf16_run(struct gemm_bf16 *g, const void *a, const void *b, void *c, void *scratch);

#endif
