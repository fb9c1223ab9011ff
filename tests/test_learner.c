/* test_learner.c - the network that learns: against PyTorch, against its own slopes, and bit for bit against itself. */
#include "tests/t.h"

#include <omp.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/kernels/conv.h"
#include "engine/training/learner.h"
#include "engine/objectives/objective.h"
#include "tests/lib/hashed.h"

struct kind {
    const char *name;
    enum backend backend;
    enum precision precision;
};

static const struct kind kinds[] = {
    {"blas", BACKEND_BLAS, PRECISION_FP32},
#if ANCHORD_ONEDNN
    {"dnnl", BACKEND_DNNL, PRECISION_FP32},
#endif
};

static float *pictures(unsigned first, size_t n, size_t size)
{
    size_t each = size * size * 3;
    float *all = mem_aligned(n * each, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        float *one = hashed_picture(first + (unsigned)i, size);
        memcpy(all + i * each, one, each * sizeof *one);
        free(one);
    }
    return all;
}

static struct learner *make(const struct arch *a, uint32_t size, const struct learner_options *o)
{
    struct err e = {0};
    struct model *m = hashed_model(a, size);
    struct learner *l = learner_new(m, o, &e);
    assert_ok(l, e);
    model_free(m);
    return l;
}

/* ---- against PyTorch ---- */

enum { GOLDEN_FIRST = 16, GOLDEN_BATCH = 8, GOLDEN_SIZE = 32, GOLDEN_STEPS = 10 };
static const double rate = 0.004;
static const struct arch golden_arch = {18, STEM_SMALL1, 64, 0};

struct run { /* NT-Xent over two views, and SGD */
    struct learner *l;
    struct loss *loss;
    struct optimizer *sgd;
    float *pixels, *z, *dz;
    int32_t groups[GOLDEN_BATCH];
};

static struct run run_new(const struct kind *k, const char *picks)
{
    struct err e = {0};
    struct run r = {.l = make(&golden_arch, GOLDEN_SIZE,
                              &(struct learner_options){.precision = k->precision, .backend = k->backend,
                                                        .batch = GOLDEN_BATCH, .picks = picks})};
    struct objective_settings set = objective_infonce.defaults;
    struct optimizer_settings sgd = optimizer_defaults(OPTIMIZER_SGD);
    size_t n, d = learner_outputs(r.l);
    const struct parameter *parameters = learner_parameters(r.l, &n);
    set.temperature = 0.2;
    set.positives = POSITIVES_VIEWS;
    sgd.weight_decay = 5e-4;
    r.loss = loss_new(&objective_infonce, &set, GOLDEN_BATCH, d, &e);
    r.sgd = optimizer_new(&sgd, parameters, n, &e);
    assert_true(r.loss && r.sgd);
    r.pixels = pictures(GOLDEN_FIRST, GOLDEN_BATCH, GOLDEN_SIZE);
    r.z = mem_new(GOLDEN_BATCH * d, sizeof *r.z);
    r.dz = mem_new(GOLDEN_BATCH * d, sizeof *r.dz);
    for (int i = 0; i < GOLDEN_BATCH; i++)
        r.groups[i] = i % (GOLDEN_BATCH / 2);
    return r;
}

static void run_free(struct run *r)
{
    learner_free(r->l);
    loss_free(r->loss);
    optimizer_free(r->sgd);
    free(r->pixels);
    free(r->z);
    free(r->dz);
}

/* Forward, loss, backward; the loss. */
static double run_gradients(struct run *r)
{
    struct err e = {0};
    const struct loss_batch b = {r->z, r->groups, GOLDEN_BATCH, learner_outputs(r->l)};
    assert_ok(learner_forward(r->l, r->pixels, r->z, &e), e);
    double loss = loss_run(r->loss, &b, r->dz).loss;
    assert_ok(learner_backward(r->l, r->dz, false, &e), e);
    return loss;
}

static double run_step(struct run *r)
{
    double loss = run_gradients(r);
    optimizer_step(r->sgd, rate);
    return loss;
}

static FILE *open_golden(size_t *parameters)
{
    FILE *f = fopen("tests/golden/training.txt", "r");
    assert_non_null(f);
    for (int c = 0; c != '\n';)
        c = fgetc(f);
    assert_int_equal(fscanf(f, "%zu", parameters), 1);
    return f;
}

/* The gradient of one parameter: the error of its norm, and that of a few values, measured against the root mean square
 * of all.  The values have a wider bound: of millions of activations a few lie so near the corner of a ReLU that fp32
 * takes the other side, which moves every gradient below by some thousandths (PyTorch's own fp32 differs as much). */
