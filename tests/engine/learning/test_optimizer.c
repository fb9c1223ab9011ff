/* test_optimizer.c - three steps of each optimiser, the schedules and the EMA, against float64. */
#include "tests/t.h"

#include "engine/learning/optimizer.h"
#include "tests/lib/oracle.h"

/* Runs the case's three steps; `gradients` holds one row, or one for each step. */
static void run_case(const char *id, struct optimizer_settings s, const char *gradients)
{
    float w[4], g[12], want[12];
    size_t d, count;
    struct err e = {0};
    size_t n = oracle_rows(oracle_input(id, "w"), w, &d);
    count = oracle_rows(oracle_input(id, gradients), g, &d);
    bool each = d == n;
    oracle_rows(oracle_result(id, "w_after"), want, &d);
    float now[4];
    struct parameter p = {.value = w, .gradient = now, .count = n, .decay = true, .rate_scale = 1};
    struct optimizer *o = optimizer_new(&s, &p, 1, &e);
    assert_non_null(o);
    for (size_t step = 0; step < 3; step++) {
        memcpy(now, g + (each && count == 3 ? step * n : 0), n * sizeof *now);
        optimizer_step(o, oracle_setting(id, "lr"));
        assert_close(id, w, want + step * n, n, 2e-6);
    }
    optimizer_free(o);
}

static void sgd_with_momentum_equals_pytorchs(void **state)
{
    UNUSED(state);
    struct optimizer_settings s = optimizer_defaults(OPTIMIZER_SGD);
    s.weight_decay = 0.01;
    run_case("sgd_momentum_3steps", s, "grad_each_step");
}

static void lars_applies_its_ratio_before_momentum(void **state)
{
    UNUSED(state);
    struct optimizer_settings s = optimizer_defaults(OPTIMIZER_LARS);
    s.weight_decay = 0.1;
    run_case("lars_step", s, "grad_each_step");
}

static void adamw_decays_apart_from_the_gradient(void **state)
{
    UNUSED(state);
    struct optimizer_settings s = optimizer_defaults(OPTIMIZER_ADAMW);
    s.weight_decay = 0.1;
    run_case("adamw_3steps", s, "grads");
}

static void nesterov_looks_ahead(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct optimizer_settings s = optimizer_defaults(OPTIMIZER_SGD);
    float w = 1, g = 0.5f, want;
    s.nesterov = true;
    s.weight_decay = 0;
    struct parameter p = {.value = &w, .gradient = &g, .count = 1, .decay = true, .rate_scale = 2};
    struct optimizer *o = optimizer_new(&s, &p, 1, &e);
    optimizer_step(o, 0.1); /* v = .5; w -= .2 (.5 + .9 .5) */
    want = 1 - 0.2f * 0.95f;
    assert_close("nesterov", &w, &want, 1, 1e-6);
    optimizer_step(o, 0.1); /* v = .95; w -= .2 (.5 + .9 .95) */
    want -= 0.2f * 1.355f;
    assert_close("nesterov", &w, &want, 1, 1e-6);
    optimizer_free(o);
}

static void tensors_without_decay_keep_their_weights_when_the_gradient_is_zero(void **state)
{
    UNUSED(state);
    for (int kind = OPTIMIZER_SGD; kind <= OPTIMIZER_ADAMW; kind++) {
        struct err e = {0};
        struct optimizer_settings s = optimizer_defaults((enum optimizer_kind)kind);
        float w[2] = {1, 1}, g[2] = {0, 0};
        s.weight_decay = 0.5;
        struct parameter p[2] = {{.value = w, .gradient = g, .count = 1, .decay = false, .rate_scale = 1},
                                 {.value = w + 1, .gradient = g + 1, .count = 1, .decay = true, .rate_scale = 1}};
        struct optimizer *o = optimizer_new(&s, p, 2, &e);
        optimizer_step(o, 0.1);
        assert_true(w[0] == 1 && w[1] < 1);
        optimizer_free(o);
    }
}

