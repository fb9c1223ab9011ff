/* train_dnnl.c - the passes of a convolution by oneDNN's own convolutions, weights reordered for each run. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/kernels/common_dnnl.h"
#include "engine/kernels/layout.h"
#include "engine/kernels/train_conv.h"

struct train_conv {
    enum conv_pass pass;
    struct onednn_task conv;
    struct onednn_task reorder; /* between our weights and the convolution's */
    size_t scratch_at, scratch; /* behind the convolution's weights; bytes in all */
};

struct shapes {
    dnnl_memory_desc_t x, w, y;
    dnnl_dims_t strides, pad;
};

static bool describe_shapes(const struct conv_spec *s, enum conv_pass pass, struct shapes *out)
{
    dnnl_data_type_t type = onednn_type(s->dtype), w_type = pass == CONV_BACK_WEIGHTS ? dnnl_f32 : type;
    dnnl_dims_t x = {to_int(s->n), to_int(s->c), to_int(s->h), to_int(s->w)};
    dnnl_dims_t w = {to_int(s->k), to_int(s->c), to_int(s->window), to_int(s->window)};
    dnnl_dims_t y = {to_int(s->n), to_int(s->k), to_int(conv_out(s->h, s)), to_int(conv_out(s->w, s))};

    for (size_t i = 0; i < 2; i++) {
        out->strides[i] = to_int(s->stride);
        out->pad[i] = to_int(s->pad);
    }
    return dnnl_memory_desc_init_by_tag(&out->x, 4, x, type, dnnl_nhwc) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&out->w, 4, w, w_type, dnnl_format_tag_any) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&out->y, 4, y, type, dnnl_nhwc) == dnnl_success;
}

static bool make_desc(const dnnl_convolution_desc_t *conv, dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out)
{
    dnnl_primitive_attr_t attr = NULL;
    bool ok = dnnl_primitive_attr_create(&attr) == dnnl_success &&
              dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
              dnnl_primitive_desc_create(out, conv, attr, onednn_engine(), hint) == dnnl_success;
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return ok;
}

static bool describe_forward(const struct conv_spec *s, dnnl_primitive_desc_t *out)
{
    struct shapes m;
    dnnl_convolution_desc_t conv;
    return describe_shapes(s, CONV_FORWARD, &m) &&
           dnnl_convolution_forward_desc_init(&conv, dnnl_forward_training, dnnl_convolution_direct, &m.x, &m.w, NULL,
                                              &m.y, m.strides, m.pad, m.pad) == dnnl_success &&
           make_desc(&conv, NULL, out);
}

static bool describe_backward(const struct conv_spec *s, enum conv_pass pass, dnnl_primitive_desc_t *out)
{
    struct shapes m;
    dnnl_convolution_desc_t conv;
    dnnl_primitive_desc_t forward = NULL; /* the library wants to see it */
    if (!describe_shapes(s, pass, &m) || !describe_forward(s, &forward))
        return false;
    dnnl_status_t status = pass == CONV_BACK_DATA
                               ? dnnl_convolution_backward_data_desc_init(&conv, dnnl_convolution_direct, &m.x, &m.w,
                                                                          &m.y, m.strides, m.pad, m.pad)
                               : dnnl_convolution_backward_weights_desc_init(&conv, dnnl_convolution_direct, &m.x, &m.w,
                                                                             NULL, &m.y, m.strides, m.pad, m.pad);
    bool ok = status == dnnl_success && make_desc(&conv, forward, out);
    dnnl_primitive_desc_destroy(forward);
    return ok;
}

static bool describe(const struct conv_spec *s, enum conv_pass pass, dnnl_primitive_desc_t *out)
{
    return onednn_engine() && (pass == CONV_FORWARD ? describe_forward(s, out) : describe_backward(s, pass, out));
}

/* Where a part of the window never meets the picture, oneDNN 2.6 leaves garbage in its bf16 gradient (7x7 on 1x1). */
static bool is_wrong(const struct conv_spec *s, enum conv_pass pass)
{
    return pass == CONV_BACK_WEIGHTS && s->window > min_size(s->h, s->w) + s->pad;
}

