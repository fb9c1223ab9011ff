/* test_colour.c - ICC profiles: what they do to the pixels of every format, and hostile ones. */
#include "tests/t.h"

#include <pthread.h>

#include "engine/pictures/colour.h"
#include "engine/pictures/image.h"
#include "engine/pictures/thumbnail.h"
#include "tests/lib/pictures.h"
#include "tests/lib/profiles.h"

static const struct image_limits *const limits = &image_default_limits;

static struct buf profile(enum profile_kind kind)
{
    struct buf icc = {0};
    t_profile(kind, &icc);
    return icc;
}

/* ---- the oracle: the standards' own formulas, in double ---- */

static double to_linear(double v)
{
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double from_linear(double v)
{
    v = fmin(fmax(v, 0), 1);
    return v <= 0.0031308 ? v * 12.92 : 1.055 * pow(v, 1 / 2.4) - 0.055;
}

static void expected(enum profile_kind kind, const uint8_t *in, double *out)
{
    static const double to_srgb[][3][3] = {
        [PROFILE_P3] = {{1.2249402, -0.2249404, 0}, {-0.0420569, 1.0420571, 0}, {-0.0196376, -0.0786361, 1.0982735}},
        [PROFILE_ADOBE_RGB] = {{1.3983557, -0.3983557, 0}, {0, 1, 0}, {0, -0.0429290, 1.0429290}}};
    double linear[3];
    for (size_t c = 0; c < 3; c++) {
        const double v = in[c] / 255.0;
        linear[c] = kind == PROFILE_P3 ? to_linear(v) : pow(v, kind == PROFILE_GREY ? 1.8 : 563 / 256.0);
    }
    for (size_t c = 0; c < 3; c++) {
        double sum = kind == PROFILE_GREY ? linear[c] : 0;
        for (size_t k = 0; kind != PROFILE_GREY && k < 3; k++)
            sum += to_srgb[kind][c][k] * linear[k];
        out[c] = 255 * from_linear(sum);
    }
}

/* All of `got` is what the profile makes of `in`, to `allowed` steps in each channel. */
static void assert_converted(const char *what, const struct image *got, const struct image *in, enum profile_kind kind,
                             double allowed)
{
    assert_int_equal(got->width, in->width);
    for (size_t i = 0; i < (size_t)in->width * in->height; i++) {
        double want[3];
        expected(kind, in->rgb + i * 3, want);
        for (size_t c = 0; c < 3; c++)
            if (!(fabs(got->rgb[i * 3 + c] - want[c]) <= allowed))
                fail_msg("%s: pixel %zu, channel %zu is %d, expected %g", what, i, c, got->rgb[i * 3 + c], want[c]);
    }
}

/* ---- files with a profile in them ---- */

static struct image decode(const char *what, const struct buf *bytes)
{
    struct err e = {0};
    struct image img;
    if (!image_decode(bytes->data, bytes->len, limits, 0, &img, &e))
        fail_msg("%s: %s", what, e.text);
    return img;
}

static struct buf png_with(const struct image *img, int colour_type, const struct buf *icc)
{
    struct buf bytes = {0}, chunk = {0};
    t_png(img, &(struct png_form){.colour_type = colour_type, .depth = 8}, &bytes);
    t_icc_chunk(icc, &chunk);
    t_insert(&bytes, 33, chunk.data, chunk.len);
    buf_clear(&chunk);
    return bytes;
}

static struct buf jpeg_with(const struct image *img, const struct jpeg_form *form, const struct buf *icc, size_t part)
{
    struct buf bytes = {0}, segments = {0};
    t_jpeg(img, form, &bytes);
    t_icc_segments(icc, part, &segments);
    t_insert(&bytes, 2, segments.data, segments.len);
    buf_clear(&segments);
    return bytes;
}

static struct buf webp_with(const struct image *img, const struct buf *icc)
{
    struct buf simple = {0}, bytes = {0};
    const char extended[18] = {
        'V', 'P', '8', 'X', 10, 0, 0, 0, 0x20, 0, 0, 0, (char)(img->width - 1), 0, 0, (char)(img->height - 1), 0, 0};
    t_webp(img, true, false, &simple);
    buf_add(&bytes, simple.data, 12);
    buf_add(&bytes, extended, sizeof extended);
    t_icc_webp(icc, &bytes);
    buf_add(&bytes, simple.data + 12, simple.len - 12);
    for (size_t i = 0; i < 4; i++)
        bytes.data[4 + i] = (char)((bytes.len - 8) >> 8 * i);
    buf_clear(&simple);
    return bytes;
}

static void colours_become_those_of_srgb_in_every_format(void **state)
{
    static const enum profile_kind kinds[] = {PROFILE_P3, PROFILE_ADOBE_RGB};
    UNUSED(state);
    struct image drawn = t_picture(6, 60, 40);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct buf icc = profile(kinds[k]);
        struct buf png = png_with(&drawn, 2, &icc), webp = webp_with(&drawn, &icc), plain = {0};
        struct image of_png = decode("PNG", &png), of_webp = decode("WebP", &webp);
        assert_converted("PNG", &of_png, &drawn, kinds[k], 1.6);
        assert_memory_equal(of_webp.rgb, of_png.rgb, 60 * 40 * 3);

        const struct jpeg_form form = {.across = 1, .down = 1, .quality = 95};
        struct buf jpeg = jpeg_with(&drawn, &form, &icc, 200); /* in parts, the last one first */
        t_jpeg(&drawn, &form, &plain);
        struct image of_jpeg = decode("JPEG", &jpeg), unconverted = decode("JPEG without a profile", &plain);
        assert_converted("JPEG", &of_jpeg, &unconverted, kinds[k], 1.6);
        image_clear(&of_png);
        image_clear(&of_webp);
        image_clear(&of_jpeg);
        image_clear(&unconverted);
        buf_clear(&icc);
        buf_clear(&png);
        buf_clear(&webp);
        buf_clear(&jpeg);
        buf_clear(&plain);
    }
    image_clear(&drawn);
}

