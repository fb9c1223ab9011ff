/* test_image.c - what holds for pictures of every format: sniffing, limits, orientation, round trips. */
#include "tests/t.h"

#include "base/clock.h"
#include "engine/pictures/exif.h"
#include "engine/pictures/image.h"
#include "tests/lib/pictures.h"

static const struct image_limits *const limits = &image_default_limits;

static void the_content_tells_the_format(void **state)
{
    UNUSED(state);
    assert_int_equal(image_sniff("\xff\xd8\xff\xe0", 4), IMAGE_JPEG);
    assert_int_equal(image_sniff("\x89PNG\r\n\x1a\n", 8), IMAGE_PNG);
    assert_int_equal(image_sniff("RIFF\x10\0\0\0WEBPVP8 ", 16), IMAGE_WEBP);
    assert_int_equal(image_sniff("GIF89a", 6), IMAGE_UNKNOWN);
    assert_int_equal(image_sniff("\xff\xd8", 2), IMAGE_UNKNOWN);
    assert_int_equal(image_sniff("", 0), IMAGE_UNKNOWN);
    assert_string_equal(image_media_type(IMAGE_WEBP), "image/webp");
}

static void what_is_no_picture_is_refused_by_type(void **state)
{
    static const char *const strangers[] = {"",          "GIF89a\1\0\1\0", "PK\3\4 a zip file",     "<html><body>",
                                            "{\"a\":1}", "%PDF-1.7",       "RIFF\x10\0\0\0WAVEfmt "};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(strangers); i++) {
        struct err e;
        struct image_info info;
        struct image img;
        assert_err(image_probe(strangers[i], strlen(strangers[i]), limits, &info, &e), e, ERR_MEDIA_TYPE);
        assert_err(image_decode(strangers[i], strlen(strangers[i]), limits, 0, &img, &e), e, ERR_MEDIA_TYPE);
    }
}

static void a_png_comes_back_exactly_and_a_jpeg_nearly(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image drawn = t_picture(3, 70, 51), png, jpeg;
    struct buf bytes = {0};
    assert_ok(image_write_png(&drawn, &bytes, &e), e);
    assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &png, &e), e);
    assert_int_equal(png.width, 70);
    assert_int_equal(png.height, 51);
    assert_memory_equal(png.rgb, drawn.rgb, 70 * 51 * 3);
    bytes.len = 0;
    assert_ok(image_write_jpeg(&drawn, 95, &bytes, &e), e);
    assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &jpeg, &e), e);
    assert_true(t_difference(&jpeg, &drawn) < 6);
    buf_clear(&bytes);
    image_clear(&drawn);
    image_clear(&png);
    image_clear(&jpeg);
}

static void a_file_that_claims_four_gigabytes_is_refused(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t len;
    } claims[] = {
        {"JPEG segment", "\xff\xd8\xff\xe0\xff\xff", 6},
        {"PNG chunk", "\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0", 29},
        {"WebP file", "RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff", 20},
        {"WebP chunk", "RIFF\x0c\0\0\0WEBPVP8L\xff\xff\xff\xff", 20},
    };
    UNUSED(state);
    for (size_t i = 0; i < COUNT(claims); i++) {
        struct err e;
        struct image_info info;
        struct image img;
        assert_err(image_probe(claims[i].bytes, claims[i].len, limits, &info, &e), e, ERR_UNDECODABLE);
        assert_err(image_decode(claims[i].bytes, claims[i].len, limits, 0, &img, &e), e, ERR_UNDECODABLE);
    }
}

/* How a camera stores an upright picture for each orientation: the definition, pixel by pixel. */
static struct image store_turned(const struct image *up, unsigned orientation)
{
    const uint32_t w = up->width, h = up->height;
    const bool swapped = orientation >= 5;
    struct err e = {0};
    struct image out;
    assert_ok(image_new(swapped ? h : w, swapped ? w : h, &out, &e), e);
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            const uint32_t to[9][2] = {
                [1] = {x, y}, [2] = {w - 1 - x, y}, [3] = {w - 1 - x, h - 1 - y}, [4] = {x, h - 1 - y},
                [5] = {y, x}, [6] = {y, w - 1 - x}, [7] = {h - 1 - y, w - 1 - x}, [8] = {h - 1 - y, x}};
            const size_t at = (size_t)to[orientation][1] * out.width + to[orientation][0];
            memcpy(out.rgb + at * 3, up->rgb + ((size_t)y * w + x) * 3, 3);
        }
    return out;
}

