/* test_evaluate.c - a data set embedded on many threads gives serving's vectors, and figures that make sense. */
#include "tests/t.h"

#include "base/file.h"
#include "base/mem.h"
#include "engine/judging/evaluate.h"
#include "engine/kernels/spread.h"
#include "tests/lib/training_fixture.h"

enum { KINDS = 4, EACH = 6, N = KINDS * EACH };

static struct encoder *small_encoder(void)
{
    struct err e = {0};
    struct model *m = training_fixture_model(3);
    struct encoder *enc = encoder_new(m, &(struct encoder_options){.precision = PRECISION_FP32}, &e);
    assert_ok(enc != NULL, e);
    model_free(m);
    return enc;
}

static char *make_folder(void)
{
    char *dir = t_make_dir();
    for (uint32_t k = 0; k < KINDS; k++)
        training_fixture_draw(dir, k, 0, EACH, 64);
    return dir;
}

static void vectors_are_those_of_serving_on_any_number_of_threads(void **state)
{
    UNUSED(state);
    char *dir = make_folder();
    struct err e = {0};
    struct encoder *enc = small_encoder();
    uint32_t d = encoder_dimensions(enc);
    struct training_fixture l;
    size_t n, *items;
    float *alone = mem_new((size_t)N * d, sizeof *alone), *many = mem_new((size_t)N * d, sizeof *many),
          *served = mem_new(d, sizeof *served);
    struct pool *pool = pool_new(&(struct pool_options){.name = "t", .threads = 3, .capacity = 3}, &e);
    struct lane *lane = lane_new(enc, 1, &e);
    training_fixture_open(&l, dir, 32);
    assert_ok(lane && pool, e);
    items = manifest_side(&l.manifest, false, &n);
    assert_int_equal(n, N);
    assert_ok(evaluate_embed(enc, l.dataset, items, n, NULL, alone, &e) &&
                  evaluate_embed(enc, l.dataset, items, n, pool, many, &e),
              e);
    assert_memory_equal(alone, many, (size_t)N * d * sizeof *alone);
    for (size_t i = 0; i < N; i += 5) {
        void *bytes;
        size_t len;
        assert_ok(file_read(l.manifest.items[i].path, 1 << 20, &bytes, &len, &e) &&
                      lane_embed(lane, bytes, len, &image_default_limits, served, NULL, &e),
                  e);
        assert_close(l.manifest.items[i].path, alone + i * d, served, d, 1e-6);
        free(bytes);
    }
    free(items);
    training_fixture_close(&l);
    lane_free(lane);
    pool_free(pool);
    encoder_release(enc);
    free(alone);
    free(many);
    free(served);
    t_remove_dir(dir);
}

static void views_depend_on_content_and_seed_and_not_on_threads(void **state)
{
    UNUSED(state);
    char *dir = make_folder();
    struct err e = {0};
    struct encoder *enc = small_encoder();
    const size_t d = encoder_dimensions(enc), items[4] = {3, 9, 15, 20}, fewer[2] = {15, 9};
    const struct augmentation *a = recipe_find("simclr")->view, *none = recipe_find("none")->view;
    struct training_fixture l;
    float *x[5];
    struct pool *pool = pool_new(&(struct pool_options){.name = "t", .threads = 3, .capacity = 3}, &e);
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = mem_new(4 * d, sizeof **x);
    training_fixture_open(&l, dir, 32);
    assert_ok(pool && evaluate_embed_views(enc, l.dataset, &l.manifest, items, 4, a, 1, NULL, x[0], &e) &&
                  evaluate_embed_views(enc, l.dataset, &l.manifest, items, 4, a, 1, pool, x[1], &e) &&
                  evaluate_embed_views(enc, l.dataset, &l.manifest, items, 4, a, 2, NULL, x[2], &e) &&
                  evaluate_embed_views(enc, l.dataset, &l.manifest, items, 4, none, 1, NULL, x[3], &e) &&
                  evaluate_embed(enc, l.dataset, items, 4, NULL, x[4], &e),
              e);
    assert_memory_equal(x[0], x[1], 4 * d * sizeof **x);
    assert_memory_not_equal(x[0], x[2], 4 * d * sizeof **x);
    assert_close("an unchanged view is the picture", x[3], x[4], 4 * d, 1e-2); /* resized by another filter */
    assert_ok(evaluate_embed_views(enc, l.dataset, &l.manifest, fewer, 2, a, 1, NULL, x[2], &e), e);
    assert_memory_equal(x[2], x[0] + 2 * d, d * sizeof **x);
    assert_memory_equal(x[2] + d, x[0] + d, d * sizeof **x);
    for (size_t i = 0; i < COUNT(x); i++)
        free(x[i]);
    training_fixture_close(&l);
    pool_free(pool);
    encoder_release(enc);
    t_remove_dir(dir);
}

/* Unit vectors: each class around an axis of its own, `spread` away from it. */
static void make_classes(float *x, int32_t *labels, size_t n, size_t d, size_t classes, double spread, uint64_t seed)
{
    struct rng r = rng_new(seed);
    for (size_t i = 0; i < n; i++) {
        double norm = 0;
        labels[i] = (int32_t)(i % classes);
        for (size_t k = 0; k < d; k++) {
            x[i * d + k] = (float)(spread * rng_normal(&r) + (k == i % classes));
            norm += (double)x[i * d + k] * (double)x[i * d + k];
        }
        for (size_t k = 0; k < d; k++)
            x[i * d + k] = (float)((double)x[i * d + k] / sqrt(norm));
    }
}