static void greys_have_profiles_too(void **state)
{
    UNUSED(state);
    struct image drawn = t_picture(6, 60, 40);
    struct buf icc = profile(PROFILE_GREY), none = {0};
    struct buf jpeg = jpeg_with(&drawn, &(struct jpeg_form){.colours = JPEG_GREY}, &icc, 60000);
    t_jpeg(&drawn, &(struct jpeg_form){.colours = JPEG_GREY}, &none);
    struct image got = decode("JPEG", &jpeg), plain = decode("JPEG without a profile", &none);
    assert_converted("grey JPEG", &got, &plain, PROFILE_GREY, 1.6);
    image_clear(&got);
    image_clear(&plain);
    none.len = 0;
    struct buf png = png_with(&drawn, 0, &icc);
    t_png(&drawn, &(struct png_form){.colour_type = 0, .depth = 8}, &none);
    got = decode("PNG", &png);
    plain = decode("PNG without a profile", &none);
    assert_converted("grey PNG", &got, &plain, PROFILE_GREY, 1.6);
    image_clear(&got);
    image_clear(&plain);
    image_clear(&drawn);
    buf_clear(&icc);
    buf_clear(&none);
    buf_clear(&jpeg);
    buf_clear(&png);
}

static void transparent_pixels_get_their_colour_before_white(void **state)
{
    UNUSED(state);
    struct image drawn = t_picture(6, 60, 40);
    struct buf icc = profile(PROFILE_P3), png = png_with(&drawn, 6, &icc);
    struct image got = decode("RGBA", &png);
    for (size_t i = 0; i < 60 * 40; i++) {
        const double alpha = t_alpha(i % 60, i / 60) / 255.0;
        double want[3];
        expected(PROFILE_P3, drawn.rgb + i * 3, want);
        for (size_t c = 0; c < 3; c++)
            if (!(fabs(got.rgb[i * 3 + c] - (want[c] * alpha + 255 * (1 - alpha))) <= 1.7))
                fail_msg("pixel %zu", i);
    }
    image_clear(&got);
    image_clear(&drawn);
    buf_clear(&icc);
    buf_clear(&png);
}

