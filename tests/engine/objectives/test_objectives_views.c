/* test_objectives_views.c - objectives over pairs of views: with targets, queues, prototypes, clusters.
 *
 * tests/golden/oracles.json, difference quotients, what a collapsed batch shows, what they remember.
 */
#include "tests/t.h"

#include "base/rng.h"
#include "engine/objectives/contrast.h"
#include "engine/objectives/kmeans.h"
#include "engine/objectives/objective.h"
#include "engine/objectives/ring.h"
#include "engine/objectives/sinkhorn.h"
#include "engine/objectives/unit_rows.h"
#include "tests/lib/oracle.h"

enum { ROOM = 128 };

struct problem {
    float z[ROOM], target[ROOM], grad[ROOM];
    size_t items[16], n, d, views, full;
    uint64_t step, steps;
};

static struct loss *open_loss(const struct objective *o, const struct objective_settings *s, const struct problem *p)
{
    struct err e = {0};
    struct loss *l = loss_new(o, s,
                              &(struct loss_shape){.n = p->n,
                                                   .d = p->d,
                                                   .views = p->views,
                                                   .full = p->full,
                                                   .items = p->n / p->views,
                                                   .steps = p->steps,
                                                   .per_epoch = 1,
                                                   .seed = 7},
                              &e);
    if (!l)
        fail_msg("%s: %s: %s", o->name, e.param, e.text);
    return l;
}

static struct loss_batch batch_of(const struct problem *p)
{
    return (struct loss_batch){
        .z = p->z, .target = p->target, .items = p->items, .n = p->n, .d = p->d, .step = p->step};
}

static struct loss_report solve(struct loss *l, struct problem *p)
{
    const struct loss_batch b = batch_of(p);
    return loss_run(l, &b, p->grad);
}

