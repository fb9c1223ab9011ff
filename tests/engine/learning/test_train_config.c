/* test_train_config.c - every field of a run is read, and what cannot be is refused by its path. */
#include "tests/t.h"

#include "engine/arch_resnet.h"
#include "engine/learning/train_config.h"

static bool parse(struct train_config *c, const char *text, struct err *e)
{
    *e = (struct err){0};
    return train_config_parse(c, text, strlen(text), e);
}

static void a_short_config_gets_sound_defaults(void **state)
{
    UNUSED(state);
    struct train_config c;
    struct err e;
    assert_ok(parse(&c, "{\"data\":\"d\",\"out\":\"o\",\"epochs\":2}", &e), e);
    assert_ptr_equal(c.objective, &objective_infonce);
    assert_true(c.epochs == 2 && c.steps == 0 && c.batch == 256 && c.views == 2 && c.size == 224);
    assert_true(c.n_head == 2 && c.head[1].outputs == 128 && c.arch.variant == RESNET_18);
    assert_string_equal(c.recipe, "simclr");
    assert_string_equal(c.text, "{\"data\":\"d\",\"out\":\"o\",\"epochs\":2}");
    train_config_clear(&c);
}

/* Large pictures, small ones, a model that knows something; and what is said stands. */
static void an_objective_brings_what_goes_with_it(void **state)
{
    UNUSED(state);
    static const struct {
        const char *more;
        enum use use;
    } cases[] = {{"", USE_SCRATCH}, {",\"arch\":{\"stem\":\"small1\"}", USE_SMALL}, {",\"model\":\"m\"", USE_FINETUNE}};
    struct train_config c;
    struct err e;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        const struct objective_profile *p = &objective_byol.profiles[cases[i].use];
        snprintf(text, sizeof text, "{\"data\":\"d\",\"out\":\"o\",\"epochs\":1,\"method\":{\"type\":\"byol\"}%s}",
                 cases[i].more);
        assert_ok(parse(&c, text, &e), e);
        assert_true(c.n_head == p->head.n_projector && c.n_predictor == 2 && c.predictor[1].outputs == 0);
        assert_true(c.head[0].outputs == p->head.projector[0].outputs &&
                    c.predictor[0].outputs == p->head.predictor[0].outputs);
        assert_true(c.learning_rate == p->learning_rate && c.head_rate == p->head_rate &&
                    c.settings.momentum == p->settings.momentum);
        assert_true(c.optimizer.weight_decay == p->weight_decay && c.warmup == p->warmup);
        assert_string_equal(c.recipe, p->recipe);
        train_config_clear(&c);
    }
    assert_ok(
        parse(
            &c,
            "{\"data\":\"d\",\"out\":\"o\",\"epochs\":1,\"method\":{\"type\":\"byol\",\"byol\":{\"momentum\":0.5}},"
            "\"augmentation\":\"none\",\"predictor\":[],\"head\":[{\"outputs\":9}],\"optimizer\":{\"type\":\"adamw\"}}",
            &e),
        e);
    assert_true(c.settings.momentum == 0.5 && c.settings.momentum_end == 1 && c.n_predictor == 0 &&
                c.head[0].outputs == 9);
    assert_true(c.optimizer.kind == OPTIMIZER_ADAMW && c.learning_rate == 0.1); /* the profile's rate was for LARS */
    assert_string_equal(c.recipe, "none");
    train_config_clear(&c);
}

/* One view, unless two are asked for, or crops; from random weights proxies learn no faster than the rest. */
static void proxies_need_no_second_view_and_no_head(void **state)
{
    UNUSED(state);
    static const struct {
        const char *more;
        size_t views;
    } cases[] = {{"", 1}, {",\"views\":2", 2}, {",\"views\":1", 1}, {",\"crops\":[{\"size\":48}]", 2}};
    struct train_config c;
    struct err e;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"data\":\"d\",\"out\":\"o\",\"epochs\":1,\"method\":{\"type\":\"proxy\"}%s}",
                 cases[i].more);
        assert_ok(parse(&c, text, &e), e);
        assert_int_equal(c.views, cases[i].views);
        assert_int_equal(c.crops.groups[0].count, cases[i].views);
        assert_true(c.settings.positives == POSITIVES_LABELS && c.settings.temperature == 0.05 && c.per_label == 0 &&
                    c.n_head == 0);
        assert_true(c.optimizer.kind == OPTIMIZER_ADAMW && c.learning_rate == 3e-3 &&
                    c.optimizer.weight_decay == 0.05 && c.head_rate == 1);
        assert_string_equal(c.recipe, "finetune");
        train_config_clear(&c);
    }
    assert_ok(
        parse(&c, "{\"data\":\"d\",\"out\":\"o\",\"epochs\":1,\"model\":\"m\",\"method\":{\"type\":\"proxy\"}}", &e),
        e);
    assert_true(c.learning_rate == 1e-4 && c.head_rate == 10 && c.n_head == 0);
    train_config_clear(&c);
}