static double gradient_error(FILE *f, const struct parameter *p, double *of_values)
{
    char name[96];
    size_t count, at;
    double norm, value, sum = 0, worst;
    assert_int_equal(fscanf(f, "%95s %zu %lf", name, &count, &norm), 3);
    assert_int_equal(count, p->count);
    for (size_t i = 0; i < count; i++)
        sum += (double)p->gradient[i] * (double)p->gradient[i];
    worst = fabs(sqrt(sum) - norm) / norm;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(fscanf(f, "%zu %lf", &at, &value), 2);
        *of_values = fmax(*of_values, fabs((double)p->gradient[at] - value) / fmax(fabs(value), norm / sqrt((double)count)));
    }
    return worst;
}

static double read_losses(FILE *f, double losses[GOLDEN_STEPS])
{
    char word[16];
    double mean_norm, variance_norm;
    assert_int_equal(fscanf(f, "%15s", word), 1);
    for (int i = 0; i < GOLDEN_STEPS; i++)
        assert_int_equal(fscanf(f, "%lf", &losses[i]), 1);
    assert_int_equal(fscanf(f, "%15s %lf %lf", word, &mean_norm, &variance_norm), 3);
    return variance_norm;
}

static double variance_norm(struct learner *l)
{
    size_t n;
    double sum = 0;
    const struct learner_tensor *t = learner_tensors(l, &n);
    assert_string_equal(t[n - 1].name, "layer4.1.bn2.running_var");
    for (size_t i = 0; i < t[n - 1].count; i++)
        sum += (double)t[n - 1].data[i] * (double)t[n - 1].data[i];
    return sqrt(sum);
}

static void a_step_and_ten_losses_are_those_of_pytorch(void **state)
{
    UNUSED(state);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct run r = run_new(&kinds[k], NULL);
        double want[GOLDEN_STEPS], loss = run_gradients(&r), worst = 0, of_values = 0;
        size_t n, golden;
        const struct parameter *p = learner_parameters(r.l, &n);
        FILE *f = open_golden(&golden);
        assert_int_equal(n, golden);
        for (size_t i = 0; i < n; i++)
            worst = fmax(worst, gradient_error(f, &p[i], &of_values));
        double variance = read_losses(f, want);
        fclose(f);
        print_message("%s: norms of gradients %.1e, values %.1e\n", kinds[k].name, worst, of_values);
        assert_true(worst <= 1e-3 && of_values <= 2e-2);
        for (int i = 0; i < GOLDEN_STEPS; i++) {
            assert_true(fabs(loss - want[i]) <= 1e-3 * want[i]);
            optimizer_step(r.sgd, rate);
            loss = i + 1 < GOLDEN_STEPS ? run_gradients(&r) : 0;
        }
        assert_true(fabs(variance_norm(r.l) - variance) <= 1e-3 * variance);
        run_free(&r);
    }
}

#if ANCHORD_ONEDNN
static const struct kind rounded = {"bf16", BACKEND_DNNL, PRECISION_BF16};

static void in_bf16_ten_losses_are_near_those_of_pytorch(void **state)
{
    UNUSED(state);
    if (!conv_dnnl_has_bf16())
        skip();
    struct run r = run_new(&rounded, NULL);
    double want[GOLDEN_STEPS];
    size_t n;
    char line[512];
    FILE *f = open_golden(&n);
    for (size_t i = 0; i <= n; i++) /* the end of a line, then the parameters */
        assert_non_null(fgets(line, sizeof line, f));
    read_losses(f, want);
    fclose(f);
    for (int i = 0; i < GOLDEN_STEPS; i++) {
        double loss = run_step(&r);
        print_message("%.4f, PyTorch in double %.4f\n", loss, want[i]);
        assert_true(fabs(loss - want[i]) <= 0.02 * want[i]);
    }
    run_free(&r);
}
#endif

/* ---- against itself ---- */

