/* test_alter.c - each change is the one it says, and harmless where nothing is to change. */
#include "tests/t.h"

#include "engine/pictures/alter.h"

enum { W = 30, H = 20 };

/* Red grows to the right, green downwards. */
static struct image ramp(void)
{
    struct image img = {.width = W, .height = H, .rgb = calloc(W * H, 3)};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            img.rgb[(y * W + x) * 3] = (uint8_t)(x * 8);
            img.rgb[(y * W + x) * 3 + 1] = (uint8_t)(y * 10);
            img.rgb[(y * W + x) * 3 + 2] = 100;
        }
    return img;
}

static struct image alter(const struct image *in, enum alteration a)
{
    struct image out;
    struct err e = {0};
    assert_ok(image_alter(in, a, &out, &e), e);
    return out;
}

static int at(const struct image *img, int x, int y, int channel)
{
    return img->rgb[((uint32_t)y * img->width + (uint32_t)x) * 3 + (uint32_t)channel];
}

static void plain_changes_give_the_expected_pixels(void **state)
{
    UNUSED(state);
    struct image in = ramp(), same = alter(&in, ALTER_NOTHING), crop = alter(&in, ALTER_CROP),
                 flip = alter(&in, ALTER_FLIP), bright = alter(&in, ALTER_BRIGHT);
    assert_memory_equal(same.rgb, in.rgb, W * H * 3);
    assert_int_equal(crop.width, 24);
    assert_int_equal(crop.height, 16);
    assert_int_equal(at(&crop, 0, 0, 0), 3 * 8);
    assert_int_equal(at(&crop, 23, 15, 1), 17 * 10);
    assert_int_equal(at(&flip, 0, 5, 0), at(&in, W - 1, 5, 0));
    assert_int_equal(at(&flip, 7, 5, 1), at(&in, 7, 5, 1));
    assert_int_equal(at(&bright, 10, 0, 0), 112);
    assert_int_equal(at(&bright, W - 1, 0, 0), 255); /* clipped */
    assert_int_equal(at(&bright, 0, 0, 2), 140);
    image_clear(&in);
    image_clear(&same);
    image_clear(&crop);
    image_clear(&flip);
    image_clear(&bright);
}

/* A ramp turned by 15 degrees is the ramp along the turned axis. */
static void a_rotation_turns_about_the_middle(void **state)
{
    UNUSED(state);
    struct image in = ramp(), out = alter(&in, ALTER_ROTATE);
    double s = sin(15 * M_PI / 180), c = cos(15 * M_PI / 180);
    assert_int_equal(out.width, W);
    for (int y = 7; y < 13; y++)
        for (int x = 10; x < 20; x++) {
            double dx = x - (W - 1) / 2.0, dy = y - (H - 1) / 2.0, from = (W - 1) / 2.0 + c * dx - s * dy;
            assert_true(fabs(at(&out, x, y, 0) - 8 * from) <= 1);
        }
    image_clear(&in);
    image_clear(&out);
}

static void jpeg_keeps_the_size_and_loses_a_little(void **state)
{
    UNUSED(state);
    struct image in = ramp(), out = alter(&in, ALTER_JPEG);
    double sum = 0;
    assert_true(out.width == W && out.height == H);
    for (int i = 0; i < W * H * 3; i++)
        sum += abs(in.rgb[i] - out.rgb[i]);
    assert_true(sum > 0 && sum / (W * H * 3) < 12);
    image_clear(&in);
    image_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_changes_give_the_expected_pixels),
        cmocka_unit_test(a_rotation_turns_about_the_middle),
        cmocka_unit_test(jpeg_keeps_the_size_and_loses_a_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
