/* test_image_png.c - PNG files of every colour type, and damaged and hostile ones. */
#include "tests/t.h"

#include <png.h>
#include <time.h>
#include <zlib.h>

#include "engine/pictures/image.h"
#include "tests/lib/pictures.h"

static const struct image_limits *const limits = &image_default_limits;

static uint8_t over_white(unsigned value, unsigned alpha)
{
    return (uint8_t)((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

/* The nearest 8-bit value of what a form holds for one. */
static unsigned narrow(unsigned value, int depth)
{
    return depth == 16 ? ((value << 8 | t_low_byte((uint8_t)value)) + 128) / 257 : value;
}

/* What the pixel (x, y) of a form must be. */
static void expected(const struct image *img, const struct png_form *form, size_t x, size_t y, uint8_t *rgb)
{
    static const uint8_t palette[4][3] = {{10, 20, 30}, {200, 0, 0}, {0, 200, 0}, {0, 0, 200}};
    const uint8_t *p = img->rgb + (y * img->width + x) * 3;
    unsigned alpha = form->colour_type & PNG_COLOR_MASK_ALPHA ? narrow(t_alpha(x, y), form->depth) : 255;
    memcpy(rgb, p, 3);
    if (form->colour_type == PNG_COLOR_TYPE_PALETTE) {
        memcpy(rgb, palette[x % 4], 3);
        if (form->keyed && x % 4 == 0)
            alpha = 0;
    } else if (!(form->colour_type & PNG_COLOR_MASK_COLOR)) {
        const int bits = form->depth < 8 ? form->depth : 8;
        const unsigned held = ((unsigned)(p[0] + p[1] + p[2]) / 3) >> (8 - bits), most = (1u << bits) - 1;
        memset(rgb, (int)(held * 255 / most), 3);
        if (form->keyed && held == 0)
            alpha = 0;
    }
    for (size_t c = 0; c < 3; c++)
        rgb[c] = over_white(narrow(rgb[c], form->depth), alpha);
}

static void every_colour_type_is_decoded_exactly(void **state)
{
    static const struct png_form forms[] = {
        {PNG_COLOR_TYPE_RGB, 8, false, false},       {PNG_COLOR_TYPE_RGB, 16, false, false},
        {PNG_COLOR_TYPE_RGB_ALPHA, 8, false, false}, {PNG_COLOR_TYPE_RGB_ALPHA, 16, true, false},
        {PNG_COLOR_TYPE_GRAY, 8, false, false},      {PNG_COLOR_TYPE_GRAY, 16, false, false},
        {PNG_COLOR_TYPE_GRAY, 4, false, false},      {PNG_COLOR_TYPE_GRAY, 2, true, true},
        {PNG_COLOR_TYPE_GRAY, 1, false, false},      {PNG_COLOR_TYPE_GRAY_ALPHA, 8, true, false},
        {PNG_COLOR_TYPE_PALETTE, 2, false, false},   {PNG_COLOR_TYPE_PALETTE, 8, true, true}};
    UNUSED(state);
    struct image drawn = t_picture(6, 37, 29);
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct err e = {0};
        struct image got;
        struct buf bytes = {0};
        t_png(&drawn, &forms[i], &bytes);
        if (!image_decode(bytes.data, bytes.len, limits, 0, &got, &e))
            fail_msg("form %zu: %s", i, e.text);
        for (size_t k = 0; k < 37 * 29; k++) {
            uint8_t want[3];
            expected(&drawn, &forms[i], k % 37, k / 37, want);
            if (memcmp(got.rgb + k * 3, want, 3) != 0)
                fail_msg("form %zu, pixel %zu: %d %d %d, expected %d %d %d", i, k, got.rgb[k * 3], got.rgb[k * 3 + 1],
                         got.rgb[k * 3 + 2], want[0], want[1], want[2]);
        }
        image_clear(&got);
        buf_clear(&bytes);
    }
    image_clear(&drawn);
}

static struct buf encode(const struct png_form *form)
{
    struct image drawn = t_picture(3, 60, 45);
    struct buf bytes = {0};
    t_png(&drawn, form, &bytes);
    image_clear(&drawn);
    return bytes;
}

static void a_cut_at_any_percent_is_refused(void **state)
{
    UNUSED(state);
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        struct buf bytes = encode(&(struct png_form){PNG_COLOR_TYPE_RGB, 8, interlaced, false});
        for (size_t percent = 1; percent < 100; percent++) {
            const size_t n = bytes.len * percent / 100;
            struct err e = {0};
            struct image img;
            uint8_t *cut = malloc(n);
            memcpy(cut, bytes.data, n);
            if (image_decode(cut, n, limits, 0, &img, &e) || (e.code != ERR_UNDECODABLE && n >= 8))
                fail_msg("cut at %zu %%: %s", percent, err_name(e.code));
            free(cut);
        }
        buf_clear(&bytes);
    }
}

static void damage_anywhere_is_noticed(void **state)
{
    UNUSED(state);
    struct buf bytes = encode(&(struct png_form){PNG_COLOR_TYPE_RGB_ALPHA, 8, false, false});
    for (size_t at = 0; at < bytes.len - 12; at += 1 + at / 256) { /* behind it IEND, which holds no pixel */
        struct err e = {0};
        struct image img;
        bytes.data[at] ^= 0x10;
        if (image_decode(bytes.data, bytes.len, limits, 0, &img, &e))
            fail_msg("byte %zu", at);
        bytes.data[at] ^= 0x10;
    }
    buf_clear(&bytes);
}

/* ---- damage of what holds no pixel ---- */

static struct image decoded(const char *what, const struct buf *b)
{
    struct err e = {0};
    struct image img;
    if (!image_decode(b->data, b->len, limits, 0, &img, &e))
        fail_msg("%s: %s", what, e.text);
    return img;
}

static void assert_same_pixels(const char *what, const struct buf *odd, const struct buf *plain)
{
    struct image got = decoded(what, odd), want = decoded("the plain one", plain);
    if (memcmp(got.rgb, want.rgb, (size_t)want.width * want.height * 3) != 0)
        fail_msg("%s: other pixels", what);
    image_clear(&got);
    image_clear(&want);
}

static void a_wrong_checksum_where_no_pixel_is_does_not_matter(void **state)
{
    static const char *const types[] = {"iCCP", "zTXt", "tEXt", "iTXt", "gAMA", "sRGB",
                                        "cHRM", "pHYs", "tIME", "eXIf", "cICP"};
    static const char body[32] = "Comment";
    UNUSED(state);
    struct buf plain = encode(&(struct png_form){PNG_COLOR_TYPE_RGB, 8, false, false});
    for (size_t i = 0; i < COUNT(types); i++) {
        struct buf odd = {0}, chunk = {0};
        buf_add(&odd, plain.data, plain.len);
        t_png_chunk(types[i], body, sizeof body, &chunk);
        chunk.data[chunk.len - 1] ^= 1;
        t_insert(&odd, 33, chunk.data, chunk.len);
        assert_same_pixels(types[i], &odd, &plain);
        buf_clear(&odd);
        buf_clear(&chunk);
    }
    buf_clear(&plain);
}

static void nothing_behind_the_pixels_is_needed(void **state)
{
    UNUSED(state);
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        struct buf plain = encode(&(struct png_form){PNG_COLOR_TYPE_RGB, 8, interlaced, false});
        for (size_t n = 1; n <= 12; n++) { /* of the end chunk, all */
            struct buf cut = {0};
            buf_add(&cut, plain.data, plain.len - n);
            assert_same_pixels("a cut end chunk", &cut, &plain);
            buf_clear(&cut);
        }
        struct err e = {0};
        struct image img;
        assert_err(image_decode(plain.data, plain.len - 13, limits, 0, &img, &e), e, ERR_UNDECODABLE);
        plain.data[plain.len - 13] ^= 1; /* the checksum of the last pixels */
        e = (struct err){0};
        assert_err(image_decode(plain.data, plain.len, limits, 0, &img, &e), e, ERR_UNDECODABLE);
        buf_clear(&plain);
    }
}