static void assert_same_tensors(struct learner *a, struct learner *b)
{
    size_t n, m;
    const struct learner_tensor *x = learner_tensors(a, &n), *y = learner_tensors(b, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(x[i].data, y[i].data, x[i].count * sizeof(float));
}

static void check_repeats(const struct kind *k)
{
    struct run a = run_new(k, NULL), b = run_new(k, learner_picks(a.l));
    assert_string_equal(learner_picks(a.l), learner_picks(b.l));
    for (int i = 0; i < 3; i++)
        assert_true(run_step(&a) == run_step(&b));
    assert_same_tensors(a.l, b.l);
    run_free(&a);
    run_free(&b);
}

static void the_same_run_gives_the_same_bits(void **state)
{
    UNUSED(state);
#ifdef ANCHORD_TSAN
    skip(); /* ThreadSanitizer does not see the barriers of libgomp */
#endif
    int threads = omp_get_max_threads();
    omp_set_num_threads(2);
    for (size_t k = 0; k < COUNT(kinds); k++)
        check_repeats(&kinds[k]);
#if ANCHORD_ONEDNN
    if (conv_dnnl_has_bf16())
        check_repeats(&rounded);
#endif
    omp_set_num_threads(threads);
}

/* ---- slopes ---- */

static const struct arch slope_arch = {50, STEM_IMAGENET, 8, 24};
enum { SLOPE_SIZE = 37, SLOPE_BATCH = 5, HEAD_PARAMETERS = 8 }; /* the projection is one of them */

static struct learner_options slope_options(const struct kind *k)
{
    return (struct learner_options){.precision = k->precision, .backend = k->backend, .batch = SLOPE_BATCH,
                                    .head = {{16, true, true}, {12, false, true}, {7, false, false}}, .n_head = 3,
                                    .seed = 3};
}

/* sum of dz * z */
static double objective(struct learner *l, const float *pixels, const float *dz)
{
    struct err e = {0};
    float z[SLOPE_BATCH * 64];
    double sum = 0;
    assert_ok(learner_forward(l, pixels, z, &e), e);
    for (size_t i = 0; i < SLOPE_BATCH * learner_outputs(l); i++)
        sum += (double)z[i] * (double)dz[i];
    return sum;
}

static void move(const struct parameter *p, const float *start, const float *along, double by)
{
    for (size_t i = 0; i < p->count; i++)
        p->value[i] = (float)((double)start[i] + by * (double)along[i]);
}

/* The slope along the gradient is its length.  The least error over some distances: long ones meet curvature, short
 * ones the noise of sums; so does a shift whose effect the next batch norm takes away, hence the floor. */
static double slope_error(struct learner *l, const struct parameter *p, const float *pixels, const float *dz,
                          const float *gradient, double floor)
{
    float *start = mem_dup(p->value, p->count * sizeof *start);
    double norm = 0, least = HUGE_VAL;
    for (size_t i = 0; i < p->count; i++)
        norm += (double)gradient[i] * (double)gradient[i];
    norm = sqrt(norm);
    for (double h = 0.01; norm > 0 && h > 2e-5; h /= 3) {
        move(p, start, gradient, h / norm);
        double above = objective(l, pixels, dz);
        move(p, start, gradient, -h / norm);
        double below = objective(l, pixels, dz);
        least = fmin(least, fabs((above - below) / (2 * h) - norm) / fmax(norm, floor));
    }
    move(p, start, gradient, 0);
    free(start);
    return norm > 0 ? least : 0;
}

/* Pushes the channels of the batch norms away from the corners of ReLUs, to either side: there slopes mean
 * nothing. */
static void avoid_corners(struct learner *l, float by)
{
    size_t n;
    const struct learner_tensor *t = learner_tensors(l, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(strrchr(t[i].name, '.'), ".bias") == 0)
            for (size_t k = 0; k < t[i].count; k++)
                t[i].data[k] += k % 4 < 3 ? by : -by;
}

static double largest_norm(const struct parameter *p, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t k = 0; k < p[i].count; k++)
            sum += (double)p[i].gradient[k] * (double)p[i].gradient[k];
        largest = fmax(largest, sqrt(sum));
    }
    return largest;
}

/* All of the head, and of the encoder one tensor in `stride`; 0: none.  With frozen norms the encoder has so many corners
 * near the pictures that no distance is short enough for fp32: there the kernels' own tests must do. */
