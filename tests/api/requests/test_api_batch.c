/* test_api_batch.c - many images: put as a form and as JSON, listed in pages, counted, deleted. */
#include "tests/t.h"

#include "tests/lib/rig.h"

#define IMAGES "/v1/collections/default/images"

static void add_file(struct buf *form, const char *filename, const struct buf *file)
{
    buf_text(form, "--xyz\r\nContent-Disposition: form-data; name=\"file\"");
    if (filename)
        buf_print(form, "; filename=\"%s\"", filename);
    buf_text(form, "\r\nContent-Type: image/jpeg\r\n\r\n");
    buf_add(form, file->data, file->len);
    buf_text(form, "\r\n");
}

static struct outcome send_form(struct buf *form)
{
    buf_text(form, "--xyz--\r\n");
    struct outcome o =
        rig_ask(rig, "POST " IMAGES,
                &(struct extra){.type = "multipart/form-data; boundary=xyz", .body = form->data, .len = form->len});
    buf_clear(form);
    return o;
}

static void files_of_a_form_get_their_names_as_ids(void **state)
{
    UNUSED(state);
    struct buf form = {0}, one = rig_picture(1, 1), broken = {0};
    buf_text(&broken, "\xff\xd8\xff\xe0 no more");
    add_file(&form, "cat.1.jpg", &one);
    add_file(&form, "C:\\\\photos/holiday/dog.png", &one);
    add_file(&form, NULL, &one);
    add_file(&form, "noending", &one);
    add_file(&form, "bro\xffken.jpg", &one);
    add_file(&form, "", &broken);
    add_file(&form, "broken.jpg", &broken);
    add_file(&form, "cat.1.jpg", &one);
    struct outcome o = send_form(&form);
    assert_int_equal(o.status, 200);
    assert_int_equal(json_count(outcome_at(&o, "data")), 8);
    assert_string_equal(outcome_text(&o, "data.0.id"), "cat.1.jpg");
    assert_true(outcome_number(&o, "data.0.status") == 201);
    assert_string_equal(outcome_text(&o, "data.1.id"), "C:\\photos/holiday/dog.png");
    assert_int_equal(strlen(outcome_text(&o, "data.2.id")), 36);
    assert_string_equal(outcome_text(&o, "data.3.id"), "noending");
    assert_true(outcome_number(&o, "data.4.status") == 400);
    assert_string_equal(outcome_text(&o, "data.4.error.param"), "file[4]");
    assert_true(outcome_number(&o, "data.5.status") == 422);
    assert_true(outcome_number(&o, "data.6.status") == 422);
    assert_string_equal(outcome_text(&o, "data.6.error.param"), "file[6]");
    assert_true(outcome_number(&o, "data.7.status") == 409); /* cat.1 again */
    outcome_clear(&o);
    o = rig_expect(rig, 200, "GET " IMAGES "/cat.1.jpg", NULL);
    outcome_clear(&o);
    o = rig_expect(rig, 404, "GET " IMAGES "/broken.jpg", NULL);
    outcome_clear(&o);
    buf_clear(&one);
    buf_clear(&broken);
}

static void a_form_with_other_parts_or_none_is_refused(void **state)
{
    UNUSED(state);
    struct buf form = {0};
    struct outcome o = send_form(&form);
    assert_int_equal(o.status, 400);
    assert_string_equal(outcome_text(&o, "error.param"), "file");
    outcome_clear(&o);
    buf_text(&form, "--xyz\r\nContent-Disposition: form-data; name=\"colour\"\r\n\r\nred\r\n");
    o = send_form(&form);
    assert_int_equal(o.status, 400);
    assert_string_equal(outcome_text(&o, "error.param"), "colour");
    assert_string_equal(outcome_text(&o, "error.message"),
                        "there is no part \"colour\": parts are called file, id, label, metadata");
    outcome_clear(&o);
}

