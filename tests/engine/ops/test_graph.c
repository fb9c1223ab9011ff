/* test_graph.c - the nodes are those of the architecture, and fusing keeps what they compute. */
#include "tests/t.h"

#include "engine/arch.h"
#include "engine/arch_resnet.h"

static const struct arch archs[] = {
    RESNET(18, IMAGENET, 64, 0), RESNET(34, IMAGENET, 64, 0), RESNET(50, IMAGENET, 64, 0),
    RESNET(18, SMALL1, 8, 16),   RESNET(50, SMALL2, 16, 128),
};

static size_t count(const struct graph *g, const struct op *op)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        n += g->nodes[i].does.op == op;
    return n;
}

static struct graph raw_graph(const struct arch *a, size_t size)
{
    struct graph g = {0};
    arch_build(a, 1, size, &g);
    return g;
}

static struct graph serving_graph(const struct arch *a, size_t size)
{
    struct graph raw = raw_graph(a, size), fused = {0};
    graph_fuse(&raw, GRAPH_SERVES, &fused, NULL);
    graph_clear(&raw);
    return fused;
}

static void every_weight_belongs_to_one_node(void **state)
{
    UNUSED(state);
    for (size_t a = 0; a < COUNT(archs); a++) {
        struct graph g = raw_graph(&archs[a], 64);
        unsigned *used = calloc(g.n_weights, sizeof *used);
        for (size_t i = 0; i < g.n; i++) {
            const struct node *n = &g.nodes[i];
            for (size_t k = 0; k < n->does.n_weights; k++) {
                assert_int_equal(g.weights[n->does.weight + k].shape[0], n->c);
                used[n->does.weight + k]++;
            }
        }
        for (size_t i = 0; i < g.n_weights; i++)
            assert_int_equal(used[i], 1);
        free(used);
        graph_clear(&g);
    }
}

static void a_resnet18_at_224_has_the_shapes_of_the_paper(void **state)
{
    UNUSED(state);
    static const struct {
        const struct op *op;
        size_t side, c;
    } want[] = {
        {&op_input, 224, 3}, {&op_conv, 112, 64}, {&op_maxpool, 56, 64}, {&op_conv, 56, 64},  {&op_conv, 56, 64},
        {&op_conv, 56, 64},  {&op_conv, 56, 64},  {&op_conv, 28, 128},   {&op_conv, 28, 128}, {&op_conv, 28, 128},
        {&op_conv, 28, 128}, {&op_conv, 28, 128}, {&op_conv, 14, 256},   {&op_conv, 14, 256}, {&op_conv, 14, 256},
        {&op_conv, 14, 256}, {&op_conv, 14, 256}, {&op_conv, 7, 512},    {&op_conv, 7, 512},  {&op_conv, 7, 512},
        {&op_conv, 7, 512},  {&op_conv, 7, 512},  {&op_mean, 1, 512},
    };
    struct graph fused = serving_graph(&archs[0], 224);
    assert_int_equal(fused.n, COUNT(want));
    for (size_t i = 0; i < fused.n; i++) {
        assert_true(fused.nodes[i].does.op == want[i].op);
        assert_int_equal(fused.nodes[i].h, want[i].side);
        assert_int_equal(fused.nodes[i].w, want[i].side);
        assert_int_equal(fused.nodes[i].c, want[i].c);
    }
    graph_clear(&fused);
}

static void fusing_leaves_no_norm_relu_or_addition(void **state)
{
    UNUSED(state);
    for (size_t a = 0; a < COUNT(archs); a++) {
        struct graph raw = raw_graph(&archs[a], 33), fused = serving_graph(&archs[a], 33);
        size_t relus = 0, sums = 0;
        for (size_t i = 0; i < fused.n; i++) {
            const struct node *n = &fused.nodes[i];
            relus += node_absorbed(n, &op_relu);
            sums += n->n_in == 2;
            for (size_t k = 0; k < n->n_in; k++)
                assert_true(n->in[k] < i);
            assert_true(n->does.op != &op_conv || n->then[0].weight == n->does.weight + 1);
        }
        assert_int_equal(count(&fused, &op_norm) + count(&fused, &op_relu) + count(&fused, &op_add), 0);
        assert_int_equal(count(&fused, &op_conv), count(&raw, &op_conv));
        assert_int_equal(relus, count(&raw, &op_relu));
        assert_int_equal(sums, count(&raw, &op_add));
        graph_clear(&raw);
        graph_clear(&fused);
    }
}

