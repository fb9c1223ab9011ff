/* test_images.c - pictures that are damaged, huge, disguised or hostile, sent to the running server.
 *
 * The bad ones are made here from a good one.  A refused picture must leave the store as it was.
 */
#include "tests/t.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "engine/pictures/image.h"
#include "tests/lib/expect.h"
#include "tests/lib/probe.h"
#include "tests/lib/results_table.h"

#define IMAGE "/v1/collections/default/images/x"

static struct server server;
static struct buf photo, tiny;

static int start(void **state)
{
    UNUSED(state);
    expect_start(&server, &(struct server_options){0});
    draw_jpeg(5, 200, &photo);
    draw_jpeg(9, 16, &tiny);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    buf_clear(&photo);
    buf_clear(&tiny);
    expect_stop(&server);
    return 0;
}

static int64_t stored(void)
{
    struct client c = client_to(server.port);
    struct json *all = expect_get(&c, 200, "/v1/collections/default");
    int64_t n = int_at(all, "images");
    json_free(all);
    client_close(&c);
    return n;
}

/* Puts the bytes, notes the row, empties b. */
static void probe_image(const char *what, const char *pattern, const char *code, struct buf *b, double max_s)
{
    probe_ask(&server, what, pattern, code,
              &(struct ask){.method = "PUT",
                            .target = IMAGE,
                            .type = "image/jpeg",
                            .body = b->data ? b->data : "",
                            .len = b->len,
                            .timeout = max_s});
    buf_clear(b);
}

static void probe_bytes(const char *what, const char *pattern, const char *code, const void *bytes, size_t len)
{
    struct buf b = {0};
    buf_add(&b, bytes, len);
    probe_image(what, pattern, code, &b, 1);
}

/* Where the frame header (SOF) begins: its marker's first byte. */
static size_t frame_at(const struct buf *b)
{
    for (size_t i = 2; i + 9 < b->len; i++)
        if ((unsigned char)b->data[i] == 0xff &&
            ((unsigned char)b->data[i + 1] == 0xc0 || (unsigned char)b->data[i + 1] == 0xc2))
            return i;
    fail_msg("there is no frame header");
    return 0;
}

static void probe_size(const char *what, unsigned width, unsigned height, const char *pattern, const char *code)
{
    struct buf b = {0};
    buf_add(&b, photo.data, photo.len);
    char *frame = b.data + frame_at(&b);
    frame[5] = (char)(height >> 8);
    frame[6] = (char)height;
    frame[7] = (char)(width >> 8);
    frame[8] = (char)width;
    probe_image(what, pattern, code, &b, 0.5);
}

static void claimed_sizes_are_checked_before_decoding(void **state)
{
    UNUSED(state);
    int before = results_bad();
    result_section("Images: sizes");
    probe_size("a header that claims 65500 x 65500", 65500, 65500, "413", "too_large");
    probe_size("a header that claims 65535 x 8", 65535, 8, "413/422", NULL);
    probe_size("a header that claims 16384 x 16384", 16384, 16384, "413", "too_large");
    probe_size("a header that claims 0 x 200", 0, 200, "422", "undecodable_image");
    probe_size("a header that claims 200 x 0", 200, 0, "422", "undecodable_image");
    probe_size("a header that claims 200 x 4000, more rows than there are", 200, 4000, "422", "undecodable_image");
    assert_int_equal(stored(), 0);
    assert_int_equal(results_bad(), before);
}

static void what_is_no_known_picture_is_refused_whatever_its_header_says(void **state)
{
    UNUSED(state);
    static const char gif[] =
        "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,",
                      html[] = "<html><script>alert(1)</script></html>", zip[] = "PK\x03\x04\x14\x00\x00\x00",
                      soi[] = "\xff\xd8", riff[] = "RIFF\xff\xff\xff\xffWEBPVP8 ",
                      png[] = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x02\x00\x00\x00";
    int before = results_bad();
    result_section("Images: other formats, all sent as image/jpeg");
    probe_bytes("nothing at all", "400/415/422", NULL, "", 0);
    probe_bytes("a GIF", "415", "unsupported_media_type", gif, sizeof gif - 1);
    probe_bytes("HTML", "415", "unsupported_media_type", html, sizeof html - 1);
    probe_bytes("a ZIP", "415", "unsupported_media_type", zip, sizeof zip - 1);
    probe_bytes("two bytes of a JPEG", "415/422", NULL, soi, 2);
    probe_bytes("a WebP that claims 4 GB", "413/422", NULL, riff, sizeof riff - 1);
    probe_bytes("a PNG that claims 2^32 - 1 squared", "413/422", NULL, png, sizeof png - 1);
    assert_int_equal(stored(), 0);
    assert_int_equal(results_bad(), before);
}