static void items_of_a_json_batch_succeed_and_fail_alone(void **state)
{
    UNUSED(state);
    struct buf body = {0}, text = rig_base64(2, 2);
    buf_print(&body,
              "{\"images\":[{\"id\":\"j.1\",\"image\":\"%s\",\"label\":\"x\",\"metadata\":{\"a\":[1,2]}},"
              "{\"image\":{\"image\":\"%s\"}},{\"id\":\"j.3\"},{\"id\":\"j\\n4\",\"image\":\"%s\"},"
              "{\"id\":\"j.5\",\"image\":\"%s\",\"tags\":[]},{\"id\":\"j.6\",\"image\":\"aGk=\"},7,"
              "{\"id\":\"j.8\",\"image\":\"%s\",\"metadata\":[]}]}",
              text.data, text.data, text.data, text.data, text.data);
    struct outcome o = rig_json(rig, "POST " IMAGES, body.data);
    static const struct {
        int status;
        const char *param;
    } want[] = {{201, NULL},
                {201, NULL},
                {400, "images[2].image"},
                {400, "images[3].id"},
                {400, "images[4].tags"},
                {400, "images[5].image"},
                {400, "images[6]"},
                {400, "images[7].metadata"}};
    assert_int_equal(o.status, 200);
    assert_int_equal(json_count(outcome_at(&o, "data")), COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++) {
        char path[48];
        snprintf(path, sizeof path, "data.%zu.status", i);
        if (outcome_number(&o, path) != want[i].status)
            fail_msg("item %zu: %g", i, outcome_number(&o, path));
        snprintf(path, sizeof path, "data.%zu.error.param", i);
        if (want[i].param)
            assert_string_equal(outcome_text(&o, path), want[i].param);
    }
    assert_string_equal(outcome_text(&o, "data.0.label"), "x");
    assert_true(outcome_number(&o, "data.0.metadata.a.1") == 2);
    outcome_clear(&o);
    static const char *const bad[] = {"{}", "{\"images\":[]}", "{\"images\":{}}", "{\"images\":[],\"x\":1}", "[]"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        o = rig_json(rig, "POST " IMAGES, bad[i]);
        assert_int_equal(o.status, 400);
        outcome_clear(&o);
    }
    buf_clear(&body);
    buf_clear(&text);
}

static size_t ids_of_page(const char *line, char *last, size_t size, bool *more)
{
    struct outcome o = rig_expect(rig, 200, line, NULL);
    size_t n = json_count(outcome_at(&o, "data"));
    char path[32];
    snprintf(path, sizeof path, "data.%zu.id", n - 1);
    if (n)
        snprintf(last, size, "%s", outcome_text(&o, path));
    assert_true(json_as_bool(outcome_at(&o, "has_more"), more));
    outcome_clear(&o);
    return n;
}

static void pages_cover_all_images_once_in_the_order_of_their_ids(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 201, "PUT /v1/collections/pages", NULL);
    outcome_clear(&o);
    struct buf body = {0}, text = rig_base64(3, 3);
    for (int i = 0; i < 10; i++)
        buf_print(&body, "%s{\"id\":\"i.%d\",\"image\":\"%s\",\"label\":\"%s\"}", i ? "," : "{\"images\":[", i,
                  text.data, i % 2 ? "odd" : "even");
    buf_text(&body, "]}");
    o = rig_json(rig, "POST /v1/collections/pages/images", body.data);
    assert_int_equal(o.status, 200);
    outcome_clear(&o);
    char line[160], last[64] = "";
    size_t seen = 0;
    bool more = true;
    while (more) {
        snprintf(line, sizeof line, "GET /v1/collections/pages/images?limit=3%s%s", seen ? "&after=" : "", last);
        seen += ids_of_page(line, last, sizeof last, &more);
        assert_true(seen <= 10);
    }
    assert_int_equal(seen, 10);
    assert_string_equal(last, "i.9");
    assert_int_equal(ids_of_page("GET "
                                 "/v1/collections/pages/"
                                 "images?filter={\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"odd\"}}]}",
                                 last, sizeof last, &more),
                     5);
    assert_false(more);
    buf_clear(&body);
    buf_clear(&text);
}

