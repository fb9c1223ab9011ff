/* test_safetensors.c - the container: round trips, conversions, and files that lie. */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/safetensors.h"

/* A file with this header and `data_len` zero bytes of data. */
static struct buf file_of(const char *header, size_t data_len)
{
    struct buf b = {0};
    uint64_t len = strlen(header);
    buf_add(&b, &len, sizeof len);
    buf_text(&b, header);
    buf_reserve(&b, data_len);
    memset(b.data + b.len, 0, data_len);
    b.len += data_len;
    return b;
}

static struct buf two_tensors(void)
{
    return file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                   "\"b\":{\"dtype\":\"F32\",\"shape\":[50],\"data_offsets\":[24,224]}}",
                   224);
}

static void what_is_written_reads_back(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct err e = {0};
    const float a[6] = {1, -2, 3.5f, 0, -0.0f, 1e-30f}, b[1] = {7};
    const uint32_t shape_a[] = {2, 3}, shape_b[] = {1};
    const struct safetensor_out out[] = {{"z.weight", 2, shape_a, a, 6, false}, {"b", 1, shape_b, b, 1, false}};
    float got[6];
    size_t n, len;

    snprintf(path, sizeof path, "%s/f.safetensors", dir);
    assert_ok(safetensors_write(path, out, 2, "anchord", "{\"x\":\"\\\"\"}", &e), e);
    struct safetensors *s = safetensors_open(path, &e);
    assert_ok(s, e);
    const struct safetensor *list = safetensors_list(s, &n);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].name, "b"); /* by name, not as written */
    assert_string_equal(safetensors_metadata(s, "anchord", &len), "{\"x\":\"\\\"\"}");
    assert_null(safetensors_metadata(s, "other", NULL));
    const struct safetensor *t = safetensors_find(s, "z.weight");
    assert_non_null(t);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[1], 3);
    assert_null(safetensors_find(s, "z"));
    assert_ok(safetensors_read(s, t, got, &e), e);
    assert_memory_equal(got, a, sizeof a);
    safetensors_close(s);
    t_remove_dir(dir);
}

static void data_begin_on_a_multiple_of_eight_bytes(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300], name[16] = "";
    struct err e = {0};
    const float v[1] = {1};
    const uint32_t shape[] = {1};
    snprintf(path, sizeof path, "%s/f", dir);
    for (size_t i = 0; i < 9; i++) {
        void *bytes;
        size_t len;
        uint64_t header;
        strcat(name, "n");
        const struct safetensor_out out = {name, 1, shape, v, 1, false};
        assert_ok(safetensors_write(path, &out, 1, NULL, NULL, &e), e);
        assert_ok(file_read(path, 1000, &bytes, &len, &e), e);
        memcpy(&header, bytes, sizeof header);
        assert_int_equal(header % 8, 0);
        assert_int_equal(8 + header + 4, len);
        free(bytes);
    }
    t_remove_dir(dir);
}

static void read_one(const char *type, const void *bits, size_t size, size_t n, float *out)
{
    char header[128];
    struct err e = {0};
    snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", type, n,
             n * size);
    struct buf b = file_of(header, n * size);
    memcpy(b.data + b.len - n * size, bits, n * size);
    struct safetensors *s = safetensors_over(b.data, b.len, &e);
    assert_ok(s, e);
    assert_ok(safetensors_read(s, safetensors_find(s, "t"), out, &e), e);
    safetensors_close(s);
    buf_clear(&b);
}

static void narrow_and_wide_numbers_become_floats(void **state)
{
    UNUSED(state);
    static const uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x83ff, 0x8000, 0x3555};
    static const float half_is[] = {1, -2, 65504, 0x1p-14f, 0x1p-24f, -1023 * 0x1p-24f, -0.0f, 0x1.554p-2f};
    static const uint16_t brain[] = {0x3f80, 0xc000, 0x4049, 0x0001};
    static const float brain_is[] = {1, -2, 3.140625f, 0x1p-133f};
    static const double wide[] = {1, -0.1, 1e300};
    float got[8];
    read_one("F16", half, 2, COUNT(half), got);
    assert_memory_equal(got, half_is, sizeof half_is);
    read_one("BF16", brain, 2, COUNT(brain), got);
    assert_memory_equal(got, brain_is, sizeof brain_is);
    read_one("F64", wide, 8, COUNT(wide), got);
    assert_true(got[1] == -0.1f && isinf(got[2]));
    static const uint16_t special[] = {0x7c00, 0xfc00, 0x7e00};
    read_one("F16", special, 2, COUNT(special), got);
    assert_true(isinf(got[0]) && got[0] > 0 && isinf(got[1]) && got[1] < 0 && isnan(got[2]));
}

