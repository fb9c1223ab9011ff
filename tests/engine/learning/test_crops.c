/* test_crops.c - steps with crops of several sizes: the sum of a pass for each size, targets of the full ones alone. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/kernels/gemm.h"
#include "engine/learning/train_step.h"
#include "tests/lib/hashed_weights.h"
#include "tests/lib/training_fixture.h"

enum { IMAGES = 6, SIZE = 32, SMALL = 20, FULL = 2, OTHERS = 3, ROWS = (FULL + OTHERS) * IMAGES };
enum { FULL_VALUES = FULL * IMAGES * SIZE * SIZE * 3, VALUES = FULL_VALUES + OTHERS * IMAGES * SMALL * SMALL * 3 };
#define DINO  "\"type\":\"dino\",\"dino\":{\"prototypes\":12,\"momentum\":0.75,\"momentum_end\":0.75}"
#define CROPS ",\"crops\":[{\"size\":32},{\"count\":3,\"size\":20}]"

struct trial {
    struct train_config config;
    struct model *model;
    struct train_step *step;
    struct batch batch;
};

static struct batch make_batch(void)
{
    struct batch b = {.rows = ROWS,
                      .pixels = mem_aligned(VALUES, sizeof(float)),
                      .groups = mem_new(ROWS, sizeof *b.groups),
                      .items = mem_new(IMAGES, sizeof *b.items)};
    struct rng r = rng_new(4);
    for (size_t i = 0; i < VALUES; i++)
        b.pixels[i] = (float)rng_normal(&r);
    for (size_t i = 0; i < ROWS; i++)
        b.groups[i] = (int32_t)(i % IMAGES);
    for (size_t i = 0; i < IMAGES; i++)
        b.items[i] = i;
    return b;
}

static struct trial begin(const char *method, const char *crops, const char *picks)
{
    struct trial t = {.model = training_fixture_model(3), .batch = make_batch()};
    char text[600];
    struct err e = {0};
    int n = snprintf(text, sizeof text,
                     "{\"data\":\"d\",\"out\":\"o\",\"steps\":9,\"batch_size\":%d,\"precision\":\"fp32\",\"arch\":{"
                     "\"stem\":\"small2\","
                     "\"width\":8,\"size\":32},\"head\":[{\"outputs\":24,\"relu\":true},{\"outputs\":8}],"
                     "\"optimizer\":{\"type\":\"sgd\"},\"method\":{%s}%s}",
                     IMAGES, method, crops);
    assert_ok(train_config_parse(&t.config, text, (size_t)n, &e), e);
    t.step = train_step_new(&t.config, t.model, &(struct run_length){.steps = 9, .per_epoch = 3, .items = IMAGES},
                            picks, &e);
    assert_ok(t.step != NULL, e);
    return t;
}

static void end(struct trial *t)
{
    train_step_free(t->step);
    model_free(t->model);
    train_config_clear(&t->config);
    free(t->batch.pixels);
    free(t->batch.groups);
    free(t->batch.items);
}

static struct step_report run(struct trial *t)
{
    struct step_report r;
    struct err e = {0};
    assert_ok(train_step_run(t->step, &t->batch, 0.05, &r, &e), e);
    return r;
}

static const struct weight *find(struct learner *l, const char *name)
{
    size_t n;
    const struct weight *t = learner_weights(l, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(t[i].name, name) == 0)
            return &t[i];
    fail_msg("no %s", name);
    return NULL;
}

/* The picks of the pass of that number, of two. */
static char *picks_of(const struct learner *l, size_t pass)
{
    struct err e = {0};
    struct json *doc = json_parse(learner_picks(l), strlen(learner_picks(l)), 0, &e);
    const struct json *list = json_member(doc, "convolutions");
    struct buf out = {0};
    size_t n = json_count(list) / 2;
    buf_text(&out, "{\"convolutions\":[");
    for (size_t i = 0; i < n; i++) {
        buf_text(&out, i ? "," : "");
        json_dump(json_item(list, pass * n + i), &out);
    }
    buf_text(&out, "]}");
    json_free(doc);
    return buf_take(&out, NULL);
}

