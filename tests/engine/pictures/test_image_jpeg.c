/* test_image_jpeg.c - JPEG files of every form, and hostile ones: bombs, floods, cuts, flips. */
#include "tests/t.h"

#include <time.h>

#include "engine/pictures/image.h"
#include "engine/pictures/jpeg_markers.h"
#include "tests/lib/pictures.h"

static const struct image_limits *const limits = &image_default_limits;

/* Processor time, which other programs on the machine do not stretch. */
static double cpu_millis(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static struct buf encode(uint32_t width, uint32_t height, const struct jpeg_form *form)
{
    struct image img = t_picture(3, width, height);
    struct buf bytes = {0};
    t_jpeg(&img, form, &bytes);
    image_clear(&img);
    return bytes;
}

/* The offset of the first marker of this kind. */
static size_t find_marker(const struct buf *b, unsigned marker)
{
    for (size_t at = 2; at + 3 < b->len;) {
        if (((const uint8_t *)b->data)[at + 1] == marker)
            return at;
        at += 2 + ((size_t)(uint8_t)b->data[at + 2] << 8) + (uint8_t)b->data[at + 3];
    }
    fail_msg("no marker %x", marker);
    return 0;
}

static uint8_t orientation_of(const struct buf *b)
{
    struct jpeg_markers m;
    jpeg_markers_read((const uint8_t *)b->data, b->len, &m);
    return m.orientation;
}

/* Not decoded, with this code, within so many milliseconds. */
static void assert_refused(const char *what, const struct buf *b, enum err_code code, double millis)
{
    struct err e = {0};
    struct image img;
    const double start = cpu_millis();
    if (image_decode(b->data, b->len, limits, 0, &img, &e))
        fail_msg("%s was decoded", what);
    const double took = cpu_millis() - start;
    if (e.code != code)
        fail_msg("%s: %s (%s), expected %s", what, err_name(e.code), e.text, err_name(code));
    if (took > t_patience(millis))
        fail_msg("%s took %.1f ms", what, took);
}

static void every_form_of_jpeg_is_decoded(void **state)
{
    static const struct {
        const char *what;
        struct jpeg_form form;
        double allowed;
    } cases[] = {
        {"plain", {0}, 4},
        {"progressive", {.progressive = true}, 4},
        {"4:4:4", {.across = 1, .down = 1}, 3},
        {"4:4:0", {.across = 1, .down = 2}, 4},
        {"4:1:1", {.across = 4, .down = 1}, 5},
        {"arithmetic", {.arithmetic = true}, 4},
        {"16-bit tables", {.deep_tables = true, .progressive = true}, 4},
        {"restart intervals", {.restart = 3}, 4},
        {"a scan for each component", {.apart = true}, 4},
        {"RGB", {.colours = JPEG_RGB}, 3},
        {"CMYK, Adobe", {.colours = JPEG_CMYK}, 4},
        {"CMYK without the marker", {.colours = JPEG_CMYK, .unmarked = true}, 4},
        {"YCCK, Adobe", {.colours = JPEG_YCCK}, 4},
    };
    UNUSED(state);
    struct image drawn = t_picture(3, 97, 61);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct image got;
        struct buf bytes = {0};
        t_jpeg(&drawn, &cases[i].form, &bytes);
        if (!image_decode(bytes.data, bytes.len, limits, 0, &got, &e))
            fail_msg("%s: %s", cases[i].what, e.text);
        if (!(t_difference(&got, &drawn) <= cases[i].allowed))
            fail_msg("%s: mean difference %g", cases[i].what, t_difference(&got, &drawn));
        buf_clear(&bytes);
        image_clear(&got);
    }
    image_clear(&drawn);
}

static void grey_becomes_three_equal_channels(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image got;
    struct buf bytes = encode(40, 30, &(struct jpeg_form){.colours = JPEG_GREY});
    assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &got, &e), e);
    for (size_t i = 0; i < 40 * 30; i++)
        assert_true(got.rgb[i * 3] == got.rgb[i * 3 + 1] && got.rgb[i * 3] == got.rgb[i * 3 + 2]);
    buf_clear(&bytes);
    image_clear(&got);
}

