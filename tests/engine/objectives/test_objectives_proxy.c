/* test_objectives_proxy.c - proxies: the loss and both gradients against a forward pass in double and its difference quotients, rows without
 * a label, what a collapsed batch shows, what a step leaves. */
#include "tests/t.h"

#include "base/rng.h"
#include "engine/objectives/objective.h"

enum { ROWS = 12, COLUMNS = 5, LABELS = 4, VALUES = ROWS * COLUMNS, OWN = LABELS * COLUMNS };

struct problem {
    double z[VALUES], proxies[OWN]; /* as the loss has them: rounded to float */
    int32_t groups[ROWS];
    double temperature;
};

/* In double, as the header of proxy.c has it; the proxies are taken as they are.  0 when no row has a label. */
static double exact_loss(const struct problem *p)
{
    double sum = 0;
    int known = 0;
    for (size_t i = 0; i < ROWS; i++) {
        double square = 0, own = 0, all = 0;
        if (p->groups[i] < 0)
            continue;
        for (size_t k = 0; k < COLUMNS; k++)
            square += p->z[i * COLUMNS + k] * p->z[i * COLUMNS + k];
        for (size_t c = 0; c < LABELS; c++) {
            double s = 0;
            for (size_t k = 0; k < COLUMNS; k++)
                s += p->z[i * COLUMNS + k] * p->proxies[c * COLUMNS + k];
            s /= sqrt(square) * p->temperature;
            all += exp(s);
            own = (size_t)p->groups[i] == c ? s : own;
        }
        sum += log(all) - own;
        known++;
    }
    return known ? sum / known : 0;
}

/* Of the loss along one of the problem's numbers. */
static double slope(struct problem *p, double *x)
{
    const double h = 1e-6, was = *x;
    *x = was + h;
    double up = exact_loss(p);
    *x = was - h;
    double down = exact_loss(p);
    *x = was;
    return (up - down) / (2 * h);
}

static const struct loss_tensor *proxies_of(const struct loss *l)
{
    size_t n;
    const struct loss_tensor *t = loss_tensors(l, &n);
    assert_int_equal(n, 1);
    assert_string_equal(t->name, "proxies");
    assert_int_equal(t->count, OWN);
    assert_non_null(t->gradient);
    return t;
}

static struct loss *open_loss(double temperature, uint64_t seed)
{
    struct objective_settings s = objective_proxy.defaults;
    struct err e = {0};
    s.temperature = temperature;
    struct loss *l =
        loss_new(&objective_proxy, &s,
                 &(struct loss_shape){.n = ROWS, .d = COLUMNS, .views = 1, .labels = LABELS, .seed = seed}, &e);
    assert_ok(l != NULL, e);
    return l;
}

/* Rows of all lengths, some labels more often than others; the loss's own proxies. */
static struct problem random_problem(const struct loss *l, double temperature, struct rng *r)
{
    struct problem p = {.temperature = temperature};
    const float *c = proxies_of(l)->data;
    for (size_t i = 0; i < VALUES; i++)
        p.z[i] = (double)(float)rng_normal(r);
    for (size_t i = 0; i < OWN; i++)
        p.proxies[i] = (double)c[i];
    for (size_t i = 0; i < ROWS; i++)
        p.groups[i] = (int32_t)rng_below(r, LABELS);
    return p;
}

static struct loss_report solve(struct loss *l, const struct problem *p, float *grad)
{
    float z[VALUES];
    for (size_t i = 0; i < VALUES; i++)
        z[i] = (float)p->z[i];
    return loss_run(l, &(struct loss_batch){.z = z, .groups = p->groups, .n = ROWS, .d = COLUMNS}, grad);
}

static void assert_number(const char *what, size_t i, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s [%zu] %.9g, expected %.9g", what, i, got, want);
}