static struct learner *pass_of(const struct trial *t, size_t pass)
{
    struct err e = {0};
    struct learner_options o = {.precision = PRECISION_FP32,
                                .n_head = 2,
                                .head = {{24, false, true}, {8, false, false}},
                                .seed = t->config.seed,
                                .n_passes = 1};
    char *picks = picks_of(train_step_learner(t->step), pass);
    o.passes[0] = pass ? (struct learner_pass){OTHERS * IMAGES, SMALL} : (struct learner_pass){FULL * IMAGES, SIZE};
    o.picks = picks;
    struct learner *l = learner_new(t->model, &o, &e);
    assert_ok(l != NULL, e);
    free(picks);
    return l;
}

/* Two networks with the same weights, each with the rows of one size; the loss of all rows. */
static void a_step_is_the_sum_of_a_pass_for_each_size(void **state)
{
    UNUSED(state);
    struct trial t = begin("\"type\":\"swav\",\"swav\":{\"prototypes\":12,\"queue\":0}", CROPS, NULL);
    struct learner *a = pass_of(&t, 0), *b = pass_of(&t, 1);
    float z[ROWS * 8], dz[ROWS * 8], *small = z + FULL * IMAGES * 8;
    struct err e = {0};
    size_t n;
    assert_ok(learner_forward(a, t.batch.pixels, z, &e) && learner_forward(b, t.batch.pixels + FULL_VALUES, small, &e),
              e);
    struct loss *loss = loss_new(&objective_swav, &t.config.settings,
                                 &(struct loss_shape){.n = ROWS,
                                                      .d = 8,
                                                      .views = 5,
                                                      .full = 2,
                                                      .items = IMAGES,
                                                      .steps = 9,
                                                      .per_epoch = 3,
                                                      .seed = t.config.seed},
                                 &e);
    const struct loss_report want = loss_run(
        loss, &(struct loss_batch){.z = z, .groups = t.batch.groups, .items = t.batch.items, .n = ROWS, .d = 8}, dz);
    assert_ok(learner_backward(a, dz, false, &e) && learner_backward(b, dz + FULL * IMAGES * 8, false, &e), e);
    const struct step_report got = run(&t);
    assert_true(fabs(got.loss - want.loss) <= 1e-6 * want.loss);
    const struct parameter *p = learner_parameters(train_step_learner(t.step), &n), *pa = learner_parameters(a, &n),
                           *pb = learner_parameters(b, &n);
    for (size_t i = 0; i < n; i++) {
        double apart = 0, all = 0;
        for (size_t k = 0; k < p[i].count; k++) {
            double sum = (double)pa[i].gradient[k] + (double)pb[i].gradient[k];
            apart += pow((double)p[i].gradient[k] - sum, 2);
            all += sum * sum;
        }
        if (!(sqrt(apart) <= 1e-4 * sqrt(all)))
            fail_msg("tensor %zu: apart by %g of %g", i, sqrt(apart), sqrt(all));
    }
    /* Running statistics have moved once for each pass, the full crops first. */
    float start = model_weight(t.model, "bn1.running_mean")->data[0], after_full = find(a, "bn1.running_mean")->data[0];
    double small_mean = ((double)find(b, "bn1.running_mean")->data[0] - 0.9 * (double)start) / 0.1;
    assert_true(fabs((double)find(train_step_learner(t.step), "bn1.running_mean")->data[0] -
                     (0.9 * (double)after_full + 0.1 * small_mean)) < 1e-6);
    loss_free(loss);
    learner_free(a);
    learner_free(b);
    end(&t);
}