static void scaling_is_by_powers_of_two_and_leaves_twice_what_is_asked(void **state)
{
    static const struct {
        uint32_t goal, width, height;
    } cases[] = {{0, 203, 130}, {UINT32_MAX, 203, 130}, {65, 203, 130}, {33, 203, 130}, {32, 102, 65},
                 {17, 102, 65}, {16, 51, 33},           {9, 51, 33},    {8, 26, 17},    {1, 26, 17}};
    UNUSED(state);
    struct buf bytes = encode(203, 130, &(struct jpeg_form){0});
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct image got;
        assert_ok(image_decode(bytes.data, bytes.len, limits, cases[i].goal, &got, &e), e);
        assert_int_equal(got.width, cases[i].width);
        assert_int_equal(got.height, cases[i].height);
        image_clear(&got);
    }
    buf_clear(&bytes);
}

static void sizes_are_judged_before_a_pixel_is_decoded(void **state)
{
    static const struct {
        unsigned width, height;
        enum err_code code;
    } cases[] = {{65500, 65500, ERR_TOO_LARGE}, {16384, 16384, ERR_TOO_LARGE}, {16385, 100, ERR_TOO_LARGE},
                 {65535, 100, ERR_UNDECODABLE}, {0, 100, ERR_UNDECODABLE},     {100, 0, ERR_UNDECODABLE},
                 {0, 0, ERR_UNDECODABLE}};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf bytes = encode(16, 16, &(struct jpeg_form){0});
        char *frame = bytes.data + find_marker(&bytes, 0xc0) + 5, what[64];
        frame[0] = (char)(cases[i].height >> 8);
        frame[1] = (char)cases[i].height;
        frame[2] = (char)(cases[i].width >> 8);
        frame[3] = (char)cases[i].width;
        snprintf(what, sizeof what, "%u x %u", cases[i].width, cases[i].height);
        assert_refused(what, &bytes, cases[i].code, 5);
        buf_clear(&bytes);
    }
}

/* A progressive picture with n more scans that refine nothing. */
static struct buf scan_bomb(uint32_t width, uint32_t height, size_t n)
{
    struct buf bytes = encode(64, 64, &(struct jpeg_form){.progressive = true, .colours = JPEG_GREY});
    char *frame = bytes.data + find_marker(&bytes, 0xc2) + 5;
    frame[0] = (char)(height >> 8);
    frame[1] = (char)height;
    frame[2] = (char)(width >> 8);
    frame[3] = (char)width;
    bytes.len -= 2;                /* the end marker */
    for (size_t i = 0; i < n; i++) /* one component, DC, refinement of bit 0 */
        buf_add(&bytes, "\xff\xda\0\x08\x01\x01\0\0\0\x10", 10);
    buf_add(&bytes, "\xff\xd9", 2);
    return bytes;
}

static void scan_bombs_are_refused_at_once(void **state)
{
    UNUSED(state);
    static const size_t scans[] = {2000, 100000};
    for (size_t i = 0; i < COUNT(scans); i++) {
        struct buf bytes = scan_bomb(8000, 6250, scans[i]);
        struct err e = {0};
        struct image_info info;
        assert_refused("a scan bomb", &bytes, ERR_TOO_LARGE, 50);
        assert_err(image_probe(bytes.data, bytes.len, limits, &info, &e), e, ERR_TOO_LARGE);
        buf_clear(&bytes);
    }
}

static void the_wall_clock_ends_what_no_count_has_stopped(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img;
    struct image_limits hurried = *limits;
    struct buf bytes = encode(2000, 1500, &(struct jpeg_form){.progressive = true});
    hurried.millis = 1;
    assert_err(image_decode(bytes.data, bytes.len, &hurried, 0, &img, &e), e, ERR_TOO_LARGE);
    hurried.millis = 0;
    e = (struct err){0};
    assert_ok(image_decode(bytes.data, bytes.len, &hurried, 0, &img, &e), e);
    image_clear(&img);
    buf_clear(&bytes);
}