/* The profile says: only the black ink counts.  By the plain formula the other three would, too. */
static void inks_go_by_their_profile(void **state)
{
    UNUSED(state);
    struct image drawn = t_picture(6, 60, 40);
    struct buf icc = profile(PROFILE_INKS),
               jpeg = jpeg_with(&drawn, &(struct jpeg_form){.colours = JPEG_CMYK, .quality = 100}, &icc, 60000);
    struct image got = decode("CMYK", &jpeg);
    for (size_t i = 0; i < 60 * 40; i++) {
        const uint8_t *in = drawn.rgb + i * 3, *out = got.rgb + i * 3;
        const double most = fmax(in[0], fmax(in[1], in[2])) / 255; /* 1 - K, and the lightness */
        const double f = (100 * most + 16) / 116, y = 100 * most > 8 ? f * f * f : 100 * most / 903.3;
        for (size_t c = 0; c < 3; c++)
            if (!(fabs(out[c] - 255 * from_linear(y)) <= 6)) /* of a JPEG */
                fail_msg("pixel %zu: %d, expected %g", i, out[c], 255 * from_linear(y));
    }
    image_clear(&got);
    image_clear(&drawn);
    buf_clear(&icc);
    buf_clear(&jpeg);
}

static void a_thumbnail_is_srgb(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image flat;
    assert_ok(image_new(64, 64, &flat, &e), e);
    for (size_t i = 0; i < 64 * 64; i++)
        memcpy(flat.rgb + i * 3, (const uint8_t[]){200, 120, 60}, 3);
    struct buf icc = profile(PROFILE_P3), jpeg = jpeg_with(&flat, &(struct jpeg_form){.quality = 100}, &icc, 60000),
               thumb = {0};
    assert_ok(thumbnail_write(jpeg.data, jpeg.len, limits, 32, &thumb, &e), e);
    struct image got = decode("the thumbnail", &thumb), small;
    assert_ok(image_new(32, 32, &small, &e), e);
    memcpy(small.rgb, flat.rgb, 32 * 32 * 3);
    assert_converted("thumbnail", &got, &small, PROFILE_P3, 4);
    image_clear(&flat);
    image_clear(&small);
    image_clear(&got);
    buf_clear(&icc);
    buf_clear(&jpeg);
    buf_clear(&thumb);
}

/* ---- profiles that change nothing ---- */

static bool changes(const struct buf *icc, enum colour_model model, unsigned channels)
{
    struct colour_conversion *c = colour_open(icc->data, icc->len, model, channels);
    colour_close(c);
    return c;
}

static void srgb_itself_and_what_does_not_fit_change_nothing(void **state)
{
    UNUSED(state);
    struct buf srgb = profile(PROFILE_SRGB), p3 = profile(PROFILE_P3), inks = profile(PROFILE_INKS),
               grey = profile(PROFILE_GREY);
    assert_false(changes(&srgb, COLOUR_RGB, 3));
    assert_false(changes(&srgb, COLOUR_RGB, 4));
    assert_true(changes(&p3, COLOUR_RGB, 3));
    assert_true(changes(&p3, COLOUR_RGB, 3)); /* from what is kept */
    assert_true(changes(&grey, COLOUR_GREY, 3));
    assert_true(changes(&inks, COLOUR_CMYK, 4));
    assert_false(changes(&p3, COLOUR_GREY, 3)); /* the profile of other pixels */
    assert_false(changes(&p3, COLOUR_CMYK, 4));
    assert_false(changes(&inks, COLOUR_RGB, 3));
    assert_false(changes(&(struct buf){0}, COLOUR_RGB, 3));
    for (size_t n = 1; n < p3.len; n += 7) { /* cut */
        struct buf cut = {0};
        buf_add(&cut, p3.data, n);
        assert_false(changes(&cut, COLOUR_RGB, 3));
        buf_clear(&cut);
    }
    buf_clear(&srgb);
    buf_clear(&p3);
    buf_clear(&inks);
    buf_clear(&grey);
}

