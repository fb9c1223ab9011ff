/* test_api_images.c - the life of one image: put, get, patch, content, delete, and its conditions. */
#include "tests/t.h"

#include "base/hash.h"
#include "tests/lib/rig.h"

static struct rig *rig;

static int open_rig(void **state)
{
    UNUSED(state);
    rig = rig_open();
    return 0;
}

static int close_rig(void **state)
{
    UNUSED(state);
    rig_close(rig);
    return 0;
}

#define IMAGE(id) "/v1/collections/default/images/" id

static void an_image_is_new_once_and_then_replaced(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(1, 1);
    struct extra x = {.type = "image/jpeg", .body = file.data, .len = file.len};
    char hash[HASH_HEX];
    hash_text(file.data, file.len, hash);
    struct outcome first = rig_expect(rig, 201, "PUT " IMAGE("a.1") "?label=red%20one&metadata=%7B%22n%22%3A%201%7D", &x);
    assert_string_equal(outcome_text(&first, "id"), "a.1");
    assert_string_equal(outcome_text(&first, "sha256"), hash);
    assert_string_equal(outcome_text(&first, "media_type"), "image/jpeg");
    assert_string_equal(outcome_text(&first, "label"), "red one");
    assert_true(outcome_number(&first, "metadata.n") == 1);
    assert_true(outcome_number(&first, "width") == 48);
    assert_true(outcome_number(&first, "bytes") == (double)file.len);
    assert_non_null(outcome_header(&first, "etag"));
    struct outcome second = rig_expect(rig, 200, "PUT " IMAGE("a.1"), &x);
    assert_null(outcome_text(&second, "label")); /* not given: cleared */
    assert_true(outcome_number(&second, "revision") > outcome_number(&first, "revision"));
    assert_string_not_equal(outcome_header(&second, "etag"), outcome_header(&first, "etag"));
    outcome_clear(&first);
    outcome_clear(&second);
    buf_clear(&file);
}

static void what_was_put_is_given_back(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(2, 2);
    rig_put(rig, "b", 2, 2, "blue");
    struct outcome row = rig_expect(rig, 200, "GET " IMAGE("b"), NULL);
    struct outcome content = rig_expect(rig, 200, "GET " IMAGE("b") "/content", NULL);
    assert_string_equal(outcome_text(&row, "label"), "blue");
    assert_int_equal(content.body.len, file.len);
    assert_memory_equal(content.body.data, file.data, file.len);
    assert_string_equal(outcome_header(&content, "x-content-type-options"), "nosniff");
    assert_string_equal(outcome_header(&content, "etag"), outcome_header(&row, "etag"));
    struct outcome small = rig_expect(rig, 200, "GET " IMAGE("b") "/content?size=16", NULL);
    struct image_info info;
    struct err e = {0};
    assert_ok(image_probe(small.body.data, small.body.len, &image_default_limits, &info, &e), e);
    assert_int_equal(info.width, 16);
    struct outcome same = rig_expect(rig, 304, "GET " IMAGE("b"), &(struct extra){.if_none_match = outcome_header(&row, "etag")});
    assert_int_equal(same.body.len, 0);
    outcome_clear(&row);
    outcome_clear(&content);
    outcome_clear(&small);
    outcome_clear(&same);
    buf_clear(&file);
}

static void what_curl_calls_a_form_is_taken_for_what_it_is(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(1, 9);
    struct extra x = {.type = "application/x-www-form-urlencoded", .body = file.data, .len = file.len};
    struct outcome o = rig_expect(rig, 201, "PUT " IMAGE("curl"), &x);
    outcome_clear(&o);
    x.body = "{\"id\":\"curl\"}";
    x.len = strlen(x.body);
    o = rig_expect(rig, 415, "PUT " IMAGE("curl"), &x);
    outcome_clear(&o);
    o = rig_expect(rig, 204, "DELETE " IMAGE("curl"), NULL);
    outcome_clear(&o);
    buf_clear(&file);
}

static void a_deleted_image_is_gone(void **state)
{
    UNUSED(state);
    struct outcome o;
    rig_put(rig, "c", 3, 3, NULL);
    o = rig_expect(rig, 204, "DELETE " IMAGE("c"), NULL);
    assert_int_equal(o.body.len, 0);
    outcome_clear(&o);
    static const char *const lines[] = {"GET " IMAGE("c"), "DELETE " IMAGE("c"), "GET " IMAGE("c") "/content"};
    for (size_t i = 0; i < COUNT(lines); i++) {
        o = rig_expect(rig, 404, lines[i], NULL);
        assert_string_equal(outcome_text(&o, "error.code"), "not_found");
        outcome_clear(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_new_once_and_then_replaced),
        cmocka_unit_test(what_was_put_is_given_back),
        cmocka_unit_test(what_curl_calls_a_form_is_taken_for_what_it_is),
        cmocka_unit_test(a_deleted_image_is_gone),
    };
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
