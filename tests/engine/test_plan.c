/* test_plan.c - whole networks against PyTorch (tests/golden/resnet.txt), on every backend. */
#include "tests/t.h"

#include "base/mem.h"
#include "engine/arch_resnet.h"
#include "engine/kernels/infer_conv.h"
#include "engine/plan.h"
#include "tests/lib/hashed_weights.h"

static const struct {
    const char *name;
    enum backend backend;
} kinds[] = {
    {"blas", BACKEND_BLAS},
#if ANCHORD_ONEDNN
    {"dnnl", BACKEND_DNNL},
#endif
};

struct golden_case {
    struct arch arch;
    uint32_t size;
    unsigned picture;
    size_t dimensions;
    float *want; /* owned */
};

/* Reads the next case; false at the end of the file. */
static bool read_case(FILE *f, struct golden_case *c)
{
    char name[32], stem[16];
    uint32_t depth, width, projection;
    struct err e = {0};
    if (fscanf(f, "%u %15s %u %u %u %u %zu", &depth, stem, &width, &projection, &c->size, &c->picture,
               &c->dimensions) != 7)
        return false;
    snprintf(name, sizeof name, "resnet%u", depth);
    assert_ok(arch_parse(name, &c->arch, &e) && arch_choose(&c->arch, RESNET_STEM, stem, &e), e);
    c->arch.set[RESNET_WIDTH] = width;
    c->arch.projection = projection;
    assert_int_equal(arch_dimensions(&c->arch), c->dimensions);
    c->want = mem_new(c->dimensions, sizeof *c->want);
    for (size_t i = 0; i < c->dimensions; i++)
        assert_int_equal(fscanf(f, "%f", &c->want[i]), 1);
    return true;
}

static FILE *open_cases(void)
{
    FILE *f = fopen("tests/golden/resnet.txt", "r");
    assert_non_null(f);
    for (int c = 0; c != '\n';) /* the first line is a comment */
        c = fgetc(f);
    return f;
}

/* The largest difference, as a part of the largest value. */
static double relative_error(const float *got, const float *want, size_t n)
{
    double difference = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(got[i]))
            return HUGE_VAL;
        difference = fmax(difference, fabs((double)got[i] - (double)want[i]));
        largest = fmax(largest, fabs((double)want[i]));
    }
    return difference / largest;
}

static void vectors_are_those_of_pytorch(void **state)
{
    UNUSED(state);
    struct golden_case c;
    size_t cases = 0;
    FILE *f = open_cases();
    for (; read_case(f, &c); cases++) {
        struct model *m = hashed_model(&c.arch, c.size);
        float *pixels = hashed_picture(c.picture, c.size), *got = mem_new(c.dimensions, sizeof *got);
        for (size_t k = 0; k < COUNT(kinds); k++) {
            struct err e = {0};
            struct network *net = network_new(m, DTYPE_F32, kinds[k].backend, &e);
            assert_ok(net, e);
            struct plan *p = plan_new(net, 1, &e);
            assert_ok(p, e);
            assert_ok(plan_forward(p, pixels, got, &e), e);
            double error = relative_error(got, c.want, c.dimensions);
            print_message("%s, %s, %u pixels: %.1e\n", kinds[k].name, arch_text(&c.arch, ARCH_TEXT_FACTS).text, c.size,
                          error);
            assert_true(error <= 1e-4);
            plan_free(p);
            network_free(net);
        }
        model_free(m);
        free(pixels);
        free(got);
        free(c.want);
    }
    assert_int_equal(cases, 12);
    fclose(f);
}

#if ANCHORD_ONEDNN
static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum / 2;
}

