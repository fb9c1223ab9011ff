/* test_preview.c - the preview shows the batch's own pixels beside the pictures they were made of. */
#include "tests/t.h"

#include "base/file.h"
#include "base/mem.h"
#include "engine/data/preview.h"
#include "engine/pictures/sheet.h"
#include "tests/lib/training_fixture.h"

enum { SIZE = 32, SCALE = 3, SIDE = SIZE * SCALE, PITCH = SIDE + 14, KINDS = 3, EACH = 20, BATCH = 50 };

struct seen { /* a loader's first batch and the sheet drawn of it */
    struct training_fixture l;
    struct sampler *sampler;
    struct loader *loader;
    const struct batch *batch;
    struct crops crops;
    struct preview_options o;
    struct image sheet;
};

static void look_at(struct seen *s, const char *dir, struct crops crops, size_t batch)
{
    struct err e = {0};
    size_t n, *all;
    struct buf png = {0};
    *s = (struct seen){.crops = crops};
    for (size_t i = 0; i < crops.n; i++)
        memcpy(s->crops.groups[i].augment, recipe_find("simclr")->view, sizeof s->crops.groups[i].augment);
    training_fixture_open(&s->l, dir, crops.groups[0].size);
    all = manifest_side(&s->l.manifest, false, &n);
    s->sampler = sampler_new(&s->l.manifest, all, n, batch, 0, 1, &e);
    assert_ok(s->sampler != NULL, e);
    free(all);
    s->loader = loader_new(&(struct loader_options){.manifest = &s->l.manifest,
                                                    .dataset = s->l.dataset,
                                                    .sampler = s->sampler,
                                                    .batch = batch,
                                                    .crops = &s->crops,
                                                    .preprocess = &preprocess_imagenet,
                                                    .seed = 5,
                                                    .threads = 2},
                           &e);
    assert_ok(s->loader && (s->batch = loader_take(s->loader, &e)), e);
    s->o = (struct preview_options){
        .batch = s->batch, .crops = &s->crops, .preprocess = &preprocess_imagenet, .dataset = s->l.dataset};
    assert_ok(preview_draw(&s->o, &png, &e) && image_decode(png.data, png.len, &image_default_limits, 0, &s->sheet, &e),
              e);
    buf_clear(&png);
}

static void look(struct seen *s, const char *dir, size_t views, uint32_t size, size_t batch)
{
    look_at(s, dir, (struct crops){.groups = {{.count = views, .size = size}}, .n = 1}, batch);
}

static void leave(struct seen *s)
{
    image_clear(&s->sheet);
    loader_free(s->loader);
    sampler_free(s->sampler);
    training_fixture_close(&s->l);
}

static const uint8_t *pixel(const struct image *img, size_t pitch, size_t column, size_t row, size_t x, size_t y)
{
    return img->rgb + ((10 + row * pitch + y) * img->width + 10 + column * pitch + x) * 3;
}

/* The cell holds the batch's row: every value, in each pixel of its square. */
static void assert_view(const struct seen *s, size_t column, size_t row, size_t batch_row)
{
    for (size_t y = 0; y < SIDE; y++)
        for (size_t x = 0; x < SIDE; x++)
            for (size_t c = 0; c < 3; c++) {
                const float value = s->batch->pixels[((batch_row * SIZE + y / SCALE) * SIZE + x / SCALE) * 3 + c];
                const float want = (value * preprocess_imagenet.std[c] + preprocess_imagenet.mean[c]) * 255;
                const float got = (float)pixel(&s->sheet, PITCH, column, row, x, y)[c];
                if (!(fabsf(got - want) <= 0.51f))
                    fail_msg("row %zu at %zu,%zu: %g, expected %g", batch_row, x, y, (double)got, (double)want);
            }
}

/* The cell holds the picture itself, as a sheet would show it. */
static void assert_picture(const struct seen *s, size_t column, size_t row, size_t k)
{
    struct image img;
    bool owned;
    struct err e = {0};
    struct sheet alone = {.columns = 1, .rows = 1, .side = SIDE};
    assert_ok(dataset_image(s->l.dataset, s->batch->items[k], &img, &owned, &e) && sheet_init(&alone, &e) &&
                  sheet_place(&alone, 0, 0, &img, SHEET_BLUE, &e),
              e);
    for (size_t y = 0; y < SIDE; y++)
        assert_memory_equal(pixel(&s->sheet, PITCH, column, row, 0, y), pixel(&alone.image, PITCH, 0, 0, 0, y),
                            (size_t)SIDE * 3);
    assert_memory_equal(pixel(&s->sheet, PITCH, column, row, 0, 0) - 3, "\x1e\x5a\xc8", 3); /* the frame is blue */
    sheet_clear(&alone);
    if (owned)
        image_clear(&img);
}

static char *make_folder(size_t each)
{
    char *dir = t_make_dir();
    for (uint32_t k = 0; k < KINDS; k++)
        training_fixture_draw(dir, k, 0, each, 48);
    return dir;
}

