/* test_conv_backward.c - the three passes of every learning convolution against plain loops in double. */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "engine/kernels/train_conv.h"

static const struct train_kernel *const methods[] = {
    &train_patches,
    &train_winograd,
#if ANCHORD_ONEDNN
    &train_dnnl,
#endif
};

/* n, h, w, c, k, window, stride, pad */
static const size_t shapes[][8] = {
    {2, 8, 8, 16, 16, 3, 1, 1},   {3, 7, 7, 32, 16, 3, 1, 1},  {2, 9, 5, 8, 24, 3, 2, 1},   {2, 15, 17, 3, 16, 7, 2, 3},
    {3, 12, 12, 3, 8, 3, 1, 1},   {2, 13, 13, 3, 16, 3, 2, 1}, {5, 6, 6, 24, 40, 1, 1, 0},  {2, 9, 9, 32, 16, 1, 2, 0},
    {2, 8, 8, 16, 16, 1, 2, 0},   {4, 1, 1, 16, 24, 3, 1, 1},  {2, 2, 2, 16, 32, 3, 2, 1},  {7, 1, 1, 40, 8, 1, 1, 0},
    {2, 1, 1, 3, 8, 7, 2, 3},     {3, 4, 6, 7, 5, 3, 1, 1},    {2, 5, 4, 64, 128, 3, 2, 1}, {2, 4, 4, 300, 16, 3, 1, 1},
    {9, 33, 31, 24, 80, 3, 1, 1}, /* more tiles than a group of Winograd's has */
};

struct problem {
    struct conv_spec s;
    size_t n_x, n_y, n_w;
    float *x, *y, *w;                 /* y: the gradient that comes in */
    double *want_x, *want_y, *want_w; /* gradients of x and w; the output */
};

/* For every product of the convolution once: y += x w, dx += dy w, dw += dy x. */
static void naive(struct problem *p)
{
    const struct conv_spec *s = &p->s;
    size_t oh = conv_out(s->h, s), ow = conv_out(s->w, s), out = 0;
    for (size_t row = 0; row < s->n * oh * ow; row++)
        for (size_t k = 0; k < s->k; k++, out++)
            for (size_t i = 0; i < s->window * s->window; i++) {
                size_t iy = row / ow % oh * s->stride + i / s->window - s->pad;
                size_t ix = row % ow * s->stride + i % s->window - s->pad;
                if (iy >= s->h || ix >= s->w)
                    continue;
                size_t x = ((row / ow / oh * s->h + iy) * s->w + ix) * s->c, w = (k * s->window * s->window + i) * s->c;
                for (size_t c = 0; c < s->c; c++) {
                    p->want_y[out] += (double)p->x[x + c] * (double)p->w[w + c];
                    p->want_x[x + c] += (double)p->y[out] * (double)p->w[w + c];
                    p->want_w[w + c] += (double)p->y[out] * (double)p->x[x + c];
                }
            }
}