static void state_carried_over_continues_the_same_run(void **state)
{
    UNUSED(state);
    for (int kind = OPTIMIZER_SGD; kind <= OPTIMIZER_ADAMW; kind++) {
        struct err e = {0};
        struct optimizer_settings s = optimizer_defaults((enum optimizer_kind)kind);
        float a[3] = {1, 2, 3}, b[3], g[3] = {0.1f, -0.2f, 0.3f};
        struct parameter pa = {.value = a, .gradient = g, .count = 3, .decay = true, .rate_scale = 1}, pb = pa;
        struct optimizer *oa = optimizer_new(&s, &pa, 1, &e);
        for (int i = 0; i < 5; i++)
            optimizer_step(oa, 0.01);
        pb.value = b;
        memcpy(b, a, sizeof a);
        struct optimizer *ob = optimizer_new(&s, &pb, 1, &e);
        *optimizer_steps(ob) = *optimizer_steps(oa);
        for (size_t i = 0; i < optimizer_state_count(oa); i++) {
            size_t n;
            float *from = optimizer_state(oa, i, &n);
            memcpy(optimizer_state(ob, i, &n), from, n * sizeof *from);
        }
        for (int i = 0; i < 5; i++) {
            optimizer_step(oa, 0.01);
            optimizer_step(ob, 0.01);
        }
        assert_memory_equal(a, b, sizeof a);
        optimizer_free(oa);
        optimizer_free(ob);
    }
}

static void clipping_scales_all_gradients_together(void **state)
{
    UNUSED(state);
    float a[1] = {3}, b[1] = {4}, w[2] = {0}, want[2] = {0.6f, 0.8f};
    struct parameter both[2] = {{.value = w, .gradient = a, .count = 1, .rate_scale = 1},
                                {.value = w + 1, .gradient = b, .count = 1, .rate_scale = 1}};
    struct optimizer_settings s = optimizer_defaults(OPTIMIZER_SGD);
    struct optimizer *o = optimizer_new(&s, both, 2, NULL);
    assert_true(fabs(optimizer_clip(o, 0) - 5) < 1e-6); /* only measured */
    assert_true(fabs(optimizer_clip(o, 1) - 5) < 1e-6);
    assert_close("a", a, want, 1, 1e-6);
    assert_close("b", b, want + 1, 1, 1e-6);
    assert_true(fabs(optimizer_clip(o, 2) - 1) < 1e-6);
    assert_close("unchanged", a, want, 1, 1e-6);
    optimizer_free(o);
}

static void warm_up_and_cosine_meet_the_golden_values(void **state)
{
    UNUSED(state);
    float steps[16], want[16];
    size_t d, n = oracle_rows(oracle_input("lr_warmup_cosine", "steps"), steps, &d);
    oracle_rows(oracle_result("lr_warmup_cosine", "lr"), want, &d);
    for (size_t i = 0; i < n; i++) {
        float got = (float)schedule_cosine((uint64_t)steps[i], 10, 100, 1, 0.001);
        assert_close("rate", &got, want + i, 1, 1e-6);
    }
}

static void the_moving_average_copies_at_zero_and_freezes_at_one(void **state)
{
    UNUSED(state);
    float online[4], target[4], want[4];
    size_t d, n = oracle_rows(oracle_input("ema_update", "online"), online, &d);
    oracle_rows(oracle_input("ema_update", "target0"), target, &d);
    const struct json *history = oracle_result("ema_update", "history");
    for (size_t i = 0; i < json_count(history); i++) {
        ema_update(target, online, n, oracle_number(json_item(history, i), "m"));
        oracle_rows(json_member(json_item(history, i), "target"), want, &d);
        assert_close("target", target, want, n, 1e-6);
    }
}

static void impossible_settings_are_refused_by_name(void **state)
{
    UNUSED(state);
    struct err e;
    struct optimizer_settings s = optimizer_defaults(OPTIMIZER_ADAMW);
    s.weight_decay = -1;
    assert_err(optimizer_new(&s, NULL, 0, &e) != NULL, e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "weight_decay");
    s = optimizer_defaults(OPTIMIZER_SGD);
    s.momentum = (double)NAN;
    assert_err(optimizer_new(&s, NULL, 0, &e) != NULL, e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "momentum");
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_with_momentum_equals_pytorchs),
        cmocka_unit_test(lars_applies_its_ratio_before_momentum),
        cmocka_unit_test(adamw_decays_apart_from_the_gradient),
        cmocka_unit_test(nesterov_looks_ahead),
        cmocka_unit_test(tensors_without_decay_keep_their_weights_when_the_gradient_is_zero),
        cmocka_unit_test(state_carried_over_continues_the_same_run),
        cmocka_unit_test(clipping_scales_all_gradients_together),
        cmocka_unit_test(warm_up_and_cosine_meet_the_golden_values),
        cmocka_unit_test(the_moving_average_copies_at_zero_and_freezes_at_one),
        cmocka_unit_test(impossible_settings_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, oracle_load, oracle_free);
}