static const struct loss_tensor *tensor(const struct loss *l, const char *name)
{
    size_t n;
    const struct loss_tensor *t = loss_tensors(l, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(t[i].name, name) == 0)
            return &t[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

/* Rows of an oracle's input behind those that are there. */
static void add_rows(const char *id, const char *key, float *to, struct problem *p, size_t *n)
{
    *n += oracle_rows(oracle_input(id, key), to + *n * p->d, &p->d);
}

static struct problem read_views(const char *id, const char *const *keys, size_t views)
{
    struct problem p = {.views = views};
    for (size_t i = 0; i < views; i++)
        add_rows(id, keys[i], p.z, &p, &p.n);
    for (size_t i = 0; i < p.n; i++)
        p.items[i % (p.n / views)] = i % (p.n / views);
    return p;
}

static void assert_number(const char *id, const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s: %s %.9g, expected %.9g", id, what, got, want);
}

static void assert_loss(const char *id, double loss)
{
    double want = oracle_number(oracle_case(id), "expected_loss");
    assert_number(id, "loss", loss, want, 1e-5 * fmax(fabs(want), 1e-3));
}

/* times: by what the oracle's gradient is multiplied. */
static void assert_gradient(const char *id, const char *key, const float *got, double times)
{
    float want[ROOM];
    size_t d, n = oracle_rows(json_member(json_member(oracle_case(id), "expected_grad"), key), want, &d);
    assert_true(n > 0);
    for (size_t i = 0; i < n * d; i++) {
        double x = times * (double)want[i];
        assert_number(id, key, (double)got[i], x, 1e-4 * fabs(x) + 1e-6);
    }
}

static void assert_floats(const char *id, const char *what, const float *got, const struct json *list)
{
    float want[ROOM];
    size_t d, n = oracle_rows(list, want, &d);
    assert_true(n > 0);
    for (size_t i = 0; i < n * d; i++)
        assert_number(id, what, (double)got[i], (double)want[i], 1e-5 * fabs((double)want[i]) + 1e-6);
}

/* ---- the oracles ---- */

/* Both views are the oracle's one direction: the same loss, and half of its gradient in each. */
static void moco_equals_autograd(void **state)
{
    UNUSED(state);
    static const char *const cases[] = {"moco_infonce_queue", "moco_all_equal"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problem p = read_views(cases[i], (const char *const[]){"q", "q"}, 2);
        float queue[ROOM];
        size_t keys = 0, d;
        add_rows(cases[i], "k", p.target, &p, &keys);
        add_rows(cases[i], "k", p.target, &p, &keys);
        struct objective_settings s = objective_moco.defaults;
        s.queue = (double)oracle_rows(oracle_input(cases[i], "queue"), queue, &d);
        s.temperature = oracle_setting(cases[i], "temperature");
        struct loss *l = open_loss(&objective_moco, &s, &p);
        memcpy(tensor(l, "queue")->data, queue, (size_t)s.queue * d * sizeof *queue);
        assert_loss(cases[i], solve(l, &p).loss);
        assert_gradient(cases[i], "q", p.grad, 0.5);
        assert_gradient(cases[i], "q", p.grad + p.n / 2 * p.d, 0.5);
        loss_free(l);
    }
}

static void byol_and_simsiam_equal_autograd(void **state)
{
    UNUSED(state);
    static const struct {
        const char *id;
        const struct objective *o;
        const char *p[2], *z[2];
        double times; /* the one-sided case stands for either direction */
    } cases[] = {
        {"byol_symmetric_sum", &objective_byol, {"p0", "p1"}, {"z0_target", "z1_target"}, 1},
        {"byol_one_side", &objective_byol, {"p", "p"}, {"z_target", "z_target"}, 2},
        {"simsiam_symmetric", &objective_simsiam, {"p0", "p1"}, {"z0", "z1"}, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problem p = read_views(cases[i].id, cases[i].p, 2);
        size_t rows = 0;
        add_rows(cases[i].id, cases[i].z[0], p.target, &p, &rows);
        add_rows(cases[i].id, cases[i].z[1], p.target, &p, &rows);
        struct loss *l = open_loss(cases[i].o, &cases[i].o->defaults, &p);
        assert_loss(cases[i].id, solve(l, &p).loss / cases[i].times);
        for (size_t v = 0; v < 2; v++)
            assert_gradient(cases[i].id, cases[i].p[v], p.grad + v * p.n / 2 * p.d, 1);
        loss_free(l);
    }
}

static void barlow_and_vicreg_equal_autograd(void **state)
{
    UNUSED(state);
    static const char *const views[] = {"z_a", "z_b"};
    static const struct {
        const char *id;
        const struct objective *o;
    } cases[] = {{"barlow_eps1e-5", &objective_barlow},
                 {"barlow_eps0", &objective_barlow},
                 {"barlow_lambda1", &objective_barlow},
                 {"barlow_affine_invariance", &objective_barlow},
                 {"vicreg", &objective_vicreg}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problem p = read_views(cases[i].id, views, 2);
        struct objective_settings s = cases[i].o->defaults;
        if (cases[i].o == &objective_barlow) {
            s.off_diagonal = oracle_setting(cases[i].id, "lambda_");
            s.epsilon = oracle_setting(cases[i].id, "bn_eps");
        }
        struct loss *l = open_loss(cases[i].o, &s, &p);
        assert_loss(cases[i].id, solve(l, &p).loss);
        for (size_t v = 0; v < 2 && i != 3; v++)
            assert_gradient(cases[i].id, views[v], p.grad + v * p.n / 2 * p.d, 1);
        loss_free(l);
    }
}

static void sinkhorn_equals_the_linear_one(void **state)
{
    UNUSED(state);
    static const char *const cases[] = {"sinkhorn_it0", "sinkhorn_it1", "sinkhorn_it3", "sinkhorn_it10",
                                        "sinkhorn_uniform"};
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int shift = 0; shift < 2; shift++) {
            float q[ROOM];
            size_t k, n = oracle_rows(oracle_input(cases[i], "scores"), q, &k);
            double epsilon = oracle_setting(cases[i], "epsilon"), iterations = oracle_setting(cases[i], "iterations");
            if (shift && iterations < 1)
                continue; /* only balancing forgets what all scores have in common */
            for (size_t j = 0; j < n * k; j++)
                q[j] = (float)(((double)q[j] + 100 * shift) / epsilon);
            sinkhorn(q, n, k, (size_t)iterations);
            float want[ROOM];
            oracle_rows(oracle_result(cases[i], "q"), want, &k);
            for (size_t j = 0; j < n * k; j++) /* a score of 2000 is rounded to 1e-4 */
                assert_number(cases[i], "code", (double)q[j], (double)want[j],
                              shift ? 1e-3 : 1e-5 * fmax((double)want[j], 0.1));
        }
}

static void swav_equals_autograd(void **state)
{
    UNUSED(state);
    static const char *const views[] = {"z0", "z1", "z2"};
    static const struct {
        const char *id;
        size_t views;
        bool queue;
    } cases[] = {{"swav_2crops", 2, false}, {"swav_multicrop_2plus1", 3, false}, {"swav_2crops_queue", 2, true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *id = cases[i].id;
        struct problem p = read_views(id, views, cases[i].views);
        struct objective_settings s = objective_swav.defaults;
        float c[ROOM];
        size_t d;
        s.prototypes = (double)oracle_rows(oracle_input(id, "prototypes"), c, &d);
        s.temperature = oracle_setting(id, "temperature");
        s.sharpness = oracle_setting(id, "epsilon");
        s.iterations = oracle_setting(id, "sinkhorn_iterations");
        s.queue = cases[i].queue ? 2 : 0;
        struct loss *l = open_loss(&objective_swav, &s, &p);
        memcpy(tensor(l, "prototypes")->data, c, (size_t)s.prototypes * d * sizeof *c);
        if (cases[i].queue) {
            double without = solve(l, &p).loss; /* the queue is not full yet */
            oracle_rows(oracle_input(id, "queue0"), tensor(l, "queue")->data, &d);
            oracle_rows(oracle_input(id, "queue1"), tensor(l, "queue")->data + 2 * d, &d);
            tensor(l, "cursor")->data[1] = tensor(l, "cursor")->data[3] = 2;
            assert_number(id, "loss without a queue", without,
                          oracle_number(oracle_case("swav_2crops"), "expected_loss"), 2e-5);
        }
        assert_loss(id, solve(l, &p).loss);
        for (size_t v = 0; v < cases[i].views; v++)
            assert_gradient(id, views[v], p.grad + v * p.n / p.views * d, 1);
        assert_gradient(id, "prototypes", tensor(l, "prototypes")->gradient, 1);
        loss_free(l);
    }
}

/* Two prototypes, whose first rows are chosen; then the loss with its clusters, over one "view". */
static void deepcluster_equals_autograd(void **state)
{
    UNUSED(state);
    const char *id = "deepclusterv2";
    float x[ROOM], c[4], labels[6], norm;
    size_t d, n = oracle_rows(oracle_input(id, "z"), x, &d);
    for (size_t i = 0; i < n; i++) { /* unit rows */
        norm = hypotf(x[i * d], x[i * d + 1]);
        x[i * d] /= norm;
        x[i * d + 1] /= norm;
    }
    memcpy(c, x, d * sizeof *c);
    memcpy(c + d, x + 2 * d, d * sizeof *c);
    kmeans(x, n, d, 2, (size_t)oracle_setting(id, "kmeans_iters"), c, labels);
    assert_floats(id, "centroid", c, oracle_result(id, "final_centroids"));
    assert_floats(id, "cluster", labels, oracle_result(id, "final_assign"));

    static const char *const cases[] = {"deepclusterv2", "deepclusterv2_ignore"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problem p = read_views(cases[i], (const char *const[]){"z"}, 1);
        struct objective_settings s = objective_deepclusterv2.defaults;
        s.prototypes = 2;
        s.heads = 1;
        s.temperature = oracle_setting(cases[i], "temperature");
        struct loss *l = open_loss(&objective_deepclusterv2, &s, &p);
        memcpy(tensor(l, "centroids")->data, c, sizeof c);
        memcpy(tensor(l, "clusters")->data, labels, sizeof labels);
        if (i == 1)
            oracle_rows(oracle_input(cases[i], "targets"), tensor(l, "clusters")->data, &d);
        assert_true(solve(l, &p).looking); /* there was no clustering */
        tensor(l, "clock")->data[0] = 1;
        assert_loss(cases[i], solve(l, &p).loss);
        assert_gradient(cases[i], "z", p.grad, 1);
        loss_free(l);
    }
}

/* z are the axes, so that the prototypes' columns are the oracle's logits and its gradient is theirs; two views make two equal pairs. */
static void dino_equals_autograd(void **state)
{
    UNUSED(state);
    const char *id = "dino_single_pair";
    struct problem p = {.n = 4, .d = 2, .views = 2, .z = {1, 0, 0, 1, 1, 0, 0, 1}, .target = {1, 0, 0, 1, 1, 0, 0, 1}};
    struct objective_settings s = objective_dino.defaults;
    float student[6], teacher[6], turned[6];
    size_t k, n = oracle_rows(oracle_input(id, "student"), student, &k);
    oracle_rows(oracle_input(id, "teacher"), teacher, &k);
    s.prototypes = (double)k;
    s.temperature = oracle_setting(id, "student_temp");
    s.teacher_temperature = oracle_setting(id, "teacher_temp");
    s.centre_momentum = oracle_setting(id, "center_momentum");
    struct loss *l = open_loss(&objective_dino, &s, &p);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++) {
            tensor(l, "prototypes")->data[j * n + i] = student[i * k + j];
            tensor(l, "teacher_prototypes")->data[j * n + i] = teacher[i * k + j];
        }
    oracle_rows(oracle_input(id, "center"), tensor(l, "centre")->data, &n);
    assert_loss(id, solve(l, &p).loss);
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < k; j++)
            turned[i * k + j] = tensor(l, "prototypes")->gradient[j * 2 + i];
    assert_gradient(id, "student", turned, 1);
    const struct loss_batch b = batch_of(&p);
    loss_after_step(l, &b);
    assert_floats(id, "centre", tensor(l, "centre")->data, oracle_result(id, "new_center"));
    loss_free(l);
}

static void unit_rows_equal_autograd(void **state)
{
    UNUSED(state);
    const char *id = "l2norm_bwd";
    float z[4], g[4], norms[2];
    size_t d, n = oracle_rows(oracle_input(id, "z"), z, &d);
    oracle_rows(oracle_input(id, "upstream_grad"), g, &d);
    unit_rows_forward(z, n, d, z, norms);
    assert_floats(id, "y", z, oracle_result(id, "y"));
    unit_rows_backward(z, norms, n, d, g);
    assert_gradient(id, "z", g, 1);
}

static void the_ring_wraps(void **state)
{
    UNUSED(state);
    const char *id = "queue_ring_wraparound";
    const struct json *history = oracle_result(id, "history"), *batches = oracle_input(id, "batches");
    float slots[5] = {0}, cursor[2] = {0}, rows[3];
    const struct ring r = {slots, cursor, 5, 1};
    size_t one;
    for (size_t i = 0; i < json_count(history); i++) {
        assert_true(ring_full(&r) == (i == 2));
        size_t n = oracle_rows(json_item(batches, i), rows, &one);
        ring_push(&r, rows, n);
        assert_floats(id, "slot", slots, json_member(json_item(history, i), "slots"));
        assert_true((double)cursor[0] == oracle_number(json_item(history, i), "ptr"));
    }
    ring_push(&r, (const float[]){1, 2, 3, 4, 5, 6, 7}, 7); /* more than it holds: the last five stay */
    double sum = 0;
    for (size_t i = 0; i < 5; i++)
        sum += (double)slots[i];
    assert_true(sum == 3 + 4 + 5 + 6 + 7);
}

static void the_momentum_goes_along_a_cosine(void **state)
{
    UNUSED(state);
    const char *id = "ema_cosine_schedule";
    const struct objective_settings s = {.momentum = 0.996, .momentum_end = 1};
    const struct json *steps = oracle_input(id, "steps");
    float m[8];
    for (size_t i = 0; i < json_count(steps); i++) {
        int64_t step;
        assert_true(json_as_int(json_item(steps, i), &step));
        m[i] = (float)objective_momentum(&s, (uint64_t)step, 1000);
    }
    assert_floats(id, "m", m, oracle_result(id, "m"));
    assert_true(objective_momentum(&s, 5, 0) == 0.996);
}

/* ---- properties ---- */

static const struct objective *const all[] = {&objective_moco,    &objective_mocov2,        &objective_byol,
                                              &objective_simsiam, &objective_barlow,        &objective_vicreg,
                                              &objective_swav,    &objective_deepclusterv2, &objective_dino};

static struct objective_settings small_settings(const struct objective *o)
{
    struct objective_settings s = o->defaults;
    s.temperature = o->defaults.temperature > 0 ? 0.5 : 0;
    s.teacher_temperature = o->defaults.teacher_temperature > 0 ? 0.3 : 0;
    s.prototypes = s.prototypes > 0 ? 4 : 0;
    s.queue = o == &objective_swav ? 0 : s.queue > 0 ? 9 : 0;
    return s;
}

static struct problem random_crops(struct rng *r, size_t views, size_t full)
{
    struct problem p = {.n = 12, .d = 5, .views = views, .full = full};
    for (size_t i = 0; i < p.n * p.d; i++) {
        p.z[i] = (float)rng_normal(r);
        p.target[i] = (float)rng_normal(r);
    }
    for (size_t i = 0; i < p.n / views; i++)
        p.items[i] = i;
    return p;
}

static struct problem random_problem(struct rng *r)
{
    return random_crops(r, 2, 2);
}

/* What deepcluster begins with; for the others it is a step like any other. */
static void look(struct loss *l, const struct problem *p)
{
    const struct loss_batch b = batch_of(p);
    loss_after_step(l, &b);
}

/* From row `first` on. */
static void assert_slopes(struct loss *l, const struct problem *p, const char *name, size_t first)
{
    const float h = 2e-3f;
    for (size_t i = first * p->d; i < p->n * p->d; i++) {
        struct problem probe = *p;
        probe.z[i] += h;
        double up = solve(l, &probe).loss;
        probe.z[i] -= 2 * h;
        double slope = (up - solve(l, &probe).loss) / (2 * (double)h);
        assert_number(name, "slope", (double)p->grad[i], slope, 2e-3 * fmax(1, fabs(slope)));
    }
}

static void gradients_agree_with_finite_differences(void **state)
{
    UNUSED(state);
    const float h = 2e-3f;
    struct rng r = rng_new(5);
    for (size_t o = 0; o < COUNT(all); o++) {
        if (all[o] == &objective_swav) /* its codes depend on z and count as constants: the oracles show it */
            continue;
        const struct objective_settings s = small_settings(all[o]);
        struct problem p = random_problem(&r);
        struct loss *l = open_loss(all[o], &s, &p);
        look(l, &p);
        solve(l, &p);
        float learned[64];
        size_t n;
        const struct loss_tensor *t = loss_tensors(l, &n);
        if (n && t[0].gradient)
            memcpy(learned, t[0].gradient, t[0].count * sizeof *learned);
        assert_slopes(l, &p, all[o]->name, 0);
        for (size_t i = 0; n && t[0].gradient && i < t[0].count; i++) {
            float at = t[0].data[i];
            t[0].data[i] = at + h;
            double up = solve(l, &p).loss;
            t[0].data[i] = at - h;
            double slope = (up - solve(l, &p).loss) / (2 * (double)h);
            t[0].data[i] = at;
            assert_number(all[o]->name, "slope of a prototype", (double)learned[i], slope, 2e-3);
        }
        loss_free(l);
    }
}

/* softmax((x C' - centre) / temperature), x made unit; in double. */
static void distribution(const float *x, size_t d, const float *c, size_t k, const float *centre, double temperature,
                         double *p)
{
    double norm = 0, sum = 0;
    for (size_t i = 0; i < d; i++)
        norm += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < k; j++) {
        p[j] = centre ? -(double)centre[j] : 0;
        for (size_t i = 0; i < d; i++)
            p[j] += (double)x[i] * (double)c[j * d + i] / sqrt(norm);
        sum += p[j] = exp(p[j] / temperature);
    }
    for (size_t j = 0; j < k; j++)
        p[j] /= sum;
}

