/* test_ids.c - what may be an image's id, in every place that takes one, and what names must be that are folders. */
#include "tests/t.h"

#include "base/json_writer.h"
#include "base/percent.h"
#include "index/store.h"
#include "tests/lib/rig.h"

#define IMAGES "/v1/collections/default/images"

#define BYTES_16  "0123456789abcdef"
#define BYTES_64  BYTES_16 BYTES_16 BYTES_16 BYTES_16
#define BYTES_256 BYTES_64 BYTES_64 BYTES_64 BYTES_64

static const char *const good[] = {
    "plain-1.x_y",
    "my photo.jpg",
    "IMG (1).jpg",
    "gr\xc3\xb6\xc3\x9f"
    "e.jpg",
    "\xe7\x8c\xab/\xe4\xb8\x89\xe6\xaf\x9b.jpg",
    "holiday/2024/cat.1.jpg",
    "/absolute",
    "trailing/",
    "//",
    "a//b",
    ".",
    "..",
    "../../etc/passwd",
    ".hidden",
    "someone@example.org",
    "https://example.org/a?b=c&d=%20#e",
    "SKU#4711 \"x\" <y>",
    "100%",
    "%2F",
    "%00",
    "a+b",
    "C:\\pictures\\1.jpg",
    "count",
    "delete",
    "content",
    "x/content",
    "data:image/png;base64,AAAA",
    " ",
    " lead",
    "tail ",
    "{id}",
    "'; DROP TABLE image; --",
    "null",
    "\xf0\x9f\x90\x88",
    "e\xcc\x81",
    "\xe2\x80\xa8line",
    "*",
    "\"",
    BYTES_256,
};

/* A line such as "GET .../images/<id><rest>". */
static char *line_of(const char *method, const char *id, const char *rest)
{
    struct buf b = {0};
    buf_print(&b, "%s " IMAGES "/", method);
    percent_encode(id, &b);
    buf_text(&b, rest);
    return buf_take(&b, NULL);
}

static struct outcome about(int status, const char *method, const char *id, const char *rest, const struct extra *x)
{
    char *line = line_of(method, id, rest);
    struct outcome o = rig_expect(rig, status, line, x);
    free(line);
    return o;
}

static void put(const char *id, unsigned seed)
{
    struct buf file = rig_picture(1, seed);
    struct outcome o =
        about(201, "PUT", id, "", &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
    assert_string_equal(outcome_text(&o, "id"), id);
    outcome_clear(&o);
    buf_clear(&file);
}

/* {"<key>": id} or {"<key>": [id, ...]} */
static struct outcome ask_by(int status, const char *line, const char *key, const char *const *ids, size_t n, bool list)
{
    struct buf text = {0};
    struct json_writer w = jw_to(&text);
    jw_object(&w, NULL);
    if (list)
        jw_array(&w, key);
    for (size_t i = 0; i < n; i++)
        jw_text(&w, list ? NULL : key, ids[i]);
    if (list)
        jw_end(&w);
    jw_end(&w);
    struct outcome o = rig_expect(rig, status, line, &(struct extra){.type = "application/json", .body = text.data});
    buf_clear(&text);
    return o;
}

static void clear(void)
{
    struct outcome o = ask_by(200, "POST " IMAGES "/delete", "ids", good, COUNT(good), true);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "POST " IMAGES "/count", NULL);
    assert_true(outcome_number(&o, "count") == 0);
    outcome_clear(&o);
}

static void any_text_is_an_id_in_paths_searches_lists_and_deletions(void **state)
{
    UNUSED(state);
    for (unsigned i = 0; i < COUNT(good); i++)
        put(good[i], i + 1);
    for (size_t i = 0; i < COUNT(good); i++) {
        struct outcome o = about(200, "GET", good[i], "", NULL);
        assert_string_equal(outcome_text(&o, "id"), good[i]);
        outcome_clear(&o);
        o = about(200, "GET", good[i], "/content?size=16", NULL);
        outcome_clear(&o);
        o = about(200, "PATCH", good[i], "", &(struct extra){.type = "application/json", .body = "{\"label\":\"l\"}"});
        outcome_clear(&o);
        o = ask_by(200, "POST /v1/collections/default/search", "id", &good[i], 1, false);
        assert_null(strstr(o.body.data, "\"error\""));
        outcome_clear(&o);
        o = ask_by(200, "POST " IMAGES "/count", "ids", &good[i], 1, true);
        assert_true(outcome_number(&o, "count") == 1);
        outcome_clear(&o);
        struct buf after = {0};
        buf_text(&after, "GET " IMAGES "?after=");
        percent_encode(good[i], &after);
        o = rig_expect(rig, 200, after.data, NULL);
        assert_true(!outcome_text(&o, "data.0.id") || strcmp(outcome_text(&o, "data.0.id"), good[i]) > 0);
        outcome_clear(&o);
        buf_clear(&after);
    }
    rig_reopen(rig);
    struct outcome o = rig_expect(rig, 200, "GET " IMAGES, NULL);
    assert_int_equal(json_count(outcome_at(&o, "data")), COUNT(good));
    outcome_clear(&o);
    for (size_t i = 0; i < COUNT(good); i++) {
        o = about(204, "DELETE", good[i], "", NULL);
        outcome_clear(&o);
    }
    clear();
}

