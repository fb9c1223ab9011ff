/* test_arch.c - names, shapes and blocks are torchvision's; nonsense is refused. */
#include "tests/t.h"

#include "engine/arch.h"
#include "engine/arch_resnet.h"

/* A convolution without bias and its batch norm, as torchvision's models list them. */
struct row {
    const char *conv, *norm;
    uint32_t out, in, side;
};

static const struct row resnet18[] = {
    {"conv1", "bn1", 64, 3, 7},
    {"layer1.0.conv1", "layer1.0.bn1", 64, 64, 3},
    {"layer1.0.conv2", "layer1.0.bn2", 64, 64, 3},
    {"layer1.1.conv1", "layer1.1.bn1", 64, 64, 3},
    {"layer1.1.conv2", "layer1.1.bn2", 64, 64, 3},
    {"layer2.0.conv1", "layer2.0.bn1", 128, 64, 3},
    {"layer2.0.conv2", "layer2.0.bn2", 128, 128, 3},
    {"layer2.0.downsample.0", "layer2.0.downsample.1", 128, 64, 1},
    {"layer2.1.conv1", "layer2.1.bn1", 128, 128, 3},
    {"layer2.1.conv2", "layer2.1.bn2", 128, 128, 3},
    {"layer3.0.conv1", "layer3.0.bn1", 256, 128, 3},
    {"layer3.0.conv2", "layer3.0.bn2", 256, 256, 3},
    {"layer3.0.downsample.0", "layer3.0.downsample.1", 256, 128, 1},
    {"layer3.1.conv1", "layer3.1.bn1", 256, 256, 3},
    {"layer3.1.conv2", "layer3.1.bn2", 256, 256, 3},
    {"layer4.0.conv1", "layer4.0.bn1", 512, 256, 3},
    {"layer4.0.conv2", "layer4.0.bn2", 512, 512, 3},
    {"layer4.0.downsample.0", "layer4.0.downsample.1", 512, 256, 1},
    {"layer4.1.conv1", "layer4.1.bn1", 512, 512, 3},
    {"layer4.1.conv2", "layer4.1.bn2", 512, 512, 3},
};

static const struct row resnet50[] = {
    {"conv1", "bn1", 64, 3, 7},
    {"layer1.0.conv1", "layer1.0.bn1", 64, 64, 1},
    {"layer1.0.conv2", "layer1.0.bn2", 64, 64, 3},
    {"layer1.0.conv3", "layer1.0.bn3", 256, 64, 1},
    {"layer1.0.downsample.0", "layer1.0.downsample.1", 256, 64, 1},
    {"layer1.1.conv1", "layer1.1.bn1", 64, 256, 1},
    {"layer1.1.conv2", "layer1.1.bn2", 64, 64, 3},
    {"layer1.1.conv3", "layer1.1.bn3", 256, 64, 1},
    {"layer1.2.conv1", "layer1.2.bn1", 64, 256, 1},
    {"layer1.2.conv2", "layer1.2.bn2", 64, 64, 3},
    {"layer1.2.conv3", "layer1.2.bn3", 256, 64, 1},
    {"layer2.0.conv1", "layer2.0.bn1", 128, 256, 1},
    {"layer2.0.conv2", "layer2.0.bn2", 128, 128, 3},
    {"layer2.0.conv3", "layer2.0.bn3", 512, 128, 1},
    {"layer2.0.downsample.0", "layer2.0.downsample.1", 512, 256, 1},
    {"layer2.1.conv1", "layer2.1.bn1", 128, 512, 1},
    {"layer2.1.conv2", "layer2.1.bn2", 128, 128, 3},
    {"layer2.1.conv3", "layer2.1.bn3", 512, 128, 1},
    {"layer2.2.conv1", "layer2.2.bn1", 128, 512, 1},
    {"layer2.2.conv2", "layer2.2.bn2", 128, 128, 3},
    {"layer2.2.conv3", "layer2.2.bn3", 512, 128, 1},
    {"layer2.3.conv1", "layer2.3.bn1", 128, 512, 1},
    {"layer2.3.conv2", "layer2.3.bn2", 128, 128, 3},
    {"layer2.3.conv3", "layer2.3.bn3", 512, 128, 1},
    {"layer3.0.conv1", "layer3.0.bn1", 256, 512, 1},
    {"layer3.0.conv2", "layer3.0.bn2", 256, 256, 3},
    {"layer3.0.conv3", "layer3.0.bn3", 1024, 256, 1},
    {"layer3.0.downsample.0", "layer3.0.downsample.1", 1024, 512, 1},
    {"layer3.1.conv1", "layer3.1.bn1", 256, 1024, 1},
    {"layer3.1.conv2", "layer3.1.bn2", 256, 256, 3},
    {"layer3.1.conv3", "layer3.1.bn3", 1024, 256, 1},
    {"layer3.2.conv1", "layer3.2.bn1", 256, 1024, 1},
    {"layer3.2.conv2", "layer3.2.bn2", 256, 256, 3},
    {"layer3.2.conv3", "layer3.2.bn3", 1024, 256, 1},
    {"layer3.3.conv1", "layer3.3.bn1", 256, 1024, 1},
    {"layer3.3.conv2", "layer3.3.bn2", 256, 256, 3},
    {"layer3.3.conv3", "layer3.3.bn3", 1024, 256, 1},
    {"layer3.4.conv1", "layer3.4.bn1", 256, 1024, 1},
    {"layer3.4.conv2", "layer3.4.bn2", 256, 256, 3},
    {"layer3.4.conv3", "layer3.4.bn3", 1024, 256, 1},
    {"layer3.5.conv1", "layer3.5.bn1", 256, 1024, 1},
    {"layer3.5.conv2", "layer3.5.bn2", 256, 256, 3},
    {"layer3.5.conv3", "layer3.5.bn3", 1024, 256, 1},
    {"layer4.0.conv1", "layer4.0.bn1", 512, 1024, 1},
    {"layer4.0.conv2", "layer4.0.bn2", 512, 512, 3},
    {"layer4.0.conv3", "layer4.0.bn3", 2048, 512, 1},
    {"layer4.0.downsample.0", "layer4.0.downsample.1", 2048, 1024, 1},
    {"layer4.1.conv1", "layer4.1.bn1", 512, 2048, 1},
    {"layer4.1.conv2", "layer4.1.bn2", 512, 512, 3},
    {"layer4.1.conv3", "layer4.1.bn3", 2048, 512, 1},
    {"layer4.2.conv1", "layer4.2.bn1", 512, 2048, 1},
    {"layer4.2.conv2", "layer4.2.bn2", 512, 512, 3},
    {"layer4.2.conv3", "layer4.2.bn3", 2048, 512, 1},
};