/* Loss and gradients with respect to rows and proxies. */
static void assert_exact(struct loss *l, struct problem *p)
{
    float grad[VALUES];
    double loss = solve(l, p, grad).loss, want = exact_loss(p);
    const struct loss_tensor *c = proxies_of(l);
    assert_number("loss", 0, loss, want, 1e-5 * fmax(fabs(want), 1e-3));
    for (size_t i = 0; i < VALUES; i++)
        assert_number("gradient of the rows", i, (double)grad[i], slope(p, &p->z[i]), 2e-5 / p->temperature);
    for (size_t i = 0; i < OWN; i++)
        assert_number("gradient of the proxies", i, (double)c->gradient[i], slope(p, &p->proxies[i]),
                      2e-5 / p->temperature);
}

static void loss_and_gradients_are_those_of_a_forward_pass_in_double(void **state)
{
    UNUSED(state);
    static const double temperatures[] = {0.05, 0.3, 1, 5};
    struct rng r = rng_new(21);
    for (size_t i = 0; i < COUNT(temperatures); i++) {
        struct loss *l = open_loss(temperatures[i], i);
        struct problem p = random_problem(l, temperatures[i], &r);
        assert_exact(l, &p);
        loss_free(l);
    }
}

/* They are no anchors, get no gradient, and the others learn as if they were not there. */
static void rows_without_a_label_are_left_out(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(22);
    struct loss *l = open_loss(0.2, 1);
    struct problem p = random_problem(l, 0.2, &r);
    float grad[VALUES];
    for (size_t i = 0; i < ROWS; i += 3)
        p.groups[i] = -1;
    assert_exact(l, &p);
    struct loss_report r1 = solve(l, &p, grad);
    assert_int_equal(r1.anchors, ROWS - ROWS / 3);
    for (size_t i = 0; i < ROWS; i += 3)
        for (size_t k = 0; k < COLUMNS; k++)
            assert_true(grad[i * COLUMNS + k] == 0);
    for (size_t i = 0; i < ROWS; i++)
        p.groups[i] = -1;
    r1 = solve(l, &p, grad); /* and where none has one, there is nothing to learn */
    assert_true(r1.loss == 0 && r1.anchors == 0);
    for (size_t i = 0; i < VALUES; i++)
        assert_true(grad[i] == 0);
    for (size_t i = 0; i < OWN; i++)
        assert_true(proxies_of(l)->gradient[i] == 0);
    loss_free(l);
}

static void a_collapsed_batch_shows_the_objectives_own_constant(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(23);
    struct loss *l = open_loss(0.05, 1);
    struct problem p = random_problem(l, 0.05, &r);
    const struct loss_tensor *c = proxies_of(l);
    float grad[VALUES];
    for (size_t i = 0; i < VALUES; i++)
        p.z[i] = 1;
    for (size_t i = 0; i < OWN; i++)
        c->data[i] = 0.4472136f; /* all proxies in one place too */
    double chance = objective_proxy.collapsed(&objective_proxy.defaults,
                                              &(struct loss_shape){.n = ROWS, .d = COLUMNS, .labels = LABELS});
    assert_number("loss", 0, solve(l, &p, grad).loss, chance, 1e-5);
    assert_number("collapsed loss", 0, chance, 1.386294361, 1e-8);
    loss_free(l);
}

