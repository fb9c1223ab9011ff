/* test_api_images.c - the life of one image: put, get, patch, content, delete, and its conditions. */
#include "tests/t.h"

#include "base/file_cache.h"
#include "base/hash.h"
#include "tests/lib/rig.h"

#define IMAGE(id) "/v1/collections/default/images/" id

static void an_image_is_new_once_and_then_replaced(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(1, 1);
    struct extra x = {.type = "image/jpeg", .body = file.data, .len = file.len};
    char hash[HASH_HEX];
    hash_text(file.data, file.len, hash);
    struct outcome first =
        rig_expect(rig, 201, "PUT " IMAGE("a.1") "?label=red%20one&metadata=%7B%22n%22%3A%201%7D", &x);
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
    assert_string_equal(outcome_header(&content, "etag"), outcome_header(&row, "etag"));
    struct outcome small = rig_expect(rig, 200, "GET " IMAGE("b") "/content?size=16", NULL);
    struct image_info info;
    struct err e = {0};
    assert_ok(image_probe(small.body.data, small.body.len, &image_default_limits, &info, &e), e);
    assert_int_equal(info.width, 16);
    const struct extra known = {.if_none_match = outcome_header(&row, "etag")};
    struct outcome same = rig_expect(rig, 304, "GET " IMAGE("b"), &known);
    assert_int_equal(same.body.len, 0);
    outcome_clear(&same);
    same = rig_expect(rig, 304, "GET " IMAGE("b") "/content", &known);
    outcome_clear(&row);
    outcome_clear(&content);
    outcome_clear(&small);
    outcome_clear(&same);
    buf_clear(&file);
}

static struct outcome thumbnail(const char *line)
{
    return rig_expect(rig, 200, line, NULL);
}

static void a_thumbnail_is_made_once_and_goes_with_its_image(void **state)
{
    UNUSED(state);
    char path[400], name[HASH_HEX + 16];
    void *bytes;
    size_t len;
    rig_put(rig, "thumb", 3, 77, NULL);
    struct outcome row = rig_expect(rig, 200, "GET " IMAGE("thumb"), NULL);
    struct outcome made = thumbnail("GET " IMAGE("thumb") "/content?size=32");
    assert_string_equal(outcome_header(&made, "cache-control"), "private, no-cache");
    snprintf(path, sizeof path, "%s/thumbnails", rig->dir);
    struct file_cache *cache = file_cache_new(path, 16 << 20);
    snprintf(name, sizeof name, "%s-32.jpg", outcome_text(&row, "sha256"));
    assert_true(file_cache_get(cache, name, &bytes, &len));
    assert_int_equal(len, made.body.len);
    assert_memory_equal(bytes, made.body.data, len);
    free(bytes);
    file_cache_put(cache, name, "kept", 4); /* what is kept is what is sent */
    struct outcome again = thumbnail("GET " IMAGE("thumb") "/content?size=32");
    assert_int_equal(again.body.len, 4);
    struct outcome other = thumbnail("GET " IMAGE("thumb") "/content?size=33");
    assert_true(other.body.len > 4);
    struct outcome gone = rig_expect(rig, 204, "DELETE " IMAGE("thumb"), NULL);
    rig_reopen(rig); /* files are removed between two groups of writes, at the end at the latest */
    assert_false(file_cache_get(cache, name, &bytes, &len));
    file_cache_free(cache);
    outcome_clear(&row);
    outcome_clear(&made);
    outcome_clear(&again);
    outcome_clear(&other);
    outcome_clear(&gone);
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

static struct outcome patch(const char *json)
{
    return rig_ask(rig, "PATCH " IMAGE("d"), &(struct extra){.type = "application/merge-patch+json", .body = json});
}

static void a_patch_merges_label_and_metadata(void **state)
{
    UNUSED(state);
    static const struct {
        const char *json, *label, *metadata;
    } steps[] = {
        {"{\"metadata\":{\"a\":1,\"b\":{\"c\":2,\"d\":3}}}", "old", "{\"a\":1,\"b\":{\"c\":2,\"d\":3}}"},
        {"{\"metadata\":{\"a\":null,\"b\":{\"c\":\"x\"}}}", "old", "{\"b\":{\"c\":\"x\",\"d\":3}}"},
        {"{\"label\":\"new\"}", "new", "{\"b\":{\"c\":\"x\",\"d\":3}}"},
        {"{\"label\":null}", NULL, "{\"b\":{\"c\":\"x\",\"d\":3}}"},
        {"{}", NULL, "{\"b\":{\"c\":\"x\",\"d\":3}}"},
        {"{\"metadata\":null,\"label\":\"last\"}", "last", NULL},
    };
    rig_put(rig, "d", 1, 4, "old");
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct outcome o = patch(steps[i].json), row = rig_expect(rig, 200, "GET " IMAGE("d"), NULL);
        struct buf metadata = {0};
        if (o.status != 200)
            fail_msg("%s: %s", steps[i].json, o.body.data);
        if (steps[i].label)
            assert_string_equal(outcome_text(&o, "label"), steps[i].label);
        else
            assert_null(outcome_text(&o, "label"));
        if (outcome_at(&o, "metadata"))
            json_dump(outcome_at(&o, "metadata"), &metadata);
        if (steps[i].metadata)
            assert_string_equal(metadata.data, steps[i].metadata);
        else
            assert_null(metadata.data);
        assert_string_equal(o.body.data, row.body.data); /* what is answered is what is kept */
        outcome_clear(&o);
        outcome_clear(&row);
        buf_clear(&metadata);
    }
    static const char *const bad[] = {"[]", "{\"label\":5}", "{\"metadata\":5}", "{\"metadata\":[]}", "{\"id\":\"e\"}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct outcome o = patch(bad[i]);
        if (o.status != 400)
            fail_msg("%s gave %d", bad[i], o.status);
        outcome_clear(&o);
    }
}

