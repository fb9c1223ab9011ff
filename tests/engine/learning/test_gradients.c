/* test_gradients.c - every gradient of a network that learns is the slope of the same network in double.
 *
 * For each tensor two directions: the gradient itself and a random one, by which every value's error shows.  The slope
 * comes from the difference of two forward passes in double (tests/lib/exact.h); error: what the slope and the gradient
 * differ by, over the length of the gradient in that direction.
 *
 * Of a million activations about one lies so near the corner of its ReLU that fp32 and double take different sides. 
 * That one moves the gradients below it by some thousandths, with any fp32 arithmetic; so the double network takes the
 * sides of the fp32 one, and what remains is rounding.  The second test shows that the corners are all there is to it.
 */
#include "tests/t.h"

#include "base/mem.h"
#include "base/rng.h"
#include "engine/arch_resnet.h"
#include "engine/plan.h"
#include "tests/lib/exact.h"
#include "tests/lib/hashed_weights.h"
#include "tests/lib/learners.h"

struct task {
    struct learner *l;
    struct exact *exact;
    float *pixels, *dz;
    size_t n_z;
    double largest; /* length of a tensor's gradient */
};

static double length(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

/* Of each pass, one behind the other. */
static float *pictures_of(unsigned first, uint32_t size, const struct learner_options *o)
{
    float *all[LEARNER_PASSES_MAX], *out;
    size_t count[LEARNER_PASSES_MAX], at = 0;
    if (!o->n_passes)
        return learner_pictures(first, o->batch, size);
    for (size_t i = 0; i < o->n_passes; i++) {
        const struct learner_pass *p = &o->passes[i];
        all[i] = learner_pictures(first + 100 * (unsigned)i, p->rows, p->size);
        at += count[i] = p->rows * p->size * p->size * 3;
    }
    out = mem_new(at, sizeof *out);
    for (size_t i = o->n_passes; i-- > 0;) {
        at -= count[i];
        memcpy(out + at, all[i], count[i] * sizeof *out);
        free(all[i]);
    }
    return out;
}

/* Takes the learner. */
static struct task task_of(struct learner *l, uint32_t size, unsigned first, const struct learner_options *o)
{
    struct rng r = rng_new(first + 1);
    struct task t = {.l = l, .pixels = pictures_of(first, size, o)};
    t.n_z = t.l->batch * learner_outputs(t.l);
    t.dz = mem_new(t.n_z, sizeof *t.dz);
    for (size_t i = 0; i < t.n_z; i++)
        t.dz[i] = (float)rng_between(&r, -1, 1);
    t.exact = exact_new(t.l); /* before running statistics move */
    learner_objective(t.l, t.pixels, t.dz);
    exact_forward(t.exact, t.pixels);
    return t;
}

static struct task task_new(const struct arch *a, uint32_t size, unsigned first, const struct learner_options *o)
{
    return task_of(learner_make(a, size, o), size, first, o);
}

/* The learner's activations are used up. */
static void task_backward(struct task *t)
{
    struct err e = {0};
    size_t n;
    const struct parameter *p = learner_parameters(t->l, &n);
    assert_ok(learner_backward(t->l, t->dz, false, &e), e);
    for (size_t i = 0; i < n; i++)
        t->largest = fmax(t->largest, length(p[i].gradient, p[i].count));
}

static void task_free(struct task *t)
{
    exact_free(t->exact);
    learner_free(t->l);
    free(t->pixels);
    free(t->dz);
}

static double exact_objective(const struct task *t)
{
    double sum = 0;
    exact_forward(t->exact, t->pixels);
    for (size_t i = 0; i < t->n_z; i++)
        sum += exact_output(t->exact)[i] * (double)t->dz[i];
    return sum;
}

/* `along` has length 1. */
static double slope(const struct task *t, size_t tensor, const double *along)
{
    const double step = 1e-7;
    double *w = t->exact->tensors[tensor], f[2];
    size_t n = t->l->g.graph.weights[tensor].count;
    double *start = mem_dup(w, n * sizeof *w);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++)
            w[i] = start[i] + (side ? -step : step) * along[i];
        f[side] = exact_objective(t);
    }
    memcpy(w, start, n * sizeof *w);
    free(start);
    return (f[0] - f[1]) / (2 * step);
}