static void good_vectors_get_better_figures_than_noise(void **state)
{
    UNUSED(state);
    enum { ROWS = 300, D = 8, CLASSES = 6 };
    static float x[ROWS * D], bank[ROWS * D];
    static int32_t labels[ROWS], bank_labels[ROWS];
    struct evaluation v[2];
    for (int noise = 0; noise < 2; noise++) {
        make_classes(x, labels, ROWS, D, CLASSES, noise ? 50 : 0.1, 1);
        make_classes(bank, bank_labels, ROWS, D, CLASSES, noise ? 50 : 0.1, 2);
        v[noise] = evaluate(&(struct evaluate_input){.x = x,
                                                     .labels = labels,
                                                     .n = ROWS,
                                                     .d = D,
                                                     .classes = CLASSES,
                                                     .bank = bank,
                                                     .bank_labels = bank_labels,
                                                     .n_bank = ROWS,
                                                     .probe_grid = 3,
                                                     .episodes = 50,
                                                     .seed = 1});
    }
    assert_true(v[0].retrieval.recall_1 > 0.99 && v[1].retrieval.recall_1 < 0.4);
    assert_true(v[0].knn_20 > 0.99 && v[1].knn_20 < 0.4 && v[0].knn_200 > 0.99);
    assert_true(v[0].linear > 0.99 && v[1].linear < 0.4);
    assert_true(v[0].few_shot.accuracy > 0.99 && v[1].few_shot.accuracy < 0.4);
    assert_true(v[0].alignment < v[1].alignment);
    struct evaluation plain =
        evaluate(&(struct evaluate_input){.x = x, .labels = labels, .n = ROWS, .d = D, .classes = CLASSES});
    struct buf text = {0};
    evaluation_write(&plain, &text);
    assert_non_null(strstr(text.data, "\"knn_20\":null"));
    assert_non_null(strstr(text.data, "\"recall@1\":0."));
    assert_non_null(strstr(text.data, "\"instance_recall@1\":null"));
    buf_clear(&text);
}

static void without_labels_a_picture_is_to_be_found_by_a_view_of_itself(void **state)
{
    UNUSED(state);
    enum { ROWS = 600, D = 8 };
    static float x[ROWS * D], views[ROWS * D];
    static int32_t labels[ROWS];
    static int8_t hits[ROWS];
    size_t found = 0;
    make_classes(x, labels, ROWS, D, 6, 50, 1); /* noise: each row on its own */
    memcpy(views, x, sizeof x);
    memcpy(views + 7 * D, x + 9 * D, D * sizeof *x); /* and one that leads astray */
    struct evaluation v = evaluate(&(struct evaluate_input){.x = x, .views = views, .hits = hits, .n = ROWS, .d = D});
    for (size_t i = 0; i < ROWS; i++)
        found += hits[i] == 1;
    assert_true(found == ROWS - 1 && hits[7] == 0);
    assert_true(v.instance.queries == ROWS && fabs(v.instance.recall_1 - (ROWS - 1.0) / ROWS) < 1e-12);
    assert_true(v.retrieval.queries == 0 && v.alignment > 0 && v.alignment < 4.0 / ROWS);
    struct buf text = {0};
    evaluation_write(&v, &text);
    assert_non_null(strstr(text.data, "\"queries\":600,\"recall@1\":null"));
    assert_non_null(strstr(text.data, "\"instance_recall@1\":0.998"));
    buf_clear(&text);
    for (size_t i = 0; i < ROWS * D; i++)
        x[i] = views[i] = i % D == 0; /* collapsed: nothing can be told apart, so nothing is found */
    v = evaluate(&(struct evaluate_input){.x = x, .views = views, .hits = hits, .n = ROWS, .d = D});
    assert_true(hits[0] == 1 && fabs(v.instance.recall_1 - 1.0 / ROWS) < 1e-12);
}

/* A line that misses the origin has one; as many axes as there are, each way, have all; of many rows some are enough. */
static void used_dimensions_are_counted(void **state)
{
    UNUSED(state);
    enum { ROWS = 600, AXES = 4 };
    static float line[ROWS * AXES], axes[ROWS * AXES];
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t k = 0; k < AXES; k++)
            line[i * AXES + k] = 5 + (float)i * (float)(k + 1);
        axes[i * AXES + i / 2 % AXES] = i % 2 ? 1.0f : -1.0f;
    }
    assert_true(fabs(used_dimensions(line, ROWS, AXES) - 1) < 1e-4);
    assert_true(fabs(used_dimensions(axes, 16, AXES) - AXES) < 1e-4);
    assert_true(fabs(used_dimensions(axes, ROWS, AXES) - AXES) < 0.2);
    for (size_t i = 0; i < ROWS * AXES; i++)
        line[i] = 3;
    assert_true(used_dimensions(line, ROWS, AXES) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(used_dimensions_are_counted),
        cmocka_unit_test(vectors_are_those_of_serving_on_any_number_of_threads),
        cmocka_unit_test(views_depend_on_content_and_seed_and_not_on_threads),
        cmocka_unit_test(without_labels_a_picture_is_to_be_found_by_a_view_of_itself),
        cmocka_unit_test(good_vectors_get_better_figures_than_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