/* A write is made only while its condition holds. */
static void conditions_guard_writes(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(6, 6);
    struct extra x = {.type = "image/jpeg", .body = file.data, .len = file.len, .if_none_match = "*"};
    struct outcome first = rig_expect(rig, 201, "PUT " IMAGE("e"), &x), o;
    char old[128];
    snprintf(old, sizeof old, "%s", outcome_header(&first, "etag"));
    o = rig_expect(rig, 412, "PUT " IMAGE("e"), &x);
    outcome_clear(&o);
    x.if_none_match = NULL;
    x.if_match = old;
    o = rig_expect(rig, 200, "PUT " IMAGE("e"), &x);
    char now[128];
    snprintf(now, sizeof now, "%s", outcome_header(&o, "etag"));
    outcome_clear(&o);
    o = rig_expect(rig, 412, "PUT " IMAGE("e"), &x); /* the tag is old by now */
    assert_string_equal(outcome_text(&o, "error.code"), "precondition_failed");
    outcome_clear(&o);
    x.if_match = "*";
    o = rig_expect(rig, 412, "PUT " IMAGE("nobody"), &x);
    outcome_clear(&o);
    struct extra p = {.type = "application/json", .body = "{\"label\":\"x\"}", .if_match = old};
    o = rig_expect(rig, 412, "PATCH " IMAGE("e"), &p);
    outcome_clear(&o);
    o = rig_expect(rig, 412, "DELETE " IMAGE("e"), &(struct extra){.if_match = old});
    outcome_clear(&o);
    o = rig_expect(rig, 204, "DELETE " IMAGE("e"), &(struct extra){.if_match = now});
    outcome_clear(&o);
    static const struct {
        const char *if_match, *if_none_match;
        int status;
    } odd[] = {
        {"e", NULL, 412},
        {"\"\"", NULL, 412},
        {"W/\"x-1\"", NULL, 412},
        {"\"a\", \"b\"", NULL, 400},
        {NULL, "\"a\"", 400},
        {"\"0000000000000000000000000000000000000000000000000000000000000000-99999999999999999999\"", NULL, 412}};
    for (size_t i = 0; i < COUNT(odd); i++) {
        x.if_match = odd[i].if_match;
        x.if_none_match = odd[i].if_none_match;
        o = rig_expect(rig, odd[i].status, "PUT " IMAGE("e"), &x);
        outcome_clear(&o);
    }
    outcome_clear(&first);
    buf_clear(&file);
}

/* A query text of n bytes. */
static struct outcome put_with(const char *name, const char *begin, size_t n, const char *end)
{
    struct buf line = {0}, file = rig_picture(1, 1);
    buf_print(&line, "PUT " IMAGE("m") "?%s=%s", name, begin);
    for (size_t i = strlen(begin) + strlen(end); i < n; i++)
        buf_char(&line, 'x');
    buf_text(&line, end);
    struct outcome o = rig_ask(rig, line.data, &(struct extra){.body = file.data, .len = file.len});
    buf_clear(&line);
    buf_clear(&file);
    return o;
}

