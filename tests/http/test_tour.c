/* test_tour.c - the way through the program that a user takes: upload, look, search, change, delete. */
#include "tests/t.h"

#include "base/base64.h"
#include "base/hash.h"
#include "tests/lib/expect.h"

static struct server server;
static struct client c;

enum { SHOWN = 12, SIDE = 64 };
static struct buf pictures[SHOWN];

#define IMAGES "/v1/collections/default/images"
#define SEARCH "/v1/collections/default/search"

static int start(void **state)
{
    UNUSED(state);
    for (uint64_t i = 0; i < SHOWN; i++)
        draw_jpeg(i * 7 + 1, SIDE, &pictures[i]);
    expect_start(&server, &(struct server_options){0});
    c = client_to(server.port);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    client_close(&c);
    expect_stop(&server);
    for (size_t i = 0; i < SHOWN; i++)
        buf_clear(&pictures[i]);
    return 0;
}

static void put(const char *id, size_t which, int status)
{
    char target[200];
    snprintf(target, sizeof target, IMAGES "/%s", id);
    expect_put_image(&c, status, target, pictures[which].data, pictures[which].len);
}

static void delete (const char *id, int status)
{
    char target[200];
    snprintf(target, sizeof target, IMAGES "/%s", id);
    expect_status(&c, status, &(struct ask){.method = "DELETE", .target = target});
}

static struct json *search_by_image(size_t which, int limit)
{
    char target[100];
    snprintf(target, sizeof target, SEARCH "?limit=%d", limit);
    return expect_json(&c, 200,
                       &(struct ask){.method = "POST",
                                     .target = target,
                                     .type = "image/jpeg",
                                     .body = pictures[which].data,
                                     .len = pictures[which].len});
}

static void the_front_says_who_it_is(void **state)
{
    UNUSED(state);
    struct json *home = expect_get(&c, 200, "/");
    assert_string_equal(text_at(home, "title"), "anchord");
    assert_true(text_at(home, "version")[0]);
    json_free(home);
    json_free(expect_get(&c, 200, "/healthz"));
    json_free(expect_get(&c, 200, "/readyz"));
    struct json *models = expect_get(&c, 200, "/v1/models");
    assert_string_equal(text_at(models, "object"), "list");
    assert_string_equal(text_at(models, "data.0.id"), "small");
    assert_int_equal(int_at(models, "data.0.dimensions"), 64);
    assert_int_equal(strlen(text_at(models, "data.0.fingerprint")), 64);
    json_free(models);
}

static void an_upload_tells_what_was_stored_and_gives_it_back(void **state)
{
    UNUSED(state);
    char hex[HASH_HEX];
    struct reply r = {0};
    hash_text(pictures[0].data, pictures[0].len, hex);
    struct json *made =
        expect_json(&c, 201,
                    &(struct ask){.method = "PUT",
                                  .target = IMAGES "/first?label=red&metadata=%7B%22shelf%22%3A%20%223%2Fa%22%7D",
                                  .type = "image/jpeg",
                                  .body = pictures[0].data,
                                  .len = pictures[0].len});
    assert_string_equal(text_at(made, "id"), "first");
    assert_string_equal(text_at(made, "sha256"), hex);
    assert_string_equal(text_at(made, "label"), "red");
    assert_string_equal(text_at(made, "metadata.shelf"), "3/a");
    assert_int_equal(int_at(made, "width"), SIDE);
    assert_int_equal(int_at(made, "height"), SIDE);
    int64_t revision = int_at(made, "revision");
    json_free(made);
    struct json *got = expect_get(&c, 200, IMAGES "/first");
    assert_int_equal(int_at(got, "revision"), revision);
    assert_string_equal(text_at(got, "metadata.shelf"), "3/a");
    json_free(got);
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = IMAGES "/first/content"}, &r));
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.len, pictures[0].len);
    assert_memory_equal(r.body.data, pictures[0].data, r.body.len);
    char value[64];
    assert_string_equal(reply_header(&r, "content-type", value, sizeof value), "image/jpeg");
    assert_string_equal(reply_header(&r, "x-content-type-options", value, sizeof value), "nosniff");
    assert_non_null(reply_header(&r, "x-request-id", value, sizeof value));
    reply_clear(&r);
    delete ("first", 204);
}