/* The larger of both directions.  What is nearly zero (a shift whose effect the next batch norm takes away) is measured
 * against a hundredth of the largest gradient. */
static double tensor_error(const struct task *t, size_t tensor)
{
    const float *g = t->l->gradients[tensor];
    size_t n = t->l->g.graph.weights[tensor].count;
    double *along = mem_new(n, sizeof *along), size = fmax(length(g, n), t->largest / 100), worst = 0;
    struct rng r = rng_new(tensor);
    for (int random = 0; random < 2; random++) {
        double square = 0, product = 0;
        for (size_t i = 0; i < n; i++) {
            along[i] = random ? rng_between(&r, -1, 1) : (double)g[i];
            square += along[i] * along[i];
        }
        for (size_t i = 0; i < n && square > 0; i++) {
            along[i] /= sqrt(square);
            product += along[i] * (double)g[i];
        }
        worst = fmax(worst, fabs(slope(t, tensor, along) - product) / (random ? size / sqrt((double)n) : size));
    }
    free(along);
    return worst;
}

/* Of all tensors that learn, or of each `stride`th. */
static double worst_error(const struct task *t, size_t stride)
{
    double worst = 0;
    for (size_t i = 0, learning = 0; i < t->l->g.graph.n_weights; i++)
        if (t->l->gradients[i] && learning++ % stride == 0)
            worst = fmax(worst, tensor_error(t, i));
    return worst;
}

static void check(const char *what, const struct arch *a, uint32_t size, unsigned first,
                  const struct learner_options *o)
{
    struct task t = task_new(a, size, first, o);
    exact_take_sides(t.exact);
    task_backward(&t);
    double worst = worst_error(&t, 1);
    print_message("%s, pictures %u: %.1e\n", what, first, worst);
    assert_true(worst <= 1e-3);
    task_free(&t);
}

static void every_gradient_is_the_slope_in_double(void **state)
{
    UNUSED(state);
    static const struct arch small = RESNET(18, SMALL1, 16, 0);
    for (size_t k = 0; k < LEARNER_KINDS; k++) {
        const struct learner_kind *kind = &learner_kinds[k];
        struct learner_options o = odd_options(kind);
        print_message("%s\n", kind->name);
        check("bottlenecks, head", &odd_arch, ODD_SIZE, 0, &o);
        o.freeze_norm = true;
        check("frozen norms", &odd_arch, ODD_SIZE, 5, &o);
        o.freeze_norm = false;
        o.freeze_stages = 2;
        check("frozen stages", &odd_arch, ODD_SIZE, 10, &o);
        o = (struct learner_options){.precision = kind->precision, .backend = kind->backend, .batch = 6};
        check("basic blocks", &small, 19, 0, &o);
    }
}

/* Crops of several sizes: batch norms of the encoder by the pass, of the head by all rows, and gradients are the sum
 * over passes. */
static void passes_of_several_sizes_have_the_gradient_of_the_whole(void **state)
{
    UNUSED(state);
    static const struct arch small = RESNET(18, SMALL1, 8, 12);
    for (size_t k = 0; k < LEARNER_KINDS; k++) {
        struct learner_options o = odd_options(&learner_kinds[k]);
        o.passes[0] = (struct learner_pass){4, 22};
        o.passes[1] = (struct learner_pass){6, 16};
        o.n_passes = 2;
        o.freeze_stages = k ? 2 : 0;
        check("two sizes", &small, 16, 0, &o);
    }
    struct learner_options o = odd_options(&learner_kinds[0]);
    o.passes[0] = (struct learner_pass){4, 18};
    o.passes[1] = (struct learner_pass){3, 20};
    o.passes[2] = (struct learner_pass){5, 17};
    o.n_passes = 3;
    o.n_head = 0;
    check("three sizes, no head", &small, 16, 0, &o);
}

