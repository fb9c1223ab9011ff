/* test_loader.c - pictures decoded once, batches that do not depend on the threads that made them. */
#include "tests/t.h"

#include "base/file.h"
#include "base/log.h"
#include "engine/data/loader.h"
#include "engine/pictures/draw.h"

enum {
    KINDS = 3,
    EACH = 4,
    SIZE = 24,
    SMALL = 17,
    BATCH = 6,
    VALUES = SIZE * SIZE * 3,
    SMALL_VALUES = SMALL * SMALL * 3
};

/* DIR/<kind>/<n>.jpg, and one file that is no picture. */
static char *make_folder(bool damaged)
{
    char *dir = t_make_dir(), path[400];
    struct err e = {0};
    for (uint32_t k = 0; k < KINDS; k++)
        for (uint64_t i = 0; i < EACH; i++) {
            struct image img = {0};
            struct buf jpeg = {0};
            snprintf(path, sizeof path, "%s/%s", dir, draw_kind_name(k));
            assert_ok(file_make_dirs(path, &e), e);
            snprintf(path, sizeof path, "%s/%s/%d.jpg", dir, draw_kind_name(k), (int)i);
            assert_ok(draw_picture(k, i, 48, &img, &e) && image_write_jpeg(&img, 90, &jpeg, &e) &&
                          file_replace(path, jpeg.data, damaged && k == 1 && i == 2 ? jpeg.len / 2 : jpeg.len, &e),
                      e);
            image_clear(&img);
            buf_clear(&jpeg);
        }
    return dir;
}

/* Two views; and crops of two sizes, the second one odd. */
static struct crops plain = {.groups = {{.count = 2, .size = SIZE}}, .n = 1};
static struct crops many = {.groups = {{.count = 2, .size = SIZE}, {.count = 3, .size = SMALL}}, .n = 2};

struct run {
    struct manifest m;
    struct dataset *d;
    struct sampler *s;
    struct loader *l;
};

/* The loader and the dataset borrow r->m, so it must not move. */
static void start(struct run *r, const char *dir, const struct crops *crops, size_t threads, size_t memory,
                  uint64_t first_step, enum positives positives)
{
    *r = (struct run){0};
    struct err e = {0};
    size_t n, *all;
    assert_ok(manifest_read_folder(&r->m, dir, &e), e);
    r->d = dataset_open(&r->m,
                        &(struct dataset_options){.size = SIZE, .memory = memory, .limits = image_default_limits}, &e);
    assert_ok(r->d != NULL, e);
    all = manifest_side(&r->m, false, &n);
    r->s = sampler_new(&r->m, all, n, BATCH, 0, 1, &e);
    assert_ok(r->s != NULL, e);
    free(all);
    r->l = loader_new(&(struct loader_options){.manifest = &r->m,
                                               .dataset = r->d,
                                               .sampler = r->s,
                                               .batch = BATCH,
                                               .crops = crops,
                                               .preprocess = &preprocess_imagenet,
                                               .positives = positives,
                                               .seed = 5,
                                               .first_step = first_step,
                                               .threads = threads,
                                               .ahead = 2},
                      &e);
    assert_ok(r->l != NULL, e);
}

static void stop(struct run *r)
{
    loader_free(r->l);
    sampler_free(r->s);
    dataset_close(r->d);
    manifest_clear(&r->m);
}

static void batches_are_the_same_for_any_threads_memory_and_first_step(void **state)
{
    UNUSED(state);
    enum { STEPS = 5 };
    static float want[STEPS][2 * BATCH * VALUES];
    static const struct {
        size_t threads, memory;
        uint64_t first;
    } runs[] = {{1, 0, 0}, {3, 0, 0}, {2, 1, 0}, {2, 0, 3}};
    char *dir = make_folder(false);
    for (size_t i = 0; i < COUNT(runs); i++) {
        struct run r;
        start(&r, dir, &plain, runs[i].threads, runs[i].memory, runs[i].first, POSITIVES_VIEWS);
        for (uint64_t step = runs[i].first; step < STEPS; step++) {
            struct err e = {0};
            const struct batch *b = loader_take(r.l, &e);
            assert_ok(b != NULL, e);
            assert_int_equal(b->step, step);
            if (i == 0)
                memcpy(want[step], b->pixels, sizeof want[step]);
            assert_memory_equal(b->pixels, want[step], sizeof want[step]);
            loader_give_back(r.l, b);
        }
        stop(&r);
    }
    assert_true(memcmp(want[0], want[1], sizeof want[0]) != 0);
    assert_true(memcmp(want[0], want[0] + BATCH * VALUES, BATCH * VALUES * sizeof(float)) !=
                0); /* two different views */
    t_remove_dir(dir);
}

