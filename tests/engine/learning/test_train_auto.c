/* test_train_auto.c - what nobody says is chosen once: a configuration and a job get one and the same profile. */
#include "tests/t.h"

#include "engine/learning/train_auto.h"

static const struct train_asked nothing = {.optimizer = -1, .freeze = -1, .fit = -1};

static struct train_ground ground(bool trained, bool small)
{
    static const size_t each[] = {200000}; /* so many that no profile has to be made smaller for them */
    struct train_ground g = {.trained = trained, .small = small, .max_minutes = 60};
    train_ground_count(&g, each, 0);
    return g;
}

static bool same_layers(const struct head_layer *a, size_t n, const struct head_layer *b, size_t m)
{
    bool same = n == m;
    for (size_t i = 0; same && i < n; i++)
        same = a[i].outputs == b[i].outputs && a[i].norm == b[i].norm && a[i].relu == b[i].relu;
    return same;
}

static void check_objective(const struct objective *o, bool trained, bool small)
{
    struct err e = {0};
    struct train_config job, config;
    struct train_asked asked = nothing;
    const struct train_ground g = ground(trained, small);
    asked.batch = 1024; /* wide layers fit */
    train_defaults(&config);
    train_defaults_of(&config, o, trained, small);
    assert_ok(train_auto(&job, o, &g, &asked, &e), e);
    assert_int_equal(job.optimizer.kind, config.optimizer.kind);
    assert_string_equal(job.recipe, config.recipe);
    assert_memory_equal(job.augment, config.augment, sizeof job.augment);
    assert_true(job.optimizer.weight_decay == config.optimizer.weight_decay && job.head_rate == config.head_rate &&
                job.warmup == config.warmup);
    if (!same_layers(job.head, job.n_head, config.head, config.n_head) ||
        !same_layers(job.predictor, job.n_predictor, config.predictor, config.n_predictor))
        fail_msg("another head for %s", o->name);
}

static void a_job_and_a_configuration_have_one_profile(void **state)
{
    UNUSED(state);
    size_t n;
    const struct objective *const *list = objective_list(&n);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 4 && list[i]->profiles && !list[i]->needs_labels; k++)
            check_objective(list[i], k & 1, k & 2);
}

static void what_was_asked_for_beats_the_profile(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct train_config c;
    const struct train_ground g = ground(true, false);
    static const char text[] = "{\"momentum\":0.5,\"momentum_end\":\"auto\"}";
    struct json *own = json_parse(text, sizeof text - 1, 0, &e);
    const struct train_asked asked = {.epochs = 3,
                                      .batch = 32,
                                      .learning_rate = 0.125,
                                      .max_minutes = 2,
                                      .optimizer = OPTIMIZER_LARS,
                                      .freeze = 3,
                                      .fit = FIT_PAD,
                                      .recipe = "moco",
                                      .own = own};
    assert_ok(train_auto(&c, &objective_byol, &g, &asked, &e), e);
    assert_true(c.epochs == 3 && c.batch == 32 && c.learning_rate == 0.125 && c.max_minutes == 2 &&
                c.optimizer.kind == OPTIMIZER_LARS && c.freeze_norm && c.freeze_stages == 2 && c.fit == FIT_PAD);
    assert_string_equal(c.recipe, "moco");
    assert_true(c.settings.momentum == 0.5 &&
                c.settings.momentum_end == objective_byol.profiles[USE_FINETUNE].settings.momentum_end);
    json_free(own);
}

static void what_the_pictures_do_not_allow_is_refused(void **state)
{
    UNUSED(state);
    static const size_t few[] = {3};
    struct err e = {0};
    struct train_config c;
    struct train_ground g = {0};
    struct train_asked asked = nothing;
    train_ground_count(&g, few, 0);
    assert_err(train_auto(&c, &objective_infonce, &g, &asked, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "");
    g = ground(false, false);
    asked.batch = 1000000;
    e = (struct err){0};
    assert_err(train_auto(&c, &objective_infonce, &g, &asked, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "batch_size");
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_and_a_configuration_have_one_profile),
        cmocka_unit_test(what_was_asked_for_beats_the_profile),
        cmocka_unit_test(what_the_pictures_do_not_allow_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