static void what_was_just_added_is_found_at_once(void **state)
{
    UNUSED(state);
    char id[16];
    for (size_t i = 0; i < SHOWN; i++) {
        snprintf(id, sizeof id, "p%zu", i);
        put(id, i, 201);
        struct json *found = search_by_image(i, 3);
        assert_string_equal(text_at(found, "data.0.id"), id);
        assert_true(real_at(found, "data.0.score") > 0.99999);
        assert_int_equal(count_at(found, "data"), i + 1 < 3 ? i + 1 : 3);
        assert_string_equal(text_at(found, "model"), "small");
        assert_true(int_at(found, "generation") > 0);
        json_free(found);
    }
}

/* The vector of picture `which` as JSON text "[...]". */
static char *vector_of(size_t which)
{
    struct buf text = {0};
    struct json *answer = expect_json(&c, 200,
                                      &(struct ask){.method = "POST",
                                                    .target = "/v1/embeddings",
                                                    .type = "image/jpeg",
                                                    .body = pictures[which].data,
                                                    .len = pictures[which].len});
    assert_string_equal(text_at(answer, "data.0.object"), "embedding");
    assert_int_equal(count_at(answer, "data.0.embedding"), 64);
    json_dump(value_at(answer, "data.0.embedding"), &text);
    json_free(answer);
    return buf_take(&text, NULL);
}

static void searching_by_image_by_id_and_by_vector_agree(void **state)
{
    UNUSED(state);
    struct buf body = {0};
    char *vector = vector_of(4);
    struct json *by_image = search_by_image(4, 5);
    buf_print(&body, "{\"vector\": %s, \"model\": \"small\", \"limit\": 5}", vector);
    struct json *by_vector = expect_post(&c, 200, SEARCH, body.data);
    struct json *by_id = expect_post(&c, 200, SEARCH, "{\"id\": \"p4\", \"limit\": 4}");
    assert_string_equal(text_at(by_image, "data.0.id"), "p4");
    for (int i = 0; i < 5; i++) {
        char path[32], next[32];
        snprintf(path, sizeof path, "data.%d.id", i);
        snprintf(next, sizeof next, "data.%d.id", i - 1);
        assert_string_equal(text_at(by_image, path), text_at(by_vector, path));
        if (i > 0)
            assert_string_equal(text_at(by_image, path), text_at(by_id, next));
    }
    json_free(by_image);
    json_free(by_vector);
    json_free(by_id);
    free(vector);
    buf_clear(&body);
}

static void the_three_ways_to_ask_for_embeddings_give_the_same_numbers(void **state)
{
    UNUSED(state);
    struct buf code = {0}, body = {0}, parts = {0};
    char *want = vector_of(2);
    base64_encode(pictures[2].data, pictures[2].len, &code);
    buf_print(&body, "{\"model\": \"small\", \"input\": [\"%s\", {\"image\": \"data:image/jpeg;base64,%s\"}]}",
              code.data, code.data);
    buf_print(&parts, "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n");
    buf_add(&parts, pictures[2].data, pictures[2].len);
    buf_text(&parts, "\r\n--cut--\r\n");
    struct json *by_json = expect_post(&c, 200, "/v1/embeddings", body.data);
    struct json *by_form = expect_json(&c, 200,
                                       &(struct ask){.method = "POST",
                                                     .target = "/v1/embeddings",
                                                     .type = "multipart/form-data; boundary=cut",
                                                     .body = parts.data,
                                                     .len = parts.len});
    const struct json *got[] = {value_at(by_json, "data.0.embedding"), value_at(by_json, "data.1.embedding"),
                                value_at(by_form, "data.0.embedding")};
    for (size_t i = 0; i < COUNT(got); i++) {
        struct buf text = {0};
        json_dump(got[i], &text);
        assert_string_equal(text.data, want);
        buf_clear(&text);
    }
    json_free(by_json);
    json_free(by_form);
    free(want);
    buf_clear(&code);
    buf_clear(&body);
    buf_clear(&parts);
}

