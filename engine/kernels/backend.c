/* backend.c - what this program and this processor can do. */
#include "engine/kernels/backend.h"

#include "engine/kernels/infer_conv.h"

static bool has_bf16(void)
{
#if ANCHORD_ONEDNN
    return infer_dnnl_has_bf16();
#else
    return false;
#endif
}

static bool bf16_pays(void)
{
#if ANCHORD_ONEDNN
    return infer_dnnl_bf16_pays();
#else
    return false;
#endif
}

bool backend_settle(enum backend *backend, enum precision *precision, struct err *e)
{
    if (*backend == BACKEND_AUTO)
        *backend = ANCHORD_ONEDNN ? BACKEND_DNNL : BACKEND_BLAS;
    if (*backend == BACKEND_DNNL && !ANCHORD_ONEDNN)
        return err_field(e, "backend", "this program was built without oneDNN");

    bool bf16 = *backend == BACKEND_DNNL && has_bf16();
    if (*precision == PRECISION_AUTO)
        *precision = bf16 && bf16_pays() ? PRECISION_BF16 : PRECISION_FP32;
    if (*precision == PRECISION_BF16 && !bf16)
        return err_field(e, "precision", "bf16 needs oneDNN and a processor with AVX512-BF16 or AMX");
    return true;
}