/* The mean over pictures and over pairs of a full crop, which gives the code, and any other crop, which predicts it. */
static double mean_over_pairs(const struct loss *l, const struct objective_settings *s, const struct problem *p,
                              bool taught)
{
    size_t rows = p->n / p->views, k = (size_t)s->prototypes, pairs = 0;
    const float *c = tensor(l, "prototypes")->data, *ct = taught ? tensor(l, "teacher_prototypes")->data : c;
    const float *centre = taught ? tensor(l, "centre")->data : NULL;
    double sum = 0, q[16], guess[16], sharp = taught ? s->teacher_temperature : s->sharpness;
    for (size_t i = 0; i < p->full * rows; i++)
        for (size_t v = 0; v < p->views; v++) {
            if (v == i / rows)
                continue;
            distribution((taught ? p->target : p->z) + i * p->d, p->d, ct, k, centre, sharp, q);
            distribution(p->z + (v * rows + i % rows) * p->d, p->d, c, k, NULL, s->temperature, guess);
            for (size_t j = 0; j < k; j++)
                sum -= q[j] * log(guess[j]);
            pairs++;
        }
    return sum / (double)pairs;
}

/* Full crops give the codes and all crops predict them; targets of small ones are not even read. */
static void with_many_crops_the_full_ones_teach_all(void **state)
{
    UNUSED(state);
    static const struct objective *const some[] = {&objective_swav, &objective_dino, &objective_deepclusterv2};
    static const struct {
        size_t views, full;
    } crops[] = {{4, 2}, {6, 2}, {4, 3}, {3, 3}};
    struct rng r = rng_new(11);
    for (size_t i = 0; i < COUNT(some) * COUNT(crops); i++) {
        const struct objective *o = some[i / COUNT(crops)];
        struct objective_settings s = small_settings(o);
        struct problem p = random_crops(&r, crops[i % COUNT(crops)].views, crops[i % COUNT(crops)].full);
        s.iterations = 0; /* swav: codes that are a softmax of each row */
        s.prototypes = fmin(s.prototypes, (double)(p.n / p.views));
        s.heads = s.heads > 0 ? 5 : 0;
        struct loss *l = open_loss(o, &s, &p);
        look(l, &p);
        for (size_t k = p.full * (p.n / p.views) * p.d; k < p.n * p.d; k++)
            p.target[k] = NAN;
        double loss = solve(l, &p).loss;
        if (o != &objective_deepclusterv2)
            assert_number(o->name, "loss of many crops", loss, mean_over_pairs(l, &s, &p, o == &objective_dino),
                          2e-5 * fabs(loss));
        assert_slopes(l, &p, o->name, o == &objective_swav ? p.full * (p.n / p.views) : 0);
        if (o == &objective_deepclusterv2)
            assert_int_equal(tensor(l, "bank")->count, p.full * (p.n / p.views) * p.d);
        look(l, &p);
        size_t n;
        const struct loss_tensor *t = loss_tensors(l, &n);
        for (size_t k = 0; k < n; k++)
            for (size_t m = 0; m < t[k].count; m++)
                assert_true(isfinite(t[k].data[m]));
        loss_free(l);
    }
}

