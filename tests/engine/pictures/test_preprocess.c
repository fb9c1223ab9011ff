/* test_preprocess.c - resize, crop, normalise: held against Pillow's pixels and against itself. */
#include "tests/t.h"

#include "base/file.h"
#include "engine/pictures/draw.h"
#include "engine/pictures/preprocess.h"

/* mean 0 and std 1/255: the output is the pixel itself. */
static struct preprocess as_pixels(uint32_t resize, uint32_t size, enum resize_filter filter)
{
    const float unit = 1.0f / 255.0f;
    return (struct preprocess){.resize = resize, .size = size, .filter = filter, .std = {unit, unit, unit}};
}

static struct image load(const char *path)
{
    struct err e = {0};
    struct image img;
    void *bytes;
    size_t len;
    assert_ok(file_read(path, 1 << 20, &bytes, &len, &e), e);
    assert_ok(image_decode(bytes, len, &image_default_limits, 0, &img, &e), e);
    free(bytes);
    return img;
}

static void pixels_are_exactly_those_of_pillow(void **state)
{
    static const struct {
        const char *name;
        uint32_t resize, size;
    } cases[] = {{"wide", 40, 32},  {"wide", 61, 61}, {"tall", 33, 32}, {"tall", 37, 24},
                 {"small", 48, 41}, {"dot", 20, 16},  {"line", 20, 16}, {"few", 20, 16}};
    static const char *const filters[] = {[RESIZE_BILINEAR] = "bilinear", [RESIZE_BICUBIC] = "bicubic"};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(cases) * COUNT(filters); i++) {
        const size_t c = i / 2, filter = i % 2;
        char path[128];
        struct err e = {0};
        snprintf(path, sizeof path, "tests/golden/preprocess/in_%s.png", cases[c].name);
        struct image in = load(path);
        snprintf(path, sizeof path, "tests/golden/preprocess/%s_%u_%u_%s.png", cases[c].name, cases[c].resize,
                 cases[c].size, filters[filter]);
        struct image want = load(path);
        const struct preprocess p = as_pixels(cases[c].resize, cases[c].size, (enum resize_filter)filter);
        const size_t n = (size_t)p.size * p.size * 3;
        float *got = calloc(n, sizeof *got);
        assert_ok(preprocess_run(&p, &in, got, &e), e);
        assert_int_equal(want.width, p.size);
        for (size_t j = 0; j < n; j++)
            if (lroundf(got[j]) != want.rgb[j])
                fail_msg("%s: [%zu] %g, Pillow has %d", path, j, (double)got[j], want.rgb[j]);
        free(got);
        image_clear(&in);
        image_clear(&want);
    }
}

/* The crop is computed alone; it must be the middle of the whole. */
static void a_crop_equals_the_middle_of_the_whole_resized_picture(void **state)
{
    static const uint32_t sizes[][2] = {{64, 64}, {64, 50}, {50, 64}, {9, 600}, {600, 9}, {128, 37}};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct err e = {0};
        struct image drawn, in, whole;
        float got[23 * 23 * 3];
        const struct preprocess p = as_pixels(30, 23, RESIZE_BILINEAR);
        assert_ok(draw_picture((uint32_t)i, 5, 96, &drawn, &e), e);
        assert_ok(image_resize(&drawn, sizes[i][0], sizes[i][1], RESIZE_BICUBIC, &in, &e), e);
        const uint32_t shorter = in.width < in.height ? in.width : in.height;
        assert_ok(image_resize(&in, 30 * in.width / shorter, 30 * in.height / shorter, p.filter, &whole, &e), e);
        assert_ok(preprocess_run(&p, &in, got, &e), e);
        const size_t left = (size_t)lrint((whole.width - 23) / 2.0), top = (size_t)lrint((whole.height - 23) / 2.0);
        for (size_t y = 0; y < 23; y++)
            for (size_t x = 0; x < 69; x++)
                assert_int_equal(lroundf(got[y * 69 + x]), whole.rgb[((y + top) * whole.width + left) * 3 + x]);
        image_clear(&drawn);
        image_clear(&in);
        image_clear(&whole);
    }
}

static void an_even_picture_stays_even_and_is_normalised_by_channel(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img;
    float out[224 * 224 * 3];
    assert_ok(image_new(301, 517, &img, &e), e);
    for (size_t i = 0; i < 301 * 517; i++)
        memcpy(img.rgb + i * 3, (const uint8_t[]){255, 0, 51}, 3);
    assert_ok(preprocess_run(&preprocess_imagenet, &img, out, &e), e);
    const float want[3] = {(1.0f - 0.485f) / 0.229f, -0.456f / 0.224f, (0.2f - 0.406f) / 0.225f};
    for (size_t i = 0; i < COUNT(out); i += 3)
        assert_close("normalised", out + i, want, 3, 1e-6);
    image_clear(&img);
}