static size_t find_chunk(const struct buf *b, const char *type)
{
    const char *at = memmem(b->data, b->len, type, 4);
    assert_non_null(at);
    return (size_t)(at - b->data) - 4;
}

static void a_wrong_checksum_of_transparency_is_damage(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img;
    struct buf bytes = encode(&(struct png_form){PNG_COLOR_TYPE_PALETTE, 8, false, true});
    const size_t at = find_chunk(&bytes, "tRNS");
    bytes.data[at + 8] ^= 1;
    assert_err(image_decode(bytes.data, bytes.len, limits, 0, &img, &e), e, ERR_UNDECODABLE);
    buf_clear(&bytes);
}

/* ---- orientation wherever it stands ---- */

/* As ImageMagick and GIMP write it: the name, the length, hexadecimal in lines of 72. */
static void raw_profile(const char *name, unsigned orientation, struct buf *out)
{
    struct buf exif = {0};
    buf_add(&exif, "Exif\0\0", 6);
    t_tiff(orientation, true, &exif);
    buf_print(out, "\n%s\n%8zu\n", name, exif.len);
    for (size_t i = 0; i < exif.len; i++)
        buf_print(out, "%02x%s", (unsigned)(uint8_t)exif.data[i], i % 36 == 35 ? "\n" : "");
    buf_text(out, "\n");
    buf_clear(&exif);
}