/* The stored picture, encoded, with the orientation in its EXIF. */
static void encode_turned(const struct image *stored, enum image_format f, unsigned orientation, bool be,
                          struct buf *out)
{
    struct err e = {0};
    struct buf exif = {0};
    if (f == IMAGE_JPEG) {
        t_jpeg(stored, &(struct jpeg_form){.across = 1, .down = 1, .quality = 100}, out);
        t_exif(orientation, be, &exif);
        t_insert(out, 2, exif.data, exif.len);
    } else {
        assert_ok(image_write_png(stored, out, &e), e);
        t_png_exif(orientation, be, &exif);
        t_insert(out, 33, exif.data, exif.len); /* behind the header chunk */
    }
    buf_clear(&exif);
}

static void all_eight_orientations_come_out_upright(void **state)
{
    UNUSED(state);
    struct image up = t_picture(15, 75, 44);
    for (unsigned i = 0; i < 32; i++) {
        const unsigned orientation = i % 8 + 1;
        const enum image_format format = i / 16 ? IMAGE_PNG : IMAGE_JPEG;
        struct err e = {0};
        struct image stored = store_turned(&up, orientation), got;
        struct image_info info;
        struct buf bytes = {0};
        encode_turned(&stored, format, orientation, i / 8 % 2, &bytes);
        assert_ok(image_probe(bytes.data, bytes.len, limits, &info, &e), e);
        assert_int_equal(info.format, format);
        assert_int_equal(info.orientation, orientation);
        assert_int_equal(info.width, 75);
        assert_int_equal(info.height, 44);
        assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &got, &e), e);
        if (!(t_difference(&got, &up) <= (format == IMAGE_PNG ? 0 : 1.5)))
            fail_msg("orientation %u: mean difference %g", orientation, t_difference(&got, &up));
        buf_clear(&bytes);
        image_clear(&stored);
        image_clear(&got);
    }
    image_clear(&up);
}

static void encode_as(const struct image *img, enum image_format f, bool progressive, struct buf *out)
{
    if (f == IMAGE_JPEG)
        t_jpeg(img, &(struct jpeg_form){.progressive = progressive, .across = 1, .down = 1}, out);
    else if (f == IMAGE_PNG)
        t_png(img, &(struct png_form){.colour_type = 6, .depth = 8}, out);
    else
        t_webp(img, true, true, out);
}

static void hostile_exif_means_upright(void **state)
{
    UNUSED(state);
    struct buf tiff = {0};
    t_tiff(6, false, &tiff);
    uint8_t *b = (uint8_t *)tiff.data;
    assert_int_equal(exif_orientation(b, tiff.len), 6);
    static const struct {
        size_t at;
        uint8_t value;
        const char *what;
    } hostile[] = {
        {0, 'M', "mixed byte order mark"},
        {2, 43, "not TIFF"},
        {4, 0xff, "directory behind the end"},
        {7, 0xff, "directory far behind the end"},
        {8, 0, "no entries"},
        {9, 3, "768 entries"},
        {12, 2, "ASCII"},
        {14, 2, "two values"},
        {17, 0xff, "2^32 values"},
        {18, 0, "orientation 0"},
        {18, 9, "orientation 9"},
        {19, 0xff, "orientation 65286"},
    };
    for (size_t i = 0; i < COUNT(hostile); i++) {
        const uint8_t kept = b[hostile[i].at];
        b[hostile[i].at] = hostile[i].value;
        if (exif_orientation(b, tiff.len) != 1)
            fail_msg("%s", hostile[i].what);
        b[hostile[i].at] = kept;
    }
    for (size_t n = 0; n < 20; n++) { /* cut before the value; a copy, so that ASan sees the end */
        uint8_t *cut = n ? malloc(n) : NULL;
        if (n)
            memcpy(cut, b, n);
        assert_int_equal(exif_orientation(cut, n), 1);
        free(cut);
    }
    buf_clear(&tiff);
}

