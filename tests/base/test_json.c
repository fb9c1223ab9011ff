/* test_json.c - hostile JSON is refused with the field's name; what is written reads back exactly. */
#include "tests/t.h"

#include "base/json.h"
#include "base/json_writer.h"
#include "base/rng.h"

static struct json *parse(const char *text, struct err *e)
{
    *e = (struct err){0};
    return json_parse(text, strlen(text), 0, e);
}

static void malformed_documents_are_refused(void **state)
{
    UNUSED(state);
    static const char *const bad[] = {
        "",
        "{",
        "{}x",
        "{\"a\":1,\"a\":2}",
        "[1,]",
        "nul",
        "{\"a\":NaN}",
        "[1e400]",
        "\xff",
        "[\"\xc0\xaf\"]",
        "7",
        "\"text\"",
        "[18446744073709551616]",
        "[-9223372036854775809]",
        "[\"\\u0000\"]",
        "{\"\\u0000\":1}",
        "[018446744073709551615]",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err e;
        if (parse(bad[i], &e))
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(e.code, ERR_BAD_INPUT);
    }
    struct err e = {0};
    assert_null(json_parse("[\"a\0b\"]", 7, 0, &e));
    assert_int_equal(e.code, ERR_BAD_INPUT);
}

static void depth_is_bounded(void **state)
{
    UNUSED(state);
    struct buf b = {0};
    struct err e;
    for (int i = 0; i < 128; i++)
        buf_char(&b, '[');
    for (int i = 0; i < 128; i++)
        buf_char(&b, ']');
    struct json *doc = parse(b.data, &e);
    assert_non_null(doc);
    json_free(doc);
    buf_clear(&b);
    for (int i = 0; i < 100000; i++)
        buf_char(&b, '[');
    assert_null(parse(b.data, &e));
    assert_int_equal(e.code, ERR_BAD_INPUT);
    buf_clear(&b);
}