/* A teacher that says the same of every picture gives no prototype more than its share, and whatever the centre is does not matter. */
static void dino_s_balance_stands_in_for_the_centre(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(13);
    struct objective_settings s = small_settings(&objective_dino);
    struct problem p = random_problem(&r);
    size_t k = (size_t)s.prototypes;
    double loss[2][2], share = 0, guess[16];
    for (size_t i = 0; i < 2; i++) {
        s.iterations = i ? 3 : 0;
        struct loss *l = open_loss(&objective_dino, &s, &p);
        loss[i][0] = solve(l, &p).loss;
        tensor(l, "centre")->data[0] = 0.5f;
        loss[i][1] = solve(l, &p).loss;
        assert_slopes(l, &p, "dino", 0);
        loss_free(l);
    }
    assert_true(fabs(loss[0][1] - loss[0][0]) > 1e-3 && fabs(loss[1][1] - loss[1][0]) < 1e-5);
    assert_true(fabs(loss[1][0] - loss[0][0]) > 1e-3);

    for (size_t i = p.d; i < p.n * p.d; i++)
        p.target[i] = p.target[i % p.d];
    struct loss *l = open_loss(&objective_dino, &s, &p);
    for (size_t i = 0; i < p.n; i++) {
        distribution(p.z + i * p.d, p.d, tensor(l, "prototypes")->data, k, NULL, s.temperature, guess);
        for (size_t j = 0; j < k; j++)
            share -= log(guess[j]) / (double)(k * p.n);
    }
    assert_number("dino", "loss with equal shares", solve(l, &p).loss, share, 2e-5 * share);
    loss_free(l);
}