static void an_orientation_of_type_long_counts(void **state)
{
    UNUSED(state);
    for (int big = 0; big < 2; big++) {
        struct buf tiff = {0};
        t_tiff(6, big, &tiff);
        tiff.data[big ? 13 : 12] = 4;                             /* the type */
        memcpy(tiff.data + 18, big ? "\0\0\0\6" : "\6\0\0\0", 4); /* the value, of 32 bits now */
        assert_int_equal(exif_orientation((const uint8_t *)tiff.data, tiff.len), 6);
        tiff.data[big ? 18 : 21] = 1; /* 6 + 2^24 */
        assert_int_equal(exif_orientation((const uint8_t *)tiff.data, tiff.len), 1);
        buf_clear(&tiff);
    }
}

static void a_picture_of_another_kind_is_refused_by_its_name(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
    } cases[] = {{"GIF89a\1\0\1\0", 10, "GIF"},
                 {"\0\0\0\x18"
                  "ftypheic\0\0\0\0",
                  16, "HEIC"},
                 {"\0\0\0\x1c"
                  "ftypavif\0\0\0\0",
                  16, "AVIF"},
                 {"MM\0*\0\0\0\x08", 8, "TIFF"}};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e;
        struct image_info info;
        assert_err(image_probe(cases[i].bytes, cases[i].len, limits, &info, &e), e, ERR_MEDIA_TYPE);
        assert_true(strncmp(e.text, cases[i].name, strlen(cases[i].name)) == 0);
        assert_non_null(strstr(e.text, "JPEG, PNG or WebP"));
        assert_string_equal(image_foreign_name(cases[i].bytes, cases[i].len), cases[i].name);
    }
    assert_null(image_foreign_name("\xff\xd8\xff\xe0", 4));
    assert_null(image_foreign_name("hello", 5));
}

static void pictures_of_a_single_pixel_are_read(void **state)
{
    static const uint32_t sizes[][2] = {{1, 1}, {1, 7}, {7, 1}, {2, 3}, {1, 600}};
    static const enum image_format formats[] = {IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(sizes) * COUNT(formats); i++) {
        const uint32_t width = sizes[i / 3][0], height = sizes[i / 3][1];
        struct err e = {0};
        struct image img = t_picture(3, width, height), got;
        struct buf bytes = {0};
        encode_as(&img, formats[i % 3], false, &bytes);
        assert_ok(image_decode(bytes.data, bytes.len, limits, 64, &got, &e), e);
        assert_int_equal(got.width, width);
        assert_int_equal(got.height, height);
        image_clear(&got);
        image_clear(&img);
        buf_clear(&bytes);
    }
}

static void limits_are_told_with_their_numbers(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img, drawn = t_picture(2, 60, 40);
    struct image_info info;
    struct buf bytes = {0};
    assert_ok(image_write_png(&drawn, &bytes, &e), e);
    struct image_limits tight = *limits;
    tight.bytes = bytes.len - 1;
    assert_err(image_probe(bytes.data, bytes.len, &tight, &info, &e), e, ERR_TOO_LARGE);
    assert_err(image_decode(bytes.data, bytes.len, &tight, 0, &img, &e), e, ERR_TOO_LARGE);
    tight = *limits;
    tight.pixels = 60 * 40 - 1;
    assert_err(image_probe(bytes.data, bytes.len, &tight, &info, &e), e, ERR_TOO_LARGE);
    assert_non_null(strstr(e.text, "60 x 40"));
    tight.pixels++;
    tight.side = 59;
    assert_err(image_probe(bytes.data, bytes.len, &tight, &info, &e), e, ERR_TOO_LARGE);
    tight.side++;
    e = (struct err){0};
    assert_ok(image_probe(bytes.data, bytes.len, &tight, &info, &e), e);
    buf_clear(&bytes);
    image_clear(&drawn);
}

/* ---- memory that all decoders share ---- */

enum { SHARED = 64 << 20 };

static bool is_all_back(struct budget *b)
{
    size_t taken;
    bool ok = budget_take(b, SHARED, 0, &taken, NULL);
    budget_give(b, taken);
    return ok;
}

