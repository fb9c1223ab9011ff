/* common_dnnl.h - what the files that use oneDNN share: the engine, and a primitive with its operands. */
#ifndef ANCHORD_ENGINE_KERNELS_COMMON_DNNL_H
#define ANCHORD_ENGINE_KERNELS_COMMON_DNNL_H
#if ANCHORD_ONEDNN

#include <dnnl.h>

#include "base/err.h"
#include "engine/kernels/tensor.h"

/* The processor; NULL when the library refuses.  One for the whole program. */
dnnl_engine_t onednn_engine(void);
bool onednn_refused(struct err *e, const char *what); /* ERR_INTERNAL */
dnnl_data_type_t onednn_type(enum dtype d);
/* Not the library's reference code, which is right but slow. */
bool onednn_is_fast(dnnl_primitive_desc_t desc);

enum { ONEDNN_OPERANDS_MAX = 4 };

struct onednn_task { /* a primitive that runs on changing addresses; its scratch is an operand too */
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    size_t n;
    dnnl_exec_arg_t args[ONEDNN_OPERANDS_MAX]; /* owns the memories */
};

/* Takes over `desc` (with the scratchpad of the user's).  `names` are the arguments, in the order in which run gets
 * their addresses; `descs` describes them.  False on failure; the task is to be closed in either case. */
bool onednn_task_open(struct onednn_task *t, dnnl_primitive_desc_t desc, const int *names,
                      const dnnl_memory_desc_t *const *descs, size_t n);
void onednn_task_close(struct onednn_task *t);
bool onednn_task_run(struct onednn_task *t, void *const *places);

#endif
#endif
