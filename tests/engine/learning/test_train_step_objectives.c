/* test_train_step_objectives.c - steps of each objective: targets follow, batches are learned, collapses are seen and named. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/kernels/gemm.h"
#include "engine/training/watch.h"
#include "tests/lib/training_fixture.h"

enum { IMAGES = 16, ROWS = 2 * IMAGES, SIZE = 32, VALUES = SIZE * SIZE * 3, STEPS = 70 };

struct trial {
    struct train_config config;
    struct model *model;
    struct train_step *step;
    struct batch batch;
    struct watch watch;
};

static char *picks; /* the same convolutions in all of them: they are measured once */
static const struct run_length length = {.steps = STEPS, .per_epoch = 5, .items = IMAGES};

/* Pictures of coarse random colours, and another view of each: a little noise on it. */
static void draw(struct batch *b, uint64_t seed)
{
    for (size_t i = 0; i < IMAGES; i++) {
        struct rng r = rng_for(seed, i, 0);
        float colours[4 * 4 * 3];
        for (size_t k = 0; k < COUNT(colours); k++)
            colours[k] = (float)rng_normal(&r);
        for (size_t k = 0; k < VALUES; k++) {
            float x = colours[((k / 3 / SIZE / 8) * 4 + k / 3 % SIZE / 8) * 3 + k % 3];
            b->pixels[i * VALUES + k] = x + 0.3f * (float)rng_normal(&r);
            b->pixels[(i + IMAGES) * VALUES + k] = x + 0.3f * (float)rng_normal(&r);
        }
    }
}