static void counting_and_deleting_take_filters_or_ids(void **state)
{
    UNUSED(state);
    static const struct {
        const char *line, *json;
        int status;
        const char *member;
        double n;
    } steps[] = {
        {"POST /v1/collections/pages/images/count", NULL, 200, "count", 10},
        {"POST /v1/collections/pages/images/count", "{}", 200, "count", 10},
        {"POST /v1/collections/pages/images/count", "{\"ids\":[]}", 200, "count", 0},
        {"POST /v1/collections/pages/images/count", "{\"ids\":[\"i.1\",\"i.2\",\"none\"]}", 200, "count", 2},
        {"POST /v1/collections/pages/images/count",
         "{\"filter\":{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"odd\"}}]}}", 200, "count", 5},
        {"POST /v1/collections/pages/images/count", "{\"filter\":{},\"ids\":[]}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/count", "{\"ids\":[1]}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/count", "{\"ids\":[\"a\\nb\"]}", 400, NULL, 0},
        {"POST /v1/collections/none/images/count", NULL, 404, NULL, 0},
        {"POST /v1/collections/pages/images/delete", NULL, 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete", "{}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete", "{\"ids\":[]}", 200, "deleted", 0},
        {"POST /v1/collections/pages/images/delete", "{\"filter\":{}}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete", "{\"filter\":{\"must\":[]}}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete", "{\"filter\":{\"must\":[{\"should\":[]}]}}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete",
         "{\"filter\":{\"must_not\":[{\"key\":\"label\",\"match\":{\"any\":[]}}]}}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete", "{\"all\":false}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete", "{\"all\":\"yes\"}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete", "{\"all\":true,\"ids\":[\"i.1\"]}", 400, NULL, 0},
        {"POST /v1/collections/pages/images/delete", "{\"all\":true,\"filter\":{\"must\":[{\"has_id\":[\"i.1\"]}]}}",
         400, NULL, 0},
        {"POST /v1/collections/pages/images/count", "{\"filter\":{}}", 200, "count", 10},
        {"POST /v1/collections/pages/images/delete", "{\"filter\":{\"must\":[{\"has_id\":[]}]}}", 200, "deleted", 0},
        {"POST /v1/collections/pages/images/delete", "{\"ids\":[\"i.0\",\"none\"]}", 200, "deleted", 1},
        {"POST /v1/collections/pages/images/delete",
         "{\"filter\":{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"odd\"}}]}}", 200, "deleted", 5},
        {"POST /v1/collections/pages/images/count", NULL, 200, "count", 4},
        {"POST /v1/collections/pages/images/delete", "{\"all\":true,\"filter\":{}}", 200, "deleted", 4},
        {"POST /v1/collections/pages/images/count", NULL, 200, "count", 0},
        {"POST /v1/collections/none/images/delete", "{\"ids\":[\"i.0\"]}", 404, NULL, 0},
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct outcome o =
            rig_ask(rig, steps[i].line,
                    &(struct extra){.type = steps[i].json ? "application/json" : NULL, .body = steps[i].json});
        if (o.status != steps[i].status)
            fail_msg("%s %s gave %d: %s", steps[i].line, steps[i].json, o.status, o.body.data);
        if (steps[i].member && outcome_number(&o, steps[i].member) != steps[i].n)
            fail_msg("%s %s gave %s", steps[i].line, steps[i].json, o.body.data);
        outcome_clear(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_a_form_get_their_names_as_ids),
        cmocka_unit_test(a_form_with_other_parts_or_none_is_refused),
        cmocka_unit_test(items_of_a_json_batch_succeed_and_fail_alone),
        cmocka_unit_test(pages_cover_all_images_once_in_the_order_of_their_ids),
        cmocka_unit_test(counting_and_deleting_take_filters_or_ids),
    };
    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