static float *random_values(struct rng *r, size_t n) /* that bf16 holds exactly */
{
    float *v = mem_aligned(n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = bf16_to_float(bf16_from_float((float)rng_between(r, -1, 1)));
    return v;
}

static struct problem make_problem(const size_t v[8], enum dtype d)
{
    struct rng r = rng_new(v[0] + v[3] * 17);
    struct problem p = {.s = {.dtype = d,
                              .n = v[0],
                              .h = v[1],
                              .w = v[2],
                              .c = v[3],
                              .k = v[4],
                              .window = v[5],
                              .stride = v[6],
                              .pad = v[7]}};
    p.n_x = v[0] * v[1] * v[2] * v[3];
    p.n_y = v[0] * conv_out(v[1], &p.s) * conv_out(v[2], &p.s) * v[4];
    p.n_w = v[4] * v[5] * v[5] * v[3];
    p.x = random_values(&r, p.n_x);
    p.y = random_values(&r, p.n_y);
    p.w = random_values(&r, p.n_w);
    p.want_x = mem_new(p.n_x, sizeof(double));
    p.want_y = mem_new(p.n_y, sizeof(double));
    p.want_w = mem_new(p.n_w, sizeof(double));
    naive(&p);
    return p;
}

static void free_problem(struct problem *p)
{
    void *all[] = {p->x, p->y, p->w, p->want_x, p->want_y, p->want_w};
    for (size_t i = 0; i < COUNT(all); i++)
        free(all[i]);
}

static void *to_dtype(const float *v, size_t n, enum dtype d)
{
    struct tensor t = {d, 1, 1, 1, n, mem_aligned(n, dtype_size(d))};
    tensor_fill(&t, v);
    return t.data;
}

/* The error relative to the largest value. */
static double error_of(const void *got, enum dtype d, const double *want, size_t n)
{
    double worst = 0, largest = 1e-30;
    for (size_t i = 0; i < n; i++) {
        double g =
            d == DTYPE_BF16 ? (double)bf16_to_float(((const uint16_t *)got)[i]) : (double)((const float *)got)[i];
        if (!isfinite(g))
            return HUGE_VAL;
        worst = fmax(worst, fabs(g - want[i]));
        largest = fmax(largest, fabs(want[i]));
    }
    return worst / largest;
}

static double run(const struct train_kernel *m, const struct problem *p, enum conv_pass pass)
{
    struct err e = {0};
    const struct conv_spec *s = &p->s;
    struct train_conv *j = m->open(s, pass, &e);
    assert_ok(j, e);
    void *scratch = mem_aligned(m->scratch(j) + 1, 1), *x = to_dtype(p->x, p->n_x, s->dtype);
    void *y = to_dtype(p->y, p->n_y, s->dtype), *w = to_dtype(p->w, p->n_w, DTYPE_F32);
    double error = 0;
    for (int again = 0; again < 2; again++) { /* the second run finds what the first left behind */
        assert_true(m->run(j, &(struct train_operands){x, y, w, scratch}));
        error = pass == CONV_FORWARD     ? error_of(y, s->dtype, p->want_y, p->n_y)
                : pass == CONV_BACK_DATA ? error_of(x, s->dtype, p->want_x, p->n_x)
                                         : error_of(w, DTYPE_F32, p->want_w, p->n_w);
    }
    m->close(j);
    free(scratch);
    free(x);
    free(y);
    free(w);
    return error;
}

static void check_all(enum dtype d, double tolerance)
{
    size_t all = 0;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct problem p = make_problem(shapes[i], d);
        size_t checked = 0;
        for (size_t k = 0; k < COUNT(methods) * CONV_PASSES; k++) {
            enum conv_pass pass = (enum conv_pass)(k % CONV_PASSES);
            const struct train_kernel *m = methods[k / CONV_PASSES];
            if (!m->supports(&p.s, pass))
                continue;
            double error = run(m, &p, pass);
            if (!(error <= (pass == CONV_BACK_WEIGHTS ? 1e-5 : tolerance)))
                fail_msg("%s, shape %zu, pass %d: %g", m->name, i, (int)pass, error);
            checked++;
        }
        assert_true(d == DTYPE_BF16 || checked >= CONV_PASSES);
        all += checked;
        free_problem(&p);
    }
    assert_true(all >= COUNT(shapes) * CONV_PASSES);
}

static void every_pass_agrees_with_plain_loops(void **state)
{
    UNUSED(state);
    check_all(DTYPE_F32, 1e-5);
}

static void many_images_are_worked_on_in_tiles(void **state)
{
    UNUSED(state);
    static const size_t large[8] = {6, 56, 56, 128, 4, 3, 1, 1}; /* 14 MB of patches an image */
    struct problem p = make_problem(large, DTYPE_F32);
    for (int pass = 0; pass < CONV_PASSES; pass++)
        assert_true(run(&train_patches, &p, (enum conv_pass)pass) <= 2e-5);
    free_problem(&p);
}

#if ANCHORD_ONEDNN
static void bf16_agrees_to_its_rounding(void **state)
{
    UNUSED(state);
    if (!infer_dnnl_has_bf16())
        skip();
    check_all(DTYPE_BF16, 1.0 / 128);
}
#else
static void bf16_is_not_offered_without_onednn(void **state)
{
    UNUSED(state);
    struct conv_spec s = {DTYPE_BF16, 1, 4, 4, 8, 8, 3, 1, 1, false, false};
    assert_false(train_patches.supports(&s, CONV_FORWARD));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pass_agrees_with_plain_loops),
        cmocka_unit_test(many_images_are_worked_on_in_tiles),
#if ANCHORD_ONEDNN
        cmocka_unit_test(bf16_agrees_to_its_rounding),
#else
        cmocka_unit_test(bf16_is_not_offered_without_onednn),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