static void a_shortcut_is_last_read_by_the_convolution_that_adds_it(void **state)
{
    UNUSED(state);
    for (size_t a = 0; a < COUNT(archs); a++) {
        struct graph fused = serving_graph(&archs[a], 64);
        for (size_t i = 0; i < fused.n; i++)
            if (fused.nodes[i].n_in == 2)
                assert_int_equal(graph_last_use(&fused, fused.nodes[i].in[1]), i);
        assert_int_equal(graph_last_use(&fused, fused.n - 1), fused.n - 1);
        graph_clear(&fused);
    }
}

static void training_has_the_additions_and_relus_in_the_norms(void **state)
{
    UNUSED(state);
    struct graph raw = raw_graph(&archs[0], 64), fused = {0};
    graph_fuse(&raw, GRAPH_TRAINS, &fused, NULL);
    assert_int_equal(count(&fused, &op_norm), count(&raw, &op_norm));
    assert_int_equal(count(&fused, &op_relu) + count(&fused, &op_add), 0);
    assert_int_equal(fused.n, 1 + 20 + 20 + 1 + 1);
    graph_clear(&raw);
    graph_clear(&fused);
}

static void the_stem_and_the_projection_follow_the_architecture(void **state)
{
    UNUSED(state);
    struct graph g = raw_graph(&archs[3], 32);
    assert_int_equal(count(&g, &op_maxpool), 0);
    assert_int_equal(g.nodes[1].h, 32);
    assert_true(g.nodes[g.n - 1].does.op == &op_linear);
    assert_int_equal(g.nodes[g.n - 1].c, 16);
    graph_clear(&g);
    g = raw_graph(&archs[4], 33);
    assert_int_equal(g.nodes[1].h, 17);
    assert_int_equal(g.nodes[1].c, 16);
    assert_int_equal(g.nodes[g.n - 1].c, 128);
    assert_int_equal(g.nodes[g.n - 2].c, 16 * 8 * 4);
    graph_clear(&g);
}

/* A value that is read twice, lent, or overwritten too early must be there. */
static void nothing_is_absorbed_that_others_need(void **state)
{
    UNUSED(state);
    const struct op_settings conv = {.channels = 8, .window = 3, .stride = 1, .pad = 1}, none = {0};
    struct graph g = {0}, fused = {0};
    size_t x = graph_input(&g, 1, 8, 8, 8), a = graph_then(&g, &op_conv, conv, "a", x);
    size_t b = graph_then(&g, &op_conv, conv, "b", x);
    size_t sum = graph_add(&g, &op_add, none, 0, 2, (size_t[]){a, b}); /* b comes after a */
    size_t c = graph_then(&g, &op_conv, conv, "c", sum);
    size_t more = graph_add(&g, &op_add, none, 0, 2, (size_t[]){c, sum}); /* c itself reads the sum */
    size_t d = graph_then(&g, &op_conv, conv, "d", more);
    size_t relu = graph_then(&g, &op_relu, none, NULL, d);
    graph_add(&g, &op_add, none, 0, 2, (size_t[]){relu, d}); /* d is read twice */
    graph_fuse(&g, GRAPH_SERVES, &fused, NULL);
    assert_int_equal(fused.n, g.n);
    graph_clear(&fused);
    graph_clear(&g);

    x = graph_input(&g, 1, 8, 8, 8);
    a = graph_then(&g, &op_conv, conv, "a", x);
    graph_then(&g, &op_relu, none, NULL, a);
    g.nodes[a].lent = true;
    graph_fuse(&g, GRAPH_SERVES, &fused, NULL);
    assert_int_equal(fused.n, 3);
    graph_clear(&fused);
    g.nodes[a].lent = false;
    graph_fuse(&g, GRAPH_SERVES, &fused, NULL);
    assert_int_equal(fused.n, 2);
    graph_clear(&fused);
    graph_clear(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_weight_belongs_to_one_node),
        cmocka_unit_test(a_resnet18_at_224_has_the_shapes_of_the_paper),
        cmocka_unit_test(fusing_leaves_no_norm_relu_or_addition),
        cmocka_unit_test(a_shortcut_is_last_read_by_the_convolution_that_adds_it),
        cmocka_unit_test(training_has_the_additions_and_relus_in_the_norms),
        cmocka_unit_test(nothing_is_absorbed_that_others_need),
        cmocka_unit_test(the_stem_and_the_projection_follow_the_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