/* Pictures in another order, and the views exchanged: the same loss.  Rows three times as long: the same too where only directions count. */
static void order_and_length_of_the_rows_do_not_matter(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(6);
    for (size_t o = 0; o < COUNT(all); o++) {
        const struct objective_settings s = small_settings(all[o]);
        const float longer = all[o] == &objective_barlow || all[o] == &objective_vicreg ? 1 : 3;
        struct problem p = random_problem(&r), q = p;
        struct loss *l = open_loss(all[o], &s, &p);
        look(l, &p);
        for (size_t i = 0; i < p.n; i++) /* row n - 1 - i has the other view of row n - 1 - (i + n / 2) */
            for (size_t k = 0; k < p.d; k++) {
                q.z[(p.n - 1 - i) * p.d + k] = longer * p.z[i * p.d + k];
                q.target[(p.n - 1 - i) * p.d + k] = 2 * p.target[i * p.d + k];
            }
        for (size_t i = 0; i < p.n / 2; i++)
            q.items[i] = p.n / 2 - 1 - i;
        double a = solve(l, &p).loss, b = solve(l, &q).loss;
        assert_number(all[o]->name, "loss in another order", b, a, 2e-5 * fabs(a));
        for (size_t i = 0; i < p.n; i++)
            for (size_t k = 0; k < p.d; k++)
                assert_number(all[o]->name, "gradient in another order",
                              (double)(longer * q.grad[(p.n - 1 - i) * p.d + k]), (double)p.grad[i * p.d + k], 1e-4);
        loss_free(l);
    }
}

