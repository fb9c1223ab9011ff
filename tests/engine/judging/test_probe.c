/* test_probe.c - L-BFGS finds known minima; probes tell separable features from noise. */
#include "tests/t.h"

#include "base/rng.h"
#include "engine/judging/lbfgs.h"
#include "engine/judging/probe.h"
#include "engine/judging/retrieval.h"
#include "engine/judging/transfer.h"

static double rosenbrock(const double *x, double *g, size_t n, void *context)
{
    double value = 0;
    UNUSED(context);
    memset(g, 0, n * sizeof *g);
    for (size_t i = 0; i + 1 < n; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        value += 100 * a * a + b * b;
        g[i] += -400 * x[i] * a - 2 * b;
        g[i + 1] += 200 * a;
    }
    return value;
}

static void lbfgs_finds_rosenbrocks_minimum(void **state)
{
    UNUSED(state);
    double x[10] = {-1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1};
    struct lbfgs_report r = lbfgs_minimise(rosenbrock, NULL, x, 10, 1e-8, 1000);
    assert_true(r.value < 1e-12 && r.gradient_norm <= 1e-8 && r.iterations < 300);
    for (size_t i = 0; i < 10; i++)
        assert_true(fabs(x[i] - 1) < 1e-6);
}

enum { N = 600, D = 12, CLASSES = 6 };
static float x[N * D];
static int32_t labels[N];

/* Gaussian clouds whose centres lie `apart` from the origin along axes of their own. */
static struct features clouds(double apart, uint64_t seed)
{
    struct rng r = rng_new(seed);
    for (size_t i = 0; i < N; i++) {
        labels[i] = (int32_t)(i % CLASSES);
        for (size_t k = 0; k < D; k++)
            x[i * D + k] = (float)(rng_normal(&r) + (k == i % CLASSES ? apart : 0));
    }
    return (struct features){x, labels, N, D, CLASSES};
}

static struct features part(const struct features *f, size_t from, size_t n)
{
    return (struct features){f->x + from * f->d, f->labels + from, n, f->d, f->classes};
}

static void a_linear_probe_separates_what_can_be_separated(void **state)
{
    UNUSED(state);
    struct features all = clouds(8, 1), train = part(&all, 0, 400), test = part(&all, 400, 200);
    assert_true(linear_probe(&train, &test, 5, 1).accuracy > 0.99);
    all = clouds(0, 2);
    double chance = linear_probe(&train, &test, 5, 1).accuracy;
    assert_true(chance > 0.08 && chance < 0.28);
    all = clouds(2, 3);
    struct linear_probe a = linear_probe(&train, &test, 9, 1), b = linear_probe(&train, &test, 9, 1);
    assert_true(a.accuracy > 0.5 && a.accuracy < 0.95);
    assert_true(a.accuracy == b.accuracy && a.weight_decay == b.weight_decay);
}

static void few_shot_episodes_give_a_mean_and_an_interval(void **state)
{
    UNUSED(state);
    struct features all = clouds(3, 4);
    struct few_shot a = few_shot(&all, 5, 5, 200, 7), b = few_shot(&all, 5, 5, 200, 7);
    assert_int_equal(a.episodes, 200);
    assert_true(a.accuracy == b.accuracy);
    assert_true(a.accuracy > 0.6 && a.accuracy < 0.99 && a.interval > 0.001 && a.interval < 0.03);
    all = clouds(0, 5);
    struct few_shot chance = few_shot(&all, 5, 5, 200, 7);
    assert_true(fabs(chance.accuracy - 0.2) < 0.03);
    assert_int_equal(few_shot(&all, 7, 5, 10, 7).episodes, 0);
    assert_int_equal(few_shot(&all, 5, 90, 10, 7).episodes, 0);
}

/* Each figure is that of its own function: on which rows is what the protocol adds. */
static void transfer_trains_on_the_first_rows_and_tests_on_the_rest(void **state)
{
    UNUSED(state);
    const struct features all = clouds(2.5, 3), train = part(&all, 0, 450), test = part(&all, 450, 150),
                          five = {x, labels, N, D, 4};
    const struct transfer_input in = {
        .x = x, .labels = labels, .n_train = 450, .n = N, .d = D, .classes = CLASSES, .seed = 5};
    struct transfer t = transfer_measure(&in), none;
    double knn = knn_accuracy(x, labels, 450, test.x, test.labels, 150, D, 20, 0.07);
    assert_true(t.many_shot.accuracy > 0.7 && t.many_shot.accuracy < 1);
    assert_true(fabs(t.many_shot.accuracy - linear_probe(&train, &test, 9, 5).accuracy) < 1e-12 &&
                fabs(t.knn - knn) < 1e-12);
    assert_true(fabs(t.few_shot.accuracy - few_shot(&all, 5, 5, 600, 5).accuracy) < 1e-12);
    assert_int_equal(t.few_shot.episodes, 600);
    assert_int_equal(t.few_shot.classes, CLASSES);
    assert_int_equal(t.few_shot.least, 20);
    for (size_t i = 0; i < N; i++)
        labels[i] %= 4;
    none = t;
    none.few_shot = few_shot(&five, 5, 5, 600, 5); /* of 4 classes */
    assert_int_equal(none.few_shot.episodes, 0);
    assert_int_equal(none.few_shot.classes, 4);
    none.many_shot.accuracy = 0.25;
    struct transfer_mean m = transfer_average((const struct transfer[]){t, none}, 2);
    assert_true(fabs(m.many_shot - (t.many_shot.accuracy + 0.25) / 2) < 1e-12 && fabs(m.knn - t.knn) < 1e-12);
    assert_true(m.n_few_shot == 1 && fabs(m.few_shot - t.few_shot.accuracy) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lbfgs_finds_rosenbrocks_minimum),
        cmocka_unit_test(a_linear_probe_separates_what_can_be_separated),
        cmocka_unit_test(few_shot_episodes_give_a_mean_and_an_interval),
        cmocka_unit_test(transfer_trains_on_the_first_rows_and_tests_on_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