static void put_marker(struct buf *b, unsigned char marker, const void *bytes, size_t len)
{
    unsigned char head[4] = {0xff, marker, (unsigned char)((len + 2) >> 8), (unsigned char)(len + 2)};
    buf_add(b, head, 4);
    buf_add(b, bytes, len);
}

/* A JPEG with n markers of `len` bytes right after its start. */
static void with_markers(struct buf *b, unsigned char marker, size_t n, size_t len)
{
    static const char zeros[65000];
    buf_add(b, photo.data, 2);
    for (size_t i = 0; i < n; i++)
        put_marker(b, marker, zeros, len);
    buf_add(b, photo.data + 2, photo.len - 2);
}

static void floods_of_markers_cost_no_time(void **state)
{
    UNUSED(state);
    struct buf b = {0};
    int before = results_bad();
    result_section("Images: floods");
    with_markers(&b, 0xe1, 20000, 0);
    probe_image("20,000 empty APP1 markers, within 0.3 s", "200/201/413/422", NULL, &b, 0.3);
    with_markers(&b, 0xe1, 1000000, 0);
    probe_image("1,000,000 empty APP1 markers (4 MB), within 0.5 s", "200/201/413/422", NULL, &b, 0.5);
    with_markers(&b, 0xe1, 300, 64000);
    probe_image("300 APP1 markers of 64 KB, within 0.5 s", "200/201/413/422", NULL, &b, 0.5);
    with_markers(&b, 0xfe, 10, 65000);
    probe_image("10 comments of 64 KB", "200/201", NULL, &b, 0.5);
    assert_int_equal(results_bad(), before);
}

/* A progressive JPEG of 4096 x 4096 grey pixels whose scans are empty: each costs the decoder a whole pass. */
static void scan_bomb(struct buf *b, size_t scans)
{
    static const unsigned char frame[] = {8, 0x10, 0, 0x10, 0, 1, 1, 0x11, 0}, first[] = {1, 1, 0, 0, 0, 0},
                               table[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                               more[] = {1, 1, 0, 1, 63, 0};
    unsigned char quant[65] = {0}, ac[18] = {0x10, 1};
    memset(quant + 1, 1, 64);
    buf_add(b, "\xff\xd8", 2);
    put_marker(b, 0xdb, quant, sizeof quant);
    put_marker(b, 0xc2, frame, sizeof frame);
    put_marker(b, 0xc4, table, sizeof table);
    put_marker(b, 0xc4, ac, sizeof ac);
    for (size_t i = 0; i < scans; i++)
        put_marker(b, 0xda, i ? more : first, 6);
    buf_add(b, "\xff\xd9", 2);
}

static void scan_bombs_are_refused_before_they_go_off(void **state)
{
    UNUSED(state);
    struct buf b = {0};
    int before = results_bad();
    scan_bomb(&b, 2000);
    probe_image("16 million pixels in 2,000 scans, within 0.3 s", "413/422", NULL, &b, 0.3);
    scan_bomb(&b, 100000);
    probe_image("16 million pixels in 100,000 scans, within 0.3 s", "413/422", NULL, &b, 0.3);
    assert_int_equal(results_bad(), before);
}

/* ---- damage ---- */

static int put_status(struct client *c, const void *bytes, size_t len)
{
    struct reply r = {0};
    client_ask(c, &(struct ask){.method = "PUT", .target = IMAGE, .type = "image/jpeg", .body = bytes, .len = len}, &r);
    int status = r.status;
    reply_clear(&r);
    return status;
}

static void a_picture_cut_at_any_point_is_refused(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    size_t refused = 0, other = 0;
    for (size_t percent = 0; percent < 100; percent++) {
        int status = put_status(&c, photo.data, photo.len * percent / 100);
        refused += status == 422 || status == 415 || status == 400;
        other += !(status == 422 || status == 415 || status == 400);
    }
    result_section("Images: damage");
    result_row(refused == 100, "a photograph cut off after 0 to 99 percent", "100 times refused",
               "%zu refused, %zu not", refused, other);
    assert_int_equal(refused, 100);
    client_close(&c);
}

static void a_picture_with_any_one_byte_changed_crashes_nothing(void **state)
{
    UNUSED(state);
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    struct client c = client_to(server.port);
    size_t taken = 0, refused = 0, other = 0;
    for (size_t i = 0; i < tiny.len; i++) {
        unsigned char mask = masks[i % COUNT(masks)];
        tiny.data[i] ^= (char)mask;
        int status = put_status(&c, tiny.data, tiny.len);
        tiny.data[i] ^= (char)mask;
        taken += status == 200 || status == 201;
        refused += status >= 400 && status < 500;
        other += status < 200 || status >= 500;
    }
    result_row(other == 0 && server_alive(&server), "a small JPEG with each of its bytes changed in turn",
               "taken or 4xx", "%zu taken, %zu refused, %zu other", taken, refused, other);
    assert_int_equal(other, 0);
    assert_true(taken > 0 && refused > 0);
    client_close(&c);
}

/* ---- EXIF ---- */

/* The photo with an APP1 of these bytes after "Exif\0\0". */
static void with_exif(struct buf *b, const void *tiff, size_t len)
{
    struct buf payload = {0};
    buf_add(&payload, "Exif\0\0", 6);
    buf_add(&payload, tiff, len);
    buf_add(b, photo.data, 2);
    put_marker(b, 0xe1, payload.data, payload.len);
    buf_add(b, photo.data + 2, photo.len - 2);
    buf_clear(&payload);
}

/* A little-endian TIFF with one directory of one entry: the orientation. */
static void exif_orientation(unsigned char tiff[26], unsigned value)
{
    static const unsigned char plain[26] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1};
    memcpy(tiff, plain, sizeof plain);
    tiff[18] = (unsigned char)value;
    tiff[19] = (unsigned char)(value >> 8);
}

