/* test_multipart.c - forms as browsers and curl send them, and forms as nobody should. */
#include "tests/t.h"

#include "api/requests/multipart.h"
#include "base/buf.h"

#define TYPE                "multipart/form-data; boundary=xyz"
#define PART(headers, data) "--xyz\r\n" headers "\r\n\r\n" data "\r\n"
#define FILE_NAMED(name)    "Content-Disposition: form-data; name=\"file\"; filename=" name
#define END                 "--xyz--\r\n"

static const struct {
    const char *what, *type, *body;
    size_t n;                           /* parts expected */
    const char *name, *filename, *data; /* of the last part; filename "-": none */
} good[] = {
    {"one field", TYPE, PART("Content-Disposition: form-data; name=\"a\"", "1") END, 1, "a", "-", "1"},
    {"two parts", TYPE, PART("Content-Disposition: form-data; name=a", "1") PART(FILE_NAMED("\"x.jpg\""), "2") END, 2,
     "file", "x.jpg", "2"},
    {"no part", TYPE, END, 0, NULL, NULL, NULL},
    {"an empty part", TYPE, PART(FILE_NAMED("\"x\""), "") END, 1, "file", "x", ""},
    {"no end of line after the last boundary", TYPE, PART(FILE_NAMED("\"x\""), "2") "--xyz--", 1, "file", "x", "2"},
    {"preamble and epilogue", TYPE, "ignore\r\nthis\r\n" PART(FILE_NAMED("\"x\""), "2") END "and\r\nthat", 1, "file",
     "x", "2"},
    {"a quoted boundary", "multipart/form-data; charset=utf-8; Boundary=\"x y:z\"",
     "--x y:z\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x y:z--", 1, "a", "-", "1"},
    {"blanks after the boundary", TYPE, "--xyz \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--xyz-- \r\n",
     1, "a", "-", "1"},
    {"escapes in a file name", TYPE, PART(FILE_NAMED("\"a\\\"b\\\\c\\d;e.jpg\""), "2") END, 1, "file",
     "a\"b\\c\\d;e.jpg", "2"},
    {"a file name in UTF-8", TYPE, PART(FILE_NAMED("\"\xc3\xa9.jpg\""), "2") END, 1, "file", "\xc3\xa9.jpg", "2"},
    {"filename* goes before filename", TYPE, PART(FILE_NAMED("\"x\"; filename*=UTF-8''%C3%A9"), "2") END, 1, "file",
     "\xc3\xa9", "2"},
    {"a quote as browsers write it", TYPE, PART(FILE_NAMED("\"a%22b%25\""), "2") END, 1, "file", "a\"b%25", "2"},
    {"other headers", TYPE, PART("X-A: b\r\ncontent-disposition:form-data;name=\"a\"\r\nContent-Length: 7", "1") END, 1,
     "a", "-", "1"},
    {"binary transfer encoding", TYPE,
     PART("Content-Transfer-Encoding: Binary\r\nContent-Disposition: form-data; name=a", "1") END, 1, "a", "-", "1"},
    {"a longer boundary in the data", TYPE, PART(FILE_NAMED("\"x\""), "2\r\n--xyzw\r\n3") END, 1, "file", "x",
     "2\r\n--xyzw\r\n3"},
    {"lone line ends in the data", TYPE, PART(FILE_NAMED("\"x\""), "\n--xyz\r--xyz\r\n-") END, 1, "file", "x",
     "\n--xyz\r--xyz\r\n-"},
};

static void forms_give_their_parts(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < COUNT(good); i++) {
        struct arena a = {0};
        struct part *parts;
        size_t n;
        struct err e = {0};
        if (!multipart_parse(good[i].type, good[i].body, strlen(good[i].body), 10, &a, &parts, &n, &e))
            fail_msg("%s: %s", good[i].what, e.text);
        if (n != good[i].n)
            fail_msg("%s: %zu parts", good[i].what, n);
        if (n > 0) {
            const struct part *last = &parts[n - 1];
            assert_string_equal(last->name, good[i].name);
            assert_string_equal(last->filename ? last->filename : "-", good[i].filename);
            assert_int_equal(last->len, strlen(good[i].data));
            assert_memory_equal(last->data, good[i].data, last->len);
        }
        arena_clear(&a);
    }
}