static void begin(struct trial *t, const char *method, const char *more)
{
    char text[700];
    struct err e = {0};
    int n = snprintf(text, sizeof text,
                     "{\"data\":\"d\",\"out\":\"o\",\"steps\":%d,\"batch_size\":%d,\"precision\":\"fp32\",\"arch\":{"
                     "\"stem\":\"small2\","
                     "\"width\":8,\"size\":32},\"method\":%s%s}",
                     STEPS, IMAGES, method, more);
    *t = (struct trial){0};
    assert_ok(train_config_parse(&t->config, text, (size_t)n, &e), e);
    t->model = training_fixture_model(3);
    t->step = train_step_new(&t->config, t->model, &length, picks, &e);
    assert_ok(t->step != NULL, e);
    if (!picks)
        picks = mem_text(learner_picks(train_step_learner(t->step)));
    t->watch = watch_new(&t->config, &(struct loss_shape){.n = ROWS, .d = learner_outputs(train_step_learner(t->step))},
                         6, STEPS);
    t->batch = (struct batch){.rows = ROWS,
                              .pixels = mem_aligned((size_t)ROWS * VALUES, sizeof(float)),
                              .groups = mem_new(ROWS, sizeof *t->batch.groups),
                              .items = mem_new(IMAGES, sizeof *t->batch.items)};
    for (size_t i = 0; i < ROWS; i++)
        t->batch.groups[i] = (int32_t)(i % IMAGES);
    for (size_t i = 0; i < IMAGES; i++)
        t->batch.items[i] = i;
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

/* Runs some steps on fresh pictures, or on the same ones; gives the mean loss of the first five that learn, and of the last five. */
static enum watch_finding train(struct trial *t, int steps, bool fresh, double rate, double *first, double *last)
{
    enum watch_finding found = WATCH_FINE;
    struct err e = {0};
    int learned = 0;
    *first = *last = 0;
    for (int i = 0; i < steps; i++) {
        struct step_report r;
        if (i == 0 || fresh)
            draw(&t->batch, (uint64_t)i);
        t->batch.step = (uint64_t)i;
        assert_ok(train_step_run(t->step, &t->batch, rate, &r, &e), e);
        enum watch_finding f = watch_step(&t->watch, (uint64_t)i, &r);
        found = found == WATCH_FINE ? f : found;
        if (!r.looking && learned++ < 5)
            *first += r.loss / 5;
        if (i >= steps - 5)
            *last += r.loss / 5;
    }
    return found;
}

#define LINEAR ",\"head\":[{\"outputs\":16}],\"optimizer\":{\"type\":\"%s\"}"
#define HEAD                                                                                                           \
    ",\"head\":[{\"outputs\":32,\"norm\":true,\"relu\":true},{\"outputs\":16}],\"optimizer\":{\"type\":\"adamw\"}"
#define PREDICTOR ",\"predictor\":[{\"outputs\":32,\"norm\":true,\"relu\":true},{}]"

static void each_objective_learns(void **state)
{
    UNUSED(state);
    static const struct {
        const char *method, *more;
        double fall; /* of the loss, at least */
    } cases[] = {
        {"{\"type\":\"moco\",\"moco\":{\"queue\":64}}", HEAD, 0.5},
        {"{\"type\":\"mocov2\",\"mocov2\":{\"queue\":64,\"momentum\":0.9}}", HEAD, 0.3},
        {"{\"type\":\"byol\",\"byol\":{\"momentum\":0.9}}", HEAD PREDICTOR, 1},
        {"{\"type\":\"simsiam\"}", HEAD PREDICTOR, 0.4},
        {"{\"type\":\"barlow\"}", HEAD, 1},
        {"{\"type\":\"vicreg\"}", HEAD, 5},
        {"{\"type\":\"swav\",\"swav\":{\"prototypes\":16,\"queue\":32,\"queue_after\":0.1}}", HEAD, 0.5},
        {"{\"type\":\"deepclusterv2\",\"deepclusterv2\":{\"prototypes\":8,\"recluster\":100}}", HEAD, 0.01},
        {"{\"type\":\"dino\",\"dino\":{\"prototypes\":16,\"momentum\":0.9}}", HEAD, 0.5},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct trial t;
        double first, last;
        begin(&t, cases[i].method, cases[i].more);
        bool clusters = t.config.objective == &objective_deepclusterv2; /* of pictures that come again */
        enum watch_finding found = train(&t, T_SLOWER > 1 ? 8 : 50, !clusters, 0.003, &first, &last);
        print_message("%s: %.4g to %.4g\n", t.config.objective->name, first, last);
        if (T_SLOWER == 1 && !(last < first - cases[i].fall))
            fail_msg("%s: the loss went from %g to %g", t.config.objective->name, first, last);
        assert_true(found != WATCH_DIVERGED);
        end(&t);
    }
}

/* What each paper says keeps it from collapsing, taken away; and the same with it. */
static void collapses_are_seen_and_named(void **state)
{
    UNUSED(state);
    static const struct {
        const char *healthy, *broken, *optimizer, *predictor, *says;
        double rate;
    } cases[] = {
        {"{\"type\":\"byol\",\"byol\":{\"momentum\":0.5,\"momentum_end\":0.5}}", NULL, "sgd", PREDICTOR,
         "one and the same vector", 0.05},
        {"{\"type\":\"swav\",\"swav\":{\"prototypes\":16,\"queue\":0}}",
         "{\"type\":\"swav\",\"swav\":{\"prototypes\":16,\"queue\":0,\"iterations\":0}}", "adamw", "",
         "one and the same vector", 0.01},
        {"{\"type\":\"barlow\"}", "{\"type\":\"barlow\",\"barlow\":{\"off_diagonal\":0}}", "adamw", "", "one direction",
         0.01},
    };
    if (T_SLOWER > 1)
        skip(); /* whole trainings; what a sanitizer may find is in the steps of the other tests */
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int broken = 0; broken < 2; broken++) {
            struct trial t;
            double first, last;
            char more[300];
            int used = snprintf(more, sizeof more, LINEAR, cases[i].optimizer);
            const char *predictor = !*cases[i].predictor ? "" : broken ? ",\"predictor\":[]" : cases[i].predictor;
            snprintf(more + used, sizeof more - (size_t)used, "%s", predictor);
            begin(&t, broken && cases[i].broken ? cases[i].broken : cases[i].healthy, more);
            enum watch_finding found = train(&t, STEPS, true, cases[i].rate, &first, &last);
            bool said = found == WATCH_COLLAPSED && strstr(t.watch.message, cases[i].says);
            if (said != (broken == 1))
                fail_msg("%s, %s: %s", t.config.objective->name, broken ? "broken" : "whole", t.watch.message);
            end(&t);
        }
}