static void hostile_exif_is_taken_as_none(void **state)
{
    UNUSED(state);
    struct buf b = {0};
    unsigned char tiff[26];
    int before = results_bad();
    result_section("Images: EXIF");
    static const unsigned odd[] = {0, 9, 65535};
    for (size_t i = 0; i < COUNT(odd); i++) {
        char what[60];
        exif_orientation(tiff, odd[i]);
        with_exif(&b, tiff, sizeof tiff);
        snprintf(what, sizeof what, "orientation %u", odd[i]);
        probe_image(what, "200/201", NULL, &b, 1);
    }
    exif_orientation(tiff, 6);
    tiff[22] = 8; /* the next directory is this one */
    with_exif(&b, tiff, sizeof tiff);
    probe_image("a directory that follows itself", "200/201", NULL, &b, 1);
    exif_orientation(tiff, 6);
    memset(tiff + 4, 0xff, 4);
    with_exif(&b, tiff, sizeof tiff);
    probe_image("a directory at 2^32 - 1", "200/201", NULL, &b, 1);
    exif_orientation(tiff, 6);
    memset(tiff + 8, 0xff, 2);
    with_exif(&b, tiff, sizeof tiff);
    probe_image("65,535 entries in 26 bytes", "200/201", NULL, &b, 1);
    exif_orientation(tiff, 6);
    memset(tiff + 14, 0xff, 4);
    with_exif(&b, tiff, sizeof tiff);
    probe_image("a count of 2^32 - 1", "200/201", NULL, &b, 1);
    exif_orientation(tiff, 6);
    tiff[0] = 'M';
    with_exif(&b, tiff, sizeof tiff);
    probe_image("MI for the byte order", "200/201", NULL, &b, 1);
    with_exif(&b, "", 0);
    probe_image("an empty EXIF block", "200/201", NULL, &b, 1);
    assert_int_equal(results_bad(), before);
}

static void turned_pictures_tell_their_upright_size(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    struct image img;
    struct err e = {0};
    assert_ok(image_new(60, 30, &img, &e), e);
    for (size_t i = 0; i < 60 * 30 * 3; i++)
        img.rgb[i] = (uint8_t)(i * 7);
    struct buf plain = {0};
    assert_ok(image_write_jpeg(&img, 90, &plain, &e), e);
    image_clear(&img);
    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        unsigned char tiff[26], exif[32] = "Exif\0";
        struct buf b = {0};
        exif_orientation(tiff, orientation);
        memcpy(exif + 6, tiff, sizeof tiff);
        buf_add(&b, plain.data, 2);
        put_marker(&b, 0xe1, exif, sizeof exif);
        buf_add(&b, plain.data + 2, plain.len - 2);
        struct json *made = expect_json(&c, orientation == 1 ? 201 : 200,
                                        &(struct ask){.method = "PUT",
                                                      .target = "/v1/collections/default/images/turned",
                                                      .type = "image/jpeg",
                                                      .body = b.data,
                                                      .len = b.len});
        assert_int_equal(int_at(made, "width"), orientation < 5 ? 60 : 30);
        assert_int_equal(int_at(made, "height"), orientation < 5 ? 30 : 60);
        json_free(made);
        buf_clear(&b);
    }
    buf_clear(&plain);
    client_close(&c);
}