static bool supports(const struct conv_spec *s, enum conv_pass pass)
{
    dnnl_primitive_desc_t desc = NULL;
    if (is_wrong(s, pass) || !describe(s, pass, &desc))
        return false;
    bool fast = onednn_is_fast(desc);
    dnnl_primitive_desc_destroy(desc);
    return fast;
}

static void close_job(struct train_conv *j)
{
    if (!j)
        return;
    onednn_task_close(&j->conv);
    onednn_task_close(&j->reorder);
    free(j);
}

/* Ours are fp32 [k, window, window, c]. */
static bool open_reorder(struct train_conv *j, const struct conv_spec *s, const dnnl_memory_desc_t *theirs)
{
    static const int names[] = {DNNL_ARG_FROM, DNNL_ARG_TO};
    dnnl_dims_t dims = {to_int(s->k), to_int(s->c), to_int(s->window), to_int(s->window)};
    dnnl_memory_desc_t ours;
    dnnl_primitive_desc_t desc = NULL;
    if (dnnl_memory_desc_init_by_tag(&ours, 4, dims, dnnl_f32, dnnl_ohwi) != dnnl_success)
        return false;
    const dnnl_memory_desc_t *const in[] = {&ours, theirs}, *const out[] = {theirs, &ours};
    const dnnl_memory_desc_t *const *descs = j->pass == CONV_BACK_WEIGHTS ? out : in;
    return dnnl_reorder_primitive_desc_create(&desc, descs[0], onednn_engine(), descs[1], onednn_engine(), NULL) ==
               dnnl_success &&
           onednn_task_open(&j->reorder, desc, names, descs, COUNT(names));
}

static bool open_conv(struct train_conv *j, dnnl_primitive_desc_t desc)
{
    static const int names[CONV_PASSES][4] = {
        [CONV_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD},
        [CONV_BACK_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_SCRATCHPAD},
        [CONV_BACK_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_SCRATCHPAD},
    };
    static const dnnl_query_t queries[CONV_PASSES][4] = {
        [CONV_FORWARD] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md, dnnl_query_scratchpad_md},
        [CONV_BACK_DATA] = {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md,
                            dnnl_query_scratchpad_md},
        [CONV_BACK_WEIGHTS] = {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md,
                               dnnl_query_scratchpad_md},
    };
    const dnnl_memory_desc_t *descs[4];
    for (size_t i = 0; i < COUNT(descs); i++)
        descs[i] = dnnl_primitive_desc_query_md(desc, queries[j->pass][i], 0);
    size_t weights = dnnl_memory_desc_get_size(descs[1]);
    j->scratch_at = (weights + LAYOUT_ALIGN - 1) / LAYOUT_ALIGN * LAYOUT_ALIGN;
    j->scratch = j->scratch_at + dnnl_memory_desc_get_size(descs[3]);
    return onednn_task_open(&j->conv, desc, names[j->pass], descs, COUNT(descs));
}

static struct train_conv *open_job(const struct conv_spec *s, enum conv_pass pass, struct err *e)
{
    struct train_conv *j = mem_new(1, sizeof *j);
    dnnl_primitive_desc_t desc = NULL;

    j->pass = pass;
    if (describe(s, pass, &desc) && open_conv(j, desc) &&
        open_reorder(j, s,
                     dnnl_primitive_desc_query_md(
                         desc, pass == CONV_BACK_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0)))
        return j;
    onednn_refused(e, "a convolution");
    close_job(j);
    return NULL;
}

static size_t scratch_of(const struct train_conv *j)
{
    return j->scratch;
}

static bool run(struct train_conv *j, const struct train_operands *o)
{
    char *scratch = o->scratch;
    void *const conv[] = {o->x, scratch, o->y, scratch + j->scratch_at};
    void *const in[] = {o->w, scratch}, *const out[] = {scratch, o->w};

    if (j->pass == CONV_BACK_WEIGHTS)
        return onednn_task_run(&j->conv, conv) && onednn_task_run(&j->reorder, out);
    return onednn_task_run(&j->reorder, in) && onednn_task_run(&j->conv, conv);
}

const struct train_kernel train_dnnl = {
    .name = "direct",
    .supports = supports,
    .open = open_job,
    .close = close_job,
    .scratch = scratch_of,
    .run = run,
};