static void a_collapsed_batch_shows_the_objectives_own_constant(void **state)
{
    UNUSED(state);
    for (size_t o = 0; o < COUNT(all); o++) {
        const struct objective_settings s = small_settings(all[o]);
        struct problem p = {.n = 12, .d = 5, .views = 2};
        for (size_t i = 0; i < p.n * p.d; i++)
            p.z[i] = p.target[i] = 1;
        for (size_t i = 0; i < p.n / 2; i++)
            p.items[i] = i;
        struct loss *l = open_loss(all[o], &s, &p);
        look(l, &p);
        size_t n;
        const struct loss_tensor *t = loss_tensors(l, &n);
        for (size_t i = 0; n && t[0].gradient && i < t[0].count; i++)
            t[0].data[i] = 0.4472136f; /* all prototypes too */
        if (all[o] == &objective_moco || all[o] == &objective_mocov2)
            look(l, &p); /* 24 keys fill the queue */
        assert_number(all[o]->name, "collapsed loss", solve(l, &p).loss,
                      all[o]->collapsed(&s, &(struct loss_shape){.n = p.n, .d = p.d}), 2e-4);
        loss_free(l);
    }
}

static void keys_enter_the_queue_after_the_step(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(8);
    struct objective_settings s = small_settings(&objective_mocov2);
    struct problem p = random_problem(&r);
    s.queue = 30;
    memcpy(p.z, p.target + p.n / 2 * p.d, p.n / 2 * p.d * sizeof *p.z); /* each is its other view's key */
    memcpy(p.z + p.n / 2 * p.d, p.target, p.n / 2 * p.d * sizeof *p.z);
    struct loss *l = open_loss(&objective_mocov2, &s, &p);
    double first = solve(l, &p).loss;
    assert_true(solve(l, &p).loss == first); /* running changes nothing */
    look(l, &p);
    assert_true((int)tensor(l, "cursor")->data[0] == 12);
    assert_true(solve(l, &p).loss > first); /* now its own keys are among the negatives */
    const float *key = tensor(l, "queue")->data;
    double along = 0, norm = 0;
    for (size_t k = 0; k < p.d; k++) {
        along += (double)key[k] * (double)p.target[k];
        norm += (double)p.target[k] * (double)p.target[k];
    }
    assert_true(fabs(along - sqrt(norm)) < 1e-5);
    loss_free(l);
}