static void the_cubic_overshoot_at_a_sharp_edge_is_clamped(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img, wide, tall;
    assert_ok(image_new(16, 16, &img, &e), e);
    for (size_t i = 0; i < 256; i++) /* the right half and the lower half are white */
        memset(img.rgb + i * 3, i % 16 >= 8 || i / 16 >= 8 ? 255 : 0, 3);
    assert_ok(image_resize(&img, 50, 16, RESIZE_BICUBIC, &wide, &e), e);
    assert_ok(image_resize(&img, 16, 50, RESIZE_BICUBIC, &tall, &e), e);
    for (size_t i = 0; i < 50 * 3; i++) {
        assert_true(i / 3 < 25 ? wide.rgb[i] < 128 : wide.rgb[i] > 127);                   /* the first row */
        assert_true(i / 3 < 25 ? tall.rgb[i / 3 * 48] < 128 : tall.rgb[i / 3 * 48] > 127); /* the first column */
    }
    image_clear(&img);
    image_clear(&wide);
    image_clear(&tall);
}

static void a_very_long_picture_needs_no_memory_for_what_the_crop_leaves_out(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img;
    static float out[1024 * 1024 * 3];
    struct preprocess p = preprocess_imagenet;
    p.resize = p.size = 1024; /* the whole would be 2,097,152 x 1024: 6 GB */
    assert_ok(image_new(16384, 8, &img, &e), e);
    assert_ok(preprocess_run(&p, &img, out, &e), e);
    image_clear(&img);
}

/* A picture whose left half is red and whose right half is blue. */
static struct image halves(uint32_t width, uint32_t height)
{
    struct err e = {0};
    struct image img;
    assert_ok(image_new(width, height, &img, &e), e);
    for (size_t i = 0; i < (size_t)width * height; i++)
        memcpy(img.rgb + i * 3, i % width < width / 2 ? (const uint8_t[]){200, 0, 0} : (const uint8_t[]){0, 0, 200}, 3);
    return img;
}

static void squash_shows_the_whole_picture_resized(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img = halves(60, 20), want;
    struct preprocess p = as_pixels(16, 16, RESIZE_BILINEAR);
    float got[16 * 16 * 3];
    p.fit = FIT_SQUASH;
    assert_ok(preprocess_run(&p, &img, got, &e), e);
    assert_ok(image_resize(&img, 16, 16, RESIZE_BILINEAR, &want, &e), e);
    for (size_t i = 0; i < COUNT(got); i++)
        assert_int_equal(lroundf(got[i]), want.rgb[i]);
    assert_int_equal(preprocess_goal(&p, 60, 20), 16);
    image_clear(&img);
    image_clear(&want);
}

static void pad_shows_the_whole_picture_between_bars_of_the_mean_colour(void **state)
{
    static const uint32_t shapes[][2] = {{60, 20}, {20, 60}, {30, 30}, {300, 1}};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct err e = {0};
        struct image img = halves(shapes[i][0], shapes[i][1]), want;
        const uint32_t longer = img.width > img.height ? img.width : img.height;
        const uint32_t width = (16 * img.width + longer / 2) / longer, tall = (16 * img.height + longer / 2) / longer;
        const uint32_t height = tall ? tall : 1, left = (16 - width) / 2, top = (16 - height) / 2;
        struct preprocess p = preprocess_imagenet;
        float got[16 * 16 * 3];
        p.resize = p.size = 16;
        p.fit = FIT_PAD;
        assert_ok(preprocess_check(&p, &e), e);
        assert_ok(preprocess_run(&p, &img, got, &e), e);
        assert_ok(image_resize(&img, width, height, p.filter, &want, &e), e);
        assert_int_equal(preprocess_goal(&p, img.width, img.height), width < height ? width : height);
        for (size_t k = 0; k < COUNT(got); k++) {
            const size_t x = k / 3 % 16, y = k / 48, c = k % 3;
            const bool inside = x >= left && x < left + width && y >= top && y < top + height;
            const float value = inside ? want.rgb[((y - top) * width + x - left) * 3 + c] / 255.0f : p.mean[c];
            if (fabsf(got[k] - (value - p.mean[c]) / p.std[c]) > 0.01f)
                fail_msg("%u x %u: (%zu, %zu)", img.width, img.height, x, y);
        }
        image_clear(&img);
        image_clear(&want);
    }
}

static void bad_settings_are_refused(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct preprocess p = preprocess_imagenet;
    assert_ok(preprocess_check(&p, &e), e);
    p.size = 0;
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
    p.size = 257;
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
    p.resize = 1025;
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
    p = preprocess_imagenet;
    p.std[1] = 0;
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
    p.std[1] = NAN;
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
    p = preprocess_imagenet;
    p.mean[2] = INFINITY;
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
    p = preprocess_imagenet;
    p.fit = FIT_PAD; /* and 256 for 224 */
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
    p.fit = (enum fit)3;
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
    p.fit = FIT_CROP;
    p.filter = (enum resize_filter)2;
    assert_err(preprocess_check(&p, &e), e, ERR_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_exactly_those_of_pillow),
        cmocka_unit_test(a_crop_equals_the_middle_of_the_whole_resized_picture),
        cmocka_unit_test(an_even_picture_stays_even_and_is_normalised_by_channel),
        cmocka_unit_test(the_cubic_overshoot_at_a_sharp_edge_is_clamped),
        cmocka_unit_test(a_very_long_picture_needs_no_memory_for_what_the_crop_leaves_out),
        cmocka_unit_test(squash_shows_the_whole_picture_resized),
        cmocka_unit_test(pad_shows_the_whole_picture_between_bars_of_the_mean_colour),
        cmocka_unit_test(bad_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
