/* gemm_dnnl.c - bf16 matrix products by oneDNN. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/common_dnnl.h"
#include "engine/kernels/gemm_bf16.h"

struct gemm_bf16 {
    struct onednn_task task;
};

static bool describe_matrix(dnnl_memory_desc_t *out, size_t rows, size_t columns, dnnl_data_type_t type,
                            bool transposed)
{
    dnnl_dims_t dims = {to_int(rows), to_int(columns)};
    return dnnl_memory_desc_init_by_tag(out, 2, dims, type, transposed ? dnnl_ba : dnnl_ab) == dnnl_success;
}

static bool set_attributes(dnnl_primitive_attr_t attr, bool accumulate)
{
    dnnl_post_ops_t ops = NULL;
    bool ok = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
              dnnl_post_ops_create(&ops) == dnnl_success &&
              (!accumulate || dnnl_post_ops_append_sum(ops, 1) == dnnl_success) &&
              dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success;
    if (ops)
        dnnl_post_ops_destroy(ops);
    return ok;
}

struct gemm_bf16 *gemm_bf16_new(const struct gemm_spec *s, struct err *e)
{
    static const int names[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t product;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    struct gemm_bf16 *g = mem_new(1, sizeof *g);
    bool ok = onednn_engine() && describe_matrix(&a, s->m, s->k, dnnl_bf16, s->a_transposed) &&
              describe_matrix(&b, s->k, s->n, dnnl_bf16, s->b_transposed) &&
              describe_matrix(&c, s->m, s->n, onednn_type(s->c), false) &&
              dnnl_matmul_desc_init(&product, &a, &b, NULL, &c) == dnnl_success &&
              dnnl_primitive_attr_create(&attr) == dnnl_success && set_attributes(attr, s->accumulate) &&
              dnnl_primitive_desc_create(&desc, &product, attr, onednn_engine(), NULL) == dnnl_success;

    if (ok) {
        const dnnl_memory_desc_t *descs[] = {&a, &b, &c,
                                             dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0)};
        ok = onednn_task_open(&g->task, desc, names, descs, COUNT(names));
    }
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    if (ok)
        return g;
    onednn_refused(e, "a matrix product");
    gemm_bf16_free(g);
    return NULL;
}

void gemm_bf16_free(struct gemm_bf16 *g)
{
    if (!g)
        return;
    onednn_task_close(&g->task);
    free(g);
}

size_t gemm_bf16_scratch(const struct gemm_bf16 *g)
{
    return dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(g->task.desc, dnnl_query_scratchpad_md, 0));
}

bool gemm_bf16_run(struct gemm_bf16 *g, const void *a, const void *b, void *c, void *scratch)
{
    void *const places[] = {(void *)(uintptr_t)a, (void *)(uintptr_t)b, c, scratch};
    return onednn_task_run(&g->task, places);
}