static void prototypes_stay_as_long_as_they_are_to(void **state)
{
    UNUSED(state);
    const struct objective *const both[] = {&objective_swav, &objective_dino};
    for (size_t o = 0; o < COUNT(both); o++) {
        struct rng r = rng_new(9);
        struct problem p = random_problem(&r);
        struct objective_settings s = small_settings(both[o]);
        s.freeze_prototypes = 0.1;
        p.steps = 100;
        struct loss *l = open_loss(both[o], &s, &p);
        const struct loss_tensor *c = tensor(l, "prototypes");
        for (p.step = 8; p.step < 12; p.step++) {
            double sum = 0;
            solve(l, &p);
            for (size_t i = 0; i < c->count; i++)
                sum += fabs((double)c->gradient[i]);
            assert_true((sum > 0) == (p.step >= 10));
        }
        c->data[0] = 9;
        look(l, &p);
        double square = 0;
        for (size_t k = 0; k < p.d; k++)
            square += (double)c->data[k] * (double)c->data[k];
        assert_true(fabs(square - 1) < 1e-5);
        loss_free(l);
    }
}

static void impossible_settings_are_refused_by_name(void **state)
{
    UNUSED(state);
    static const struct {
        const struct objective *o;
        const char *name;
        double bad;
    } cases[] = {
        {&objective_moco, "temperature", 0},
        {&objective_mocov2, "queue", 1.5},
        {&objective_moco, "momentum", 1.1},
        {&objective_byol, "momentum_end", -1},
        {&objective_barlow, "off_diagonal", -1},
        {&objective_barlow, "epsilon", (double)NAN},
        {&objective_vicreg, "covariance", (double)NAN},
        {&objective_vicreg, "epsilon", 0},
        {&objective_swav, "prototypes", 1},
        {&objective_swav, "iterations", 0.5},
        {&objective_swav, "queue", -1},
        {&objective_swav, "sharpness", 0},
        {&objective_swav, "freeze_prototypes", 2},
        {&objective_deepclusterv2, "heads", 0},
        {&objective_deepclusterv2, "recluster", 0},
        {&objective_deepclusterv2, "prototypes", 6}, /* of five pictures that are learned from */
        {&objective_dino, "teacher_temperature", 0},
        {&objective_dino, "centre_momentum", 2},
        {&objective_dino, "iterations", 0.5},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct objective_settings s = small_settings(cases[i].o);
        struct err e = {0};
        const struct setting *found = NULL;
        for (size_t k = 0; k < cases[i].o->n_settings; k++)
            if (strcmp(cases[i].o->settings[k].name, cases[i].name) == 0)
                found = &cases[i].o->settings[k];
        assert_non_null(found);
        *(double *)(void *)((char *)&s + found->offset) = cases[i].bad;
        assert_err(loss_new(cases[i].o, &s, &(struct loss_shape){.n = 12, .d = 5, .items = 6, .learned = 5}, &e) !=
                       NULL,
                   e, ERR_BAD_INPUT);
        assert_string_equal(e.param, cases[i].name);
    }
}