static void a_damaged_profile_leaves_the_pixels(void **state)
{
    UNUSED(state);
    struct image drawn = t_picture(6, 60, 40);
    struct buf icc = profile(PROFILE_P3), png = png_with(&drawn, 2, &icc);
    png.data[33 + 8 + 20] ^= 1; /* in the compressed profile: its checksum is wrong now */
    struct image got = decode("a damaged iCCP", &png);
    assert_memory_equal(got.rgb, drawn.rgb, 60 * 40 * 3);
    image_clear(&got);
    const struct jpeg_form form = {0};
    struct buf jpeg = jpeg_with(&drawn, &form, &icc, 200), plain = {0};
    t_jpeg(&drawn, &form, &plain);
    jpeg.data[2 + 16] = 9; /* the number of the first part: above their count */
    got = decode("a missing part", &jpeg);
    struct image want = decode("no profile", &plain);
    assert_memory_equal(got.rgb, want.rgb, 60 * 40 * 3);
    image_clear(&got);
    image_clear(&want);
    image_clear(&drawn);
    buf_clear(&icc);
    buf_clear(&png);
    buf_clear(&jpeg);
    buf_clear(&plain);
}

/* No tag leads outside, no table is smaller than it says: the small profile is whole, or there is none. */
static void every_flip_of_a_bit_in_a_profile_is_survived(void **state)
{
    static const enum profile_kind kinds[] = {PROFILE_P3, PROFILE_INKS};
    static const enum colour_model models[] = {COLOUR_RGB, COLOUR_CMYK};
    UNUSED(state);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct buf icc = profile(kinds[k]);
        size_t refused = 0;
        const size_t bits = 8 * (icc.len < 700 ? icc.len : 700);
        for (size_t bit = 0; bit < bits; bit += k == 0 ? 13 : 37) {
            uint8_t *exact = malloc(icc.len);
            struct buf small = {0};
            memcpy(exact, icc.data, icc.len);
            exact[bit / 8] ^= (uint8_t)(1 << bit % 8);
            refused += !icc_trim(exact, icc.len, models[k], &small);
            if (small.len) {
                uint8_t pixel[4] = {10, 200, 30, 255}, rgb[3];
                struct colour_conversion *c = colour_open(exact, icc.len, models[k], models[k]);
                if (c && models[k] == COLOUR_RGB)
                    colour_apply(c, pixel, 1);
                else if (c)
                    colour_of_inks(c, pixel, 1, rgb);
                colour_close(c);
            }
            buf_clear(&small);
            free(exact);
        }
        assert_true(refused > 10);
        buf_clear(&icc);
    }
}

struct user {
    struct buf icc[4];
    bool ok;
};

static void *convert_again_and_again(void *argument)
{
    struct user *u = argument;
    u->ok = true;
    for (size_t i = 0; i < 400; i++) {
        const struct buf *icc = &u->icc[i % 4];
        uint8_t pixel[3] = {200, 100, 50};
        struct colour_conversion *c = colour_open(icc->data, icc->len, COLOUR_RGB, 3);
        if (c)
            colour_apply(c, pixel, 1);
        u->ok = u->ok && (c != NULL) == (i % 4 != 0) && (c ? pixel[0] != 200 : pixel[0] == 200);
        colour_close(c);
    }
    return NULL;
}

static void many_threads_share_what_is_kept(void **state)
{
    enum { THREADS = 4 };
    UNUSED(state);
    struct user users[THREADS];
    pthread_t threads[THREADS];
    for (size_t t = 0; t < THREADS; t++) {
        users[t] = (struct user){
            .icc = {profile(PROFILE_SRGB), profile(PROFILE_P3), profile(PROFILE_ADOBE_RGB), profile(PROFILE_P3)}};
        users[t].icc[3].data[127] =
            (char)(t + 1); /* a reserved byte of the header: other profiles of the same meaning */
        assert_int_equal(pthread_create(&threads[t], NULL, convert_again_and_again, &users[t]), 0);
    }
    for (size_t t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        assert_true(users[t].ok);
        for (size_t i = 0; i < 4; i++)
            buf_clear(&users[t].icc[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_become_those_of_srgb_in_every_format),
        cmocka_unit_test(greys_have_profiles_too),
        cmocka_unit_test(transparent_pixels_get_their_colour_before_white),
        cmocka_unit_test(inks_go_by_their_profile),
        cmocka_unit_test(a_thumbnail_is_srgb),
        cmocka_unit_test(srgb_itself_and_what_does_not_fit_change_nothing),
        cmocka_unit_test(a_damaged_profile_leaves_the_pixels),
        cmocka_unit_test(every_flip_of_a_bit_in_a_profile_is_survived),
        cmocka_unit_test(many_threads_share_what_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