static void check_slopes(const struct learner_options *o, const char *name, size_t stride)
{
    struct err e = {0};
    struct learner *l = make(&slope_arch, SLOPE_SIZE, o);
    struct rng r = rng_new(8);
    float *pixels = pictures(0, SLOPE_BATCH, SLOPE_SIZE), dz[SLOPE_BATCH * 64];
    size_t n;
    double worst = 0;
    for (size_t i = 0; i < COUNT(dz); i++)
        dz[i] = (float)rng_between(&r, -1, 1);
    const struct parameter *p = learner_parameters(l, &n);
    avoid_corners(l, 4);
    objective(l, pixels, dz);
    assert_ok(learner_backward(l, dz, false, &e), e);
    double floor = 0.05 * largest_norm(p, n);
    for (size_t i = 0; i < n; i++) {
        if (i < n - HEAD_PARAMETERS && (!stride || i % stride != 0))
            continue;
        float *gradient = mem_dup(p[i].gradient, p[i].count * sizeof *gradient);
        double error = slope_error(l, &p[i], pixels, dz, gradient, floor);
        worst = fmax(worst, error);
        free(gradient);
    }
    print_message("%s%s: %zu tensors, worst slope %.1e\n", name, o->freeze_norm ? ", frozen norms" : "", n, worst);
    assert_true(worst <= 5e-3); /* fp32 near the corners of ReLUs; what is wrong is off by tenths */
    learner_free(l);
    free(pixels);
}

static void gradients_are_the_slopes_of_the_network(void **state)
{
    UNUSED(state);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct learner_options o = slope_options(&kinds[k]);
        check_slopes(&o, kinds[k].name, 15 - 2 * k);
        o.freeze_norm = true;
        check_slopes(&o, kinds[k].name, 0);
    }
}

/* ---- the rest of the contract ---- */

static void gradients_add_up_when_asked(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct learner_options o = slope_options(&kinds[0]);
    struct learner *l = make(&slope_arch, SLOPE_SIZE, &o);
    float *pixels = pictures(0, SLOPE_BATCH, SLOPE_SIZE), dz[SLOPE_BATCH * 7];
    size_t n;
    for (size_t i = 0; i < COUNT(dz); i++)
        dz[i] = (float)(i % 3) - 1;
    const struct parameter *p = learner_parameters(l, &n);
    objective(l, pixels, dz);
    assert_ok(learner_backward(l, dz, false, &e), e);
    float **once = mem_new(n, sizeof *once);
    for (size_t i = 0; i < n; i++)
        once[i] = mem_dup(p[i].gradient, p[i].count * sizeof **once);
    objective(l, pixels, dz);
    assert_ok(learner_backward(l, dz, true, &e), e);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < p[i].count; k++)
            assert_true(fabsf(p[i].gradient[k] - 2 * once[i][k]) <= 1e-5f * fabsf(once[i][k]) + 1e-9f);
        free(once[i]);
    }
    free(once);
    free(pixels);
    learner_free(l);
}

static void with_frozen_norms_the_features_are_those_of_the_encoder(void **state)
{
    UNUSED(state);
    struct err e = {0};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct model *m = hashed_model(&slope_arch, SLOPE_SIZE);
        struct learner *l = learner_new(m, &(struct learner_options){.precision = PRECISION_FP32, .freeze_norm = true,
                                                                     .backend = kinds[k].backend, .batch = 2}, &e);
        struct encoder *enc = encoder_new(m, &(struct encoder_options){PRECISION_FP32, kinds[k].backend}, &e);
        struct lane *lane = lane_new(enc, 2, &e);
        float *pixels = pictures(0, 2, SLOPE_SIZE), want[2 * 24], z[2 * 24];
        assert_ok(learner_forward(l, pixels, z, &e), e);
        assert_memory_equal(z, learner_features(l), sizeof z);
        assert_ok(lane_forward(lane, pixels, 2, want, &e), e);
        for (size_t i = 0; i < 2; i++) {
            double norm = 0;
            for (size_t j = 0; j < 24; j++)
                norm += (double)z[i * 24 + j] * (double)z[i * 24 + j];
            for (size_t j = 0; j < 24; j++)
                assert_true(fabs((double)z[i * 24 + j] / sqrt(norm) - (double)want[i * 24 + j]) < 1e-5);
        }
        lane_free(lane);
        encoder_release(enc);
        learner_free(l);
        model_free(m);
        free(pixels);
    }
}

static void a_model_comes_back_as_it_went_in(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct model *m = hashed_model(&slope_arch, SLOPE_SIZE), *other = hashed_model(&slope_arch, SLOPE_SIZE);
    struct learner *l = learner_new(m, &(struct learner_options){.batch = 3}, &e);
    assert_ok(l, e);
    memset(other->weights[0].data, 0, other->weights[0].count * sizeof(float));
    learner_export(l, other);
    assert_string_equal(m->fingerprint, other->fingerprint);
    learner_free(l);
    model_free(m);
    model_free(other);
}

