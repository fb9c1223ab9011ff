/* test_augment.c - single steps against float64 oracles, views that depend on the seed alone. */
#include "tests/t.h"

#include "engine/pictures/augment.h"
#include "engine/pictures/draw.h"
#include "tests/lib/oracle.h"
#include "tests/lib/pictures.h"

enum { SIDE = 2, PIXELS = SIDE * SIDE, VALUES = PIXELS * 3 };

/* [2][2][3] of the case, flattened. */
static void pixels_of(const struct json *rows, float out[VALUES])
{
    size_t d;
    for (size_t y = 0; y < SIDE; y++)
        oracle_rows(json_item(rows, y), out + y * SIDE * 3, &d);
}

static void input(float out[VALUES])
{
    pixels_of(oracle_input("augment_primitives", "image_hwc"), out);
}

static void expect(const char *name, const float got[VALUES])
{
    float want[VALUES];
    pixels_of(oracle_result("augment_primitives", name), want);
    assert_close(name, got, want, VALUES, 1e-6);
}

static void each_step_equals_torchvisions(void **state)
{
    UNUSED(state);
    float rgb[VALUES], kernel[5], want[5];
    size_t d;
    input(rgb), augment_brightness(rgb, PIXELS, 1.5f), expect("brightness", rgb);
    input(rgb), augment_contrast(rgb, PIXELS, 0.5f), expect("contrast", rgb);
    input(rgb), augment_saturation(rgb, PIXELS, 0.5f), expect("saturation", rgb);
    input(rgb), augment_hue(rgb, PIXELS, 0.1f), expect("hue", rgb);
    input(rgb), augment_solarize(rgb, PIXELS), expect("solarize", rgb);
    input(rgb), augment_flip(rgb, SIDE), expect("hflip", rgb);
    oracle_rows(oracle_result("augment_primitives", "blur_kernel"), want, &d);
    augment_blur_kernel(1, 2, kernel);
    assert_close("blur kernel", kernel, want, 5, 1e-6);
}

static void gray_is_the_luma_in_all_channels(void **state)
{
    UNUSED(state);
    float rgb[VALUES], want[PIXELS];
    size_t d;
    input(rgb);
    augment_gray(rgb, PIXELS);
    oracle_rows(oracle_result("augment_primitives", "gray"), want, &d);
    for (size_t i = 0; i < VALUES; i++)
        assert_close("gray", rgb + i, want + i / 3, 1, 1e-6);
}

/* Every tap read through the mirror, one pixel at a time. */
static float naive_blur(const float *rgb, size_t n, size_t x, size_t y, size_t c, const float *k, int radius)
{
    float sum = 0;
    for (int dy = -radius; dy <= radius; dy++)
        for (int dx = -radius; dx <= radius; dx++) {
            int px = abs((int)x + dx), py = abs((int)y + dy), last = (int)n - 1;
            px = px > last ? 2 * last - px : px;
            py = py > last ? 2 * last - py : py;
            sum += k[dx + radius] * k[dy + radius] * rgb[((size_t)py * n + (size_t)px) * 3 + c];
        }
    return sum;
}

static void the_separable_blur_equals_the_naive_one(void **state)
{
    UNUSED(state);
    enum { N = 13, RADIUS = 4 };
    float rgb[N * N * 3], before[N * N * 3], scratch[N * N * 3], kernel[2 * RADIUS + 1];
    struct rng r = rng_new(1);
    for (size_t i = 0; i < N * N * 3; i++)
        before[i] = rgb[i] = (float)rng_unit(&r);
    augment_blur(rgb, N, 1.3f, RADIUS, scratch);
    augment_blur_kernel(1.3f, RADIUS, kernel);
    for (size_t i = 0; i < N * N * 3; i++) {
        float want = naive_blur(before, N, i / 3 % N, i / 3 / N, i % 3, kernel, RADIUS);
        assert_close("blur", rgb + i, &want, 1, 1e-5);
    }
}

static struct image picture(void)
{
    struct image img = {0};
    struct err e = {0};
    assert_ok(draw_picture(2, 5, 96, &img, &e), e);
    return img;
}

static void a_view_depends_on_its_generator_alone(void **state)
{
    UNUSED(state);
    enum { SIZE = 32, N = SIZE * SIZE * 3 };
    static float a[N], b[N], c[N];
    struct err e = {0};
    struct image img = picture();
    size_t count;
    const struct recipe *list = recipe_list(&count);
    struct augmenter *w = augmenter_new(SIZE), *other = augmenter_new(SIZE);
    for (size_t i = 0; i + 1 < count; i++) { /* the last one changes nothing */
        struct rng r1 = rng_for(1, i, 7), r2 = rng_for(1, i, 7), r3 = rng_for(1, i, 8);
        assert_ok(augmentation_check(&list[i].view[1], &e), e);
        assert_ok(augment(w, &list[i].view[0], &preprocess_imagenet, &img, &r1, a, &e), e);
        assert_ok(augment(other, &list[i].view[0], &preprocess_imagenet, &img, &r2, b, &e), e);
        assert_ok(augment(other, &list[i].view[0], &preprocess_imagenet, &img, &r3, c, &e), e);
        assert_memory_equal(a, b, sizeof a);
        assert_true(memcmp(a, c, sizeof a) != 0);
        for (size_t k = 0; k < N; k++)
            assert_true(isfinite(a[k]) && fabsf(a[k]) < 3);
    }
    augmenter_free(w);
    augmenter_free(other);
    image_clear(&img);
}

