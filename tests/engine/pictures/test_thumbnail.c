/* test_thumbnail.c - sizes, orientation and refusals of thumbnails. */
#include "tests/t.h"

#include "engine/pictures/preprocess.h"
#include "engine/pictures/thumbnail.h"
#include "tests/lib/pictures.h"

static const struct image_limits *const limits = &image_default_limits;

static void the_longest_side_is_what_was_asked_and_nothing_is_enlarged(void **state)
{
    static const struct {
        uint32_t width, height, side, thumb_width, thumb_height;
    } cases[] = {{300, 200, 64, 64, 43},
                 {200, 300, 64, 43, 64},
                 {64, 64, 64, 64, 64},
                 {40, 30, 256, 40, 30},
                 {3000, 9, 256, 256, 1}};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct image img = t_picture(3, cases[i].width, cases[i].height);
        struct image_info info;
        struct buf bytes = {0}, thumb = {0};
        t_jpeg(&img, &(struct jpeg_form){0}, &bytes);
        assert_ok(thumbnail_write(bytes.data, bytes.len, limits, cases[i].side, &thumb, &e), e);
        assert_ok(image_probe(thumb.data, thumb.len, limits, &info, &e), e);
        assert_int_equal(info.format, IMAGE_JPEG);
        assert_int_equal(info.width, cases[i].thumb_width);
        assert_int_equal(info.height, cases[i].thumb_height);
        image_clear(&img);
        buf_clear(&bytes);
        buf_clear(&thumb);
    }
}

static void a_thumbnail_is_upright_and_looks_like_the_picture(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img = t_picture(15, 400, 300), want, got, upright;
    struct buf bytes = {0}, exif = {0}, thumb = {0};
    t_jpeg(&img, &(struct jpeg_form){0}, &bytes);
    t_exif(3, true, &exif);
    t_insert(&bytes, 2, exif.data, exif.len);
    assert_ok(thumbnail_write(bytes.data, bytes.len, limits, 100, &thumb, &e), e);
    assert_ok(image_decode(thumb.data, thumb.len, limits, 0, &got, &e), e);
    assert_ok(image_resize(&img, 100, 75, RESIZE_BICUBIC, &want, &e), e);
    assert_ok(image_new(100, 75, &upright, &e), e);
    for (size_t i = 0; i < 7500; i++) /* orientation 3: half a turn */
        memcpy(upright.rgb + i * 3, want.rgb + (7499 - i) * 3, 3);
    assert_true(t_difference(&got, &upright) < 4);
    assert_true(t_difference(&got, &want) > 8);
    image_clear(&img);
    image_clear(&want);
    image_clear(&got);
    image_clear(&upright);
    buf_clear(&bytes);
    buf_clear(&exif);
    buf_clear(&thumb);
}

static void wrong_sizes_and_damaged_pictures_are_refused(void **state)
{
    UNUSED(state);
    struct err e;
    struct buf out = {0};
    assert_err(thumbnail_write("", 0, limits, 15, &out, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "size");
    assert_err(thumbnail_write("", 0, limits, 1025, &out, &e), e, ERR_BAD_INPUT);
    assert_err(thumbnail_write("GIF89a", 6, limits, 64, &out, &e), e, ERR_MEDIA_TYPE);
    assert_err(thumbnail_write("\xff\xd8\xff", 3, limits, 64, &out, &e), e, ERR_UNDECODABLE);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_side_is_what_was_asked_and_nothing_is_enlarged),
        cmocka_unit_test(a_thumbnail_is_upright_and_looks_like_the_picture),
        cmocka_unit_test(wrong_sizes_and_damaged_pictures_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
