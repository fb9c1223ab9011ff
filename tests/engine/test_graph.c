/* test_graph.c - the nodes are those of the architecture, and fusing keeps what they compute. */
#include "tests/t.h"

#include "engine/graph.h"

static const struct arch archs[] = {
    {18, STEM_IMAGENET, 64, 0}, {34, STEM_IMAGENET, 64, 0}, {50, STEM_IMAGENET, 64, 0},
    {18, STEM_SMALL1, 8, 16},   {50, STEM_SMALL2, 16, 128},
};

static size_t count(const struct graph *g, enum node_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        n += g->nodes[i].kind == kind;
    return n;
}

static void every_weight_belongs_to_one_node_of_its_kind(void **state)
{
    UNUSED(state);
    for (size_t a = 0; a < COUNT(archs); a++) {
        struct graph g;
        struct weight_spec w[ARCH_WEIGHTS_MAX];
        unsigned used[ARCH_WEIGHTS_MAX] = {0};
        size_t n = arch_weights(&archs[a], w);
        graph_build(&archs[a], 64, &g);
        for (size_t i = 0; i < g.n; i++) {
            const struct node *y = &g.nodes[i], *x = &g.nodes[y->in[0]];
            if (y->kind == NODE_CONV) {
                assert_int_equal(w[y->weight].kind, WEIGHT_CONV);
                assert_int_equal(w[y->weight].shape[0], y->c);
                assert_int_equal(w[y->weight].shape[1], x->c);
                assert_int_equal(w[y->weight].shape[2], y->window);
                used[y->weight]++;
            } else if (y->kind == NODE_NORM) {
                assert_int_equal(y->weight, x->weight + 1);
                for (size_t k = 0; k < 4; k++) {
                    assert_int_equal(w[y->weight + k].kind, WEIGHT_BN_SCALE + k);
                    assert_int_equal(w[y->weight + k].count, y->c);
                    used[y->weight + k]++;
                }
            } else if (y->kind == NODE_LINEAR) {
                assert_int_equal(w[y->weight].kind, WEIGHT_LINEAR);
                used[y->weight]++;
            }
        }
        for (size_t i = 0; i < n; i++)
            assert_int_equal(used[i], 1);
    }
}

static void a_resnet18_at_224_has_the_shapes_of_the_paper(void **state)
{
    UNUSED(state);
    static const struct {
        enum node_kind kind;
        size_t side, c;
    } want[] = {
        {NODE_INPUT, 224, 3}, {NODE_CONV, 112, 64}, {NODE_MAXPOOL, 56, 64}, {NODE_CONV, 56, 64},  {NODE_CONV, 56, 64},
        {NODE_CONV, 56, 64},  {NODE_CONV, 56, 64},  {NODE_CONV, 28, 128},   {NODE_CONV, 28, 128}, {NODE_CONV, 28, 128},
        {NODE_CONV, 28, 128}, {NODE_CONV, 28, 128}, {NODE_CONV, 14, 256},   {NODE_CONV, 14, 256}, {NODE_CONV, 14, 256},
        {NODE_CONV, 14, 256}, {NODE_CONV, 14, 256}, {NODE_CONV, 7, 512},    {NODE_CONV, 7, 512},  {NODE_CONV, 7, 512},
        {NODE_CONV, 7, 512},  {NODE_CONV, 7, 512},  {NODE_AVGPOOL, 1, 512}, {NODE_UNIT, 1, 512},
    };
    struct graph raw, fused;
    graph_build(&archs[0], 224, &raw);
    graph_fuse(&raw, &fused);
    assert_int_equal(fused.n, COUNT(want));
    for (size_t i = 0; i < fused.n; i++) {
        assert_int_equal(fused.nodes[i].kind, want[i].kind);
        assert_int_equal(fused.nodes[i].h, want[i].side);
        assert_int_equal(fused.nodes[i].w, want[i].side);
        assert_int_equal(fused.nodes[i].c, want[i].c);
    }
}

static void fusing_leaves_no_norm_relu_or_addition(void **state)
{
    UNUSED(state);
    for (size_t a = 0; a < COUNT(archs); a++) {
        struct graph raw, fused;
        graph_build(&archs[a], 33, &raw);
        graph_fuse(&raw, &fused);
        size_t relus = 0, sums = 0;
        for (size_t i = 0; i < fused.n; i++) {
            const struct node *n = &fused.nodes[i];
            relus += n->relu;
            sums += n->n_in == 2;
            for (size_t k = 0; k < n->n_in; k++)
                assert_true(n->in[k] < i);
            assert_true(n->kind != NODE_CONV || n->norm == n->weight + 1);
        }
        assert_int_equal(count(&fused, NODE_NORM) + count(&fused, NODE_RELU) + count(&fused, NODE_ADD), 0);
        assert_int_equal(count(&fused, NODE_CONV), count(&raw, NODE_CONV));
        assert_int_equal(relus, count(&raw, NODE_RELU));
        assert_int_equal(sums, count(&raw, NODE_ADD));
    }
}

static void a_shortcut_is_last_read_by_the_convolution_that_adds_it(void **state)
{
    UNUSED(state);
    for (size_t a = 0; a < COUNT(archs); a++) {
        struct graph raw, fused;
        graph_build(&archs[a], 64, &raw);
        graph_fuse(&raw, &fused);
        for (size_t i = 0; i < fused.n; i++)
            if (fused.nodes[i].n_in == 2)
                assert_int_equal(graph_last_use(&fused, fused.nodes[i].in[1]), i);
        assert_int_equal(graph_last_use(&fused, fused.n - 1), fused.n - 1);
    }
}

static void the_stem_and_the_projection_follow_the_architecture(void **state)
{
    UNUSED(state);
    struct graph g;
    graph_build(&archs[3], 32, &g);
    assert_int_equal(count(&g, NODE_MAXPOOL), 0);
    assert_int_equal(g.nodes[1].h, 32);
    assert_int_equal(g.nodes[g.n - 2].kind, NODE_LINEAR);
    assert_int_equal(g.nodes[g.n - 1].c, 16);
    graph_build(&archs[4], 33, &g);
    assert_int_equal(g.nodes[1].h, 17);
    assert_int_equal(g.nodes[1].c, 16);
    assert_int_equal(g.nodes[g.n - 1].c, 128);
    assert_int_equal(g.nodes[g.n - 3].c, 16 * 8 * 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_weight_belongs_to_one_node_of_its_kind),
        cmocka_unit_test(a_resnet18_at_224_has_the_shapes_of_the_paper),
        cmocka_unit_test(fusing_leaves_no_norm_relu_or_addition),
        cmocka_unit_test(a_shortcut_is_last_read_by_the_convolution_that_adds_it),
        cmocka_unit_test(the_stem_and_the_projection_follow_the_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