static void marker_floods_cost_linear_time(void **state)
{
    static const struct {
        const char *what;
        size_t n, body;
        char kind;
    } floods[] = {{"20,000 empty APP1", 20000, 0, '\xe1'},
                  {"1,000,000 empty APP1", 1000000, 0, '\xe1'},
                  {"300 full APP1", 300, 65533, '\xe1'},
                  {"300 full COM", 300, 65533, '\xfe'}};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(floods); i++) {
        struct err e = {0};
        struct image_info info;
        struct buf bytes = encode(16, 16, &(struct jpeg_form){0}), flood = {0};
        char *body = calloc(1, floods[i].body + 1);
        const size_t size = floods[i].body + 2;
        const char head[4] = {'\xff', floods[i].kind, (char)(size >> 8), (char)size};
        for (size_t k = 0; k < floods[i].n; k++) {
            buf_add(&flood, head, 4);
            buf_add(&flood, body, floods[i].body);
        }
        t_insert(&bytes, 2, flood.data, flood.len);
        const double start = cpu_millis();
        assert_ok(image_probe(bytes.data, bytes.len, limits, &info, &e), e);
        const double took = cpu_millis() - start;
        if (took > t_patience(100))
            fail_msg("%s took %.1f ms", floods[i].what, took);
        free(body);
        buf_clear(&flood);
        buf_clear(&bytes);
    }
}

static void a_cut_at_any_percent_is_refused(void **state)
{
    static const struct jpeg_form forms[] = {
        {0}, {.progressive = true}, {.restart = 4}, {.arithmetic = true}, {.apart = true}};
    UNUSED(state);
    for (size_t f = 0; f < COUNT(forms); f++) {
        struct buf bytes = encode(120, 90, &forms[f]);
        for (size_t percent = 1; percent < 100; percent++) {
            struct buf cut = {0};
            char what[32];
            buf_add(&cut, bytes.data, bytes.len * percent / 100);
            snprintf(what, sizeof what, "cut at %zu %%", percent);
            assert_refused(what, &cut, ERR_UNDECODABLE, 100);
            buf_clear(&cut);
        }
        buf_clear(&bytes);
    }
}

/* ---- oddities of real writers, in which every pixel is as it was written ---- */

/* The offset of the n-th marker of this kind (from 0), wherever it stands; the end when there are fewer. */
static size_t nth_marker(const struct buf *b, unsigned marker, size_t n)
{
    const uint8_t *bytes = (const uint8_t *)b->data;
    for (size_t at = 2; at + 1 < b->len; at++)
        if (bytes[at] == 0xff && bytes[at + 1] == marker && n-- == 0)
            return at;
    return b->len;
}

static void overwrite(struct buf *b, size_t at, const void *bytes, size_t n)
{
    assert_true(at + n <= b->len);
    memcpy(b->data + at, bytes, n);
}

static void spectral_selection_of_zeros(struct buf *b) /* Samsung's phones, IP cameras */
{
    const size_t scan = nth_marker(b, 0xda, 0);
    overwrite(b, scan + 2 + (uint8_t)b->data[scan + 3] - 3, "\0\0\0", 3);
}

static void jfif_of_the_future(struct buf *b)
{
    overwrite(b, nth_marker(b, 0xe0, 0) + 9, "\3", 1);
}

static void unknown_adobe_transform(struct buf *b)
{
    t_insert(b, 2,
             "\xff\xee\0\x0e"
             "Adobe\0\x64\0\0\0\0\7",
             16);
}

static void stray_bytes_between_segments(struct buf *b)
{
    t_insert(b, nth_marker(b, 0xc0, 0), "ab", 2);
    t_insert(b, nth_marker(b, 0xdb, 0), "\0\0", 2);
}

static void zeros_in_front_of_the_scan(struct buf *b)
{
    t_insert(b, nth_marker(b, 0xda, 0), "\0\0\0\0\0\0\0\0", 8);
}

static void zeros_in_front_of_the_end(struct buf *b)
{
    t_insert(b, nth_marker(b, 0xd9, 0), "\0\0\0\0\0\0\0\0\0", 9);
}

static void bytes_in_front_of_restarts(struct buf *b)
{
    t_insert(b, nth_marker(b, 0xd0, 0), "\1\2", 2);
    t_insert(b, nth_marker(b, 0xd1, 0), "\1\2\3", 3);
}

static void end_marker_cut(struct buf *b)
{
    b->len -= 1;
}

static void no_end_marker(struct buf *b)
{
    b->len -= 2;
}

static void something_else_instead_of_the_end(struct buf *b)
{
    overwrite(b, b->len - 2, "ab", 2);
}

static void a_segment_too_short_for_its_length(struct buf *b)
{
    t_insert(b, 2, "\xff\xe3\0\0", 4);
}

static struct image decoded(const char *what, const struct buf *b)
{
    struct err e = {0};
    struct image img;
    if (!image_decode(b->data, b->len, limits, 0, &img, &e))
        fail_msg("%s: %s", what, e.text);
    return img;
}