static void a_long_tensor_is_converted_in_pieces(void **state)
{
    UNUSED(state);
    size_t n = 100003;
    uint16_t *bits = mem_new(n, sizeof *bits);
    float *got = mem_new(n, sizeof *got);
    for (size_t i = 0; i < n; i++)
        bits[i] = (uint16_t)(0x3f80 + i % 100);
    read_one("BF16", bits, 2, n, got);
    for (size_t i = 0; i < n; i++)
        assert_true(got[i] == 1 + (float)(i % 100) / 128);
    free(bits);
    free(got);
}

static void integers_are_listed_but_not_read_as_weights(void **state)
{
    UNUSED(state);
    struct err e = {0};
    float out;
    struct buf b = file_of("{\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}", 8);
    struct safetensors *s = safetensors_over(b.data, b.len, &e);
    assert_ok(s, e);
    assert_int_equal(safetensors_find(s, "n")->count, 1);
    assert_err(safetensors_read(s, safetensors_find(s, "n"), &out, &e), e, ERR_BAD_INPUT);
    safetensors_close(s);
    buf_clear(&b);
}

static void refused(const char *what, const void *bytes, size_t len)
{
    struct err e = {0};
    struct safetensors *s = safetensors_over(bytes, len, &e);
    if (s || e.code != ERR_BAD_INPUT || !e.text[0])
        fail_msg("%s: %s %s", what, s ? "accepted" : err_name(e.code), e.text);
}

static void headers_that_lie_are_refused(void **state)
{
    UNUSED(state);
#define T(type, shape, from, to) "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"
    static const char *const headers[] = {
        "",
        "[]",
        "{",
        "{\"a\":1}",
        "{\"a\":" T("F32", "[16]", 0, 64) "} x",
        "{\"a\":" T("F32", "[8]", 0, 32) ",\"a\":" T("F32", "[8]", 32, 64) "}",  /* twice */
        "{\"a\":" T("F32", "[16]", 0, 64) ",\"b\":" T("F32", "[8]", 32, 64) "}", /* overlap */
        "{\"a\":" T("F32", "[8]", 0, 32) ",\"b\":" T("F32", "[8]", 0, 32) "}",   /* the same bytes */
        "{\"a\":" T("F32", "[8]", 0, 32) ",\"b\":" T("F32", "[4]", 48, 64) "}",  /* gap */
        "{\"a\":" T("F32", "[8]", 0, 32) ",\"b\":" T("F32", "[4]", 48, 64) ",\"c\":" T("F32", "[4]", 48,
                                                                                       64) "}", /* both */
        "{\"a\":" T("F32", "[8]", 0, 32) "}",                                                   /* not covered */
        "{}",
        "{\"a\":" T("F32", "[17]", 0, 68) "}", /* beyond the end */
        "{\"a\":" T("F32", "[16]", 0, 9223372036854775807) "}",
        "{\"a\":" T("F32", "[16]", 64, 0) "}",
        "{\"a\":" T("F32", "[16]", -64, 0) "}",
        "{\"a\":" T("F32", "[16]", 0.0, 64) "}",
        "{\"a\":" T("F32", "[15]", 0, 64) "}", /* size and shape differ */
        "{\"a\":" T("F32", "[0]", 0, 0) ",\"b\":" T("F32", "[16]", 0, 64) "}",
        "{\"a\":" T("F32", "[-1,-16]", 0, 64) "}",
        "{\"a\":" T("F32", "[4194305,4194305,211106198978564]", 0, 16) "}", /* multiplies to 4 in 64 bits */
        "{\"a\":" T("F32", "[446480,429509837,384773]", 0, 64) "}",         /* to 16 */
        "{\"a\":" T("F32", "[80,107367629,536903681]", 0, 64) "}",          /* 16 in 62 bits: its bytes overflow */
        "{\"a\":" T("F64", "[2147483647,1073741824,1]", 0, 64) "}",
        "{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,16]", 0, 64) "}",
        "{\"a\":" T("F32", "[16.0]", 0, 64) "}",
        "{\"a\":" T("F32", "16", 0, 64) "}",
        "{\"a\":" T("F31", "[16]", 0, 64) "}",
        "{\"a\":" T("U8", "[64]", 0, 64) "}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[16]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[0,64],\"more\":1}}",
        "{\"a\":{\"shape\":[16],\"data_offsets\":[0,64]}}",
        "{\"__metadata__\":7,\"a\":" T("F32", "[16]", 0, 64) "}",
        "{\"__metadata__\":{\"x\":7},\"a\":" T("F32", "[16]", 0, 64) "}",
    };
#undef T
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct buf b = file_of(headers[i], 64);
        refused(headers[i], b.data, b.len);
        buf_clear(&b);
    }
}