static void each_picture_stands_beside_its_own_views_pixel_by_pixel(void **state)
{
    UNUSED(state);
    char *dir = make_folder(EACH);
    struct seen s;
    look(&s, dir, 2, SIZE, BATCH);
    assert_int_equal(s.sheet.width, 4 * 3 * PITCH + 6); /* four pictures side by side */
    assert_int_equal(s.sheet.height, PREVIEW_ROWS * PITCH + 6);
    for (size_t k = 0; k < 4 * PREVIEW_ROWS; k += 5) {
        assert_picture(&s, k % 4 * 3, k / 4, k);
        assert_view(&s, k % 4 * 3 + 1, k / 4, k);
        assert_view(&s, k % 4 * 3 + 2, k / 4, BATCH + k);
    }
    leave(&s);
    look(&s, dir, 1, SIZE, BATCH);
    assert_int_equal(s.sheet.width, 6 * 2 * PITCH + 6);
    assert_picture(&s, 10, 3, 23);
    assert_view(&s, 11, 3, 23);
    leave(&s);
    t_remove_dir(dir);
}

/* All crops of a picture; the small ones in the middle of a white cell, at the same scale. */
static void small_crops_stand_beside_full_ones(void **state)
{
    UNUSED(state);
    enum { SMALL = 20, EDGE = (SIDE - SMALL * SCALE) / 2, PICTURES = 11 };
    char *dir = make_folder(EACH);
    struct seen s;
    look_at(&s, dir, (struct crops){.groups = {{.count = 2, .size = SIZE}, {.count = 3, .size = SMALL}}, .n = 2},
            PICTURES);
    assert_int_equal(s.sheet.width, 2 * 6 * PITCH + 6); /* two pictures side by side, with five crops each */
    for (size_t k = 0; k < PICTURES; k++) {
        assert_picture(&s, k % 2 * 6, k / 2, k);
        assert_view(&s, k % 2 * 6 + 2, k / 2, PICTURES + k);
        for (size_t crop = 0; crop < 3; crop++) {
            const float *own =
                s.batch->pixels + PICTURES * (2 * SIZE * SIZE + crop * SMALL * SMALL) * 3 + k * SMALL * SMALL * 3;
            const size_t column = k % 2 * 6 + 3 + crop;
            for (size_t i = 0; i < SMALL * SMALL * 3; i++) {
                const float want = (own[i] * preprocess_imagenet.std[i % 3] + preprocess_imagenet.mean[i % 3]) * 255;
                const size_t x = EDGE + i / 3 % SMALL * SCALE + 1, y = EDGE + i / 3 / SMALL * SCALE + 2;
                assert_true(fabsf((float)pixel(&s.sheet, PITCH, column, k / 2, x, y)[i % 3] - want) <= 0.51f);
            }
            assert_memory_equal(pixel(&s.sheet, PITCH, column, k / 2, EDGE - 1, 40), "\xff\xff\xff", 3);
            assert_memory_equal(pixel(&s.sheet, PITCH, column, k / 2, 40, EDGE + SMALL * SCALE), "\xff\xff\xff", 3);
        }
    }
    leave(&s);
    t_remove_dir(dir);
}

static void small_batches_and_large_inputs_fit_too(void **state)
{
    UNUSED(state);
    char *dir = make_folder(3), path[400];
    struct seen s;
    struct err e = {0};
    void *bytes = NULL;
    size_t len = 0;
    look(&s, dir, 2, SIZE, 5);
    assert_int_equal(s.sheet.width, 3 * PITCH + 6);
    assert_int_equal(s.sheet.height, 5 * PITCH + 6);
    assert_view(&s, 2, 4, 9);
    leave(&s);
    look(&s, dir, 2, SIZE, 9);
    assert_int_equal(s.sheet.width, 2 * 3 * PITCH + 6);
    assert_picture(&s, 0, 4, 8);
    for (size_t c = 3; c < 6; c++) /* there is no tenth */
        assert_memory_equal(pixel(&s.sheet, PITCH, c, 4, 50, 50), "\xff\xff\xff", 3);
    leave(&s);
    look(&s, dir, 2, 500, 3);
    assert_int_equal(s.sheet.width, 3 * 514 + 6);
    assert_int_equal(s.sheet.height, 3 * 514 + 6);
    snprintf(path, sizeof path, "%s/sheet.png", dir);
    assert_ok(preview_write(&s.o, path, &e) && file_read(path, 32 << 20, &bytes, &len, &e), e);
    assert_int_equal(image_sniff(bytes, len), IMAGE_PNG);
    free(bytes);
    snprintf(path, sizeof path, "%s/no/sheet.png", dir);
    assert_err(preview_write(&s.o, path, &e), e, ERR_IO);
    leave(&s);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_picture_stands_beside_its_own_views_pixel_by_pixel),
        cmocka_unit_test(small_crops_stand_beside_full_ones),
        cmocka_unit_test(small_batches_and_large_inputs_fit_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