static void check_norm(const struct weight s[4], const char *norm, uint32_t channels)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    for (size_t k = 0; k < 4; k++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", norm, parts[k]);
        assert_string_equal(s[k].name, name);
        assert_int_equal(s[k].kind, k < 2 ? WEIGHT_LEARNED : k == 2 ? WEIGHT_STATISTIC : WEIGHT_VARIANCE);
        assert_true(s[k].start == (k % 3 == 0 ? 1.0F : 0.0F));
        assert_int_equal(s[k].rank, 1);
        assert_int_equal(s[k].shape[0], channels);
        assert_int_equal(s[k].count, channels);
    }
}

static void check_list(const char *arch, const struct row *rows, size_t n)
{
    struct arch a;
    struct graph g = {0};
    struct err e = {0};
    assert_ok(arch_parse(arch, &a, &e), e);
    arch_build(&a, 1, 64, &g);
    assert_int_equal(g.n_weights, n * 5);
    for (size_t i = 0; i < n; i++) {
        const struct weight *s = &g.weights[i * 5];
        char name[64];
        snprintf(name, sizeof name, "%s.weight", rows[i].conv);
        assert_string_equal(s->name, name);
        assert_int_equal(s->kind, WEIGHT_LEARNED);
        assert_int_equal(s->rank, 4);
        assert_int_equal(s->shape[0], rows[i].out);
        assert_int_equal(s->shape[1], rows[i].in);
        assert_int_equal(s->shape[2], rows[i].side);
        assert_int_equal(s->shape[3], rows[i].side);
        assert_int_equal(s->count, (size_t)rows[i].out * rows[i].in * rows[i].side * rows[i].side);
        assert_int_equal(s->stage, strncmp(s->name, "layer", 5) == 0 ? s->name[5] - '0' + 1 : 1);
        check_norm(s + 1, rows[i].norm, rows[i].out);
    }
    graph_clear(&g);
}

static void names_and_shapes_are_torchvisions(void **state)
{
    UNUSED(state);
    check_list("resnet18", resnet18, COUNT(resnet18));
    check_list("resnet50", resnet50, COUNT(resnet50));
}

static size_t learnable(const struct arch *a)
{
    struct graph g = {0};
    size_t sum = 0;
    arch_build(a, 1, 64, &g);
    for (size_t i = 0; i < g.n_weights; i++)
        if (!weight_is_statistic(&g.weights[i]))
            sum += g.weights[i].count;
    graph_clear(&g);
    return sum;
}

/* torchvision's published counts, less the classifier's 513,000 (512 features) or 2,049,000. */
static void parameter_counts_are_the_published_ones(void **state)
{
    UNUSED(state);
    static const struct {
        const char *name;
        size_t parameters;
    } cases[] = {{"resnet18", 11689512 - 513000}, {"resnet34", 21797672 - 513000}, {"resnet50", 25557032 - 2049000}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arch a;
        struct err e = {0};
        assert_ok(arch_parse(cases[i].name, &a, &e), e);
        assert_int_equal(learnable(&a), cases[i].parameters);
        assert_string_equal(arch_name(&a), cases[i].name);
    }
}