static void impossible_header_lengths_are_refused(void **state)
{
    UNUSED(state);
    struct buf b = two_tensors();
    const uint64_t lengths[] = {0,         1,         (uint64_t)1 << 63,         UINT64_MAX, UINT64_MAX - 7,
                                b.len - 7, b.len + 1, SAFETENSORS_HEADER_MAX + 1};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        char what[40];
        memcpy(b.data, &lengths[i], 8);
        snprintf(what, sizeof what, "length %llu", (unsigned long long)lengths[i]);
        refused(what, b.data, b.len);
    }
    buf_clear(&b);
    char *spaces = mem_new(SAFETENSORS_HEADER_MAX + 2, 1); /* JSON otherwise: an empty object */
    memset(spaces, ' ', SAFETENSORS_HEADER_MAX + 1);
    memcpy(spaces, "{}", 2);
    struct buf large = file_of(spaces, 0);
    free(spaces);
    refused("a header over the limit that is really there", large.data, large.len);
    buf_clear(&large);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    UNUSED(state);
    struct buf b = two_tensors();
    struct err e = {0};
    struct safetensors *s = safetensors_over(b.data, b.len, &e);
    assert_ok(s, e);
    safetensors_close(s);
    for (size_t len = 0; len < b.len; len++) {
        void *exact = mem_dup(b.data, len); /* so that reading past the end is seen */
        char what[40];
        snprintf(what, sizeof what, "cut to %zu bytes", len);
        refused(what, exact, len);
        free(exact);
    }
    buf_clear(&b);
}

static void random_damage_never_reads_outside(void **state)
{
    UNUSED(state);
    struct buf b = two_tensors();
    struct rng r = rng_new(1);
    float out[64];
    for (int round = 0; round < 20000; round++) {
        char *copy = mem_dup(b.data, b.len);
        for (uint64_t k = 0; k <= rng_below(&r, 3); k++)
            copy[rng_below(&r, 140)] = (char)rng_below(&r, 256);
        struct safetensors *s = safetensors_over(copy, b.len, NULL);
        size_t n = 0;
        const struct safetensor *list = s ? safetensors_list(s, &n) : NULL;
        for (size_t i = 0; i < n; i++)
            if (list[i].count <= COUNT(out) && !safetensors_read(s, &list[i], out, NULL))
                continue;
        safetensors_close(s);
        free(copy);
    }
    buf_clear(&b);
}

static void only_regular_files_are_opened(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct err e;
    assert_err(safetensors_open(dir, &e), e, ERR_IO);
    snprintf(path, sizeof path, "%s/missing", dir);
    assert_err(safetensors_open(path, &e), e, ERR_NOT_FOUND);
    snprintf(path, sizeof path, "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_err(safetensors_open(path, &e), e, ERR_IO);
    snprintf(path, sizeof path, "%s/empty", dir);
    e = (struct err){0};
    assert_ok(file_replace(path, "", 0, &e), e);
    assert_err(safetensors_open(path, &e), e, ERR_BAD_INPUT);
    t_remove_dir(dir);
}

static void a_header_over_its_limit_is_not_written(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    char *metadata = mem_new(SAFETENSORS_HEADER_MAX + 1, 1);
    struct err e;
    memset(metadata, 'x', SAFETENSORS_HEADER_MAX);
    snprintf(path, sizeof path, "%s/f", dir);
    assert_err(safetensors_write(path, NULL, 0, "k", metadata, &e), e, ERR_TOO_LARGE);
    assert_int_equal(access(path, F_OK), -1);
    free(metadata);
    t_remove_dir(dir);
}

static void half_the_size_holds_the_nearest_values(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    struct err e = {0};
    const float a[4] = {1, -2.5f, 1.00390625f /* halfway: to even */, 3.14159265f};
    const float want[4] = {1, -2.5f, 1, 3.140625f};
    float got[4];
    const uint32_t shape[] = {4};
    const struct safetensor_out out[] = {{"half", 1, shape, a, 4, true}, {"whole", 1, shape, a, 4, false}};
    snprintf(path, sizeof path, "%s/x.safetensors", dir);
    assert_ok(safetensors_write(path, out, 2, NULL, NULL, &e), e);
    struct safetensors *s = safetensors_open(path, &e);
    assert_ok(s != NULL, e);
    const struct safetensor *half = safetensors_find(s, "half"), *whole = safetensors_find(s, "whole");
    assert_true(half->type == TENSOR_BF16 && half->bytes == 8 && whole->type == TENSOR_F32 && whole->bytes == 16);
    assert_ok(safetensors_read(s, half, got, &e), e);
    assert_memory_equal(got, want, sizeof want);
    assert_ok(safetensors_read(s, whole, got, &e), e);
    assert_memory_equal(got, a, sizeof a);
    safetensors_close(s);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_the_size_holds_the_nearest_values),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(data_begin_on_a_multiple_of_eight_bytes),
        cmocka_unit_test(narrow_and_wide_numbers_become_floats),
        cmocka_unit_test(a_long_tensor_is_converted_in_pieces),
        cmocka_unit_test(integers_are_listed_but_not_read_as_weights),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(impossible_header_lengths_are_refused),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(random_damage_never_reads_outside),
        cmocka_unit_test(only_regular_files_are_opened),
        cmocka_unit_test(a_header_over_its_limit_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