static void a_replaced_image_is_found_by_its_new_look_only(void **state)
{
    UNUSED(state);
    put("changing", 0, 201);
    struct json *before = expect_get(&c, 200, IMAGES "/changing");
    put("changing", 5, 200);
    struct json *after = expect_get(&c, 200, IMAGES "/changing");
    assert_true(int_at(after, "revision") > int_at(before, "revision"));
    json_free(before);
    json_free(after);
    struct json *found = search_by_image(0, 1000);
    for (size_t i = 0, seen = 0; i < count_at(found, "data"); i++) {
        char id[32], score[32];
        snprintf(id, sizeof id, "data.%zu.id", i);
        snprintf(score, sizeof score, "data.%zu.score", i);
        if (strcmp(text_at(found, id), "changing") == 0) {
            assert_int_equal(seen++, 0);
            assert_true(real_at(found, score) < 0.99999);
        }
    }
    json_free(found);
    delete ("changing", 204);
}

static void a_deleted_image_is_gone_from_every_answer(void **state)
{
    UNUSED(state);
    put("doomed", 3, 201);
    delete ("doomed", 204);
    delete ("doomed", 404);
    expect_error(&c, 404, "not_found", NULL, &(struct ask){.method = "GET", .target = IMAGES "/doomed"});
    expect_status(&c, 404, &(struct ask){.method = "GET", .target = IMAGES "/doomed/content"});
    struct json *found = search_by_image(3, 1000), *list = expect_get(&c, 200, IMAGES "?limit=1000");
    const struct json *data[] = {value_at(found, "data"), value_at(list, "data")};
    for (size_t k = 0; k < COUNT(data); k++)
        for (size_t i = 0; i < json_count(data[k]); i++)
            assert_string_not_equal(text_at(json_item(data[k], i), "id"), "doomed");
    json_free(found);
    json_free(list);
    struct json *again = expect_post(&c, 404, SEARCH, "{\"id\": \"doomed\"}");
    json_free(again);
}

static void labels_and_metadata_change_without_a_new_upload_and_filter_the_search(void **state)
{
    UNUSED(state);
    static const char patch[] = "{\"label\": \"blue\", \"metadata\": {\"price\": 12, \"shop\": \"x\"}}";
    struct ask change = {
        .method = "PATCH", .target = IMAGES "/p7", .type = "application/json", .body = patch, .len = sizeof patch - 1};
    struct json *changed = expect_json(&c, 200, &change);
    assert_string_equal(text_at(changed, "label"), "blue");
    assert_int_equal(int_at(changed, "metadata.price"), 12);
    json_free(changed);
    static const char *const filters[] = {
        "{\"must\": [{\"key\": \"label\", \"match\": {\"value\": \"blue\"}}]}",
        "{\"must\": [{\"key\": \"price\", \"range\": {\"gte\": 12, \"lt\": 13}}]}",
        "{\"should\": [{\"key\": \"shop\", \"match\": {\"any\": [\"x\", \"y\"]}}]}",
    };
    for (size_t i = 0; i < COUNT(filters); i++) {
        struct buf body = {0};
        buf_print(&body, "{\"id\": \"p1\", \"filter\": %s}", filters[i]);
        struct json *found = expect_post(&c, 200, SEARCH, body.data);
        assert_int_equal(count_at(found, "data"), 1);
        assert_string_equal(text_at(found, "data.0.id"), "p7");
        assert_string_equal(text_at(found, "data.0.label"), "blue");
        json_free(found);
        buf_clear(&body);
    }
}