static void targets_are_made_of_the_full_crops(void **state)
{
    UNUSED(state);
    struct trial many = begin(DINO, CROPS, NULL);
    struct trial full = begin(DINO, ",\"crops\":[{\"size\":32}]", learner_picks(train_step_learner(many.step)));
    size_t n;
    run(&many);
    run(&full);
    const struct weight *a = learner_weights(train_step_target(many.step), &n),
                        *b = learner_weights(train_step_target(full.step), &n);
    for (size_t i = 0; i < n; i++)
        if (weight_is_statistic(&a[i]))
            assert_memory_equal(a[i].data, b[i].data, a[i].count * sizeof(float));
    a = find(train_step_learner(many.step), "bn1.running_mean");
    b = find(train_step_learner(full.step), "bn1.running_mean");
    assert_true(memcmp(a->data, b->data, a->count * sizeof(float)) != 0);
    const struct loss_tensor *ta = loss_tensors(train_step_loss(many.step), &n),
                             *tb = loss_tensors(train_step_loss(full.step), &n);
    assert_string_equal(ta[2].name, "centre");
    assert_memory_equal(ta[2].data, tb[2].data, ta[2].count * sizeof(float));
    end(&many);
    end(&full);
}

/* Two full crops at the model's own size are what a run without `crops` sees: the same bits. */
static void two_full_crops_are_two_views(void **state)
{
    UNUSED(state);
    struct trial plain = begin(DINO, "", NULL);
    struct trial crops = begin(DINO, ",\"crops\":[{}]", learner_picks(train_step_learner(plain.step)));
    for (int i = 0; i < 2; i++) {
        struct step_report a = run(&plain), b = run(&crops);
        assert_true(a.loss == b.loss && a.gradient_norm == b.gradient_norm);
        plain.batch.step++;
        crops.batch.step++;
    }
    train_step_export(plain.step, plain.model);
    train_step_export(crops.step, crops.model);
    assert_string_equal(plain.model->fingerprint, crops.model->fingerprint);
    end(&plain);
    end(&crops);
}

/* Neighbours of one size go through the network together. */
static void equal_sizes_are_one_pass(void **state)
{
    UNUSED(state);
    struct trial one = begin(DINO, ",\"crops\":[{\"size\":20},{\"count\":1,\"size\":20}]", NULL),
                 two = begin(DINO, CROPS, NULL);
    assert_int_equal(t_times(learner_picks(train_step_learner(one.step)), "\"conv1.weight\""), 1);
    assert_int_equal(t_times(learner_picks(train_step_learner(two.step)), "\"conv1.weight\""), 2);
    assert_int_equal(t_times(learner_picks(train_step_target(two.step)), "\"conv1.weight\""), 1);
    assert_true(isfinite(run(&one).loss));
    end(&one);
    end(&two);
}

/* Three full crops: a bank for each. */
static void full_crops_may_be_more_than_two(void **state)
{
    UNUSED(state);
    static const char crops[] = ",\"crops\":[{\"count\":3,\"size\":18},{\"count\":2,\"size\":16}]";
    struct trial clusters = begin("\"type\":\"deepclusterv2\",\"deepclusterv2\":{\"prototypes\":3}", crops, NULL);
    struct trial taught = begin(DINO, crops, learner_picks(train_step_learner(clusters.step)));
    size_t n;
    const struct loss_tensor *t = loss_tensors(train_step_loss(clusters.step), &n);
    assert_string_equal(t[0].name, "bank");
    assert_int_equal(t[0].count, 3 * IMAGES * 8);
    assert_true(isfinite(run(&taught).loss));
    end(&clusters);
    end(&taught);
}

/* The same pictures again and again. */
static void a_batch_is_learned(void **state)
{
    UNUSED(state);
    struct trial t = begin("\"type\":\"swav\",\"swav\":{\"prototypes\":12,\"queue\":0}", CROPS, NULL);
    double first = run(&t).loss, last = first;
    for (int i = 0; i < (T_SLOWER > 1 ? 2 : 40); i++) {
        t.batch.step++;
        last = run(&t).loss;
    }
    if (T_SLOWER == 1 && !(last < 0.8 * first))
        fail_msg("the loss went from %g to %g", first, last);
    end(&t);
}

int main(void)
{
    json_init();
    gemm_use_threads(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_the_sum_of_a_pass_for_each_size),
        cmocka_unit_test(targets_are_made_of_the_full_crops),
        cmocka_unit_test(two_full_crops_are_two_views),
        cmocka_unit_test(equal_sizes_are_one_pass),
        cmocka_unit_test(full_crops_may_be_more_than_two),
        cmocka_unit_test(a_batch_is_learned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