static void what_leaves_all_pixels_is_read_to_the_same_pixels(void **state)
{
    static const struct jpeg_form plain = {0}, restarts = {.restart = 2}, progressive = {.progressive = true},
                                  apart = {.apart = true};
    static const struct {
        const char *what;
        const struct jpeg_form *form;
        void (*make)(struct buf *b);
    } cases[] = {
        {"spectral selection of zeros", &plain, spectral_selection_of_zeros},
        {"JFIF 3", &plain, jfif_of_the_future},
        {"Adobe's transform 7", &plain, unknown_adobe_transform},
        {"bytes between segments", &plain, stray_bytes_between_segments},
        {"bytes in a scan for each component", &apart, stray_bytes_between_segments},
        {"zeros before SOS", &plain, zeros_in_front_of_the_scan},
        {"zeros before EOI", &plain, zeros_in_front_of_the_end},
        {"zeros before EOI of a progressive one", &progressive, zeros_in_front_of_the_end},
        {"bytes before RST", &restarts, bytes_in_front_of_restarts},
        {"half an EOI", &plain, end_marker_cut},
        {"no EOI", &plain, no_end_marker},
        {"no EOI, progressive", &progressive, no_end_marker},
        {"no EOI, a scan for each component", &apart, no_end_marker},
        {"EOI overwritten", &plain, something_else_instead_of_the_end},
        {"a segment of length 0", &plain, a_segment_too_short_for_its_length},
    };
    UNUSED(state);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf bytes = encode(75, 50, cases[i].form), exif = {0};
        struct image want = decoded("the plain one", &bytes);
        cases[i].make(&bytes);
        struct image got = decoded(cases[i].what, &bytes);
        if (memcmp(got.rgb, want.rgb, 75 * 50 * 3) != 0)
            fail_msg("%s: other pixels", cases[i].what);
        t_exif(6, false, &exif); /* our own walk over the markers goes the same way */
        t_insert(&bytes, nth_marker(&bytes, 0xda, 0), exif.data, exif.len);
        assert_int_equal(orientation_of(&bytes), 6);
        image_clear(&want);
        image_clear(&got);
        buf_clear(&exif);
        buf_clear(&bytes);
    }
}

/* A scan that is cut off whole, or whose marker is damaged so that it passes for padding. */
static void a_missing_scan_is_noticed(void **state)
{
    static const struct jpeg_form forms[] = {{.progressive = true}, {.apart = true}};
    UNUSED(state);
    for (size_t f = 0; f < COUNT(forms); f++) {
        struct buf bytes = encode(75, 50, &forms[f]);
        size_t scans = 0;
        while (nth_marker(&bytes, 0xda, scans) < bytes.len)
            scans++;
        assert_true(scans >= 3);
        for (size_t i = 1; i < scans; i++) {
            const size_t at = nth_marker(&bytes, 0xda, i);
            struct buf cut = {0};
            buf_add(&cut, bytes.data, at);
            assert_refused("a file that ends before a scan", &cut, ERR_UNDECODABLE, 100);
            buf_add(&cut, bytes.data + at, bytes.len - at);
            cut.data[at] = 0;
            assert_refused("a scan without its marker", &cut, ERR_UNDECODABLE, 100);
            buf_clear(&cut);
        }
        buf_clear(&bytes);
    }
}

static void lossless_jpeg_is_refused_by_name(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img;
    struct buf bytes = encode(32, 32, &(struct jpeg_form){0});
    bytes.data[find_marker(&bytes, 0xc0) + 1] = '\xc3';
    assert_err(image_decode(bytes.data, bytes.len, limits, 0, &img, &e), e, ERR_UNDECODABLE);
    assert_non_null(strstr(e.text, "lossless"));
    buf_clear(&bytes);
}

/* Decodes bytes[0..n) from memory of exactly that size, so that ASan sees the end.  Gives the verdict. */
static enum err_code verdict(const uint8_t *bytes, size_t n)
{
    struct err e = {0};
    struct image img;
    if (!image_decode(bytes, n, limits, 0, &img, &e))
        return e.code;
    image_clear(&img);
    return ERR_NONE;
}

