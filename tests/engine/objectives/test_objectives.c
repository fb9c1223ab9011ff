/* test_objectives.c - losses and gradients against float64 autograd, limits, invariances.
 *
 * tests/golden/oracles.json: each case has inputs, settings, the loss and its gradient.
 */
#include "tests/t.h"

#include "base/rng.h"
#include "engine/objectives/objective.h"
#include "tests/lib/oracle.h"

/* Those over one batch of one branch; the others have a test of their own (test_objectives_views.c). */
static const struct objective *const list[] = {&objective_infonce, &objective_triplet};

struct problem {
    float z[64], want[64], grad[64];
    int32_t groups[16];
    size_t n, d;
    double loss;
    bool has_grad;
};

/* z (or z0 and z1 stacked), groups from labels or from the views, expected loss and gradient. */
static struct problem read_case(const char *id)
{
    struct problem p = {0};
    const struct json *c = oracle_case(id), *in = json_member(c, "inputs"), *g = json_member(c, "expected_grad");
    const char *const parts[] = {"z", "z0", "z1"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        const struct json *m = json_member(in, parts[i]), *gm = json_member(g, parts[i]);
        size_t offset = p.n * p.d;
        if (!m)
            continue;
        size_t added = oracle_rows(m, p.z + offset, &p.d);
        for (size_t k = 0; k < added; k++)
            p.groups[p.n + k] = (int32_t)k;
        if (gm)
            oracle_rows(gm, p.want + offset, &p.d);
        p.has_grad = gm != NULL;
        p.n += added;
    }
    const struct json *labels = json_member(in, "labels");
    for (size_t i = 0; labels && i < p.n; i++) {
        int64_t label;
        assert_true(json_as_int(json_item(labels, i), &label));
        p.groups[i] = (int32_t)label;
    }
    p.loss = oracle_number(c, "expected_loss");
    return p;
}

static struct loss_report solve(struct problem *p, const struct objective *o, const struct objective_settings *s)
{
    struct err e = {0};
    struct loss *l = loss_new(o, s, &(struct loss_shape){.n = p->n, .d = p->d}, &e);
    if (!l)
        fail_msg("%s: %s", e.param, e.text);
    struct loss_report r =
        loss_run(l, &(struct loss_batch){.z = p->z, .groups = p->groups, .n = p->n, .d = p->d}, p->grad);
    loss_free(l);
    return r;
}

static void assert_matches(const char *id, const struct problem *p, double loss, double loss_tol, double grad_tol)
{
    if (!(fabs(loss - p->loss) <= loss_tol * fmax(fabs(p->loss), 1e-3)))
        fail_msg("%s: loss %.9g, expected %.9g", id, loss, p->loss);
    for (size_t i = 0; p->has_grad && i < p->n * p->d; i++) {
        double want = (double)p->want[i], got = (double)p->grad[i];
        if (!(fabs(got - want) <= grad_tol * fabs(want) + 1e-6))
            fail_msg("%s: gradient [%zu] %.9g, expected %.9g", id, i, got, want);
    }
}