static void the_recipe_none_is_the_resized_picture(void **state)
{
    UNUSED(state);
    enum { SIZE = 24, N = SIZE * SIZE * 3 };
    float got[N];
    struct err e = {0};
    struct image square = picture(), img = {0}, small = {0};
    struct augmenter *w = augmenter_new(SIZE);
    struct rng r = rng_new(1);
    assert_ok(image_resize(&square, 90, 30, RESIZE_BILINEAR, &img, &e), e); /* wider than any crop may be */
    const struct preprocess *p = &preprocess_imagenet;
    assert_ok(augment(w, &recipe_find("none")->view[0], p, &img, &r, got, &e), e);
    assert_ok(image_resize(&img, SIZE, SIZE, p->filter, &small, &e), e);
    for (size_t i = 0; i < N; i++) {
        float want = ((float)small.rgb[i] / 255 - p->mean[i % 3]) / p->std[i % 3];
        assert_close("pixel", got + i, &want, 1, 1e-5);
    }
    augmenter_free(w);
    image_clear(&small);
    image_clear(&square);
    image_clear(&img);
}

static void jitter_draws_each_factor_from_its_range(void **state)
{
    UNUSED(state);
    enum { SIZE = 8, N = SIZE * SIZE * 3 };
    const struct preprocess plain = {.filter = RESIZE_BILINEAR, .std = {1, 1, 1}};
    struct augmentation a = recipe_find("none")->view[0];
    struct err e = {0};
    struct image img = {0};
    struct augmenter *w = augmenter_new(SIZE);
    float out[N], lowest = 1, highest = 0;
    a.jitter = 1;
    a.brightness = 0.4;
    assert_ok(image_new(SIZE, SIZE, &img, &e), e);
    memset(img.rgb, 102, N); /* 0.4: brightness gives 0.24 to 0.56 */
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct rng r = rng_new(seed);
        assert_ok(augment(w, &a, &plain, &img, &r, out, &e), e);
        lowest = fminf(lowest, out[0]);
        highest = fmaxf(highest, out[0]);
    }
    assert_true(lowest > 0.239f && lowest < 0.25f && highest > 0.55f && highest < 0.561f);
    augmenter_free(w);
    image_clear(&img);
}

/* Unchanged, a view is what serving sees; cropped, it is a part of that. */
static void views_are_made_of_what_the_fit_shows(void **state)
{
    UNUSED(state);
    enum { SIZE = 16, N = SIZE * SIZE * 3 };
    static const uint32_t shapes[][2] = {{64, 16}, {16, 64}, {50, 3}, {1, 30}, {20, 20}};
    struct err e = {0};
    struct augmenter *w = augmenter_new(SIZE);
    for (size_t i = 0; i < 2 * COUNT(shapes); i++) {
        struct image img = t_picture(6, shapes[i / 2][0], shapes[i / 2][1]);
        struct preprocess p = preprocess_imagenet;
        struct augmentation part = recipe_find("none")->view[0];
        float served[N], view[N];
        struct rng r = rng_new(1);
        p.size = p.resize = SIZE;
        p.fit = i % 2 ? FIT_PAD : FIT_SQUASH;
        assert_ok(preprocess_run(&p, &img, served, &e), e);
        assert_ok(augment(w, &part, &p, &img, &r, view, &e), e);
        double off = 0;
        for (size_t k = 0; k < N; k++)
            off += fabs((double)view[k] - (double)served[k]) / N;
        if (!(off < (p.fit == FIT_SQUASH ? 0.01 : 0.12))) /* with bars: resized before they are set, or after */
            fail_msg("%u x %u, %s: off by %g", img.width, img.height, fit_names[p.fit], off);
        part.crop_min = 0.1;
        for (uint64_t seed = 0; seed < 60; seed++) {
            r = rng_new(seed);
            assert_ok(augment(w, &part, &p, &img, &r, view, &e), e);
        }
        image_clear(&img);
    }
    augmenter_free(w);
}

static void odd_pictures_get_a_view_too(void **state)
{
    UNUSED(state);
    static const uint32_t shapes[][2] = {{1, 1}, {1, 400}, {400, 1}, {3, 2}, {65, 640}};
    float out[16 * 16 * 3];
    struct err e = {0};
    struct augmenter *w = augmenter_new(16);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct image img = {0};
        assert_ok(image_new(shapes[i][0], shapes[i][1], &img, &e), e);
        for (uint64_t seed = 0; seed < 50; seed++) {
            struct rng r = rng_new(seed);
            assert_ok(augment(w, &recipe_find("simclr")->view[0], &preprocess_imagenet, &img, &r, out, &e), e);
        }
        image_clear(&img);
    }
    augmenter_free(w);
}

static void impossible_parameters_are_refused_by_name(void **state)
{
    UNUSED(state);
    struct err e;
    struct augmentation a = recipe_find("simclr")->view[0];
    a.hue = 0.6;
    assert_err(augmentation_check(&a, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "hue");
    a = recipe_find("simclr")->view[0];
    a.crop_max = a.crop_min / 2;
    assert_err(augmentation_check(&a, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "crop_max");
    assert_null(recipe_find("nothing"));
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_equals_torchvisions),
        cmocka_unit_test(gray_is_the_luma_in_all_channels),
        cmocka_unit_test(the_separable_blur_equals_the_naive_one),
        cmocka_unit_test(a_view_depends_on_its_generator_alone),
        cmocka_unit_test(the_recipe_none_is_the_resized_picture),
        cmocka_unit_test(jitter_draws_each_factor_from_its_range),
        cmocka_unit_test(views_are_made_of_what_the_fit_shows),
        cmocka_unit_test(odd_pictures_get_a_view_too),
        cmocka_unit_test(impossible_parameters_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, oracle_load, oracle_free);
}