static void small_stems_and_projections_change_only_their_own_weights(void **state)
{
    UNUSED(state);
    struct arch a = RESNET(18, SMALL2, 16, 32);
    struct graph g = {0};
    struct err e = {0};
    assert_ok(arch_check(&a, &e), e);
    arch_build(&a, 1, 32, &g);
    const struct weight *last = &g.weights[g.n_weights - 1];
    assert_int_equal(g.n_weights, 101);
    assert_int_equal(g.weights[0].shape[0], 16);
    assert_int_equal(g.weights[0].shape[2], 3);
    assert_string_equal(last->name, "projection.weight");
    assert_int_equal(last->shape[0], 32);
    assert_int_equal(last->shape[1], 128);
    assert_int_equal(last->stage, 5); /* frozen with the last of the others */
    graph_clear(&g);
    assert_int_equal(arch_dimensions(&a), 32);
    assert_int_equal(arch_features(&a), 128);
}

static void strides_halve_the_picture_once_in_each_later_stage(void **state)
{
    UNUSED(state);
    struct arch a = RESNET(50, IMAGENET, 64, 0);
    struct graph g = {0};
    size_t shortcuts = 0, sums = 0, features = arch_build(&a, 1, 224, &g);
    for (size_t i = 0; i < g.n; i++) {
        const struct node *n = &g.nodes[i];
        const char *name = n->does.op == &op_conv ? g.weights[n->does.weight].name : "";
        if (strstr(name, "layer")) { /* the 3x3 convolution has the stride ("v1.5"), and the shortcut with it */
            bool first = name[7] == '0', later = name[5] > '1';
            bool there = strstr(name, "conv2") || strstr(name, "downsample");
            assert_int_equal(n->does.set.stride, first && later && there ? 2 : 1);
            assert_int_equal(n->h, 56 >> (name[5] - '1' - (first && later && strstr(name, "conv1"))));
        }
        shortcuts += strstr(name, "downsample") != NULL;
        sums += n->does.op == &op_add;
    }
    assert_int_equal(shortcuts, 4);
    assert_int_equal(sums, 16);
    assert_int_equal(g.nodes[features].c, arch_features(&a));
    graph_clear(&g);
}

static void nonsense_is_refused_by_the_name_of_its_field(void **state)
{
    UNUSED(state);
    static const struct {
        struct arch a;
        const char *param;
    } cases[] = {
        {RESNET_OF(3, STEM_IMAGENET, 64, 0), "arch"},   {{.projection = 8}, "arch"},
        {RESNET(18, IMAGENET, 0, 0), "width"},          {RESNET(18, IMAGENET, 12, 0), "width"},
        {RESNET(18, IMAGENET, 512, 0), "width"},        {RESNET_OF(RESNET_18, 3, 64, 0), "stem"},
        {RESNET(18, IMAGENET, 64, 4097), "projection"},
    };
    struct err e;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_err(arch_check(&cases[i].a, &e), e, ERR_BAD_INPUT);
        assert_string_equal(e.param, cases[i].param);
    }
    struct arch a;
    assert_err(arch_parse("vgg16", &a, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.text, "the architecture must be resnet18, resnet34 or resnet50");
    a = arch_usual();
    assert_err(arch_choose(&a, RESNET_STEM, "large", &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.text, "the stem must be imagenet, small1 or small2");
    e = (struct err){0};
    assert_ok(arch_choose(&a, RESNET_STEM, "small1", &e), e);
    assert_int_equal(a.set[RESNET_STEM], STEM_SMALL1);
}

static void each_text_says_what_its_reader_needs(void **state)
{
    UNUSED(state);
    const struct arch a = RESNET(50, SMALL2, 8, 24), usual = arch_usual();
    assert_string_equal(arch_text(&a, ARCH_TEXT_TITLE).text, "resnet50 small2");
    assert_string_equal(arch_text(&a, ARCH_TEXT_PHRASE).text, "resnet50 of width 8");
    assert_string_equal(arch_text(&a, ARCH_TEXT_FACTS).text, "resnet50, stem small2, width 8");
    assert_string_equal(arch_text(&a, ARCH_TEXT_LABEL).text, "resnet50-small2-w8");
    assert_string_equal(arch_text(&a, ARCH_TEXT_VALUES).text, "resnet50 small2 8");
    assert_string_equal(arch_text(&usual, ARCH_TEXT_LABEL).text, "resnet18");
    assert_true(arch_label_is_small("resnet50-small2-w8") && arch_label_is_small("resnet18-small1-w64"));
    assert_false(arch_label_is_small("resnet18") || arch_label_is_small("resnet18-imagenet-w8") ||
                 arch_label_is_small("x-small2") || arch_label_is_small(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_shapes_are_torchvisions),
        cmocka_unit_test(parameter_counts_are_the_published_ones),
        cmocka_unit_test(small_stems_and_projections_change_only_their_own_weights),
        cmocka_unit_test(strides_halve_the_picture_once_in_each_later_stage),
        cmocka_unit_test(each_text_says_what_its_reader_needs),
        cmocka_unit_test(nonsense_is_refused_by_the_name_of_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
