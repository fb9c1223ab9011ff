/* test_spellings.c - the same picture under every content type and in every spelling, and what is said of no picture. */
#include "tests/t.h"

#include "tests/lib/rig.h"

static struct buf file, text; /* the same picture as a file and as base64 */

static int set_up(void **state)
{
    rig_set_up(state);
    file = rig_picture(1, 7);
    text = rig_base64(1, 7);
    return 0;
}

static int tear_down(void **state)
{
    buf_clear(&file);
    buf_clear(&text);
    return rig_tear_down(state);
}

#define IMAGE "/v1/collections/default/images/x"

static struct outcome embed(const char *type, const void *body, size_t len)
{
    return rig_ask(rig, "POST /v1/embeddings", &(struct extra){.type = type, .body = body, .len = len});
}

/* The first component tells pictures apart; all answers to one picture have the same. */
static double first_component(void)
{
    struct outcome o = embed("image/jpeg", file.data, file.len);
    double x = outcome_number(&o, "data.0.embedding.0");
    outcome_clear(&o);
    return x;
}

static void a_picture_is_told_by_its_content_under_any_type(void **state)
{
    UNUSED(state);
    static const char *const types[] = {"binary/octet-stream",
                                        "application/octet-stream",
                                        "application/x-www-form-urlencoded",
                                        "text/plain",
                                        "image/png",
                                        "application/json",
                                        "application/x-binary; x=y",
                                        "video/mp4",
                                        "",
                                        NULL};
    double want = first_component();
    for (size_t i = 0; i < COUNT(types); i++) {
        struct outcome o = embed(types[i], file.data, file.len);
        if (o.status != 200 || outcome_number(&o, "data.0.embedding.0") != want)
            fail_msg("%s: %d %.200s", types[i] ? types[i] : "none", o.status, o.body.data);
        outcome_clear(&o);
        o = rig_ask(rig, "PUT " IMAGE, &(struct extra){.type = types[i], .body = file.data, .len = file.len});
        assert_true(o.status == 201 || o.status == 200);
        outcome_clear(&o);
    }
}

static void what_is_no_picture_under_another_type_is_refused_as_before(void **state)
{
    UNUSED(state);
    static const struct {
        const char *type, *body;
        int status;
    } cases[] = {
        {"text/plain", "{\"input\":\"aGk=\"}", 415}, /* what a foreign page's form can send is never read as JSON */
        {"application/x-www-form-urlencoded", "{\"input\":\"aGk=\"}", 415},
        {"text/html", "<html>", 415},
        {"binary/octet-stream", "GIF89a", 415},
        {"application/json", "\xff\xd8", 400},
        {"multipart/mixed; boundary=x", "--x--", 415},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = embed(cases[i].type, cases[i].body, strlen(cases[i].body));
        if (o.status != cases[i].status)
            fail_msg("%s %s: %d %s", cases[i].type, cases[i].body, o.status, o.body.data);
        outcome_clear(&o);
    }
}

/* The text with what `from` names replaced by the text of `to`; the caller clears. */
static struct buf respelled(const char *from, const char *const *to)
{
    struct buf b = {0};
    for (size_t i = 0; i < text.len; i++) {
        const char *at = strchr(from, text.data[i]);
        buf_text(&b, at ? to[at - from] : (const char[]){text.data[i], 0});
    }
    return b;
}

static void base64_and_data_urls_may_be_spelled_as_clients_do(void **state)
{
    UNUSED(state);
    struct buf spelled[] = {respelled("", NULL), respelled("+/", (const char *const[]){"-", "_"}),
                            respelled("=", (const char *const[]){""}),
                            respelled("+/=", (const char *const[]){"%2B", "%2f", "%3D"}),
                            respelled("+/=", (const char *const[]){"-", "_", ""})};
    static const char *const around[] = {"\"%s\"",
                                         "\"  %s\\n\"",
                                         "\"data:;base64,%s\"",
                                         "\"data:application/octet-stream;base64,%s\"",
                                         "\"DATA:image/jpeg;charset=utf-8;name=a.jpg;BASE64, %s \"",
                                         "\" data:text/plain;base64 ,%s\""};
    double want = first_component();
    for (size_t i = 0; i < COUNT(spelled); i++)
        for (size_t k = 0; k < COUNT(around); k++) {
            struct buf body = {0};
            const char *at = strstr(around[k], "%s");
            buf_print(&body, "{\"input\":%.*s", (int)(at - around[k]), around[k]);
            buf_add(&body, spelled[i].data, spelled[i].len);
            buf_print(&body, "%s}", at + 2);
            struct outcome o = embed("application/json", body.data, body.len);
            if (o.status != 200 || outcome_number(&o, "data.0.embedding.0") != want)
                fail_msg("%zu in %s: %d %.200s", i, around[k], o.status, o.body.data);
            outcome_clear(&o);
            buf_clear(&body);
        }
    for (size_t i = 0; i < COUNT(spelled); i++)
        buf_clear(&spelled[i]);
}

