/* test_learner.c - the network that learns: what its header promises besides right gradients. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"
#include "engine/arch_resnet.h"
#include "tests/lib/hashed_weights.h"
#include "tests/lib/learners.h"

static void gradients_add_up_when_asked(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct learner_options o = odd_options(&learner_kinds[0]);
    struct learner *l = learner_make(&odd_arch, ODD_SIZE, &o);
    float *pixels = learner_pictures(0, ODD_BATCH, ODD_SIZE), dz[ODD_BATCH * ODD_OUTPUTS];
    size_t n;
    for (size_t i = 0; i < COUNT(dz); i++)
        dz[i] = (float)(i % 3) - 1;
    const struct parameter *p = learner_parameters(l, &n);
    learner_objective(l, pixels, dz);
    assert_ok(learner_backward(l, dz, false, &e), e);
    float **once = mem_new(n, sizeof *once);
    for (size_t i = 0; i < n; i++)
        once[i] = mem_dup(p[i].gradient, p[i].count * sizeof **once);
    learner_objective(l, pixels, dz);
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
    for (size_t k = 0; k < LEARNER_KINDS; k++) {
        struct model *m = hashed_model(&odd_arch, ODD_SIZE);
        struct learner *l = learner_new(
            m,
            &(struct learner_options){
                .precision = PRECISION_FP32, .freeze_norm = true, .backend = learner_kinds[k].backend, .batch = 2},
            &e);
        struct encoder *enc = encoder_new(m, &(struct encoder_options){PRECISION_FP32, learner_kinds[k].backend}, &e);
        struct lane *lane = lane_new(enc, 2, &e);
        float *pixels = learner_pictures(0, 2, ODD_SIZE), want[2 * 24], z[2 * 24];
        assert_ok(learner_forward(l, pixels, z, &e), e);
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
    struct model *m = hashed_model(&odd_arch, ODD_SIZE), *other = hashed_model(&odd_arch, ODD_SIZE);
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
    const struct weight *t = learner_weights(l, &n);
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
    struct learner_options o = odd_options(&learner_kinds[0]);
    float *pixels = learner_pictures(0, ODD_BATCH, ODD_SIZE), dz[ODD_BATCH * ODD_OUTPUTS];
    for (size_t i = 0; i < COUNT(dz); i++)
        dz[i] = (float)(i % 5) - 2;
    o.freeze_norm = true;
    struct learner *all = learner_make(&odd_arch, ODD_SIZE, &o);
    o.freeze_stages = 3;
    o.head_rate = 10;
    o.picks = learner_picks(all); /* other kernels would round in other places */
    struct learner *some = learner_make(&odd_arch, ODD_SIZE, &o);
    assert_null(find(some, "conv1.weight"));
    assert_null(find(some, "layer2.0.conv2.weight"));
    assert_null(find(some, "layer3.0.bn1.weight"));
    assert_non_null(find(all, "layer2.0.conv2.weight"));
    assert_true(find(some, "head.2.bias")->rate_scale == 10 && !find(some, "head.2.bias")->decay);
    assert_true(find(some, "projection.weight")->rate_scale == 1 && find(some, "projection.weight")->decay);
    learner_objective(all, pixels, dz);
    learner_objective(some, pixels, dz);
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
    struct arch a = RESNET(18, SMALL1, 8, 0);
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
    struct arch a = RESNET(18, SMALL1, 8, 0);
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
        cmocka_unit_test(gradients_add_up_when_asked),
        cmocka_unit_test(with_frozen_norms_the_features_are_those_of_the_encoder),
        cmocka_unit_test(a_model_comes_back_as_it_went_in),
        cmocka_unit_test(frozen_stages_stay_and_the_others_learn_as_before),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(picks_of_another_machine_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