/* Every default is one that check() lets pass, whatever the training is for. */
static void the_profiles_are_possible(void **state)
{
    UNUSED(state);
    for (size_t o = 0; o < COUNT(all); o++)
        for (size_t u = 0; u < USES; u++) {
            const struct objective_profile *p = &all[o]->profiles[u];
            struct err e = {0};
            assert_ok(all[o]->check(&p->settings, &e), e);
            assert_true(p->head.n_projector > 0 && p->learning_rate > 0 && p->head_rate > 0 && p->recipe &&
                        p->optimizer);
        }
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moco_equals_autograd),
        cmocka_unit_test(byol_and_simsiam_equal_autograd),
        cmocka_unit_test(barlow_and_vicreg_equal_autograd),
        cmocka_unit_test(sinkhorn_equals_the_linear_one),
        cmocka_unit_test(swav_equals_autograd),
        cmocka_unit_test(deepcluster_equals_autograd),
        cmocka_unit_test(dino_equals_autograd),
        cmocka_unit_test(unit_rows_equal_autograd),
        cmocka_unit_test(the_ring_wraps),
        cmocka_unit_test(the_momentum_goes_along_a_cosine),
        cmocka_unit_test(gradients_agree_with_finite_differences),
        cmocka_unit_test(with_many_crops_the_full_ones_teach_all),
        cmocka_unit_test(dino_s_balance_stands_in_for_the_centre),
        cmocka_unit_test(order_and_length_of_the_rows_do_not_matter),
        cmocka_unit_test(a_collapsed_batch_shows_the_objectives_own_constant),
        cmocka_unit_test(keys_enter_the_queue_after_the_step),
        cmocka_unit_test(prototypes_stay_as_long_as_they_are_to),
        cmocka_unit_test(impossible_settings_are_refused_by_name),
        cmocka_unit_test(the_profiles_are_possible),
    };
    return cmocka_run_group_tests(tests, oracle_load, oracle_free);
}
