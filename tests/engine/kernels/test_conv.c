/* test_conv.c - every convolution kernel against seven plain loops, in every shape that a ResNet has and some odd. */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "engine/kernels/infer_conv.h"

static const struct infer_kernel *const kernels[] = {
    &infer_patches,
    &infer_winograd,
#if ANCHORD_ONEDNN
    &infer_dnnl,
#endif
};

/* n, h, w, c, k, window, stride, pad */
static const size_t shapes[][8] = {
    {1, 8, 8, 16, 16, 3, 1, 1},    {1, 7, 7, 32, 16, 3, 1, 1},   {2, 9, 5, 8, 24, 3, 2, 1},
    {1, 31, 33, 3, 64, 7, 2, 3},   {3, 12, 12, 3, 8, 3, 1, 1},   {2, 13, 13, 3, 16, 3, 2, 1},
    {1, 14, 14, 64, 128, 1, 1, 0}, {2, 15, 15, 32, 64, 1, 2, 0}, {1, 14, 14, 16, 16, 1, 2, 0},
    {1, 1, 1, 64, 64, 3, 1, 1},    {1, 2, 2, 64, 128, 3, 2, 1},  {1, 1, 1, 512, 8, 1, 1, 0},
    {1, 7, 7, 512, 64, 3, 1, 1},   {1, 1, 1, 3, 8, 7, 2, 3},     {1, 4, 6, 24, 40, 3, 1, 1},
    {1, 57, 57, 64, 64, 3, 1, 1},  {2, 18, 15, 32, 48, 3, 1, 1}, {1, 16, 16, 40, 33, 3, 1, 1},
};

static struct conv_spec spec_of(const size_t v[8], enum dtype d, bool accumulate, bool relu)
{
    return (struct conv_spec){.dtype = d,
                              .n = v[0],
                              .h = v[1],
                              .w = v[2],
                              .c = v[3],
                              .k = v[4],
                              .window = v[5],
                              .stride = v[6],
                              .pad = v[7],
                              .accumulate = accumulate,
                              .relu = relu};
}

/* The sum of one output, over the patch at (oy, ox). */
static double naive_sum(const struct conv_spec *s, const float *x, const float *w, size_t oy, size_t ox)
{
    double sum = 0;
    for (size_t i = 0; i < s->window; i++)
        for (size_t j = 0; j < s->window; j++)
            for (size_t c = 0; c < s->c; c++) {
                size_t iy = oy * s->stride + i, ix = ox * s->stride + j;
                if (iy < s->pad || ix < s->pad || iy - s->pad >= s->h || ix - s->pad >= s->w)
                    continue;
                size_t at = ((iy - s->pad) * s->w + ix - s->pad) * s->c + c;
                sum += (double)x[at] * (double)w[(c * s->window + i) * s->window + j];
            }
    return sum;
}

static void naive(const struct conv_spec *s, const float *x, const float *w, const float *bias, float *y)
{
    size_t oh = conv_out(s->h, s), ow = conv_out(s->w, s), filter = s->c * s->window * s->window;
    for (size_t n = 0; n < s->n; n++)
        for (size_t oy = 0; oy < oh; oy++)
            for (size_t ox = 0; ox < ow; ox++)
                for (size_t k = 0; k < s->k; k++, y++) {
                    double sum = naive_sum(s, x + n * s->h * s->w * s->c, w + k * filter, oy, ox);
                    sum += (double)bias[k] + (s->accumulate ? (double)*y : 0);
                    *y = s->relu && sum < 0 ? 0 : (float)sum;
                }
}

struct buffers { /* fp32, and the same in the dtype of the convolution */
    size_t n_x, n_y, n_w;
    float *x, *w, *bias, *y, *want;
    void *x_in, *y_out;
};

