/* test_sheet.c - contact sheets, looked at pixel by pixel. */
#include "tests/t.h"

#include "engine/pictures/sheet.h"

static const uint8_t *pixel(const struct image *img, size_t x, size_t y)
{
    return img->rgb + (y * img->width + x) * 3;
}

static void a_sheet_shows_each_picture_in_its_cell_and_frame(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct sheet s = {.columns = 3, .rows = 2, .side = 40};
    struct image black;
    assert_ok(image_new(20, 10, &black, &e), e);
    assert_ok(sheet_init(&s, &e), e);
    assert_int_equal(s.image.width, 3 * 54 + 6);
    assert_int_equal(s.image.height, 2 * 54 + 6);
    assert_ok(sheet_place(&s, 2, 1, &black, SHEET_GREEN, &e), e);
    assert_memory_equal(pixel(&s.image, 6 + 108, 6 + 54), "\x28\xa0\x46", 3);          /* frame */
    assert_memory_equal(pixel(&s.image, 6 + 108 + 5, 6 + 54 + 5), "\xff\xff\xff", 3);  /* above the picture */
    assert_memory_equal(pixel(&s.image, 6 + 108 + 5, 6 + 54 + 24), "\0\0\0", 3);       /* 40 x 20 in the middle */
    assert_memory_equal(pixel(&s.image, 6 + 54 + 24, 6 + 54 + 24), "\xff\xff\xff", 3); /* an empty cell */
    sheet_clear(&s);
    s.side = 100000;
    assert_err(sheet_init(&s, &e), e, ERR_TOO_LARGE);
    image_clear(&black);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sheet_shows_each_picture_in_its_cell_and_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