static const struct {
    const char *what, *type, *body;
} bad[] = {
    {"no boundary", "multipart/form-data", END},
    {"an empty boundary", "multipart/form-data; boundary=\"\"", "--\r\n----"},
    {"two boundaries", TYPE "; boundary=abc", END},
    {"a boundary of 71",
     "multipart/form-data; boundary=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg1", ""},
    {"a boundary with a semicolon", "multipart/form-data; boundary=\"a;b\"", "--a;b--"},
    {"an unclosed quote", "multipart/form-data; boundary=\"xyz", END},
    {"nothing", TYPE, ""},
    {"another boundary", TYPE, "--abc\r\n\r\n--abc--"},
    {"no closing delimiter", TYPE, PART("Content-Disposition: form-data; name=a", "1")},
    {"the end in the middle of a part", TYPE, "--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n1"},
    {"the end in the headers", TYPE, "--xyz\r\nContent-Dispo"},
    {"lines that end in LF", TYPE, "--xyz\nContent-Disposition: form-data; name=a\n\n1\n--xyz--\n"},
    {"a part without headers", TYPE, "--xyz\r\n\r\n1\r\n" END},
    {"a part without a name", TYPE, PART("Content-Disposition: form-data", "1") END},
    {"a part that is an attachment", TYPE, PART("Content-Disposition: attachment; name=a", "1") END},
    {"two names", TYPE, PART("Content-Disposition: form-data; name=a; name=b", "1") END},
    {"two extended names", TYPE, PART(FILE_NAMED("a; filename*=UTF-8''b; filename*=UTF-8''c"), "1") END},
    {"an extended name without a charset", TYPE, PART(FILE_NAMED("a; filename*=b"), "1") END},
    {"an extended name of another charset", TYPE, PART(FILE_NAMED("a; filename*=latin1''b"), "1") END},
    {"an extended name without its language", TYPE, PART(FILE_NAMED("a; filename*=UTF-8'b"), "1") END},
    {"an extended name with half an escape", TYPE, PART(FILE_NAMED("a; filename*=UTF-8''b%4"), "1") END},
    {"two dispositions", TYPE,
     PART("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b", "1") END},
    {"an unclosed name", TYPE, PART("Content-Disposition: form-data; name=\"a", "1") END},
    {"a name without a value", TYPE, PART("Content-Disposition: form-data; name", "1") END},
    {"a folded header", TYPE, PART("Content-Disposition: form-data;\r\n name=a", "1") END},
    {"a header without a colon", TYPE, PART("Content-Disposition: form-data; name=a\r\nhello", "1") END},
    {"a blank before the colon", TYPE, PART("Content-Disposition : form-data; name=a", "1") END},
    {"a control character", TYPE, PART("Content-Disposition: form-data; name=\"a\x01\"", "1") END},
    {"base64 parts", TYPE,
     PART("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64", "MQ==") END},
};

static void malformed_forms_are_refused(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct arena a = {0};
        struct part *parts;
        size_t n;
        struct err e = {0};
        if (multipart_parse(bad[i].type, bad[i].body, strlen(bad[i].body), 10, &a, &parts, &n, &e))
            fail_msg("%s: accepted", bad[i].what);
        assert_int_equal(e.code, ERR_BAD_INPUT);
        arena_clear(&a);
    }
}

static void zero_bytes_are_data_in_a_part_and_refused_in_a_header(void **state)
{
    UNUSED(state);
    static const char data[] = PART("Content-Disposition: form-data; name=a", "1\0002") END;
    static const char header[] = PART("Content-Disposition: form-data; name=\"a\0b\"", "1") END;
    struct arena a = {0};
    struct part *parts;
    size_t n;
    struct err e = {0};
    assert_ok(multipart_parse(TYPE, data, sizeof data - 1, 10, &a, &parts, &n, &e), e);
    assert_int_equal(parts[0].len, 3);
    assert_err(multipart_parse(TYPE, header, sizeof header - 1, 10, &a, &parts, &n, &e), e, ERR_BAD_INPUT);
    arena_clear(&a);
}

static void too_many_parts_and_endless_headers_are_refused(void **state)
{
    UNUSED(state);
    struct buf body = {0};
    struct arena a = {0};
    struct part *parts;
    size_t n;
    struct err e = {0};
    for (int i = 0; i < 11; i++)
        buf_text(&body, PART("Content-Disposition: form-data; name=a", "1"));
    buf_text(&body, END);
    assert_err(multipart_parse(TYPE, body.data, body.len, 10, &a, &parts, &n, &e), e, ERR_TOO_LARGE);
    e = (struct err){0};
    assert_ok(multipart_parse(TYPE, body.data, body.len, 11, &a, &parts, &n, &e), e);
    assert_int_equal(n, 11);
    body.len = 0;
    buf_text(&body, "--xyz\r\nContent-Disposition: form-data; name=a\r\n");
    for (int i = 0; i < 1000; i++)
        buf_text(&body, "X-Filler: 0123456789\r\n");
    buf_text(&body, "\r\n1\r\n" END);
    assert_err(multipart_parse(TYPE, body.data, body.len, 10, &a, &parts, &n, &e), e, ERR_BAD_INPUT);
    arena_clear(&a);
    buf_clear(&body);
}

/* A quadratic parser would need minutes for this. */
static void almost_boundaries_take_linear_time(void **state)
{
    UNUSED(state);
    struct buf body = {0};
    struct arena a = {0};
    struct part *parts;
    size_t n;
    struct err e = {0};
    buf_text(&body, PART(FILE_NAMED("\"x\""), ""));
    while (body.len < 8 << 20)
        buf_text(&body, "\r\n--xyz          ");
    assert_err(multipart_parse(TYPE, body.data, body.len, 10, &a, &parts, &n, &e), e, ERR_BAD_INPUT);
    arena_clear(&a);
    buf_clear(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_give_their_parts),
        cmocka_unit_test(malformed_forms_are_refused),
        cmocka_unit_test(zero_bytes_are_data_in_a_part_and_refused_in_a_header),
        cmocka_unit_test(too_many_parts_and_endless_headers_are_refused),
        cmocka_unit_test(almost_boundaries_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