static void text_chunk(const char *keyword, const struct buf *text, bool compressed, struct buf *out)
{
    struct buf body = {0};
    buf_add(&body, keyword, strlen(keyword) + 1);
    if (compressed) {
        uLongf n = compressBound(text->len);
        buf_char(&body, 0);
        buf_reserve(&body, n);
        assert_int_equal(compress((Bytef *)body.data + body.len, &n, (const Bytef *)text->data, text->len), Z_OK);
        body.len += n;
    } else
        buf_add(&body, text->data, text->len);
    t_png_chunk(compressed ? "zTXt" : "tEXt", body.data, body.len, out);
    buf_clear(&body);
}

static void assert_orientation(const char *what, const struct buf *b, unsigned want)
{
    struct err e = {0};
    struct image_info info;
    assert_ok(image_probe(b->data, b->len, limits, &info, &e), e);
    if (info.orientation != want)
        fail_msg("%s: orientation %d, expected %u", what, info.orientation, want);
    struct image img = decoded(what, b);
    assert_int_equal(img.width, want > 4 ? 45 : 60);
    image_clear(&img);
}

static void exif_behind_the_pixels_and_raw_profiles_turn_a_picture(void **state)
{
    static const char *const keywords[] = {"Raw profile type exif", "Raw profile type APP1"};
    UNUSED(state);
    struct buf plain = encode(&(struct png_form){PNG_COLOR_TYPE_RGB, 8, false, false}), exif = {0}, late = {0};
    t_png_exif(6, true, &exif);
    buf_add(&late, plain.data, plain.len);
    t_insert(&late, late.len - 12, exif.data, exif.len);
    assert_orientation("eXIf behind IDAT", &late, 6);
    for (size_t i = 0; i < 4; i++) {
        struct buf text = {0}, chunk = {0}, odd = {0};
        raw_profile(i % 2 ? "APP1" : "exif", 8, &text);
        text_chunk(keywords[i % 2], &text, i / 2, &chunk);
        buf_add(&odd, plain.data, plain.len);
        t_insert(&odd, 33, chunk.data, chunk.len);
        assert_orientation(keywords[i % 2], &odd, 8);
        t_insert(&odd, odd.len - 12, exif.data, exif.len);
        assert_orientation("eXIf comes before a raw profile", &odd, 6);
        odd.data[33 + chunk.len - 1] ^= 1; /* its checksum */
        odd.len -= 12 + exif.len;
        buf_add(&odd, plain.data + plain.len - 12, 12);
        assert_orientation("a damaged raw profile", &odd, 1);
        buf_clear(&text);
        buf_clear(&chunk);
        buf_clear(&odd);
    }
    buf_clear(&plain);
    buf_clear(&exif);
    buf_clear(&late);
}