/* Random values that bf16 holds exactly, so that inputs have no rounding of their own. */
static float *random_values(struct rng *r, size_t n, double scale)
{
    float *v = mem_aligned(n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = bf16_to_float(bf16_from_float((float)(rng_between(r, -1, 1) * scale)));
    return v;
}

static void *to_dtype(const float *v, size_t n, enum dtype d)
{
    void *out = mem_aligned(n, dtype_size(d));
    for (size_t i = 0; i < n; i++) {
        if (d == DTYPE_BF16)
            ((uint16_t *)out)[i] = bf16_from_float(v[i]);
        else
            ((float *)out)[i] = v[i];
    }
    return out;
}

static struct buffers make_buffers(const struct conv_spec *s, uint64_t seed)
{
    struct rng r = rng_new(seed);
    struct buffers b = {.n_x = s->n * s->h * s->w * s->c,
                        .n_y = s->n * conv_out(s->h, s) * conv_out(s->w, s) * s->k,
                        .n_w = s->k * s->c * s->window * s->window};
    b.x = random_values(&r, b.n_x, 1);
    b.w = random_values(&r, b.n_w, 1 / sqrt((double)(b.n_w / s->k)));
    b.bias = random_values(&r, s->k, 1);
    b.want = random_values(&r, b.n_y, 1);
    b.y = mem_aligned(b.n_y, sizeof(float));
    b.x_in = to_dtype(b.x, b.n_x, s->dtype);
    b.y_out = to_dtype(b.want, b.n_y, s->dtype);
    return b;
}

static void free_buffers(struct buffers *b)
{
    free(b->x);
    free(b->w);
    free(b->bias);
    free(b->y);
    free(b->want);
    free(b->x_in);
    free(b->y_out);
}

/* Packs for one image, as an encoder does, and runs for s->n. */
static void run(const struct infer_kernel *kernel, const struct conv_spec *s, struct buffers *b)
{
    struct err e = {0};
    struct conv_spec one = *s;
    one.n = 1;
    struct infer_weights *w = kernel->pack(&one, b->w, b->bias, &e);
    assert_ok(w, e);
    struct infer_conv *c = kernel->open(s, w, &e);
    assert_ok(c, e);
    void *scratch = mem_aligned(kernel->scratch(c) + 1, 1);
    memset(scratch, 0xff, kernel->scratch(c)); /* NaN: what another convolution left there must not matter */
    assert_ok(kernel->bind(c, b->x_in, b->y_out, scratch, &e), e);
    assert_true(kernel->forward(c));
    kernel->close(c);
    kernel->weights_free(w);
    free(scratch);
    for (size_t i = 0; i < b->n_y; i++)
        b->y[i] = s->dtype == DTYPE_BF16 ? bf16_to_float(((uint16_t *)b->y_out)[i]) : ((float *)b->y_out)[i];
}

static void check(const struct infer_kernel *kernel, const struct conv_spec *s, double tolerance)
{
    char what[160];
    struct buffers b = make_buffers(s, 7);
    snprintf(what, sizeof what, "%s n%zu %zux%zux%zu k%zu window %zu stride %zu%s%s", kernel->name, s->n, s->h, s->w,
             s->c, s->k, s->window, s->stride, s->accumulate ? " accumulate" : "", s->relu ? " relu" : "");
    run(kernel, s, &b);
    naive(s, b.x, b.w, b.bias, b.want);
    assert_close(what, b.y, b.want, b.n_y, tolerance);
    free_buffers(&b);
}

static void check_all(enum dtype d, double tolerance)
{
    size_t checked = 0;
    for (size_t k = 0; k < COUNT(kernels); k++)
        for (size_t i = 0; i < COUNT(shapes); i++)
            for (unsigned mode = 0; mode < 4; mode++) {
                struct conv_spec s = spec_of(shapes[i], d, mode & 1, mode & 2);
                if (!kernels[k]->supports(&s))
                    continue;
                check(kernels[k], &s, tolerance);
                checked++;
            }
    assert_true(checked >= COUNT(shapes));
}

static void every_kernel_agrees_with_plain_loops(void **state)
{
    UNUSED(state);
    check_all(DTYPE_F32, 5e-5);
}

static void blas_supports_every_fp32_shape(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct conv_spec s = spec_of(shapes[i], DTYPE_F32, true, true);
        assert_true(infer_patches.supports(&s));
        s.dtype = DTYPE_BF16;
        assert_false(infer_patches.supports(&s));
    }
}

#if ANCHORD_ONEDNN
static void bf16_agrees_to_its_rounding(void **state)
{
    UNUSED(state);
    if (!infer_dnnl_has_bf16())
        skip();
    check_all(DTYPE_BF16, 1.0 / 128);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_agrees_with_plain_loops),
        cmocka_unit_test(blas_supports_every_fp32_shape),
#if ANCHORD_ONEDNN
        cmocka_unit_test(bf16_agrees_to_its_rounding),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
