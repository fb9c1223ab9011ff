/* common_dnnl.c - oneDNN's engine, and primitives on changing addresses. */
#include "engine/kernels/common_dnnl.h"

#include <pthread.h>
#include <string.h>

static dnnl_engine_t the_engine; /* set once; the library wants one for everything */

static void make_engine(void)
{
    if (dnnl_engine_create(&the_engine, dnnl_cpu, 0) != dnnl_success)
        the_engine = NULL;
}

dnnl_engine_t onednn_engine(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_engine);
    return the_engine;
}

bool onednn_refused(struct err *e, const char *what)
{
    return err_set(e, ERR_INTERNAL, "oneDNN refused %s", what);
}

dnnl_data_type_t onednn_type(enum dtype d)
{
    return d == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

bool onednn_is_fast(dnnl_primitive_desc_t desc)
{
    const char *name = "";
    return dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
           strncmp(name, "ref", 3) != 0;
}

bool onednn_task_open(struct onednn_task *t, dnnl_primitive_desc_t desc, const int *names,
                      const dnnl_memory_desc_t *const *descs, size_t n)
{
    *t = (struct onednn_task){.desc = desc};
    for (; t->n < n; t->n++) {
        dnnl_memory_t memory = NULL;
        if (dnnl_memory_create(&memory, descs[t->n], onednn_engine(), DNNL_MEMORY_NONE) != dnnl_success)
            return false;
        t->args[t->n] = (dnnl_exec_arg_t){names[t->n], memory};
    }
    return dnnl_primitive_create(&t->primitive, desc) == dnnl_success &&
           dnnl_stream_create(&t->stream, onednn_engine(), dnnl_stream_default_flags) == dnnl_success;
}

void onednn_task_close(struct onednn_task *t)
{
    for (size_t i = 0; i < t->n; i++)
        dnnl_memory_destroy(t->args[i].memory);
    if (t->stream)
        dnnl_stream_destroy(t->stream);
    if (t->primitive)
        dnnl_primitive_destroy(t->primitive);
    if (t->desc)
        dnnl_primitive_desc_destroy(t->desc);
    *t = (struct onednn_task){0};
}

bool onednn_task_run(struct onednn_task *t, void *const *places)
{
    for (size_t i = 0; i < t->n; i++)
        if (dnnl_memory_set_data_handle(t->args[i].memory, places[i]) != dnnl_success)
            return false;
    return dnnl_primitive_execute(t->primitive, t->stream, (int)t->n, t->args) == dnnl_success &&
           dnnl_stream_wait(t->stream) == dnnl_success;
}
