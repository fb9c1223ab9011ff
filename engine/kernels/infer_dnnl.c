/* infer_dnnl.c - the convolution by oneDNN: NHWC tensors, weights in the layout that its kernel asks for. */
#include "engine/kernels/infer_conv.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/common_dnnl.h"

struct infer_weights {
    dnnl_memory_desc_t desc;
    void *data;           /* in the layout and dtype of desc */
    float *bias;          /* [k] */
    dnnl_memory_t memory; /* over data; shared, since making one anew would write its padding */
    dnnl_memory_t bias_memory;
};

enum { ARGS = 5 };

struct infer_conv {
    const struct infer_weights *weights;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[ARGS];
    dnnl_memory_t own[3]; /* x, y, scratch */
};

/* Our tensors are NHWC; oneDNN names their dimensions in the order NCHW all the same. */
static bool describe_tensor(dnnl_memory_desc_t *out, enum dtype d, size_t n, size_t h, size_t w, size_t c)
{
    dnnl_dims_t dims = {to_int(n), to_int(c), to_int(h), to_int(w)};
    return dnnl_memory_desc_init_by_tag(out, 4, dims, onednn_type(d), dnnl_nhwc) == dnnl_success;
}

static bool describe_weights(dnnl_memory_desc_t *out, dnnl_data_type_t type, const struct conv_spec *s,
                             dnnl_format_tag_t tag)
{
    dnnl_dims_t dims = {to_int(s->k), to_int(s->c), to_int(s->window), to_int(s->window)};
    return dnnl_memory_desc_init_by_tag(out, 4, dims, type, tag) == dnnl_success;
}

static bool describe_bias(dnnl_memory_desc_t *out, const struct conv_spec *s)
{
    dnnl_dims_t dims = {to_int(s->k)};
    return dnnl_memory_desc_init_by_tag(out, 1, dims, dnnl_f32, dnnl_a) == dnnl_success;
}

/* What happens to a sum before it is stored, and that the scratch is ours. */
static bool describe_extras(dnnl_primitive_attr_t attr, const struct conv_spec *s)
{
    dnnl_post_ops_t ops = NULL;
    bool ok = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
              dnnl_post_ops_create(&ops) == dnnl_success &&
              (!s->accumulate || dnnl_post_ops_append_sum(ops, 1) == dnnl_success) &&
              (!s->relu || dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0) == dnnl_success) &&
              dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success;
    if (ops)
        dnnl_post_ops_destroy(ops);
    return ok;
}

/* The library's choice of an implementation.  weights NULL: it also chooses their layout. */
static bool describe_conv(const struct conv_spec *s, const dnnl_memory_desc_t *weights, dnnl_primitive_desc_t *out)
{
    dnnl_memory_desc_t x, w, b, y;
    dnnl_convolution_desc_t conv;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_dims_t strides = {to_int(s->stride), to_int(s->stride)}, pad = {to_int(s->pad), to_int(s->pad)};

    if (weights)
        w = *weights;
    else if (!describe_weights(&w, onednn_type(s->dtype), s, dnnl_format_tag_any))
        return false;
    bool ok = describe_tensor(&x, s->dtype, s->n, s->h, s->w, s->c) && describe_bias(&b, s) &&
              describe_tensor(&y, s->dtype, s->n, conv_out(s->h, s), conv_out(s->w, s), s->k) &&
              dnnl_convolution_forward_desc_init(&conv, dnnl_forward_inference, dnnl_convolution_direct, &x, &w, &b, &y,
                                                 strides, pad, pad) == dnnl_success &&
              dnnl_primitive_attr_create(&attr) == dnnl_success && describe_extras(attr, s) &&
              dnnl_primitive_desc_create(out, &conv, attr, onednn_engine(), NULL) == dnnl_success;
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return ok;
}

static bool supports(const struct conv_spec *s)
{
    dnnl_primitive_desc_t desc = NULL;
    if (!onednn_engine() || !describe_conv(s, NULL, &desc))
        return false;
    bool fast = s->dtype == DTYPE_BF16 || onednn_is_fast(desc); /* in bf16 there is nothing else */
    dnnl_primitive_desc_destroy(desc);
    return fast;
}

static void weights_free(struct infer_weights *w)
{
    if (!w)
        return;
    if (w->memory)
        dnnl_memory_destroy(w->memory);
    if (w->bias_memory)
        dnnl_memory_destroy(w->bias_memory);
    free(w->data);
    free(w->bias);
    free(w);
}