/* Batches as they come. */
static void without_corners_the_gradients_are_those_of_double(void **state)
{
    UNUSED(state);
    enum { BATCHES = 3, STRIDE = 20 };
    static const struct arch small = RESNET(18, SMALL1, 16, 0);
    for (size_t k = 0; k < LEARNER_KINDS; k++)
        for (unsigned i = 0; i < BATCHES; i++) {
            struct learner_options o = {
                .precision = learner_kinds[k].precision, .backend = learner_kinds[k].backend, .batch = 8};
            struct task t = task_new(&small, 32, 8 * i, &o);
            size_t all, other = exact_other_sides(t.exact, &all);
            double same;
            exact_take_sides(t.exact);
            task_backward(&t);
            same = worst_error(&t, STRIDE);
            print_message("%s, pictures %u: %zu of %zu on the other side; gradients with its sides taken: %.1e\n",
                          learner_kinds[k].name, 8 * i, other, all, same);
            assert_true(same <= 1e-4 && other <= all / 100000);
            task_free(&t);
        }
}

/* ---- any graph ---- */

enum { ANY_SIDE = 9, ANY_ROWS = 4, MORE_ROWS = 3, ANY_OUTPUTS = 5 };

static size_t conv(struct graph *g, const char *name, size_t window, size_t x)
{
    return graph_then(g, &op_conv,
                      (struct op_settings){.channels = 8, .window = window, .stride = 1, .pad = window / 2}, name, x);
}

static size_t plain(struct graph *g, const struct op *op, size_t x)
{
    return graph_then(g, op, (struct op_settings){.window = 3, .stride = 2, .pad = 1}, NULL, x);
}

static size_t both(struct graph *g, const struct op *op, size_t a, size_t b)
{
    return graph_add(g, op, (struct op_settings){0}, 0, 2, (size_t[]){a, b});
}

/* No ResNet: a sum of two convolutions that no norm follows, read by four nodes; a convolution with a ReLU and no norm;
 * the sum of a tensor and itself; a norm behind a sum; linear layers with a bias, one with a ReLU, added. */
static size_t add_trunk(struct graph *g, size_t rows)
{
    size_t x = graph_input(g, rows, ANY_SIDE, ANY_SIDE, 3);
    size_t sum = both(g, &op_add, conv(g, "a", 3, x), conv(g, "b", 1, x));
    size_t relu = plain(g, &op_relu, conv(g, "c", 1, sum));
    size_t twice = both(g, &op_add, relu, relu);
    size_t norm = graph_then(g, &op_norm, (struct op_settings){.epsilon = 1e-3f}, "norm", sum);
    size_t all = both(g, &op_add, both(g, &op_add, twice, plain(g, &op_relu, sum)), both(g, &op_add, sum, norm));
    return plain(g, &op_mean, plain(g, &op_maxpool, all));
}

/* Gives the last node; it is the one that a second input, of other rows, joins. */
static size_t any_graph(struct graph *g, bool passes)
{
    const struct op_settings wide = {.channels = 12, .bias = true}, out = {.channels = ANY_OUTPUTS, .bias = true};
    size_t x;
    g->stage = 1;
    x = add_trunk(g, ANY_ROWS);
    if (passes)
        x = both(g, &op_join, x, add_trunk(g, MORE_ROWS));
    size_t hidden = plain(g, &op_relu, graph_then(g, &op_linear, wide, "hidden", x));
    return both(g, &op_add, graph_then(g, &op_linear, out, "out", hidden), graph_then(g, &op_linear, out, "past", x));
}

static struct learner *any_learner(bool passes, const struct learner_options *o)
{
    struct err e = {0};
    struct graph g = {0};
    size_t n;
    struct learner *l = learner_over(&g, any_graph(&g, passes), NULL, o, &e);
    assert_ok(l, e);
    const struct weight *w = learner_weights(l, &n);
    for (size_t i = 0; i < n; i++)
        hashed_weight(&w[i]);
    graph_clear(&g);
    return l;
}