/* They are what a loader of any number of threads makes, and each is drawn by its row alone: the full crops are those of a run without others. */
static void crops_of_several_sizes_are_the_same_for_any_threads(void **state)
{
    UNUSED(state);
    enum { ALL = BATCH * (2 * VALUES + 3 * SMALL_VALUES) };
    static float want[ALL];
    static const struct {
        size_t threads, memory;
    } runs[] = {{1, 0}, {3, 0}, {2, 1}};
    struct run r;
    struct err e = {0};
    char *dir = make_folder(false);
    for (size_t i = 0; i < COUNT(runs); i++) {
        start(&r, dir, &many, runs[i].threads, runs[i].memory, 1, POSITIVES_VIEWS);
        const struct batch *b = loader_take(r.l, &e);
        assert_ok(b != NULL, e);
        assert_int_equal(b->rows, 5 * BATCH);
        for (size_t k = 0; k < b->rows; k++)
            assert_int_equal(b->groups[k], k % BATCH);
        if (i == 0)
            memcpy(want, b->pixels, sizeof want);
        assert_memory_equal(b->pixels, want, sizeof want);
        stop(&r);
    }
    start(&r, dir, &plain, 2, 0, 1, POSITIVES_VIEWS);
    const struct batch *b = loader_take(r.l, &e);
    assert_ok(b != NULL, e);
    assert_memory_equal(b->pixels, want, (size_t)2 * BATCH * VALUES * sizeof(float));
    stop(&r);
    t_remove_dir(dir);
}

/* Each group by its own augmentation, and every other crop by the other one. */
static void a_crop_has_the_augmentation_of_its_group(void **state)
{
    UNUSED(state);
    struct crops c = many;
    struct err e = {0};
    struct run r;
    char *dir = make_folder(false);
    for (size_t i = 0; i < 4; i++) {
        struct augmentation *a = &c.groups[i / 2].augment[i % 2];
        *a = recipe_find("none")->view[0];
        a->solarize = i == 2; /* small crops 0 and 2 */
    }
    start(&r, dir, &c, 2, 0, 0, POSITIVES_VIEWS);
    const struct batch *b = loader_take(r.l, &e);
    assert_ok(b != NULL, e);
    const float *first = b->pixels + crops_row(&c, BATCH, 2 * BATCH).at;
    const size_t each = (size_t)BATCH * SMALL_VALUES;
    assert_memory_equal(b->pixels, b->pixels + BATCH * VALUES, BATCH * VALUES * sizeof(float)); /* whole pictures */
    assert_memory_equal(first, first + 2 * each, each * sizeof(float));
    assert_true(memcmp(first, first + each, each * sizeof(float)) != 0);
    assert_true(crops_row(&c, BATCH, 5 * BATCH).at == BATCH * (2 * VALUES + 3 * SMALL_VALUES));
    stop(&r);
    t_remove_dir(dir);
}

static void groups_are_sources_or_labels(void **state)
{
    UNUSED(state);
    char *dir = make_folder(false);
    struct err e = {0};
    struct run r;
    start(&r, dir, &plain, 1, 0, 0, POSITIVES_VIEWS);
    const struct batch *b = loader_take(r.l, &e);
    assert_int_equal(b->rows, 2 * BATCH);
    for (int32_t i = 0; i < BATCH; i++)
        assert_true(b->groups[i] == i && b->groups[BATCH + i] == i);
    stop(&r);
    start(&r, dir, &plain, 1, 0, 0, POSITIVES_LABELS);
    b = loader_take(r.l, &e);
    for (size_t i = 0; i < BATCH; i++)
        assert_true(b->groups[i] == b->groups[BATCH + i] && b->groups[i] >= 0 && b->groups[i] < KINDS);
    stop(&r);
    t_remove_dir(dir);
}

static void damaged_files_are_left_out_and_counted(void **state)
{
    UNUSED(state);
    char *dir = make_folder(true);
    struct err e = {0};
    struct pool *pool = pool_new(&(struct pool_options){.name = "t", .threads = 3, .capacity = 3}, &e);
    struct manifest m = {0};
    assert_ok(manifest_read_folder(&m, dir, &e), e);
    struct dataset *d =
        dataset_open(&m, &(struct dataset_options){.size = SIZE, .limits = image_default_limits, .pool = pool}, &e);
    assert_ok(d != NULL, e);
    assert_int_equal(dataset_damaged(d), 1);
    assert_int_equal(m.n, KINDS * EACH - 1);
    for (size_t i = 0; i < m.n; i++) {
        struct image img;
        bool owned;
        assert_ok(dataset_image(d, i, &img, &owned, &e), e);
        assert_true(img.width == 48 && !owned);
    }
    dataset_close(d);
    manifest_clear(&m);
    pool_free(pool);
    t_remove_dir(dir);
}

static void a_picture_that_vanishes_ends_the_run_with_its_name(void **state)
{
    UNUSED(state);
    char *dir = make_folder(false), command[400];
    struct err e = {0};
    struct run r;
    start(&r, dir, &plain, 2, 1, 0, POSITIVES_VIEWS);
    snprintf(command, sizeof command, "rm -rf '%s'/*", dir);
    assert_int_equal(system(command), 0);
    const struct batch *b;
    while ((b = loader_take(r.l, &e)))
        loader_give_back(r.l, b);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, ".jpg"));
    stop(&r);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_the_same_for_any_threads_memory_and_first_step),
        cmocka_unit_test(crops_of_several_sizes_are_the_same_for_any_threads),
        cmocka_unit_test(a_crop_has_the_augmentation_of_its_group),
        cmocka_unit_test(groups_are_sources_or_labels),
        cmocka_unit_test(damaged_files_are_left_out_and_counted),
        cmocka_unit_test(a_picture_that_vanishes_ends_the_run_with_its_name),
    };
    log_set_level(LOG_OFF);
    for (size_t i = 0; i < 2; i++)
        plain.groups[0].augment[i] = many.groups[0].augment[i] = many.groups[1].augment[i] =
            recipe_find("simclr")->view[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