static void a_document_that_would_blow_up_in_memory_is_too_large(void **state)
{
    UNUSED(state);
    struct buf b = {0};
    struct err e;
    buf_text(&b, "[{}");
    for (int i = 0; i < 300000; i++)
        buf_text(&b, ",{}");
    buf_char(&b, ']');
    assert_null(parse(b.data, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    buf_clear(&b);
    struct json *small = parse("[1]", &e); /* the budget does not leak into the next parse */
    assert_non_null(small);
    json_free(small);
}

static void a_long_string_fits_the_budget_and_a_small_budget_refuses_it_cleanly(void **state)
{
    UNUSED(state);
    struct buf b = {0};
    struct err e = {0};
    buf_text(&b, "{\"image\":\"");
    while (b.len < 9 << 20)
        buf_text(&b, "aGVsbG8gd29ybGQhIGhlbGxvIHdvcmxkIQ==\\n");
    buf_text(&b, "\"}");
    struct json *doc = json_parse(b.data, b.len, 0, &e);
    assert_non_null(doc);
    json_free(doc);
    assert_null(json_parse(b.data, b.len, 1 << 20, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    buf_clear(&b);
}

static void getters_name_the_field_and_leave_absent_ones_alone(void **state)
{
    UNUSED(state);
    struct err e;
    struct json *doc = parse("{\"n\":1.5,\"s\":\"abc\",\"k\":5,\"z\":null,\"b\":1}", &e);
    int64_t n = 7;
    const char *s = "x";
    bool flag = true;
    assert_non_null(doc);
    assert_true(json_get_int(doc, "absent", 0, 9, &n, &e) && n == 7);
    assert_true(json_get_int(doc, "z", 0, 9, &n, &e) && n == 7);
    assert_true(json_get_int(doc, "k", 0, 9, &n, &e) && n == 5);
    assert_err(json_get_int(doc, "n", 0, 9, &n, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "n");
    assert_err(json_get_int(doc, "k", 0, 4, &n, &e), e, ERR_BAD_INPUT);
    assert_err(json_get_text(doc, "s", 2, &s, &e), e, ERR_BAD_INPUT);
    assert_string_equal(s, "x");
    assert_err(json_get_bool(doc, "b", &flag, &e), e, ERR_BAD_INPUT);
    static const char *const known[] = {"n", "s", "k", "z"};
    assert_err(json_only(doc, "body.", known, COUNT(known), &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "body.b");
    json_free(doc);
}

static void floats_read_back_bit_for_bit(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(4);
    float fixed[] = {0,          -0.0f,       1,          -1,     0.1f,  0.5f,        1e-5f,
                     9.9999e-6f, 0.99999994f, 0.9999999f, 1e-30f, 3e38f, 123456.789f, 1e-45f};
    for (int i = 0; i < 200000; i++) {
        float x = (size_t)i < COUNT(fixed) ? fixed[i] : (float)(rng_normal(&r) * pow(10, rng_between(&r, -6, 1)));
        struct buf b = {0};
        struct json_writer w = jw_to(&b);
        jw_float(&w, NULL, x);
        float back = strtof(b.data, NULL);
        if (back != x)
            fail_msg("%a was written as %s", (double)x, b.data);
        buf_clear(&b);
    }
}

/* What a client wrote with 15 digits comes back with no more of them. */
static void numbers_read_back_bit_for_bit_and_are_as_short_as_they_came(void **state)
{
    UNUSED(state);
    static const struct {
        double value;
        const char *text;
    } known[] = {{0.305, "0.305"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {5, "5"},
                 {-0.0, "-0"},
                 {1e300, "1e300"},
                 {1e-7, "1e-7"},
                 {0x1p53, "9007199254740992"},
                 {0x1p-1074, "4.94065645841247e-324"}};
    char text[REAL_TEXT_MAX], given[REAL_TEXT_MAX];
    for (size_t i = 0; i < COUNT(known); i++) {
        real_text(known[i].value, text);
        assert_string_equal(text, known[i].text);
    }
    struct rng r = rng_new(6);
    for (int i = 0; i < 100000; i++) {
        double x = rng_normal(&r) * pow(10, rng_between(&r, -300, 300));
        real_text(x, text);
        double back = strtod(text, NULL);
        if (back != x)
            fail_msg("%a was written as %s", x, text);
        snprintf(given, sizeof given, "%.*g", (int)(1 + rng_below(&r, 15)), x);
        double short_one = strtod(given, NULL);
        real_text(short_one, text);
        snprintf(given, sizeof given, "%.15g", short_one);
        if (strlen(text) > strlen(given))
            fail_msg("%s was written as %s", given, text);
    }
}

static void a_dump_has_the_numbers_as_they_came(void **state)
{
    UNUSED(state);
    static const char text[] =
        "{\"a\":[0.305,-0.1,1e300,5.0,7,{}],\"b\\n\":{\"c\":\"\\\"\\t\\u0001/\xc3\xa9\"},\"d\":[],\"e\":null}";
    struct err e = {0};
    struct buf out = {0};
    struct json *doc = json_parse(text, sizeof text - 1, 0, &e);
    assert_ok(doc, e);
    json_dump(doc, &out);
    assert_string_equal(out.data, text);
    json_free(doc);
    buf_clear(&out);
}

static void what_is_written_is_valid_json_whatever_the_text(void **state)
{
    UNUSED(state);
    struct rng r = rng_new(9);
    for (int i = 0; i < 3000; i++) {
        char text[24] = {0};
        for (size_t k = 0; k + 1 < sizeof text; k++)
            text[k] = (char)(1 + rng_below(&r, 255));
        struct buf b = {0};
        struct err e = {0};
        struct json_writer w = jw_to(&b);
        jw_object(&w, NULL);
        jw_text(&w, text[0] & 1 ? "k" : "\"odd\"", text);
        jw_array(&w, "list");
        jw_int(&w, NULL, -5);
        jw_real(&w, NULL, (double)NAN);
        jw_bool(&w, NULL, false);
        jw_end(&w);
        jw_raw(&w, "raw", "{\"x\":[1]}");
        jw_end(&w);
        struct json *doc = json_parse(b.data, b.len, 0, &e);
        if (!doc)
            fail_msg("%s: %s", e.text, b.data);
        assert_int_equal(json_count(json_member(doc, "list")), 3);
        json_free(doc);
        buf_clear(&b);
    }
}

static void a_merge_patch_follows_rfc_7396(void **state)
{
    UNUSED(state);
    static const struct {
        const char *target, *patch, *want;
    } cases[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\",\"b\":1}", "{\"a\":null}", "{\"b\":1}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {NULL, "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct buf b = {0};
        struct json *patch = json_parse(cases[i].patch, strlen(cases[i].patch), 0, &e);
        assert_ok(json_merge_patch(cases[i].target, patch, &b, &e), e);
        assert_string_equal(b.data, cases[i].want);
        json_free(patch);
        buf_clear(&b);
    }
}

static void integers_up_to_two_to_the_64th_come_back_as_they_were(void **state)
{
    UNUSED(state);
    static const char *const same[] = {
        "[18446744073709551615,9223372036854775808,9223372036854775807,-9223372036854775808,0]",
        "{\"a\":{\"b\":[1,[18446744073709551615]]},\"18446744073709551615\":\"18446744073709551615\"}",
        "{\"t\":\"a\\\\u0000\\\"18446744073709551615\",\"n\":9999999999999999999}",
        "[\"\\\\u000018446744073709551615\",18446744073709551615,\"\",\"\\u0001\"]",
    };
    struct err e = {0};
    for (size_t i = 0; i < COUNT(same); i++) {
        struct buf b = {0}, merged = {0};
        buf_text(&b, "before ");
        struct json *doc = json_parse(same[i], strlen(same[i]), 0, &e);
        assert_ok(doc, e);
        json_dump(doc, &b);
        assert_string_equal(b.data + 7, same[i]);
        if (same[i][0] == '{') {
            assert_ok(json_merge_patch(NULL, doc, &merged, &e), e);
            assert_string_equal(merged.data, same[i]);
            struct json *none = json_parse("{}", 2, 0, &e);
            buf_clear(&merged);
            assert_ok(json_merge_patch(same[i], none, &merged, &e), e); /* what is stored is read again */
            assert_string_equal(merged.data, same[i]);
            json_free(none);
        }
        json_free(doc);
        buf_clear(&b);
        buf_clear(&merged);
    }
    uint64_t large;
    int64_t whole;
    double real;
    static const char text[] = "{\"n\":18446744073709551615,\"m\":7,\"t\":\"x\"}";
    struct json *doc = json_parse(text, sizeof text - 1, 0, &e);
    const struct json *n = json_member(doc, "n");
    assert_int_equal(json_kind(n), JSON_KIND_LARGE);
    assert_true(json_as_large(n, &large) && large == UINT64_MAX && json_as_number(n, &real) && real == 0x1p64);
    assert_false(json_as_int(n, &whole) || json_as_text(n, NULL) || json_as_large(json_member(doc, "m"), &large));
    assert_err(json_get_int(doc, "n", 0, 10, &whole, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.text, "must be from 0 to 10");
    json_free(doc);
}

static void what_is_refused_is_told_by_its_own_words(void **state)
{
    UNUSED(state);
    static const char *const cases[][2] = {
        {"[18446744073709551616]", "a number is out of range"},
        {"[-9223372036854775809]", "a number is out of range"},
        {"[1e400]", "a number is out of range"},
        {"[\"a\\u0000\"]", "the character \\u0000"},
        {"{\"a\\u0000\":1}", "the character \\u0000"},
        {"7", "must be an object"},
        {"\"text\"", "must be an object"},
        {"null", "must be an object"},
        {"true", "must be an object"},
        {"[1,]", "not valid JSON"},
        {"[18446744073709551615,]", "not valid JSON"},
        {"[18446744073709551615", "not valid JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        assert_null(json_parse(cases[i][0], strlen(cases[i][0]), 0, &e));
        assert_int_equal(e.code, ERR_BAD_INPUT);
        if (!strstr(e.text, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], e.text);
    }
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_documents_are_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_document_that_would_blow_up_in_memory_is_too_large),
        cmocka_unit_test(a_long_string_fits_the_budget_and_a_small_budget_refuses_it_cleanly),
        cmocka_unit_test(getters_name_the_field_and_leave_absent_ones_alone),
        cmocka_unit_test(floats_read_back_bit_for_bit),
        cmocka_unit_test(numbers_read_back_bit_for_bit_and_are_as_short_as_they_came),
        cmocka_unit_test(a_dump_has_the_numbers_as_they_came),
        cmocka_unit_test(what_is_written_is_valid_json_whatever_the_text),
        cmocka_unit_test(integers_up_to_two_to_the_64th_come_back_as_they_were),
        cmocka_unit_test(what_is_refused_is_told_by_its_own_words),
        cmocka_unit_test(a_merge_patch_follows_rfc_7396),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