static void a_collection_is_made_asked_and_removed(void **state)
{
    UNUSED(state);
    static const char same[] = "{\"model\": \"small\", \"index\": \"flat\"}", other[] = "{\"index\": \"hnsw\"}";
    struct ask make = {.method = "PUT",
                       .target = "/v1/collections/shop",
                       .type = "application/json",
                       .body = same,
                       .len = sizeof same - 1};
    expect_error(&c, 404, "not_found", NULL, &(struct ask){.method = "GET", .target = "/v1/collections/shop"});
    json_free(expect_json(&c, 201, &make));
    json_free(expect_json(&c, 200, &make));
    make.body = other;
    make.len = sizeof other - 1;
    expect_error(&c, 409, "conflict", NULL, &make);
    expect_put_image(&c, 201, "/v1/collections/shop/images/one", pictures[1].data, pictures[1].len);
    struct json *shop = expect_get(&c, 200, "/v1/collections/shop");
    assert_int_equal(int_at(shop, "images"), 1);
    assert_string_equal(text_at(shop, "model"), "small");
    json_free(shop);
    expect_status(&c, 204, &(struct ask){.method = "DELETE", .target = "/v1/collections/shop"});
    json_free(expect_get(&c, 404, "/v1/collections/shop/images"));
}

static void writes_can_be_made_to_depend_on_what_is_there(void **state)
{
    UNUSED(state);
    struct ask q = {.method = "PUT",
                    .target = IMAGES "/guarded",
                    .type = "image/jpeg",
                    .body = pictures[0].data,
                    .len = pictures[0].len,
                    .headers = "If-None-Match: *\r\n"};
    struct reply r = {0};
    char etag[200], line[260];
    json_free(expect_json(&c, 201, &q));
    expect_error(&c, 412, "precondition_failed", NULL, &q);
    assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = IMAGES "/guarded"}, &r));
    assert_non_null(reply_header(&r, "etag", etag, sizeof etag));
    reply_clear(&r);
    snprintf(line, sizeof line, "If-Match: %s\r\n", etag);
    q.headers = line;
    q.body = pictures[1].data;
    q.len = pictures[1].len;
    json_free(expect_json(&c, 200, &q));
    expect_error(&c, 412, "precondition_failed", NULL, &q);
    delete ("guarded", 204);
}

static void pages_show_each_image_once(void **state)
{
    UNUSED(state);
    char target[200], after[129] = "";
    size_t shown = 0;
    for (bool more = true; more;) {
        snprintf(target, sizeof target, IMAGES "?limit=5%s%s", after[0] ? "&after=" : "", after);
        struct json *page = expect_get(&c, 200, target);
        size_t n = count_at(page, "data");
        for (size_t i = 0; i < n; i++) {
            const char *id = text_at(json_item(value_at(page, "data"), i), "id");
            assert_true(strcmp(id, after) > 0);
            snprintf(after, sizeof after, "%s", id);
        }
        shown += n;
        assert_true(json_as_bool(value_at(page, "has_more"), &more));
        json_free(page);
    }
    struct json *count = expect_post(&c, 200, IMAGES "/count", "{}");
    assert_int_equal(int_at(count, "count"), shown);
    json_free(count);
    assert_int_equal(shown, SHOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_front_says_who_it_is),
        cmocka_unit_test(an_upload_tells_what_was_stored_and_gives_it_back),
        cmocka_unit_test(what_was_just_added_is_found_at_once),
        cmocka_unit_test(searching_by_image_by_id_and_by_vector_agree),
        cmocka_unit_test(the_three_ways_to_ask_for_embeddings_give_the_same_numbers),
        cmocka_unit_test(a_replaced_image_is_found_by_its_new_look_only),
        cmocka_unit_test(a_deleted_image_is_gone_from_every_answer),
        cmocka_unit_test(labels_and_metadata_change_without_a_new_upload_and_filter_the_search),
        cmocka_unit_test(a_collection_is_made_asked_and_removed),
        cmocka_unit_test(writes_can_be_made_to_depend_on_what_is_there),
        cmocka_unit_test(pages_show_each_image_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