/* At first, and again when the optimiser has moved them; each keeps the direction that it was given. */
static void proxies_are_unit_vectors_at_first_and_after_a_step(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(24);
    struct loss *l = open_loss(0.1, 5), *other = open_loss(0.1, 6), *same = open_loss(0.1, 5);
    const struct loss_tensor *c = proxies_of(l);
    struct problem p = random_problem(l, 0.1, &r);
    float grad[VALUES];
    assert_memory_equal(c->data, proxies_of(same)->data, OWN * sizeof *c->data);
    assert_memory_not_equal(c->data, proxies_of(other)->data, OWN * sizeof *c->data);
    solve(l, &p, grad);
    for (int moved = 0; moved < 2; moved++) {
        float ratio[LABELS], before[OWN];
        for (size_t i = 0; moved && i < OWN; i++)
            c->data[i] -= c->gradient[i];
        memcpy(before, c->data, sizeof before);
        if (moved)
            loss_after_step(l, &(struct loss_batch){.groups = p.groups, .n = ROWS, .d = COLUMNS});
        for (size_t i = 0; i < LABELS; i++) {
            double square = 0;
            for (size_t k = 0; k < COLUMNS; k++)
                square += (double)c->data[i * COLUMNS + k] * (double)c->data[i * COLUMNS + k];
            assert_number("squared length of proxy", i, square, 1, 1e-5);
            ratio[i] = c->data[i * COLUMNS] / before[i * COLUMNS];
            for (size_t k = 0; k < COLUMNS; k++)
                assert_number("proxy", i, (double)c->data[i * COLUMNS + k],
                              (double)(ratio[i] * before[i * COLUMNS + k]), 1e-5);
        }
        assert_true(moved == (fabsf(ratio[0] - 1) > 1e-3f));
    }
    loss_free(l);
    loss_free(other);
    loss_free(same);
}

/* Steps along the gradients lead rows and proxies of a label to one direction, and all others away from it. */
static void labels_are_told_apart_in_the_end(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(25);
    struct loss *l = open_loss(0.2, 3);
    struct problem p = random_problem(l, 0.2, &r);
    const struct loss_tensor *c = proxies_of(l);
    float grad[VALUES];
    double first = 0, last = 0;
    for (int step = 0; step < 300; step++) {
        last = solve(l, &p, grad).loss;
        first = step ? first : last;
        for (size_t i = 0; i < VALUES; i++)
            p.z[i] -= 2 * (double)grad[i];
        for (size_t i = 0; i < OWN; i++)
            c->data[i] -= 0.2f * c->gradient[i];
        loss_after_step(l, &(struct loss_batch){.groups = p.groups, .n = ROWS, .d = COLUMNS});
    }
    assert_true(first > 1 && last < 0.05);
    loss_free(l);
}

static void what_is_impossible_is_refused(void **state)
{
    UNUSED(state);
    static const double bad[] = {0, -1, 0.0001, 11};
    struct err e;
    struct objective_settings s = objective_proxy.defaults;
    struct loss_shape shape = {.n = ROWS, .d = COLUMNS, .labels = LABELS};
    for (size_t i = 0; i <= COUNT(bad); i++) {
        s.temperature = i < COUNT(bad) ? bad[i] : (double)NAN;
        assert_err(loss_new(&objective_proxy, &s, &shape, &e) != NULL, e, ERR_BAD_INPUT);
        assert_string_equal(e.param, "temperature");
    }
    s = objective_proxy.defaults;
    for (shape.labels = 0; shape.labels < 2; shape.labels++)
        assert_err(loss_new(&objective_proxy, &s, &shape, &e) != NULL, e, ERR_BAD_INPUT);
    assert_non_null(strstr(e.text, "labels"));
    assert_ptr_equal(objective_find("proxy"), &objective_proxy);
}

static void the_profiles_are_possible(void **state)
{
    UNUSED(state);
    for (size_t u = 0; u < USES; u++) {
        const struct objective_profile *p = &objective_proxy.profiles[u];
        struct err e = {0};
        assert_ok(objective_proxy.check(&p->settings, &e), e);
        assert_int_equal(p->settings.positives, POSITIVES_LABELS);
        assert_true(p->learning_rate > 0 && p->head_rate >= 1 && p->recipe && p->optimizer && p->head.n_predictor == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_gradients_are_those_of_a_forward_pass_in_double),
        cmocka_unit_test(rows_without_a_label_are_left_out),
        cmocka_unit_test(a_collapsed_batch_shows_the_objectives_own_constant),
        cmocka_unit_test(proxies_are_unit_vectors_at_first_and_after_a_step),
        cmocka_unit_test(labels_are_told_apart_in_the_end),
        cmocka_unit_test(what_is_impossible_is_refused),
        cmocka_unit_test(the_profiles_are_possible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