static void a_huge_header_is_refused_before_any_pixel(void **state)
{
    static const struct {
        uint32_t width, height;
        enum err_code code;
    } cases[] = {{0x7fffffff, 0x7fffffff, ERR_TOO_LARGE}, {16385, 100, ERR_TOO_LARGE}, {10000, 10000, ERR_TOO_LARGE},
                 {0xffffffff, 100, ERR_TOO_LARGE},        {0, 100, ERR_UNDECODABLE},   {0, 0, ERR_UNDECODABLE}};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf bytes = {0};
        struct err e = {0};
        struct image_info info;
        const uint32_t w = cases[i].width, h = cases[i].height;
        const char header[13] = {(char)(w >> 24),
                                 (char)(w >> 16),
                                 (char)(w >> 8),
                                 (char)w,
                                 (char)(h >> 24),
                                 (char)(h >> 16),
                                 (char)(h >> 8),
                                 (char)h,
                                 8,
                                 2,
                                 0,
                                 0,
                                 0};
        buf_add(&bytes, "\x89PNG\r\n\x1a\n", 8);
        t_png_chunk("IHDR", header, sizeof header, &bytes);
        t_png_chunk("IDAT", "", 0, &bytes);
        assert_err(image_probe(bytes.data, bytes.len, limits, &info, &e), e, cases[i].code);
        buf_clear(&bytes);
    }
}

static void collect(png_structp png, png_bytep bytes, size_t n)
{
    buf_add(png_get_io_ptr(png), bytes, n);
}

/* A zTXt chunk of a few kilobytes that would inflate to 4 MB. */
static void text_bomb(const char *keyword, struct buf *out)
{
    enum { SIZE = 4 << 20 };
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    char key[80], *text = calloc(1, SIZE);
    struct buf file = {0};
    snprintf(key, sizeof key, "%s", keyword);
    memset(text, 'a', SIZE - 1);
    png_text chunk = {.compression = PNG_TEXT_COMPRESSION_zTXt, .key = key, .text = text, .text_length = SIZE - 1};
    png_set_write_fn(png, &file, collect, NULL);
    png_set_IHDR(png, info, 8, 8, 8, PNG_COLOR_TYPE_RGB, 0, 0, 0);
    png_set_text(png, info, &chunk, 1);
    png_write_info(png, info);
    buf_add(out, file.data + 33, file.len - 33); /* all behind the header chunk */
    png_destroy_write_struct(&png, &info);
    buf_clear(&file);
    free(text);
}

static void compressed_text_costs_next_to_nothing(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img;
    struct timespec from, to;
    struct buf bytes = encode(&(struct png_form){PNG_COLOR_TYPE_RGB, 8, false, false}), bomb = {0}, flood = {0};
    text_bomb("Comment", &bomb);
    text_bomb("Raw profile type exif", &bomb);
    for (size_t i = 0; i < 50; i++)
        buf_add(&flood, bomb.data, bomb.len);
    t_insert(&bytes, 33, flood.data, flood.len);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &img, &e), e);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    const double millis = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) * 1e-6;
    if (millis > t_patience(100))
        fail_msg("%.0f ms", millis);
    image_clear(&img);
    buf_clear(&bomb);
    buf_clear(&flood);
    buf_clear(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_colour_type_is_decoded_exactly),
        cmocka_unit_test(a_cut_at_any_percent_is_refused),
        cmocka_unit_test(damage_anywhere_is_noticed),
        cmocka_unit_test(a_wrong_checksum_where_no_pixel_is_does_not_matter),
        cmocka_unit_test(nothing_behind_the_pixels_is_needed),
        cmocka_unit_test(a_wrong_checksum_of_transparency_is_damage),
        cmocka_unit_test(exif_behind_the_pixels_and_raw_profiles_turn_a_picture),
        cmocka_unit_test(a_huge_header_is_refused_before_any_pixel),
        cmocka_unit_test(compressed_text_costs_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