static const struct parameter *find(struct learner *l, const char *name)
{
    size_t n, m;
    const struct learner_tensor *t = learner_tensors(l, &n);
    const struct parameter *p = learner_parameters(l, &m);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++)
            if (strcmp(t[i].name, name) == 0 && p[k].value == t[i].data)
                return &p[k];
    return NULL;
}

static void frozen_stages_stay_and_the_others_learn_as_before(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct learner_options o = slope_options(&kinds[0]);
    float *pixels = pictures(0, SLOPE_BATCH, SLOPE_SIZE), dz[SLOPE_BATCH * 7];
    for (size_t i = 0; i < COUNT(dz); i++)
        dz[i] = (float)(i % 5) - 2;
    o.freeze_norm = true;
    struct learner *all = make(&slope_arch, SLOPE_SIZE, &o);
    o.freeze_stages = 3;
    o.head_rate = 10;
    struct learner *some = make(&slope_arch, SLOPE_SIZE, &o);
    assert_null(find(some, "conv1.weight"));
    assert_null(find(some, "layer2.0.conv2.weight"));
    assert_null(find(some, "layer3.0.bn1.weight"));
    assert_non_null(find(all, "layer2.0.conv2.weight"));
    assert_true(find(some, "head.2.bias")->rate_scale == 10 && !find(some, "head.2.bias")->decay);
    assert_true(find(some, "projection.weight")->rate_scale == 1 && find(some, "projection.weight")->decay);
    objective(all, pixels, dz);
    objective(some, pixels, dz);
    assert_ok(learner_backward(all, dz, false, &e) && learner_backward(some, dz, false, &e), e);
    const struct parameter *a = find(all, "layer3.0.conv1.weight"), *b = find(some, "layer3.0.conv1.weight");
    assert_memory_equal(a->gradient, b->gradient, a->count * sizeof(float));
    assert_true(learner_memory(some) < learner_memory(all));
    learner_free(all);
    learner_free(some);
    free(pixels);
}

static void what_cannot_be_is_refused(void **state)
{
    UNUSED(state);
    struct err e;
    struct arch a = {18, STEM_SMALL1, 8, 0};
    struct model *m = hashed_model(&a, 16);
    static const struct {
        struct learner_options o;
        const char *param;
        enum err_code code;
    } cases[] = {
        {{.batch = 0}, "batch", ERR_BAD_INPUT},
        {{.batch = 2}, "batch", ERR_BAD_INPUT},
        {{.batch = 2, .freeze_norm = true, .n_head = 1, .head = {{8, true, true}}}, "batch", ERR_BAD_INPUT},
        {{.batch = 4, .n_head = 5}, "head", ERR_BAD_INPUT},
        {{.batch = 4, .n_head = 1}, "head", ERR_BAD_INPUT},
        {{.batch = 4, .backend = BACKEND_BLAS, .precision = PRECISION_BF16}, "precision", ERR_BAD_INPUT},
        {{.batch = 4, .picks = "{\"convolutions\":[]}"}, "picks", ERR_BAD_INPUT},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_err(learner_new(m, &cases[i].o, &e), e, cases[i].code);
        assert_string_equal(e.param, cases[i].param);
    }
    model_free(m);
}

static void picks_of_another_machine_are_refused(void **state)
{
    UNUSED(state);
    struct err e;
    struct arch a = {18, STEM_SMALL1, 8, 0};
    struct model *m = hashed_model(&a, 16);
    struct learner_options o = {.batch = 4, .backend = BACKEND_BLAS};
    struct learner *l = learner_new(m, &o, &e);
    char *picks = mem_text(learner_picks(l)), *at = strstr(picks, "\"patches\"");
    assert_non_null(at);
    memcpy(at, "\"tachyon\"", 9);
    o.picks = picks;
    assert_err(learner_new(m, &o, &e), e, ERR_CONFLICT);
    assert_string_equal(e.param, "picks");
    learner_free(l);
    model_free(m);
    free(picks);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_and_ten_losses_are_those_of_pytorch),
#if ANCHORD_ONEDNN
        cmocka_unit_test(in_bf16_ten_losses_are_near_those_of_pytorch),
#endif
        cmocka_unit_test(the_same_run_gives_the_same_bits),
        cmocka_unit_test(gradients_are_the_slopes_of_the_network),
        cmocka_unit_test(gradients_add_up_when_asked),
        cmocka_unit_test(with_frozen_norms_the_features_are_those_of_the_encoder),
        cmocka_unit_test(a_model_comes_back_as_it_went_in),
        cmocka_unit_test(frozen_stages_stay_and_the_others_learn_as_before),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(picks_of_another_machine_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