/* ---- what is odd and still right ---- */

static void what_follows_a_picture_is_kept_byte_for_byte(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    struct reply r = {0};
    struct buf b = {0};
    char sent[HASH_HEX], got[HASH_HEX];
    buf_add(&b, photo.data, photo.len);
    buf_text(&b, "PK\x03\x04 and whatever else");
    buf_reserve(&b, 4u << 20);
    memset(b.data + b.len, 'z', 4u << 20);
    b.len += 4u << 20;
    hash_text(b.data, b.len, sent);
    expect_put_image(&c, 201, "/v1/collections/default/images/polyglot", b.data, b.len);
    client_ask(&c, &(struct ask){.method = "GET", .target = "/v1/collections/default/images/polyglot/content"}, &r);
    hash_text(r.body.data, r.body.len, got);
    result_section("Images: odd and still right");
    result_row(strcmp(sent, got) == 0, "a JPEG with a ZIP and 4 MB behind it", "stored bytes = sent bytes", "%s",
               strcmp(sent, got) == 0 ? "equal" : "different");
    assert_string_equal(sent, got);
    expect_status(&c, 204, &(struct ask){.method = "DELETE", .target = "/v1/collections/default/images/polyglot"});
    reply_clear(&r);
    buf_clear(&b);
    client_close(&c);
}

static void flat_pictures_get_a_finite_vector_or_a_plain_refusal(void **state)
{
    UNUSED(state);
    static const uint8_t shades[] = {0, 128, 255};
    int before = results_bad();
    for (size_t i = 0; i < COUNT(shades); i++) {
        struct image img;
        struct buf b = {0};
        struct err e = {0};
        char what[60];
        assert_ok(image_new(64, 64, &img, &e), e);
        memset(img.rgb, shades[i], (size_t)64 * 64 * 3);
        assert_ok(image_write_png(&img, &b, &e), e);
        image_clear(&img);
        snprintf(what, sizeof what, "a picture of nothing but shade %u", shades[i]);
        probe_ask(&server, what, "200/422", NULL,
                  &(struct ask){
                      .method = "POST", .target = "/v1/embeddings", .type = "image/png", .body = b.data, .len = b.len});
        buf_clear(&b);
    }
    assert_int_equal(results_bad(), before);
}

/* ---- the same id from many clients at once ---- */

enum { RACERS = 50 };
static atomic_int created, replaced, failed;

static void *race(void *arg)
{
    struct client c = client_to(server.port);
    struct reply r = {0};
    UNUSED(arg);
    client_ask(&c,
               &(struct ask){.method = "PUT",
                             .target = "/v1/collections/default/images/raced",
                             .type = "image/jpeg",
                             .body = tiny.data,
                             .len = tiny.len},
               &r);
    atomic_fetch_add(r.status == 201 ? &created : r.status == 200 ? &replaced : &failed, 1);
    reply_clear(&r);
    client_close(&c);
    return NULL;
}

static void one_id_from_fifty_clients_at_once_is_made_once(void **state)
{
    UNUSED(state);
    pthread_t threads[RACERS];
    int64_t before = stored();
    for (size_t i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, NULL), 0);
    for (size_t i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    result_row(created == 1 && failed == 0, "the same id put by 50 clients at once", "201 once, 200 else",
               "201 %d times, 200 %d times, other %d times", created, replaced, failed);
    assert_int_equal(created, 1);
    assert_int_equal(replaced, RACERS - 1);
    assert_int_equal(stored(), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claimed_sizes_are_checked_before_decoding),
        cmocka_unit_test(what_is_no_known_picture_is_refused_whatever_its_header_says),
        cmocka_unit_test(floods_of_markers_cost_no_time),
        cmocka_unit_test(scan_bombs_are_refused_before_they_go_off),
        cmocka_unit_test(a_picture_cut_at_any_point_is_refused),
        cmocka_unit_test(a_picture_with_any_one_byte_changed_crashes_nothing),
        cmocka_unit_test(hostile_exif_is_taken_as_none),
        cmocka_unit_test(turned_pictures_tell_their_upright_size),
        cmocka_unit_test(what_follows_a_picture_is_kept_byte_for_byte),
        cmocka_unit_test(flat_pictures_get_a_finite_vector_or_a_plain_refusal),
        cmocka_unit_test(one_id_from_fifty_clients_at_once_is_made_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
