/* test_watch.c - runs that go wrong are named, healthy ones are left alone. */
#include "tests/t.h"

#include "base/json.h"
#include "engine/training/watch.h"

enum { ROWS = 64, OUTPUTS = 16, WARMUP = 10, TOTAL = 400 };

static struct watch watch_of(const char *method)
{
    struct train_config c;
    struct err e = {0};
    char text[256];
    int n = snprintf(text, sizeof text, "{\"data\":\"d\",\"out\":\"o\",\"steps\":400,\"method\":%s}", method);
    assert_ok(train_config_parse(&c, text, (size_t)n, &e), e);
    struct watch w = watch_new(&c, &(struct loss_shape){.n = ROWS, .d = OUTPUTS}, WARMUP, TOTAL);
    train_config_clear(&c);
    return w;
}

/* The first thing that is said within the steps, and how often something is said. */
static enum watch_finding run(struct watch *w, double loss, double std, int steps, int *times)
{
    enum watch_finding first = WATCH_FINE;
    const struct step_report r = {
        .loss = loss, .active = 1, .anchors = ROWS, .gradient_norm = 1, .std = std, .dimensions = 5};
    *times = 0;
    for (int i = 0; i < steps; i++) {
        enum watch_finding f = watch_step(w, (uint64_t)i, &r);
        if (f != WATCH_FINE && !(*times)++)
            first = f;
    }
    return first;
}

static void a_healthy_run_is_left_alone(void **state)
{
    UNUSED(state);
    struct watch w = watch_of("{\"type\":\"infonce\"}");
    int times;
    assert_int_equal(run(&w, 3.5, 0.2, TOTAL, &times), WATCH_FINE); /* guessing is log 63 = 4.14 */
    assert_int_equal(times, 0);
}

static void a_collapse_is_told_once_with_its_constant(void **state)
{
    UNUSED(state);
    struct watch w = watch_of("{\"type\":\"triplet\",\"triplet\":{\"margin\":0.2}}");
    int times;
    assert_int_equal(run(&w, 0.2, 0.02, TOTAL, &times), WATCH_COLLAPSED);
    assert_int_equal(times, 1);
    assert_non_null(strstr(w.message, "of a collapsed network 0.2"));
    assert_string_equal(watch_code(WATCH_COLLAPSED), "collapse");
    assert_int_equal(run(&w, 0.1, 0.2, 5, &times), WATCH_FINE);        /* recovers */
    assert_int_equal(run(&w, 0.2, 0.02, 30, &times), WATCH_COLLAPSED); /* and falls again */
}

static void a_line_is_a_collapse_too_but_not_in_the_beginning(void **state)
{
    UNUSED(state);
    const struct step_report line = {.loss = 1, .anchors = ROWS, .gradient_norm = 1, .std = 0.2, .dimensions = 1.1};
    struct watch w = watch_of("{\"type\":\"barlow\"}"), labels = watch_of("{\"type\":\"triplet\"}");
    const uint64_t quiet = WARMUP + TOTAL / 10 + 20; /* warm-up, window, and so many in a row */
    for (uint64_t i = 0; i < TOTAL; i++) {
        enum watch_finding f = watch_step(&w, i, &line);
        assert_int_equal(f, i == quiet - 1 ? WATCH_COLLAPSED : WATCH_FINE);
        assert_true(watch_step(&labels, i, &line) != WATCH_COLLAPSED); /* two labels are a line */
    }
    assert_non_null(strstr(w.message, "one direction"));
}

static void who_only_looks_is_left_alone(void **state)
{
    UNUSED(state);
    struct watch w = watch_of("{\"type\":\"deepclusterv2\"}");
    const struct step_report r = {.looking = true};
    for (uint64_t i = 0; i < TOTAL; i++)
        assert_int_equal(watch_step(&w, i, &r), WATCH_FINE);
}

static void short_dips_are_no_collapse(void **state)
{
    UNUSED(state);
    struct watch w = watch_of("{\"type\":\"infonce\"}");
    int times;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(run(&w, 3, 0.02, 19, &times), WATCH_FINE);
        assert_int_equal(run(&w, 3, 0.2, 1, &times), WATCH_FINE);
    }
}

static void guessing_is_told_after_the_warm_up(void **state)
{
    UNUSED(state);
    struct watch w = watch_of("{\"type\":\"infonce\"}");
    int times;
    assert_int_equal(run(&w, log(ROWS - 1), 0.2, WARMUP + TOTAL / 10 - 1, &times), WATCH_FINE);
    w = watch_of("{\"type\":\"infonce\"}");
    assert_int_equal(run(&w, log(ROWS - 1), 0.2, TOTAL, &times), WATCH_IDLE);
    assert_int_equal(times, 1);
    w = watch_of("{\"type\":\"triplet\",\"triplet\":{\"margin\":0}}"); /* its collapsed loss is 0: nothing to tell by */
    assert_int_equal(run(&w, 0.5, 0.2, TOTAL, &times), WATCH_FINE);
}

static void what_is_no_number_has_diverged(void **state)
{
    UNUSED(state);
    struct watch w = watch_of("{\"type\":\"infonce\"}");
    struct step_report r = {.loss = NAN, .gradient_norm = 1, .std = 0.2};
    assert_int_equal(watch_step(&w, 7, &r), WATCH_DIVERGED);
    assert_non_null(strstr(w.message, "the loss is no number any more at step 7"));
    w = watch_of("{\"type\":\"infonce\"}");
    r = (struct step_report){.loss = 1, .gradient_norm = INFINITY, .std = 0.2};
    assert_int_equal(watch_step(&w, 7, &r), WATCH_DIVERGED);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_run_is_left_alone),
        cmocka_unit_test(a_collapse_is_told_once_with_its_constant),
        cmocka_unit_test(a_line_is_a_collapse_too_but_not_in_the_beginning),
        cmocka_unit_test(who_only_looks_is_left_alone),
        cmocka_unit_test(short_dips_are_no_collapse),
        cmocka_unit_test(guessing_is_told_after_the_warm_up),
        cmocka_unit_test(what_is_no_number_has_diverged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