static void labels_and_metadata_have_limits(void **state)
{
    UNUSED(state);
    static const struct {
        const char *name, *begin;
        size_t n;
        const char *end;
        int status;
    } cases[] = {
        {"label", "", 256, "", 201},
        {"label", "", 257, "", 400},
        {"label", "%ff", 3, "", 400},
        {"label", "", 0, "", 200},
        {"metadata", "{\"a\":\"", 4096, "\"}", 200},
        {"metadata", "{\"a\":\"", 4097, "\"}", 400},
        {"metadata", "[1]", 3, "", 400},
        {"metadata", "5", 1, "", 400},
        {"metadata", "{", 1, "", 400},
        {"metadata", "", 0, "", 200},
        {"metadata", "{\"a\":\"\\u0000\"}", 0, "", 400},
        {"metadata", "{\"a\":\"\\ud800\"}", 0, "", 400},
        {"metadata", "{\"a\":1,\"a\":2}", 0, "", 400},
        {"metadata", "{}", 0, "", 200},
        {"Label", "x", 1, "", 400},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = put_with(cases[i].name, cases[i].begin, cases[i].n, cases[i].end);
        if (o.status != cases[i].status)
            fail_msg("%s=%s (%zu) gave %d: %.200s", cases[i].name, cases[i].begin, cases[i].n, o.status, o.body.data);
        if (o.status == 400)
            assert_string_equal(outcome_text(&o, "error.param"), cases[i].name);
        outcome_clear(&o);
    }
}

/* Nothing that a client writes is ever more than text. */
static void strange_texts_are_kept_literally(void **state)
{
    UNUSED(state);
    static const char *const texts[] = {"'; DROP TABLE image; --",   "$(reboot)`id`",   "a\\nlevel=error forged",
                                        "<script>alert(1)</script>", "%s%n%x",          "\\u001b[31mred",
                                        "../../etc/passwd",          "\xf0\x9f\x90\x88"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct buf body = {0};
        rig_put(rig, "s", 1, 1, NULL);
        buf_print(&body, "{\"label\":\"%s\",\"metadata\":{\"k\":\"%s\",\"%s\":1}}", texts[i], texts[i], texts[i]);
        struct outcome o =
            rig_ask(rig, "PATCH " IMAGE("s"), &(struct extra){.type = "application/json", .body = body.data});
        struct outcome row = rig_expect(rig, 200, "GET " IMAGE("s"), NULL);
        struct err e = {0};
        struct json *sent = json_parse(body.data, body.len, 0, &e);
        assert_int_equal(o.status, 200);
        assert_string_equal(outcome_text(&row, "label"), json_as_text(json_member(sent, "label"), NULL));
        assert_string_equal(outcome_text(&row, "metadata.k"), json_as_text(json_member(sent, "label"), NULL));
        json_free(sent);
        outcome_clear(&o);
        outcome_clear(&row);
        buf_clear(&body);
    }
}

static void everything_is_there_after_a_restart(void **state)
{
    UNUSED(state);
    rig_put(rig, "kept", 7, 7, "l");
    struct outcome before = rig_expect(rig, 200, "GET " IMAGE("kept"), NULL);
    rig_reopen(rig);
    struct outcome after = rig_expect(rig, 200, "GET " IMAGE("kept"), NULL);
    assert_string_equal(before.body.data, after.body.data);
    outcome_clear(&before);
    outcome_clear(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_new_once_and_then_replaced),
        cmocka_unit_test(what_was_put_is_given_back),
        cmocka_unit_test(a_thumbnail_is_made_once_and_goes_with_its_image),
        cmocka_unit_test(what_curl_calls_a_form_is_taken_for_what_it_is),
        cmocka_unit_test(a_deleted_image_is_gone),
        cmocka_unit_test(a_patch_merges_label_and_metadata),
        cmocka_unit_test(conditions_guard_writes),
        cmocka_unit_test(labels_and_metadata_have_limits),
        cmocka_unit_test(strange_texts_are_kept_literally),
        cmocka_unit_test(everything_is_there_after_a_restart),
    };
    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