static void any_text_is_an_id_in_batches_and_examples(void **state)
{
    UNUSED(state);
    struct buf text = {0}, picture = rig_base64(2, 1);
    struct json_writer w = jw_to(&text);
    jw_object(&w, NULL);
    jw_array(&w, "images");
    for (size_t i = 0; i < COUNT(good); i++) {
        jw_object(&w, NULL);
        jw_text(&w, "id", good[i]);
        jw_text(&w, "image", picture.data);
        jw_end(&w);
    }
    jw_end(&w);
    jw_end(&w);
    struct outcome o =
        rig_expect(rig, 200, "POST " IMAGES, &(struct extra){.type = "application/json", .body = text.data});
    for (size_t i = 0; i < COUNT(good); i++) {
        char path[32];
        snprintf(path, sizeof path, "data.%zu.status", i);
        assert_true(outcome_number(&o, path) == 201);
        snprintf(path, sizeof path, "data.%zu.id", i);
        assert_string_equal(outcome_text(&o, path), good[i]);
    }
    outcome_clear(&o);
    text.len = 0; /* as examples: a text that begins like a data URL is a picture, {"id"} never is */
    w = jw_to(&text);
    jw_object(&w, NULL);
    jw_array(&w, "positive");
    for (size_t i = 0; i < COUNT(good); i++) {
        jw_object(&w, NULL);
        jw_text(&w, "id", good[i]);
        jw_end(&w);
    }
    jw_end(&w);
    jw_end(&w);
    o = rig_expect(rig, 200, "POST /v1/collections/default/search",
                   &(struct extra){.type = "application/json", .body = text.data});
    assert_int_equal(json_count(outcome_at(&o, "data")), 0);
    outcome_clear(&o);
    clear();
    buf_clear(&text);
    buf_clear(&picture);
}

static void control_characters_broken_text_and_excess_are_refused(void **state)
{
    UNUSED(state);
    static const char *const bad[] = {"a\nb",     "\x01",         "\x7f",      "\xc2\x85",   "\xff",
                                      "\xc0\xaf", "\xed\xa0\x80", "a\xe2\x82", BYTES_256 "x"};
    struct buf file = rig_picture(1, 1);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(image_id_is_valid(bad[i]));
        struct outcome o =
            about(400, "PUT", bad[i], "", &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
        assert_string_equal(outcome_text(&o, "error.param"), "id");
        outcome_clear(&o);
    }
    assert_false(image_id_is_valid(""));
    struct outcome o = rig_json(rig, "POST /v1/collections/default/search", "{\"id\":\"\"}");
    assert_int_equal(o.status, 400);
    outcome_clear(&o);
    buf_clear(&file);
}

static void collections_models_and_the_rest_keep_names_that_folders_may_have(void **state)
{
    UNUSED(state);
    static const char *const lines[] = {
        "PUT /v1/collections/my%20photos",    "PUT /v1/collections/..",
        "PUT /v1/collections/a%2Fb",          "GET /v1/models/..",
        "GET /v1/models/%2e%2e%2fanchord.db", "DELETE /v1/keys/a%2Fb",
        "GET /v1/collections/%C3%A4/images",
    };
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct outcome o = rig_expect(rig, 400, lines[i], &(struct extra){.admin = true});
        assert_non_null(strstr(outcome_text(&o, "error.message"), "it names files"));
        outcome_clear(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_text_is_an_id_in_paths_searches_lists_and_deletions),
        cmocka_unit_test(any_text_is_an_id_in_batches_and_examples),
        cmocka_unit_test(control_characters_broken_text_and_excess_are_refused),
        cmocka_unit_test(collections_models_and_the_rest_keep_names_that_folders_may_have),
    };
    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
