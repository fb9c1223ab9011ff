/* test_train_step.c - one step: in parts as in one piece, clipped, averaged. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/learning/train_step.h"
#include "tests/lib/hashed_weights.h"
#include "tests/lib/training_fixture.h"

#define FROZEN ",\"freeze_norm\":true"
enum { IMAGES = 8, ROWS = 2 * IMAGES, SIZE = 32 };

static struct train_config config_of(const char *more)
{
    struct train_config c;
    struct err e = {0};
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"data\":\"d\",\"out\":\"o\",\"steps\":9,\"batch_size\":%d,\"precision\":\"fp32\","
                     "\"head\":[{\"outputs\":24,\"relu\":true},{\"outputs\":8}]%s}",
                     IMAGES, more);
    assert_ok(train_config_parse(&c, text, (size_t)n, &e), e);
    return c;
}

static struct batch make_batch(uint64_t seed)
{
    struct batch b = {.rows = ROWS};
    struct rng r = rng_new(seed);
    b.pixels = mem_aligned((size_t)ROWS * SIZE * SIZE * 3, sizeof *b.pixels);
    b.groups = mem_new(ROWS, sizeof *b.groups);
    for (size_t i = 0; i < (size_t)ROWS * SIZE * SIZE * 3; i++)
        b.pixels[i] = (float)rng_normal(&r);
    for (int32_t i = 0; i < ROWS; i++)
        b.groups[i] = i % IMAGES;
    return b;
}

static void free_batch(struct batch *b)
{
    free(b->pixels);
    free(b->groups);
}

static struct train_step *step_of(const char *more, struct model **m)
{
    struct err e = {0};
    struct train_config c = config_of(more);
    *m = training_fixture_model(3);
    struct train_step *s = train_step_new(&c, *m, NULL, NULL, &e);
    assert_ok(s != NULL, e);
    train_config_clear(&c);
    return s;
}

static const struct weight *tensors_of(struct train_step *s, size_t *n)
{
    return learner_weights(train_step_learner(s), n);
}

/* |a - b| over |b - start|, all tensors together: how far two ways differ, measured by how far they went. */
static double difference(struct train_step *a, struct train_step *b, struct train_step *start)
{
    size_t n;
    double apart = 0, way = 0;
    const struct weight *ta = tensors_of(a, &n), *tb = tensors_of(b, &n), *t0 = tensors_of(start, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ta[i].count; k++) {
            apart += pow((double)ta[i].data[k] - (double)tb[i].data[k], 2);
            way += pow((double)tb[i].data[k] - (double)t0[i].data[k], 2);
        }
    return sqrt(apart / way);
}

/* The gradient of each half alone would be another one: research oracle gradcache_linear_encoder. */
static void in_parts_it_is_the_same_step(void **state)
{
    UNUSED(state);
    struct model *m[3];
    struct train_step *whole = step_of(FROZEN, &m[0]), *parts = step_of(FROZEN ",\"chunk\":4", &m[1]),
                      *start = step_of(FROZEN, &m[2]);
    struct batch b = make_batch(1);
    struct step_report rw, rp;
    struct err e = {0};
    assert_ok(train_step_run(whole, &b, 0.05, &rw, &e) && train_step_run(parts, &b, 0.05, &rp, &e), e);
    /* Other shapes may run on other kernels, whose rounding puts a few ReLUs on their other side. */
    assert_true(fabs(rw.loss - rp.loss) <= 1e-4 * fabs(rw.loss));
    assert_true(fabs(rw.gradient_norm - rp.gradient_norm) <= 1e-2 * rw.gradient_norm);
    assert_true(difference(parts, whole, start) < 2e-2);
    train_step_free(whole);
    train_step_free(parts);
    train_step_free(start);
    for (size_t i = 0; i < 3; i++)
        model_free(m[i]);
    free_batch(&b);
}

static void a_batch_is_learned(void **state)
{
    UNUSED(state);
    struct model *m;
    struct train_step *s = step_of("", &m);
    struct batch b = make_batch(2);
    struct step_report r = {0};
    struct err e = {0};
    double first = 0;
    for (int i = 0; i < 30; i++) {
        assert_ok(train_step_run(s, &b, 0.02, &r, &e), e);
        first = i == 0 ? r.loss : first;
    }
    if (!(r.loss < 0.8 * first))
        fail_msg("the loss went from %g to %g", first, r.loss);
    assert_int_equal(r.anchors, ROWS);
    assert_true(r.std > 0 && r.std < 1);
    train_step_free(s);
    model_free(m);
    free_batch(&b);
}

/* With keep = min(ema, k / (k + 1)) and ema near 1 the average is the plain mean of all weights so far. */
static void the_average_is_exported(void **state)
{
    UNUSED(state);
    enum { STEPS = 4 };
    struct model *m;
    struct train_step *s = step_of(",\"ema\":0.9999", &m);
    struct batch b = make_batch(3);
    struct step_report r;
    struct err e = {0};
    size_t n;
    const struct weight *t = tensors_of(s, &n);
    double mean = (double)t[0].data[0] / (STEPS + 1);
    for (int i = 0; i < STEPS; i++) {
        assert_ok(train_step_run(s, &b, 0.05, &r, &e), e);
        mean += (double)t[0].data[0] / (STEPS + 1);
    }
    float now = t[0].data[0];
    train_step_export(s, m);
    assert_true(fabs((double)model_weight(m, "conv1.weight")->data[0] - mean) < 1e-6);
    assert_true(fabs((double)now - mean) > 1e-5);
    assert_true(t[0].data[0] == now);          /* training goes on with its own weights */
    assert_null(train_step_average(s, n - 1)); /* the head's */
    train_step_free(s);
    model_free(m);
    free_batch(&b);
}

static void clipping_bounds_the_step_and_a_nan_leaves_the_weights(void **state)
{
    UNUSED(state);
    struct model *m[2];
    struct train_step *free_step = step_of("", &m[0]), *clipped = step_of(",\"clip_norm\":0.01", &m[1]);
    struct batch b = make_batch(4);
    struct step_report r;
    struct err e = {0};
    size_t n;
    assert_ok(train_step_run(free_step, &b, 0.05, &r, &e) && train_step_run(clipped, &b, 0.05, &r, &e), e);
    assert_true(r.gradient_norm > 0.1); /* the one before clipping is told */
    assert_true(difference(free_step, clipped, clipped) > 0);
    const struct weight *t = tensors_of(clipped, &n);
    float before = t[0].data[0];
    *b.pixels = NAN;
    assert_ok(train_step_run(clipped, &b, 0.05, &r, &e), e);
    assert_true(!isfinite(r.loss));
    assert_true(t[0].data[0] == before);
    train_step_free(free_step);
    train_step_free(clipped);
    model_free(m[0]);
    model_free(m[1]);
    free_batch(&b);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_parts_it_is_the_same_step),
        cmocka_unit_test(a_batch_is_learned),
        cmocka_unit_test(the_average_is_exported),
        cmocka_unit_test(clipping_bounds_the_step_and_a_nan_leaves_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
