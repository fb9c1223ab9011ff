/* test_image_webp.c - WebP: lossy, lossless, transparent, turned, cut, animated. */
#include "tests/t.h"

#include "base/file.h"
#include "engine/pictures/image.h"
#include "tests/lib/pictures.h"

static const struct image_limits *const limits = &image_default_limits;

static void lossless_is_exact_and_lossy_is_near(void **state)
{
    UNUSED(state);
    struct image drawn = t_picture(3, 61, 43);
    for (int lossless = 0; lossless < 2; lossless++) {
        struct err e = {0};
        struct image got;
        struct image_info info;
        struct buf bytes = {0};
        t_webp(&drawn, lossless, false, &bytes);
        assert_ok(image_probe(bytes.data, bytes.len, limits, &info, &e), e);
        assert_int_equal(info.format, IMAGE_WEBP);
        assert_int_equal(info.width, 61);
        assert_int_equal(info.height, 43);
        assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &got, &e), e);
        assert_true(t_difference(&got, &drawn) <= (lossless ? 0 : 6));
        image_clear(&got);
        buf_clear(&bytes);
    }
    image_clear(&drawn);
}

static void transparency_lies_over_white(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image drawn = t_picture(9, 40, 30), got;
    struct buf bytes = {0};
    t_webp(&drawn, true, true, &bytes);
    assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &got, &e), e);
    for (size_t y = 0, i = 0; y < 30; y++)
        for (size_t x = 0; x < 40; x++)
            for (size_t c = 0; c < 3; c++, i++) {
                const unsigned alpha = t_alpha(x, y);
                assert_int_equal(got.rgb[i], (drawn.rgb[i] * alpha + 255 * (255 - alpha) + 127) / 255);
            }
    image_clear(&drawn);
    image_clear(&got);
    buf_clear(&bytes);
}

static void add_chunk(struct buf *b, const char *type, const void *bytes, size_t n)
{
    buf_text(b, type);
    for (size_t i = 0; i < 4; i++)
        buf_char(b, (char)(n >> 8 * i));
    buf_add(b, bytes, n);
    if (n % 2)
        buf_char(b, 0);
    for (size_t i = 0; i < 4; i++)
        b->data[4 + i] = (char)((b->len - 8) >> 8 * i);
}

/* An extended file: the picture chunk of a simple one, then EXIF. */
static struct buf turned(uint32_t width, uint32_t height, unsigned orientation)
{
    struct image drawn = t_picture(3, width, height);
    struct buf simple = {0}, tiff = {0}, out = {0};
    const char extended[10] = {8, 0, 0, 0, (char)(width - 1), 0, 0, (char)(height - 1), 0, 0};
    t_webp(&drawn, false, false, &simple);
    t_tiff(orientation, true, &tiff);
    buf_add(&out, simple.data, 12);
    add_chunk(&out, "VP8X", extended, sizeof extended);
    buf_add(&out, simple.data + 12, simple.len - 12);
    add_chunk(&out, "EXIF", tiff.data, tiff.len);
    image_clear(&drawn);
    buf_clear(&simple);
    buf_clear(&tiff);
    return out;
}

static void exif_behind_the_pixels_is_found(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image_info info;
    struct image img;
    struct buf bytes = turned(50, 20, 6);
    assert_ok(image_probe(bytes.data, bytes.len, limits, &info, &e), e);
    assert_int_equal(info.orientation, 6);
    assert_int_equal(info.width, 20);
    assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &img, &e), e);
    assert_int_equal(img.width, 20);
    assert_int_equal(img.height, 50);
    image_clear(&img);
    buf_clear(&bytes);
}

/* A canvas of 60 x 40 with frames at (x, y): what a still file holds behind its first 12 bytes, with a head. */
static void add_frame(struct buf *out, const struct image *img, unsigned x, unsigned y, bool alpha)
{
    struct buf still = {0}, body = {0};
    const char head[16] = {
        (char)(x / 2), 0, 0, (char)(y / 2), 0, 0, (char)(img->width - 1), 0, 0, (char)(img->height - 1), 0, 0, 100};
    t_webp(img, true, alpha, &still);
    buf_add(&body, head, sizeof head);
    buf_add(&body, still.data + 12, still.len - 12);
    add_chunk(out, "ANMF", body.data, body.len);
    buf_clear(&still);
    buf_clear(&body);
}

static void begin_animation(struct buf *out)
{
    buf_add(out, "RIFF\0\0\0\0WEBP", 12);
    add_chunk(out, "VP8X", "\x12\0\0\0\x3b\0\0\x27\0\0", 10); /* animated, with alpha; 60 x 40 */
    add_chunk(out, "ANIM", "\0\0\0\0\0\0", 6);
}

static void of_an_animation_the_first_frame_is_read(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image first = t_picture(3, 60, 40), second = t_picture(6, 60, 40), got;
    struct image_info info;
    struct buf bytes = {0};
    begin_animation(&bytes);
    add_frame(&bytes, &first, 0, 0, false);
    add_frame(&bytes, &second, 0, 0, false);
    assert_ok(image_probe(bytes.data, bytes.len, limits, &info, &e), e);
    assert_int_equal(info.width, 60);
    assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &got, &e), e);
    assert_memory_equal(got.rgb, first.rgb, 60 * 40 * 3);
    image_clear(&got);
    image_clear(&first);
    image_clear(&second);
    buf_clear(&bytes);
}