static void a_graph_of_any_shape_learns_by_its_slopes(void **state)
{
    UNUSED(state);
    for (size_t k = 0; k < 4 * LEARNER_KINDS; k++) {
        const struct learner_kind *kind = &learner_kinds[k / 4];
        struct learner_options o = {.backend = kind->backend,
                                    .precision = kind->precision,
                                    .batch = ANY_ROWS + (k % 2 ? MORE_ROWS : 0),
                                    .passes = {{ANY_ROWS, ANY_SIDE}, {MORE_ROWS, ANY_SIDE}},
                                    .n_passes = 1 + k % 2,
                                    .freeze_norm = k % 4 > 1};
        struct task t = task_of(any_learner(k % 2, &o), ANY_SIDE, 3, &o);
        exact_take_sides(t.exact);
        task_backward(&t);
        double worst = worst_error(&t, 1);
        print_message("%s, %zu inputs: %.1e\n", kind->name, o.n_passes, worst);
        assert_true(worst <= 1e-4);
        assert_true(t.l->n_extras > 0); /* more readers than a norm adds up */
        task_free(&t);
    }
}

static void a_graph_of_any_shape_serves_what_it_learned(void **state)
{
    UNUSED(state);
    for (size_t k = 0; k < LEARNER_KINDS; k++) {
        struct err e = {0};
        struct graph g = {0};
        struct learner_options o = {
            .backend = learner_kinds[k].backend, .precision = PRECISION_FP32, .batch = ANY_ROWS, .freeze_stages = 1};
        struct task t = task_of(any_learner(false, &o), ANY_SIDE, 3, &o);
        float got[ANY_ROWS * ANY_OUTPUTS];
        any_graph(&g, false);
        for (size_t i = 0; i < g.n_weights; i++) { /* models have filters the other way round */
            const struct weight *w = &t.l->g.graph.weights[i];
            size_t area = w->rank == 4 ? (size_t)w->shape[1] * w->shape[2] : 1, c = w->count / w->shape[0] / area;
            g.weights[i].data = mem_new(w->count, sizeof(float));
            for (size_t j = 0; j < w->count; j++)
                g.weights[i].data[(j / c / area * c + j % c) * area + j / c % area] = w->data[j];
        }
        struct network *net = network_over(&g, g.weights, DTYPE_F32, learner_kinds[k].backend, &e);
        assert_ok(net, e);
        struct plan *p = plan_new(net, 1, &e);
        assert_ok(p, e);
        assert_ok(plan_forward(p, t.pixels, got, &e), e);
        for (size_t i = 0; i < COUNT(got); i++)
            assert_true(fabs((double)got[i] - exact_output(t.exact)[i]) <= 1e-4);
        plan_free(p);
        network_free(net);
        for (size_t i = 0; i < g.n_weights; i++)
            free(g.weights[i].data);
        graph_clear(&g);
        task_free(&t);
    }
}

/* So that a new operation is held to its slopes too. */
static void each_operation_is_in_that_graph(void **state)
{
    UNUSED(state);
    struct graph g = {0};
    any_graph(&g, true);
    for (const struct op *const *op = all_ops; *op; op++) {
        bool there = !(*op)->backward; /* one that only serves */
        for (size_t i = 0; i < g.n; i++)
            there |= g.nodes[i].does.op == *op;
        if (!there)
            fail_msg("no test of the gradients has the operation %s", (*op)->name);
    }
    graph_clear(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gradient_is_the_slope_in_double),
        cmocka_unit_test(passes_of_several_sizes_have_the_gradient_of_the_whole),
        cmocka_unit_test(a_graph_of_any_shape_learns_by_its_slopes),
        cmocka_unit_test(a_graph_of_any_shape_serves_what_it_learned),
        cmocka_unit_test(each_operation_is_in_that_graph),
        cmocka_unit_test(without_corners_the_gradients_are_those_of_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