static void words_are_told_from_broken_base64(void **state)
{
    UNUSED(state);
    static const char is_text[] = "this is text; the model embeds pictures: send base64 or a data URL";
    static const struct {
        const char *input;
        int status;
        const char *says;
    } cases[] = {
        {"a dog", 400, is_text},
        {"a red flower", 400, is_text},
        {"dog", 400, is_text},
        {"Red", 400, is_text},
        {"ein B\xc3\xa4r", 400, is_text},
        {"What is the colour of the flower that stands in the middle of the garden behind the house?", 400, is_text},
        {"R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", 422, "GIF pictures are not read"},
        {"data:text/plain;base64,aGVsbG8=", 422, "not a JPEG, PNG or WebP"},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA!AAA", 400, "not valid base64"},
        {"https://example.org/a.jpg", 400, "not fetched"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf body = {0};
        buf_print(&body, "{\"input\":[\"%s\"]}", cases[i].input);
        struct outcome o = embed("application/json", body.data, body.len);
        if (o.status != cases[i].status || !strstr(o.body.data, cases[i].says) ||
            strcmp(outcome_text(&o, "error.param"), "input[0]") != 0)
            fail_msg("%s: %d %s", cases[i].input, o.status, o.body.data);
        outcome_clear(&o);
        buf_clear(&body);
    }
}

static void a_file_that_curl_has_changed_is_told_with_the_way_out(void **state)
{
    UNUSED(state);
    struct buf mangled = {0};
    for (size_t i = 0; i < file.len; i++) /* as curl -d does */
        if (file.data[i] != '\n' && file.data[i] != '\r' && file.data[i] != 0)
            buf_char(&mangled, file.data[i]);
    struct outcome o = embed("application/x-www-form-urlencoded", mangled.data, mangled.len);
    assert_int_equal(o.status, 422);
    assert_non_null(strstr(outcome_text(&o, "error.message"), "--data-binary @FILE"));
    outcome_clear(&o);
    o = embed("application/x-www-form-urlencoded", "\x89PNG\x1a", 5);
    assert_int_equal(o.status, 415);
    assert_non_null(strstr(outcome_text(&o, "error.message"), "--data-binary @FILE"));
    outcome_clear(&o);
    o = embed("image/jpeg", mangled.data, mangled.len);
    assert_int_equal(o.status, 422);
    assert_null(strstr(outcome_text(&o, "error.message"), "curl"));
    outcome_clear(&o);
    buf_clear(&mangled);
}

static void every_message_names_its_field(void **state)
{
    UNUSED(state);
    static const struct {
        const char *line, *json, *message;
    } cases[] = {
        {"POST /v1/embeddings", "{\"input\":\"a\",\"input_type\":\"x\"}", "there is no field \"input_type\""},
        {"POST /v1/embeddings?inpt=3", NULL, "there is no parameter \"inpt\""},
        {"POST /v1/embeddings", "{\"input\":[{\"text\":\"a\"}]}", "there is no field \"input[0].text\""},
        {"POST /v1/embeddings", "{\"input\":\"a\",\"dimensions\":0}", "dimensions: must be from 1 to 2147483647"},
        {"POST /v1/collections/default/search", "{\"searches\":[{\"id\":\"x\",\"limt\":5}]}",
         "searches[0].limt: there is no field \"limt\""},
        {"POST /v1/collections/default/images/delete", "{}", "filter: say by filter or ids which images"},
        {"PUT /v1/collections/a%20b", NULL, "collection: must be"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o =
            rig_ask(rig, cases[i].line,
                    &(struct extra){.type = cases[i].json ? "application/json" : NULL, .body = cases[i].json});
        assert_int_equal(o.status, 400);
        const char *message = outcome_text(&o, "error.message");
        if (strncmp(message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: %s", cases[i].line, message);
        outcome_clear(&o);
    }
}

/* In all the places where a label can be given. */
static void the_empty_label_is_none(void **state)
{
    UNUSED(state);
    struct buf body = {0};
    struct outcome o = rig_expect(
        rig, 200, "PUT " IMAGE "?label=", &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
    assert_null(outcome_text(&o, "label"));
    outcome_clear(&o);
    static const char *const patches[] = {"{\"label\":\"a\"}", "{\"label\":\"\"}"};
    for (size_t i = 0; i < 2; i++) {
        o = rig_expect(rig, 200, "PATCH " IMAGE, &(struct extra){.type = "application/json", .body = patches[i]});
        assert_true(i ? !outcome_text(&o, "label") : outcome_text(&o, "label") != NULL);
        outcome_clear(&o);
    }
    buf_print(&body, "{\"images\":[{\"id\":\"x\",\"label\":\"\",\"image\":\"%s\"}]}", text.data);
    o = rig_json(rig, "POST /v1/collections/default/images", body.data);
    assert_int_equal(o.status, 200);
    assert_null(outcome_text(&o, "data.0.label"));
    outcome_clear(&o);
    o = rig_json(rig, "POST /v1/collections/default/images/count",
                 "{\"filter\":{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"\"}}]}}");
    assert_true(outcome_number(&o, "count") == 0);
    outcome_clear(&o);
    buf_clear(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_is_told_by_its_content_under_any_type),
        cmocka_unit_test(what_is_no_picture_under_another_type_is_refused_as_before),
        cmocka_unit_test(base64_and_data_urls_may_be_spelled_as_clients_do),
        cmocka_unit_test(words_are_told_from_broken_base64),
        cmocka_unit_test(a_file_that_curl_has_changed_is_told_with_the_way_out),
        cmocka_unit_test(every_message_names_its_field),
        cmocka_unit_test(the_empty_label_is_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