static void beside_a_smaller_first_frame_it_is_white(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image small = t_picture(3, 20, 10), got;
    for (int alpha = 0; alpha < 2; alpha++) {
        struct buf bytes = {0};
        begin_animation(&bytes);
        add_frame(&bytes, &small, 30, 20, alpha);
        assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &got, &e), e);
        assert_int_equal(got.width, 60);
        for (size_t y = 0; y < 40; y++)
            for (size_t x = 0; x < 60; x++) {
                const bool inside = x >= 30 && x < 50 && y >= 20 && y < 30;
                const uint8_t *p = got.rgb + (y * 60 + x) * 3;
                if (!inside)
                    assert_memory_equal(p, "\xff\xff\xff", 3);
                else if (!alpha)
                    assert_memory_equal(p, small.rgb + ((y - 20) * 20 + x - 30) * 3, 3);
            }
        image_clear(&got);
        buf_clear(&bytes);
    }
    image_clear(&small);
}

static void a_frame_that_leaves_its_canvas_or_lies_is_refused(void **state)
{
    static const struct {
        size_t at;
        char value;
        const char *what;
    } lies[] = {{0, 21, "too far to the right"},
                {3, 16, "too far down"},
                {6, 20, "another width"},
                {9, 8, "another height"},
                {2, 1, "65,536 pixels to the right"},
                {16, 'X', "no picture inside"}};
    UNUSED(state);
    struct image small = t_picture(3, 20, 10);
    for (size_t i = 0; i < COUNT(lies); i++) {
        struct err e = {0};
        struct image img;
        struct image_info info;
        struct buf bytes = {0};
        begin_animation(&bytes);
        const size_t frame = bytes.len + 8;
        add_frame(&bytes, &small, 30, 20, false);
        bytes.data[frame + lies[i].at] = lies[i].value;
        assert_err(image_probe(bytes.data, bytes.len, limits, &info, &e), e, ERR_UNDECODABLE);
        e = (struct err){0};
        assert_err(image_decode(bytes.data, bytes.len, limits, 0, &img, &e), e, ERR_UNDECODABLE);
        buf_clear(&bytes);
    }
    struct err e = {0};
    struct image_info info;
    struct buf bytes = {0};
    begin_animation(&bytes); /* without a frame */
    assert_err(image_probe(bytes.data, bytes.len, limits, &info, &e), e, ERR_UNDECODABLE);
    buf_clear(&bytes);
    image_clear(&small);
}

static void a_cut_at_any_percent_is_refused(void **state)
{
    UNUSED(state);
    for (int lossless = 0; lossless < 2; lossless++) {
        struct image drawn = t_picture(3, 80, 60);
        struct buf bytes = {0};
        t_webp(&drawn, lossless, true, &bytes);
        for (size_t percent = 1; percent < 100; percent++) {
            const size_t n = bytes.len * percent / 100;
            struct err e = {0};
            struct image img;
            uint8_t *cut = malloc(n + 1);
            memcpy(cut, bytes.data, n);
            if (image_decode(cut, n, limits, 0, &img, &e) || (e.code != ERR_UNDECODABLE && n >= 12))
                fail_msg("cut at %zu %%: %s", percent, err_name(e.code));
            free(cut);
        }
        image_clear(&drawn);
        buf_clear(&bytes);
    }
}

static void a_cut_behind_the_pixels_is_refused_too(void **state)
{
    UNUSED(state);
    struct err e;
    struct image img;
    struct buf bytes = turned(50, 20, 6);
    assert_err(image_decode(bytes.data, bytes.len - 1, limits, 0, &img, &e), e, ERR_UNDECODABLE);
    buf_clear(&bytes);
}

static void limits_are_checked_before_the_pixels(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image_info info;
    struct buf bytes = turned(50, 20, 1);
    memset(bytes.data + 24, 0xff, 2); /* VP8X: 65,536 wide */
    assert_false(image_probe(bytes.data, bytes.len, limits, &info, &e));
    struct image_limits tight = *limits;
    tight.pixels = 999;
    bytes.data[24] = 49;
    bytes.data[25] = 0;
    assert_err(image_probe(bytes.data, bytes.len, &tight, &info, &e), e, ERR_TOO_LARGE);
    buf_clear(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_is_exact_and_lossy_is_near),
        cmocka_unit_test(transparency_lies_over_white),
        cmocka_unit_test(exif_behind_the_pixels_is_found),
        cmocka_unit_test(of_an_animation_the_first_frame_is_read),
        cmocka_unit_test(beside_a_smaller_first_frame_it_is_white),
        cmocka_unit_test(a_frame_that_leaves_its_canvas_or_lies_is_refused),
        cmocka_unit_test(a_cut_at_any_percent_is_refused),
        cmocka_unit_test(a_cut_behind_the_pixels_is_refused_too),
        cmocka_unit_test(limits_are_checked_before_the_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