/* Copies fp32 [k, c, window, window] into `to`, whatever its layout and dtype. */
static bool reorder(const struct conv_spec *s, const float *weights, dnnl_memory_t to, const dnnl_memory_desc_t *desc)
{
    dnnl_memory_desc_t plain;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t reorder_desc = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_stream_t stream = NULL;
    bool ok = describe_weights(&plain, dnnl_f32, s, dnnl_oihw) &&
              dnnl_memory_create(&from, &plain, onednn_engine(), (void *)(uintptr_t)weights) == dnnl_success &&
              dnnl_reorder_primitive_desc_create(&reorder_desc, &plain, onednn_engine(), desc, onednn_engine(), NULL) ==
                  dnnl_success &&
              dnnl_primitive_create(&primitive, reorder_desc) == dnnl_success &&
              dnnl_stream_create(&stream, onednn_engine(), dnnl_stream_default_flags) == dnnl_success;
    if (ok) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
        ok = dnnl_primitive_execute(primitive, stream, COUNT(args), args) == dnnl_success &&
             dnnl_stream_wait(stream) == dnnl_success;
    }
    if (stream)
        dnnl_stream_destroy(stream);
    if (primitive)
        dnnl_primitive_destroy(primitive);
    if (reorder_desc)
        dnnl_primitive_desc_destroy(reorder_desc);
    if (from)
        dnnl_memory_destroy(from);
    return ok;
}

static struct infer_weights *pack(const struct conv_spec *s, const float *weights, const float *bias, struct err *e)
{
    dnnl_memory_desc_t bias_desc;
    dnnl_primitive_desc_t desc = NULL;
    struct infer_weights *w = NULL;

    if (!describe_conv(s, NULL, &desc)) {
        onednn_refused(e, "a convolution");
        return NULL;
    }
    w = mem_new(1, sizeof *w);
    w->desc = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    dnnl_primitive_desc_destroy(desc);
    w->data = mem_aligned(dnnl_memory_desc_get_size(&w->desc), 1);
    w->bias = mem_dup(bias, s->k * sizeof(float));
    if (describe_bias(&bias_desc, s) &&
        dnnl_memory_create(&w->memory, &w->desc, onednn_engine(), w->data) == dnnl_success &&
        dnnl_memory_create(&w->bias_memory, &bias_desc, onednn_engine(), w->bias) == dnnl_success &&
        reorder(s, weights, w->memory, &w->desc))
        return w;
    onednn_refused(e, "the weights of a convolution");
    weights_free(w);
    return NULL;
}

static void close_conv(struct infer_conv *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < COUNT(c->own); i++)
        if (c->own[i])
            dnnl_memory_destroy(c->own[i]);
    if (c->stream)
        dnnl_stream_destroy(c->stream);
    if (c->primitive)
        dnnl_primitive_destroy(c->primitive);
    if (c->desc)
        dnnl_primitive_desc_destroy(c->desc);
    free(c);
}

static struct infer_conv *open_conv(const struct conv_spec *s, const struct infer_weights *w, struct err *e)
{
    struct infer_conv *c = mem_new(1, sizeof *c);

    c->weights = w;
    if (describe_conv(s, &w->desc, &c->desc) && dnnl_primitive_create(&c->primitive, c->desc) == dnnl_success &&
        dnnl_stream_create(&c->stream, onednn_engine(), dnnl_stream_default_flags) == dnnl_success)
        return c;
    onednn_refused(e, "a convolution");
    close_conv(c);
    return NULL;
}

static size_t scratch(const struct infer_conv *c)
{
    return dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(c->desc, dnnl_query_scratchpad_md, 0));
}

static bool bind_conv(struct infer_conv *c, const void *x, void *y, void *scratch_space, struct err *e)
{
    static const dnnl_query_t kinds[] = {dnnl_query_src_md, dnnl_query_dst_md, dnnl_query_scratchpad_md};
    static const int names[] = {DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    void *const places[] = {(void *)(uintptr_t)x, y, scratch_space};

    for (size_t i = 0; i < COUNT(c->own); i++) {
        const dnnl_memory_desc_t *desc = dnnl_primitive_desc_query_md(c->desc, kinds[i], 0);
        if (dnnl_memory_create(&c->own[i], desc, onednn_engine(), places[i]) != dnnl_success)
            return onednn_refused(e, "the memory of a convolution");
        c->args[i] = (dnnl_exec_arg_t){names[i], c->own[i]};
    }
    c->args[3] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, c->weights->memory};
    c->args[4] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, c->weights->bias_memory};
    return true;
}

static bool forward(struct infer_conv *c)
{
    return dnnl_primitive_execute(c->primitive, c->stream, ARGS, c->args) == dnnl_success &&
           dnnl_stream_wait(c->stream) == dnnl_success;
}

bool infer_dnnl_has_bf16(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

bool infer_dnnl_bf16_pays(void)
{
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    bool amx = (isa & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx;
#if defined(__x86_64__)
    return amx || (infer_dnnl_has_bf16() && __builtin_cpu_is("amd"));
#else
    return amx;
#endif
}

const struct infer_kernel infer_dnnl = {
    .name = "dnnl",
    .supports = supports,
    .pack = pack,
    .weights_free = weights_free,
    .open = open_conv,
    .close = close_conv,
    .scratch = scratch,
    .bind = bind_conv,
    .forward = forward,
};
