/* test_evaluate.c - a data set embedded on many threads gives serving's vectors, and figures that make sense. */
#include "tests/t.h"

#include "base/file.h"
#include "base/mem.h"
#include "engine/pictures/draw.h"
#include "engine/training/evaluate.h"

enum { KINDS = 4, EACH = 6, N = KINDS * EACH };

static char *make_folder(void)
{
    char *dir = t_make_dir(), path[400];
    struct err e = {0};
    for (uint32_t k = 0; k < KINDS; k++)
        for (uint64_t i = 0; i < EACH; i++) {
            struct image img = {0};
            struct buf png = {0};
            snprintf(path, sizeof path, "%s/%s", dir, draw_kind_name(k));
            assert_ok(file_make_dirs(path, &e), e);
            snprintf(path, sizeof path, "%s/%s/%d.png", dir, draw_kind_name(k), (int)i);
            assert_ok(draw_picture(k, i, 64, &img, &e) && image_write_png(&img, &png, &e) &&
                      file_replace(path, png.data, png.len, &e), e);
            image_clear(&img);
            buf_clear(&png);
        }
    return dir;
}

static struct encoder *small_encoder(void)
{
    const struct arch a = {.depth = 18, .stem = STEM_SMALL2, .width = 8};
    struct preprocess p = preprocess_imagenet;
    struct err e = {0};
    p.resize = 36;
    p.size = 32;
    struct model *m = model_new_random(&a, &p, 3, &e);
    struct encoder *enc = m ? encoder_new(m, &(struct encoder_options){.precision = PRECISION_FP32}, &e) : NULL;
    assert_ok(enc != NULL, e);
    model_free(m);
    return enc;
}

static void vectors_are_those_of_serving_on_any_number_of_threads(void **state)
{
    UNUSED(state);
    char *dir = make_folder();
    struct err e = {0};
    struct encoder *enc = small_encoder();
    uint32_t d = encoder_dimensions(enc);
    struct manifest m = {0};
    size_t n, *items;
    float *alone = mem_new((size_t)N * d, sizeof *alone), *many = mem_new((size_t)N * d, sizeof *many), *served = mem_new(d, sizeof *served);
    struct pool *pool = pool_new(&(struct pool_options){.name = "t", .threads = 3, .capacity = 3}, &e);
    struct lane *lane = lane_new(enc, 1, &e);
    assert_ok(manifest_read_folder(&m, dir, &e), e);
    struct dataset *data = dataset_open(&m, &(struct dataset_options){.size = 36, .limits = image_default_limits}, &e);
    assert_ok(data && lane && pool, e);
    items = manifest_side(&m, false, &n);
    assert_int_equal(n, N);
    assert_ok(evaluate_embed(enc, data, items, n, NULL, alone, &e) && evaluate_embed(enc, data, items, n, pool, many, &e), e);
    assert_memory_equal(alone, many, (size_t)N * d * sizeof *alone);
    for (size_t i = 0; i < N; i += 5) {
        void *bytes;
        size_t len;
        assert_ok(file_read(m.items[i].path, 1 << 20, &bytes, &len, &e) &&
                  lane_embed(lane, bytes, len, &image_default_limits, served, NULL, &e), e);
        assert_close(m.items[i].path, alone + i * d, served, d, 1e-6);
        free(bytes);
    }
    free(items);
    dataset_close(data);
    manifest_clear(&m);
    lane_free(lane);
    pool_free(pool);
    encoder_release(enc);
    free(alone);
    free(many);
    free(served);
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
        v[noise] = evaluate(&(struct evaluate_input){.x = x, .labels = labels, .n = ROWS, .d = D, .classes = CLASSES, .bank = bank,
                                                     .bank_labels = bank_labels, .n_bank = ROWS, .probe_grid = 3, .episodes = 50, .seed = 1});
    }
    assert_true(v[0].retrieval.recall_1 > 0.99 && v[1].retrieval.recall_1 < 0.4);
    assert_true(v[0].knn_20 > 0.99 && v[1].knn_20 < 0.4 && v[0].knn_200 > 0.99);
    assert_true(v[0].linear > 0.99 && v[1].linear < 0.4);
    assert_true(v[0].few_shot.accuracy > 0.99 && v[1].few_shot.accuracy < 0.4);
    assert_true(v[0].alignment < v[1].alignment);
    struct evaluation plain = evaluate(&(struct evaluate_input){.x = x, .labels = labels, .n = ROWS, .d = D, .classes = CLASSES});
    struct buf text = {0};
    evaluation_write(&plain, &text);
    assert_non_null(strstr(text.data, "\"knn_20\":null"));
    assert_non_null(strstr(text.data, "\"recall@1\":0."));
    buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_those_of_serving_on_any_number_of_threads),
        cmocka_unit_test(good_vectors_get_better_figures_than_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