static void every_field_arrives_where_it_belongs(void **state)
{
    UNUSED(state);
    struct train_config c;
    struct err e;
    assert_ok(
        parse(&c,
              "{\"data\":\"d\",\"validation\":\"v\",\"out\":\"o\",\"steps\":70,\"batch_size\":64,\"per_label\":4,"
              "\"views\":1,"
              "\"arch\":{\"name\":\"resnet34\",\"stem\":\"small2\",\"width\":32,\"projection\":64,\"size\":48},"
              "\"method\":{\"type\":\"triplet\",\"triplet\":{\"margin\":0.3,\"mining\":\"semi_hard\",\"soft\":true}},"
              "\"augmentation\":{\"recipe\":\"byol\",\"hue\":0.05,\"flip\":0},"
              "\"optimizer\":{\"learning_rate\":0.002,\"type\":\"adamw\",\"beta2\":0.99,\"weight_decay\":0.01,"
              "\"warmup\":0.1},"
              "\"head\":[{\"outputs\":256,\"relu\":true},{\"outputs\":32,\"norm\":false}],"
              "\"freeze_norm\":true,\"freeze_stages\":2,\"clip_norm\":1,\"ema\":0.99,\"chunk\":16,\"held_out\":0.2,"
              "\"evaluate_every\":10,\"checkpoint_every\":20,\"seed\":9,\"precision\":\"fp32\",\"backend\":\"blas\","
              "\"threads\":3,\"max_minutes\":1.5,\"cache_bytes\":1000}",
              &e),
        e);
    assert_true(c.arch.variant == RESNET_34 && c.arch.set[RESNET_STEM] == STEM_SMALL2 &&
                c.arch.set[RESNET_WIDTH] == 32 && c.arch.projection == 64 && c.size == 48);
    assert_true(c.settings.mining == MINING_SEMI_HARD && c.settings.soft && c.settings.margin == 0.3);
    assert_true(c.settings.positives == POSITIVES_LABELS);
    assert_true(c.augment[0].hue == 0.05 && c.augment[1].flip == 0 && c.augment[0].blur == 1 &&
                c.augment[1].solarize == 0.2);
    assert_true(c.optimizer.kind == OPTIMIZER_ADAMW && c.optimizer.beta2 == 0.99 && c.optimizer.beta1 == 0.9);
    assert_true(c.learning_rate == 0.002 && c.warmup == 0.1 && c.optimizer.weight_decay == 0.01);
    assert_true(c.head[0].relu && !c.head[1].relu && c.n_head == 2 && c.head[1].outputs == 32);
    assert_true(c.freeze_norm && c.freeze_stages == 2 && c.clip_norm == 1 && c.ema == 0.99 && c.chunk == 16);
    assert_true(c.evaluate_every == 10 && c.checkpoint_every == 20 && c.seed == 9 && c.threads == 3);
    assert_true(c.precision == PRECISION_FP32 && c.backend == BACKEND_BLAS && c.max_minutes == 1.5 &&
                c.cache_bytes == 1000);
    assert_string_equal(c.validation, "v");
    train_config_clear(&c);
}