static void every_flip_of_a_bit_is_survived_and_judged_the_same_twice(void **state)
{
    UNUSED(state);
    struct buf bytes = encode(40, 40, &(struct jpeg_form){.quality = 85});
    uint8_t *exact = malloc(bytes.len);
    size_t refused = 0, n = bytes.len * 8;
    for (size_t bit = 0; bit < n; bit += T_SLOWER) {
        memcpy(exact, bytes.data, bytes.len);
        exact[bit / 8] ^= (uint8_t)(1 << bit % 8);
        const enum err_code code = verdict(exact, bytes.len);
        if (code != ERR_NONE && code != ERR_UNDECODABLE && code != ERR_TOO_LARGE && code != ERR_MEDIA_TYPE)
            fail_msg("bit %zu: %s", bit, err_name(code));
        if (verdict(exact, bytes.len) != code)
            fail_msg("bit %zu: another verdict the second time", bit);
        refused += code != ERR_NONE;
    }
    assert_in_range(bytes.len, 1000, 3000);
    assert_in_range(refused, 1, n - 1);
    free(exact);
    buf_clear(&bytes);
}

static void what_follows_the_end_marker_does_not_matter(void **state)
{
    UNUSED(state);
    struct err e = {0};
    struct image img;
    struct buf bytes = encode(32, 32, &(struct jpeg_form){0});
    const size_t ten = 10 << 20;
    char *zeros = calloc(1, ten);
    buf_text(&bytes, "PK\3\4 and the rest of a zip archive");
    buf_add(&bytes, zeros, ten);
    assert_ok(image_decode(bytes.data, bytes.len, limits, 0, &img, &e), e);
    image_clear(&img);
    free(zeros);
    buf_clear(&bytes);
}

static void the_first_exif_block_counts(void **state)
{
    UNUSED(state);
    struct buf bytes = encode(16, 16, &(struct jpeg_form){0}), first = {0}, second = {0};
    t_exif(3, true, &first);
    t_exif(6, false, &second);
    t_insert(&bytes, 2, second.data, second.len);
    t_insert(&bytes, 2, first.data, first.len);
    t_insert(&bytes, 2, "\xff\xe1\0\x0ahttp://", 12); /* another kind of APP1 in front */
    assert_int_equal(orientation_of(&bytes), 3);
    bytes.data[2 + 12 + 4] = 'e'; /* the first is no EXIF any more */
    assert_int_equal(orientation_of(&bytes), 6);
    buf_clear(&bytes);
    buf_clear(&first);
    buf_clear(&second);
}

static void a_progressive_picture_at_the_pixel_limit_stays_within_its_memory(void **state)
{
    UNUSED(state);
    if (T_SLOWER > 1)
        skip();
    struct err e = {0};
    struct image img;
    struct buf bytes = encode(8000, 6250, &(struct jpeg_form){.progressive = true, .quality = 20});
    assert_ok(image_decode(bytes.data, bytes.len, limits, 256, &img, &e), e);
    assert_int_equal(img.height, 782);
    image_clear(&img);
    bytes.len = 0;
    buf_clear(&bytes);
    bytes = encode(8000, 6250, &(struct jpeg_form){.progressive = true, .quality = 20, .colours = JPEG_CMYK});
    assert_refused("50 million pixels of four inks", &bytes, ERR_TOO_LARGE, 1000); /* 400 MB of coefficients */
    buf_clear(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_jpeg_is_decoded),
        cmocka_unit_test(grey_becomes_three_equal_channels),
        cmocka_unit_test(scaling_is_by_powers_of_two_and_leaves_twice_what_is_asked),
        cmocka_unit_test(sizes_are_judged_before_a_pixel_is_decoded),
        cmocka_unit_test(scan_bombs_are_refused_at_once),
        cmocka_unit_test(the_wall_clock_ends_what_no_count_has_stopped),
        cmocka_unit_test(marker_floods_cost_linear_time),
        cmocka_unit_test(a_cut_at_any_percent_is_refused),
        cmocka_unit_test(what_leaves_all_pixels_is_read_to_the_same_pixels),
        cmocka_unit_test(a_missing_scan_is_noticed),
        cmocka_unit_test(lossless_jpeg_is_refused_by_name),
        cmocka_unit_test(every_flip_of_a_bit_is_survived_and_judged_the_same_twice),
        cmocka_unit_test(what_follows_the_end_marker_does_not_matter),
        cmocka_unit_test(the_first_exif_block_counts),
        cmocka_unit_test(a_progressive_picture_at_the_pixel_limit_stays_within_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