/* The first two cases are two pictures through one ResNet-18: their distance is the measure. */
static void bf16_is_as_close_to_pytorch_as_its_rounding(void **state)
{
    UNUSED(state);
    struct golden_case c[2];
    struct err e = {0};
    if (!infer_dnnl_has_bf16())
        skip();
    FILE *f = open_cases();
    assert_true(read_case(f, &c[0]) && read_case(f, &c[1]));
    fclose(f);
    struct model *m = hashed_model(&c[0].arch, c[0].size);
    struct network *net = network_new(m, DTYPE_BF16, BACKEND_DNNL, &e);
    struct plan *p = net ? plan_new(net, 1, &e) : NULL;
    assert_ok(p, e);
    for (size_t i = 0; i < COUNT(c); i++) {
        float got[512], *pixels = hashed_picture(c[i].picture, c[i].size);
        assert_ok(plan_forward(p, pixels, got, &e), e);
        double error = distance(got, c[i].want, 512) / distance(c[0].want, c[1].want, 512);
        print_message("relative embedding error %.1e\n", error);
        assert_true(error <= 0.01);
        free(pixels);
    }
    plan_free(p);
    network_free(net);
    model_free(m);
    free(c[0].want);
    free(c[1].want);
}
#endif

static void a_batch_gives_what_single_images_give(void **state)
{
    UNUSED(state);
    enum { BATCH = 3, SIZE = 40, D = 64 };
    struct arch a = RESNET(18, SMALL2, 8, 0);
    struct model *m = hashed_model(&a, SIZE);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct err e = {0};
        float pixels[BATCH * SIZE * SIZE * 3], got[BATCH * D], want[BATCH * D];
        struct network *net = network_new(m, DTYPE_F32, kinds[k].backend, &e);
        struct plan *one = plan_new(net, 1, &e), *all = plan_new(net, BATCH, &e);
        assert_true(one && all && plan_batch(all) == BATCH);
        for (unsigned i = 0; i < BATCH; i++) {
            float *picture = hashed_picture(i, SIZE);
            memcpy(pixels + i * SIZE * SIZE * 3, picture, sizeof pixels / BATCH);
            assert_ok(plan_forward(one, picture, want + i * D, &e), e);
            free(picture);
        }
        assert_ok(plan_forward(all, pixels, got, &e), e);
        assert_close(kinds[k].name, got, want, BATCH * D, 1e-5);
        plan_free(one);
        plan_free(all);
        network_free(net);
    }
    model_free(m);
}

static void the_same_picture_gives_the_same_bits_again(void **state)
{
    UNUSED(state);
    struct arch a = RESNET(50, IMAGENET, 8, 0);
    struct err e = {0};
    struct model *m = hashed_model(&a, 64);
    float *x = hashed_picture(1, 64), *other = hashed_picture(2, 64), first[256], again[256];
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct network *net = network_new(m, DTYPE_F32, kinds[k].backend, &e);
        struct plan *p = plan_new(net, 1, &e);
        assert_ok(plan_forward(p, x, first, &e), e);
        assert_ok(plan_forward(p, other, again, &e), e);
        assert_memory_not_equal(first, again, sizeof first);
        assert_ok(plan_forward(p, x, again, &e), e);
        assert_memory_equal(first, again, sizeof first);
        plan_free(p);
        network_free(net);
    }
    model_free(m);
    free(x);
    free(other);
}

static void a_vector_without_direction_is_refused(void **state)
{
    UNUSED(state);
    static const float bad[] = {0, 3e38f}; /* weights of the projection: a zero vector, an infinite one */
    struct arch a = RESNET(18, SMALL1, 8, 5);
    struct model *m = hashed_model(&a, 16);
    struct weight *projection = &m->weights[m->n_weights - 1];
    float *x = hashed_picture(1, 16), got[5];
    for (size_t k = 0; k < COUNT(kinds) * COUNT(bad); k++) {
        struct err e = {0};
        for (size_t i = 0; i < projection->count; i++)
            projection->data[i] = bad[k % COUNT(bad)];
        struct network *net = network_new(m, DTYPE_F32, kinds[k / COUNT(bad)].backend, &e);
        struct plan *p = plan_new(net, 1, &e);
        assert_err(plan_forward(p, x, got, &e), e, ERR_UNDECODABLE);
        plan_free(p);
        network_free(net);
    }
    model_free(m);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_those_of_pytorch),
#if ANCHORD_ONEDNN
        cmocka_unit_test(bf16_is_as_close_to_pytorch_as_its_rounding),
#endif
        cmocka_unit_test(a_batch_gives_what_single_images_give),
        cmocka_unit_test(the_same_picture_gives_the_same_bits_again),
        cmocka_unit_test(a_vector_without_direction_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