static void infonce_equals_autograd(void **state)
{
    UNUSED(state);
    static const struct {
        const char *id;
        enum contrast_form form;
    } cases[] = {
        {"ntxent_axis", 0},
        {"ntxent_generic_t05", 0},
        {"ntxent_generic_t01", 0},
        {"ntxent_batch1", 0},
        {"ntxent_all_equal", 0},
        {"ntxent_tau_inf", 0},
        {"ntxent_tau_to_0_triplet_limit", 0},
        {"ntxent_tau_limit_active_0.1", 0},
        {"ntxent_tau_limit_active_0.01", 0},
        {"ntxent_tau_limit_active_0.001", 0},
        {"supcon_out", CONTRAST_FORM_OUT},
        {"supcon_in", CONTRAST_FORM_IN},
        {"supcon_equals_ntxent", CONTRAST_FORM_OUT},
        {"supcon_equals_ntxent", CONTRAST_FORM_IN},
        {"supcon_no_positive", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problem p = read_case(cases[i].id);
        struct objective_settings s = objective_infonce.defaults;
        s.temperature = oracle_setting(cases[i].id, "temperature");
        s.form = cases[i].form;
        bool cold = s.temperature < 0.02; /* the logits' own rounding is 1e-7 / temperature */
        struct loss_report r = solve(&p, &objective_infonce, &s);
        assert_matches(cases[i].id, &p, r.loss, cold ? 2e-3 : 1e-5, cold ? 2e-3 : 1e-4);
    }
}

static void triplet_equals_autograd(void **state)
{
    UNUSED(state);
    static const struct {
        const char *id;
        enum mining mining;
        double margin;
        bool soft, raw, all_mean;
    } cases[] = {
        {"triplet_batch_hard", MINING_BATCH_HARD, 0.2, false, false, false},
        {"triplet_batch_hard_soft", MINING_BATCH_HARD, 0, true, false, false},
        {"triplet_semihard", MINING_SEMI_HARD, 0.5, false, false, false},
        {"triplet_batch_all_avg_nonzero", MINING_BATCH_ALL, 0.2, false, false, false},
        {"triplet_batch_all_mean", MINING_BATCH_ALL, 0.2, false, false, true},
        {"triplet_semihard_facenet", MINING_FACENET, 0.2, false, false, false},
        {"triplet_batch_hard_1d", MINING_BATCH_HARD, 0.5, false, true, false},
        {"triplet_zero_distance", MINING_BATCH_HARD, 0.3, false, false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problem p = read_case(cases[i].id);
        struct objective_settings s = objective_triplet.defaults;
        s.mining = cases[i].mining;
        s.margin = cases[i].margin;
        s.soft = cases[i].soft;
        s.unit = !cases[i].raw;
        s.all_mean = cases[i].all_mean;
        struct loss_report r = solve(&p, &objective_triplet, &s);
        assert_matches(cases[i].id, &p, r.loss, 1e-5, 1e-4);
    }
}

/* (0, 0), (1, 0) | (0, 2): both rows of the pair are anchors; what the oracle does not have, the second one's share, is added by hand. */
static void single_triplets_equal_autograd(void **state)
{
    UNUSED(state);
    static const struct {
        const char *id;
        bool soft;
    } cases[] = {{"triplet_hinge_m0.5", false}, {"triplet_hinge_m1.5", false}, {"triplet_soft_margin", true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        static const char *const parts[] = {"anchor", "positive", "negative"};
        struct problem p = {.n = 3, .d = 2, .groups = {0, 0, 1}};
        float want[2];
        size_t one; /* plain lists */
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(oracle_rows(oracle_input(cases[i].id, parts[k]), p.z + 2 * k, &one), 2);
        struct objective_settings s = objective_triplet.defaults;
        s.mining = MINING_BATCH_HARD;
        s.soft = cases[i].soft;
        s.unit = false;
        s.margin = s.soft ? 0 : oracle_setting(cases[i].id, "margin");
        double over = 1 - sqrt(5) + s.margin, loss = s.soft ? log1p(exp(over)) : fmax(over, 0);
        double slope = s.soft ? 1 / (1 + exp(-over)) : over > 0;
        loss = (loss + oracle_number(oracle_case(cases[i].id), "expected_loss")) / 2;
        oracle_rows(json_member(json_member(oracle_case(cases[i].id), "expected_grad"), "anchor"), want, &one);
        assert_true(fabs(solve(&p, &objective_triplet, &s).loss - loss) < 1e-5);
        assert_true(fabs((double)p.grad[0] - ((double)want[0] - slope) / 2) < 1e-4);
        assert_true(fabs((double)p.grad[1] - (double)want[1] / 2) < 1e-4);
    }
    struct objective_settings s = objective_triplet.defaults;
    s.mining = MINING_BATCH_HARD;
    s.soft = true;
    static const struct {
        const char *id;
        float away;
    } ends[] = {{"triplet_soft_margin_floor_unit", -1}, {"triplet_soft_margin_collapse", 1}};
    for (size_t i = 0; i < COUNT(ends); i++) { /* the pair is one point, the negative opposite to it or there too */
        struct problem p = {.n = 3, .d = 2, .z = {1, 0, 1, 0, ends[i].away, 0}, .groups = {0, 0, 1}};
        assert_true(fabs(solve(&p, &objective_triplet, &s).loss -
                         oracle_number(oracle_case(ends[i].id), "expected_loss")) < 1e-5);
    }
}

/* Random rows in random groups of two or three. */
static struct problem random_problem(struct rng *r)
{
    struct problem p = {.n = 12, .d = 5};
    for (size_t i = 0; i < p.n * p.d; i++)
        p.z[i] = (float)rng_normal(r);
    for (size_t i = 0; i < p.n; i++)
        p.groups[i] = (int32_t)(i % 5);
    return p;
}

/* The cosine triplet with the hardest negative and margin 0, as infonce's limit for temperature -> 0. */
static double hardest_negative_hinge(const struct problem *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        double positive = 0, hardest = -2;
        for (size_t j = 0; j < p->n; j++) {
            double s = 0, a = 0, b = 0;
            for (size_t k = 0; k < p->d; k++) {
                double x = (double)p->z[i * p->d + k], y = (double)p->z[j * p->d + k];
                s += x * y;
                a += x * x;
                b += y * y;
            }
            s /= sqrt(a * b);
            if (j != i && p->groups[j] == p->groups[i])
                positive = s;
            else if (j != i)
                hardest = fmax(hardest, s);
        }
        sum += fmax(0, hardest - positive);
    }
    return sum / (double)p->n;
}

static void infonce_tends_to_the_hardest_negative_triplet_as_temperature_goes_to_zero(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(11);
    struct problem p = random_problem(&r);
    for (size_t i = 0; i < p.n; i++)
        p.groups[i] = (int32_t)(i / 2);
    double limit = hardest_negative_hinge(&p), last = HUGE_VAL;
    for (double t = 0.1; t > 0.0009; t /= 10) {
        struct objective_settings s = objective_infonce.defaults;
        s.temperature = t;
        double gap = fabs(t * solve(&p, &objective_infonce, &s).loss - limit);
        assert_true(gap <= last);
        last = gap;
    }
    assert_true(limit > 0.1 && last < 1e-3);
}

static void gradients_agree_with_finite_differences(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(5);
    /* Semi-hard and FaceNet's mining are left out: their loss jumps where the mined set changes. */
    for (int kind = 0; kind < 5; kind++) {
        const struct objective *o = kind < 2 ? &objective_infonce : &objective_triplet;
        struct objective_settings s = o->defaults;
        s.form = kind == 1 ? CONTRAST_FORM_IN : CONTRAST_FORM_OUT;
        s.temperature = 0.5;
        s.mining = kind == 3 ? MINING_BATCH_ALL : MINING_BATCH_HARD;
        s.all_mean = kind == 3;
        s.soft = kind == 4;
        struct problem p = random_problem(&r), probe;
        solve(&p, o, &s);
        for (size_t i = 0; i < p.n * p.d; i++) {
            const float h = 2e-3f;
            probe = p;
            probe.z[i] += h;
            double up = solve(&probe, o, &s).loss;
            probe.z[i] -= 2 * h;
            double down = solve(&probe, o, &s).loss, slope = (up - down) / (2 * (double)h);
            if (!(fabs(slope - (double)p.grad[i]) <= 2e-3))
                fail_msg("%s %d: gradient [%zu] %g, difference quotient %g", o->name, kind, i, (double)p.grad[i],
                         slope);
        }
    }
}

static void scale_and_order_of_the_rows_do_not_matter(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(6);
    for (size_t o = 0; o < COUNT(list); o++) {
        struct problem p = random_problem(&r), q = {.n = p.n, .d = p.d};
        for (size_t i = 0; i < p.n; i++) { /* reversed, each row three times as long */
            q.groups[p.n - 1 - i] = p.groups[i];
            for (size_t k = 0; k < p.d; k++)
                q.z[(p.n - 1 - i) * p.d + k] = 3 * p.z[i * p.d + k];
        }
        double a = solve(&p, list[o], &list[o]->defaults).loss, b = solve(&q, list[o], &list[o]->defaults).loss;
        assert_true(fabs(a - b) <= 1e-5 * fabs(a));
        for (size_t i = 0; i < p.n; i++) {
            double along = 0;
            for (size_t k = 0; k < p.d; k++) {
                size_t here = i * p.d + k, there = (p.n - 1 - i) * p.d + k;
                along += (double)p.grad[here] * (double)p.z[here];
                assert_true(fabs((double)p.grad[here] - 3 * (double)q.grad[there]) <= 1e-5);
            }
            assert_true(fabs(along) <= 1e-5);
        }
    }
}

static void a_collapsed_batch_shows_the_objectives_own_constant(void **state)
{
    UNUSED(state);
    for (size_t o = 0; o < COUNT(list); o++) {
        struct problem p = {.n = 12, .d = 5};
        for (size_t i = 0; i < p.n * p.d; i++)
            p.z[i] = 1;
        for (size_t i = 0; i < p.n; i++)
            p.groups[i] = (int32_t)(i / 2);
        double loss = solve(&p, list[o], &list[o]->defaults).loss;
        assert_true(fabs(loss - list[o]->collapsed(&list[o]->defaults, &(struct loss_shape){.n = p.n, .d = p.d})) <
                    1e-5);
    }
}

static void impossible_settings_are_refused_by_name(void **state)
{
    UNUSED(state);
    struct err e;
    struct objective_settings s = objective_infonce.defaults;
    s.temperature = (double)NAN;
    assert_err(loss_new(&objective_infonce, &s, &(struct loss_shape){.n = 4, .d = 4}, &e) != NULL, e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "temperature");
    s = objective_triplet.defaults;
    s.margin = -1;
    assert_err(loss_new(&objective_triplet, &s, &(struct loss_shape){.n = 4, .d = 4}, &e) != NULL, e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "margin");
    assert_null(objective_find("nothing"));
    assert_ptr_equal(objective_find("triplet"), &objective_triplet);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(infonce_equals_autograd),
        cmocka_unit_test(triplet_equals_autograd),
        cmocka_unit_test(single_triplets_equal_autograd),
        cmocka_unit_test(infonce_tends_to_the_hardest_negative_triplet_as_temperature_goes_to_zero),
        cmocka_unit_test(gradients_agree_with_finite_differences),
        cmocka_unit_test(scale_and_order_of_the_rows_do_not_matter),
        cmocka_unit_test(a_collapsed_batch_shows_the_objectives_own_constant),
        cmocka_unit_test(impossible_settings_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, oracle_load, oracle_free);
}