/* What is not said is as in the augmentation for the full crops, and as in the paper for the others. */
static void crops_are_read_by_the_group(void **state)
{
    UNUSED(state);
    struct train_config c;
    struct err e;
    assert_ok(
        parse(&c,
              "{\"data\":\"d\",\"out\":\"o\",\"epochs\":1,\"method\":{\"type\":\"swav\"},\"augmentation\":\"byol\"}",
              &e),
        e);
    assert_true(c.views == 2 && c.crops.n == 1 && c.crops.groups[0].count == 2 && c.crops.groups[0].size == 0);
    assert_memory_equal(c.crops.groups[0].augment, recipe_find("byol")->view, sizeof c.augment);
    train_config_clear(&c);

    assert_ok(
        parse(
            &c,
            "{\"data\":\"d\",\"out\":\"o\",\"epochs\":1,\"method\":{\"type\":\"dino\"},\"augmentation\":{\"recipe\":"
            "\"byol\",\"hue\":0.03},"
            "\"crops\":[{\"crop_min\":0.4},{},{\"count\":1,\"size\":24,\"blur\":0,\"crop_min\":0.2,\"crop_max\":0.6}]}",
            &e),
        e);
    const struct crop_group *g = c.crops.groups;
    assert_true(c.crops.n == 3 && c.views == 9 && g[0].count == 2 && g[1].count == 6 && g[2].count == 1);
    assert_true(g[0].size == 0 && g[1].size == 0 && g[2].size == 24);
    assert_true(g[0].augment[1].crop_min == 0.4 && g[0].augment[0].crop_max == 1 && g[0].augment[0].hue == 0.03);
    assert_true(g[1].augment[0].crop_min == 0.05 && g[1].augment[1].crop_max == 0.4 && g[1].augment[1].solarize == 0.2);
    assert_true(g[2].augment[0].blur == 0 && g[2].augment[1].blur == 0 && g[2].augment[1].crop_min == 0.2 &&
                g[2].augment[0].crop_max == 0.6);
    crops_settle(&c.crops, 224);
    assert_true(g[0].size == 224 && g[1].size == 96 && g[2].size == 24);
    train_config_clear(&c);

    assert_ok(
        parse(&c,
              "{\"data\":\"d\",\"out\":\"o\",\"epochs\":1,\"method\":{\"type\":\"byol\"},\"crops\":[{\"size\":48}]}",
              &e),
        e);
    assert_true(c.views == 2 && c.crops.groups[0].size == 48); /* two at another size are for every objective */
    train_config_clear(&c);
}