static const struct weight *find(struct learner *l, const char *name)
{
    size_t n;
    const struct weight *t = learner_weights(l, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(t[i].name, name) == 0)
            return &t[i];
    return NULL;
}

static void the_target_follows_the_weights(void **state)
{
    UNUSED(state);
    static const char *const names[] = {"conv1.weight", "bn1.weight", "head.1.weight"};
    struct trial t;
    double first, last;
    begin(&t, "{\"type\":\"byol\",\"byol\":{\"momentum\":0.75,\"momentum_end\":0.75}}", HEAD PREDICTOR);
    struct learner *online = train_step_learner(t.step), *target = train_step_target(t.step);
    float before[COUNT(names)], *mean = find(target, "bn1.running_mean")->data;
    mean[0] += 100;
    for (size_t i = 0; i < COUNT(names); i++) {
        before[i] = find(target, names[i])->data[0];
        assert_true(before[i] == find(online, names[i])->data[0]);
    }
    assert_non_null(find(online, "predictor.1.weight"));
    assert_null(find(target, "predictor.1.weight"));
    train(&t, 1, true, 0.01, &first, &last);
    for (size_t i = 0; i < COUNT(names); i++) {
        double now = (double)find(online, names[i])->data[0], want = 0.75 * (double)before[i] + 0.25 * now;
        assert_true(fabs(now - (double)before[i]) > 1e-4);
        assert_true(fabs((double)find(target, names[i])->data[0] - want) < 1e-6);
    }
    /* The first batch gave both the same statistics, a tenth of the new ones; they are its own, and no average of averages. */
    assert_true(fabs((double)mean[0] - (double)find(online, "bn1.running_mean")->data[0] - 90) < 1e-4);
    end(&t);
}

static void before_the_first_clusters_nothing_is_learned(void **state)
{
    UNUSED(state);
    struct trial t;
    double first, last;
    begin(&t, "{\"type\":\"deepclusterv2\",\"deepclusterv2\":{\"prototypes\":8}}", HEAD);
    const float *w = find(train_step_learner(t.step), "conv1.weight")->data;
    float before = w[0];
    train(&t, 5, false, 0.01, &first, &last); /* an epoch */
    assert_true(w[0] == before && first == 0);
    assert_int_equal(*optimizer_steps(train_step_optimizer(t.step)), 0);
    t.batch.step = 5;
    struct step_report r;
    struct err e = {0};
    assert_ok(train_step_run(t.step, &t.batch, 0.01, &r, &e), e);
    assert_true(!r.looking && r.loss > 0 && r.anchors == ROWS && w[0] != before);
    end(&t);
}

static void a_nan_changes_nothing(void **state)
{
    UNUSED(state);
    struct trial t;
    struct step_report r;
    struct err e = {0};
    size_t n;
    begin(&t, "{\"type\":\"moco\",\"moco\":{\"queue\":50,\"momentum\":0.5}}", HEAD);
    draw(&t.batch, 1);
    assert_ok(train_step_run(t.step, &t.batch, 0.01, &r, &e), e);
    const struct loss_tensor *own = loss_tensors(train_step_loss(t.step), &n);
    float cursor = own[1].data[0], w = find(train_step_target(t.step), "conv1.weight")->data[0];
    assert_true((int)cursor == ROWS);
    t.batch.pixels[0] = NAN;
    assert_ok(train_step_run(t.step, &t.batch, 0.01, &r, &e), e);
    assert_true(!isfinite(r.loss) && own[1].data[0] == cursor);
    assert_true(find(train_step_target(t.step), "conv1.weight")->data[0] == w);
    end(&t);
}

int main(void)
{
    json_init();
    gemm_use_threads(1); /* so small that a second one would mostly wait */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_objective_learns),
        cmocka_unit_test(collapses_are_seen_and_named),
        cmocka_unit_test(the_target_follows_the_weights),
        cmocka_unit_test(before_the_first_clusters_nothing_is_learned),
        cmocka_unit_test(a_nan_changes_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(picks);
    return failed;
}