static void a_picture_holds_what_decoding_it_takes_until_it_is_cleared(void **state)
{
    UNUSED(state);
    enum { SIDE = 400, PIXELS = SIDE * SIDE };
    static const struct {
        enum image_format format;
        bool progressive;
        uint32_t goal;
        size_t least, most;
    } cases[] = {
        {IMAGE_JPEG, false, 0, 3 * PIXELS, 3 * PIXELS},
        {IMAGE_JPEG, false, 25, 3 * PIXELS / 64, 3 * PIXELS / 64}, /* scaled to an eighth */
        {IMAGE_JPEG, true, 25, 6 * PIXELS, 7 * PIXELS},            /* 16 bits for each coefficient */
        {IMAGE_PNG, false, 0, 4 * PIXELS, 4 * PIXELS},
        {IMAGE_WEBP, false, 0, 8 * PIXELS, 8 * PIXELS},
    };
    struct image_limits sharing = image_default_limits;
    struct budget *b = sharing.memory = budget_new(SHARED);
    struct image img = t_picture(3, SIDE, SIDE), got;
    struct err e = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf bytes = {0};
        encode_as(&img, cases[i].format, cases[i].progressive, &bytes);
        assert_ok(image_decode(bytes.data, bytes.len, &sharing, cases[i].goal, &got, &e), e);
        if (got.held < cases[i].least || got.held > cases[i].most)
            fail_msg("case %zu holds %zu bytes, not %zu to %zu", i, got.held, cases[i].least, cases[i].most);
        assert_false(is_all_back(b));
        image_clear(&got);
        assert_true(is_all_back(b));
        assert_false(image_decode(bytes.data, bytes.len * 2 / 3, &sharing, 0, &got, &e)); /* damaged */
        assert_true(is_all_back(b));
        e = (struct err){0};
        buf_clear(&bytes);
    }
    image_clear(&img);
    budget_free(b);
}

static void a_turned_picture_holds_its_copy_too(void **state)
{
    UNUSED(state);
    struct image_limits sharing = image_default_limits;
    struct image img = t_picture(3, 60, 40), got;
    struct buf bytes = {0};
    struct err e = {0};
    sharing.memory = budget_new(SHARED);
    encode_turned(&img, IMAGE_PNG, 6, false, &bytes);
    assert_ok(image_decode(bytes.data, bytes.len, &sharing, 0, &got, &e), e);
    assert_int_equal(got.width, 40);
    assert_int_equal(got.held, 2 * 60 * 40 * 3);
    image_clear(&got);
    assert_true(is_all_back(sharing.memory));
    image_clear(&img);
    buf_clear(&bytes);
    budget_free(sharing.memory);
}

static void who_finds_no_memory_waits_as_long_as_a_decode_may_take(void **state)
{
    UNUSED(state);
    struct image_limits sharing = image_default_limits;
    struct image img = t_picture(3, 100, 100), first, second;
    struct buf bytes = {0};
    struct err e = {0};
    sharing.memory = budget_new(40000); /* room for one */
    sharing.millis = 300;
    encode_as(&img, IMAGE_JPEG, false, &bytes);
    assert_ok(image_decode(bytes.data, bytes.len, &sharing, 0, &first, &e), e);
    int64_t start = clock_ns();
    assert_err(image_decode(bytes.data, bytes.len, &sharing, 0, &second, &e), e, ERR_BUSY);
    assert_true(clock_ns() - start >= 290 * 1000000);
    image_clear(&first);
    e = (struct err){0};
    assert_ok(image_decode(bytes.data, bytes.len, &sharing, 0, &second, &e), e);
    image_clear(&second);
    image_clear(&img);
    buf_clear(&bytes);
    budget_free(sharing.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_content_tells_the_format),
        cmocka_unit_test(what_is_no_picture_is_refused_by_type),
        cmocka_unit_test(a_file_that_claims_four_gigabytes_is_refused),
        cmocka_unit_test(a_png_comes_back_exactly_and_a_jpeg_nearly),
        cmocka_unit_test(all_eight_orientations_come_out_upright),
        cmocka_unit_test(hostile_exif_means_upright),
        cmocka_unit_test(an_orientation_of_type_long_counts),
        cmocka_unit_test(a_picture_of_another_kind_is_refused_by_its_name),
        cmocka_unit_test(pictures_of_a_single_pixel_are_read),
        cmocka_unit_test(limits_are_told_with_their_numbers),
        cmocka_unit_test(a_picture_holds_what_decoding_it_takes_until_it_is_cleared),
        cmocka_unit_test(a_turned_picture_holds_its_copy_too),
        cmocka_unit_test(who_finds_no_memory_waits_as_long_as_a_decode_may_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