static void what_cannot_be_is_refused_by_its_path(void **state)
{
    UNUSED(state);
#define SWAV ",\"method\":{\"type\":\"swav\"}"
#define BASE "\"data\":\"d\",\"out\":\"o\",\"epochs\":1"
    static const struct {
        const char *text, *param;
    } cases[] = {
        {"{\"out\":\"o\",\"epochs\":1}", "data"},
        {"{\"data\":\"d\",\"epochs\":1}", "out"},
        {"{" BASE ",\"collection\":\"default\"}", "data"},
        {"{" BASE ",\"store\":\"elsewhere\"}", "store"},
        {"{\"data\":\"d\",\"out\":\"o\"}", "epochs"},
        {"{" BASE ",\"steps\":5}", "steps"},
        {"{" BASE ",\"colour\":5}", "colour"},
        {"{" BASE ",\"batch_size\":2}", "batch_size"},
        {"{" BASE ",\"batch_size\":2.5}", "batch_size"},
        {"{" BASE ",\"views\":1}", "views"},
        {"{" BASE ",\"chunk\":8}", "chunk"},
        {"{" BASE ",\"precision\":\"fp8\"}", "precision"},
        {"{" BASE ",\"fit\":\"stretch\"}", "fit"},
        {"{" BASE ",\"model\":\"m\",\"arch\":{}}", "arch"},
        {"{" BASE ",\"size\":64}", "size"},
        {"{" BASE ",\"model\":\"m\",\"size\":8}", "size"},
        {"{" BASE ",\"arch\":{\"stem\":\"large\"}}", "arch.stem"},
        {"{" BASE ",\"arch\":{\"depths\":3}}", "arch.depths"},
        {"{" BASE ",\"method\":{\"type\":\"magic\"}}", "method.type"},
        {"{" BASE ",\"method\":{\"type\":\"triplet\",\"infonce\":{}}}", "method.infonce"},
        {"{" BASE ",\"method\":{\"type\":\"infonce\",\"infonce\":{\"temperature\":0}}}", "method.infonce.temperature"},
        {"{" BASE ",\"method\":{\"type\":\"triplet\",\"triplet\":{\"margin\":\"x\"}}}", "method.triplet.margin"},
        {"{" BASE ",\"method\":{\"type\":\"proxy\",\"proxy\":{\"temperature\":11}}}", "method.proxy.temperature"},
        {"{" BASE ",\"method\":{\"type\":\"proxy\",\"proxy\":{\"positives\":\"views\"}}}", "method.proxy.positives"},
        {"{" BASE ",\"method\":{\"type\":\"proxy\"},\"predictor\":[{}]}", "predictor"},
        {"{" BASE ",\"method\":{\"type\":\"moco\",\"moco\":{\"queue\":1.5}}}", "method.moco.queue"},
        {"{" BASE ",\"method\":{\"type\":\"byol\",\"byol\":{\"momentum\":2}}}", "method.byol.momentum"},
        {"{" BASE ",\"predictor\":[{}]}", "predictor"},
        {"{" BASE ",\"method\":{\"type\":\"barlow\"},\"predictor\":[{}]}", "predictor"},
        {"{" BASE ",\"method\":{\"type\":\"byol\"},\"predictor\":[{},{}]}", "predictor[0]"},
        {"{" BASE ",\"chunk\":8,\"freeze_norm\":true,\"head\":[],\"method\":{\"type\":\"byol\"}}", "chunk"},
        {"{" BASE ",\"augmentation\":\"psychedelic\"}", "augmentation"},
        {"{" BASE ",\"augmentation\":{\"hue\":0.7}}", "augmentation.hue"},
        {"{" BASE ",\"augmentation\":{\"crop_max\":0.01}}", "crop_max"},
        {"{" BASE ",\"optimizer\":{\"type\":\"adam\"}}", "optimizer.type"},
        {"{" BASE ",\"optimizer\":{\"momentum\":1}}", "optimizer.momentum"},
        {"{" BASE ",\"head\":[{\"outputs\":1}]}", "head[0].outputs"},
        {"{" BASE ",\"head\":[{}]}", "head[0]"},
        {"{" BASE ",\"freeze_stages\":6}", "freeze_stages"},
        {"{" BASE ",\"crops\":{}}", "crops"},
        {"{" BASE SWAV ",\"crops\":[]}", "crops"},
        {"{" BASE SWAV ",\"crops\":[{},{},{},{},{}]}", "crops"},
        {"{" BASE SWAV ",\"crops\":[{},{\"count\":31}]}", "crops"},
        {"{" BASE SWAV ",\"batch_size\":9000,\"crops\":[{},{}]}", "crops"},
        {"{" BASE ",\"crops\":[{},{}]}", "crops"},
        {"{" BASE ",\"method\":{\"type\":\"byol\"},\"crops\":[{\"count\":3}]}", "crops"},
        {"{" BASE SWAV ",\"crops\":[{\"count\":1},{}]}", "crops[0].count"},
        {"{" BASE SWAV ",\"crops\":[{},{\"count\":0}]}", "crops[1].count"},
        {"{" BASE SWAV ",\"crops\":[{},{\"size\":15}]}", "crops[1].size"},
        {"{" BASE SWAV ",\"crops\":[{},{\"sizes\":32}]}", "crops[1].sizes"},
        {"{" BASE SWAV ",\"crops\":[{},{\"recipe\":\"byol\"}]}", "crops[1].recipe"},
        {"{" BASE SWAV ",\"crops\":[{},{\"hue\":0.7}]}", "crops[1].hue"},
        {"{" BASE SWAV ",\"crops\":[{},{\"crop_max\":0.04}]}", "crops[1].crop_max"},
        {"{" BASE SWAV ",\"crops\":[{},5]}", "crops[1]"},
        {"{" BASE SWAV ",\"crops\":[{},{}],\"views\":2}", "views"},
        {"{" BASE SWAV ",\"crops\":[{},{}],\"chunk\":16,\"freeze_norm\":true,\"head\":[]}", "chunk"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct train_config c;
        struct err e;
        if (parse(&c, cases[i].text, &e))
            fail_msg("accepted: %s", cases[i].text);
        assert_int_equal(e.code, ERR_BAD_INPUT);
        assert_string_equal(e.param, cases[i].param);
        train_config_clear(&c);
    }
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_config_gets_sound_defaults),
        cmocka_unit_test(an_objective_brings_what_goes_with_it),
        cmocka_unit_test(proxies_need_no_second_view_and_no_head),
        cmocka_unit_test(every_field_arrives_where_it_belongs),
        cmocka_unit_test(crops_are_read_by_the_group),
        cmocka_unit_test(what_cannot_be_is_refused_by_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
