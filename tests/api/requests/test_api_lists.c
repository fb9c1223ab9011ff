/* test_api_lists.c - pages in every order, vectors beside images, several by id, labels, and the export. */
#include "tests/t.h"

#include <math.h>

#include "tests/lib/rig.h"

enum { KINDS = 3, EACH = 7 };

static int set_up(void **state)
{
    rig_set_up(state);
    rig_fill(rig, KINDS, EACH);
    rig_put(rig, "plain", 4, 1, NULL);
    return 0;
}

#define LISTED "/v1/collections/default/images"

/* Follows `next` through pages of `limit` and gives how many images there were, each once and in order. */
static size_t follow(const char *order, const char *key, int limit, int sign)
{
    char line[800], after[600] = "", before[300] = "", shown[300];
    double last = sign > 0 ? -HUGE_VAL : HUGE_VAL;
    size_t n = 0;
    for (bool more = true; more;) {
        snprintf(line, sizeof line, "GET " LISTED "?order=%s&limit=%d%s%s", order, limit, after[0] ? "&after=" : "",
                 after);
        struct outcome page = rig_expect(rig, 200, line, NULL);
        for (size_t i = 0; i < json_count(outcome_at(&page, "data")); i++, n++) {
            char path[32];
            snprintf(path, sizeof path, "data.%zu.id", i);
            snprintf(shown, sizeof shown, "%s", outcome_text(&page, path));
            snprintf(path, sizeof path, "data.%zu.%s", i, key);
            double now = strcmp(key, "id") == 0 ? 0 : outcome_number(&page, path);
            int by_id = strcmp(shown, before) * sign;
            if (now * sign < last * sign || (n > 0 && now * sign <= last * sign && by_id <= 0))
                fail_msg("order %s: %s behind %s", order, shown, before);
            last = now;
            snprintf(before, sizeof before, "%s", shown);
        }
        const char *next = outcome_text(&page, "next");
        json_as_bool(outcome_at(&page, "has_more"), &more);
        assert_int_equal(more, next != NULL);
        snprintf(after, sizeof after, "%s", next ? next : "");
        outcome_clear(&page);
    }
    return n;
}

/* Images of one second are told apart by their ids, so the times need not differ for the order to be one. */
static void pages_in_every_order_have_each_image_once(void **state)
{
    UNUSED(state);
    static const struct {
        const char *order, *key;
        int sign;
    } orders[] = {{"id", "id", 1},
                  {"-id", "id", -1},
                  {"created_at", "created_at", 1},
                  {"-created_at", "created_at", -1},
                  {"updated_at", "updated_at", 1},
                  {"-updated_at", "updated_at", -1}};
    for (size_t i = 0; i < COUNT(orders); i++)
        for (int limit = 1; limit < 40; limit += 6)
            assert_int_equal(follow(orders[i].order, orders[i].key, limit, orders[i].sign), KINDS * EACH + 1);
    struct outcome o = rig_expect(rig, 400, "GET " LISTED "?order=size", NULL);
    assert_string_equal(outcome_text(&o, "error.param"), "order");
    outcome_clear(&o);
    o = rig_expect(rig, 400, "GET " LISTED "?order=created_at&after=p0-0", NULL);
    assert_string_equal(outcome_text(&o, "error.param"), "after");
    outcome_clear(&o);
}

static void an_order_of_time_obeys_a_filter(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200,
                                  "GET " LISTED "?order=-created_at&filter=%7B%22must%22%3A%5B%7B%22key%22%3A%22label%"
                                  "22%2C%22match%22%3A%7B%22value%22%3A%22kind1%22%7D%7D%5D%7D",
                                  NULL);
    assert_int_equal(json_count(outcome_at(&o, "data")), EACH);
    for (int i = 0; i < EACH; i++) {
        char path[32];
        snprintf(path, sizeof path, "data.%d.label", i);
        assert_string_equal(outcome_text(&o, path), "kind1");
    }
    outcome_clear(&o);
}

static double length_of(const struct json *vector)
{
    double sum = 0, x = 0;
    for (size_t i = 0; i < json_count(vector); i++) {
        assert_true(json_as_number(json_item(vector, i), &x));
        sum += x * x;
    }
    return sqrt(sum);
}

static void vectors_stand_beside_images_when_asked_for(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200, "GET " LISTED "?limit=2&with_vector=true", NULL);
    assert_int_equal(json_count(outcome_at(&o, "data.1.vector")), RIG_DIMENSIONS);
    assert_true(fabs(length_of(outcome_at(&o, "data.1.vector")) - 1) < 1e-5);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "GET " LISTED "?limit=2&with_vector=true&encoding_format=base64", NULL);
    assert_int_equal(strlen(outcome_text(&o, "data.0.vector")), (RIG_DIMENSIONS * 4 + 2) / 3 * 4);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "GET " LISTED "?limit=2", NULL);
    assert_null(outcome_at(&o, "data.0.vector"));
    outcome_clear(&o);
    o = rig_expect(rig, 400, "GET " LISTED "?with_vector=true&encoding_format=hex", NULL);
    assert_string_equal(outcome_text(&o, "error.param"), "encoding_format");
    outcome_clear(&o);
}

static void several_images_come_by_their_ids_in_the_order_asked_for(void **state)
{
    UNUSED(state);
    struct outcome o =
        rig_json(rig, "POST " LISTED "/get", "{\"ids\":[\"p1-2\",\"nowhere\",\"p0-0\"],\"with_vector\":true}");
    assert_int_equal(o.status, 200);
    assert_string_equal(outcome_text(&o, "data.0.id"), "p1-2");
    assert_int_equal(json_count(outcome_at(&o, "data.0.vector")), RIG_DIMENSIONS);
    assert_true(outcome_number(&o, "data.1.status") > 403 && outcome_number(&o, "data.1.status") < 405);
    assert_string_equal(outcome_text(&o, "data.1.error.code"), "not_found");
    assert_string_equal(outcome_text(&o, "data.2.id"), "p0-0");
    outcome_clear(&o);
    o = rig_json(rig, "POST " LISTED "/get", "{}");
    assert_int_equal(o.status, 400);
    assert_string_equal(outcome_text(&o, "error.param"), "ids");
    outcome_clear(&o);
    o = rig_json(rig, "POST /v1/collections/nowhere/images/get", "{\"ids\":[\"a\"]}");
    assert_int_equal(o.status, 404);
    outcome_clear(&o);
    struct buf many = {0};
    buf_text(&many, "{\"ids\":[\"a\"");
    for (int i = 0; i < 1000; i++)
        buf_text(&many, ",\"a\"");
    buf_text(&many, "]}");
    o = rig_json(rig, "POST " LISTED "/get", many.data);
    assert_int_equal(o.status, 413);
    outcome_clear(&o);
    buf_clear(&many);
}

static void labels_have_their_counts(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200, "GET /v1/collections/default/labels?limit=2", NULL);
    bool more = false;
    assert_string_equal(outcome_text(&o, "data.0.label"), "kind0");
    assert_string_equal(outcome_text(&o, "data.1.label"), "kind1");
    assert_int_equal((int)outcome_number(&o, "data.1.images"), EACH);
    assert_int_equal((int)outcome_number(&o, "unlabelled"), 1);
    assert_true(json_as_bool(outcome_at(&o, "has_more"), &more) && more);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "GET /v1/collections/default/labels?limit=2&after=kind1", NULL);
    assert_int_equal(json_count(outcome_at(&o, "data")), KINDS - 2);
    assert_string_equal(outcome_text(&o, "data.0.label"), "kind2");
    assert_true(json_as_bool(outcome_at(&o, "has_more"), &more) && !more);
    outcome_clear(&o);
}

/* The lines of an export, each checked to be an image. */
static size_t lines_of(const struct outcome *o, bool vectors)
{
    size_t n = 0;
    for (const char *line = o->body.data, *end; line && *line; line = end + 1, n++) {
        struct err e = {0};
        end = strchr(line, '\n');
        assert_non_null(end);
        struct json *v = json_parse(line, (size_t)(end - line), 0, &e);
        assert_ok(v, e);
        assert_string_equal(json_as_text(json_member(v, "object"), NULL), "image");
        assert_int_equal(json_member(v, "vector") != NULL, vectors);
        json_free(v);
    }
    return n;
}

static void an_export_has_a_line_for_each_image(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200, "GET /v1/collections/default/export", NULL);
    assert_int_equal(lines_of(&o, true), KINDS * EACH + 1);
    outcome_clear(&o);
    o = rig_expect(rig, 200,
                   "GET "
                   "/v1/collections/default/"
                   "export?with_vector=false&filter=%7B%22must%22%3A%5B%7B%22key%22%3A%22label%22%2C%22match%22%3A%7B%"
                   "22value%22%3A%22kind2%22%7D%7D%5D%7D",
                   NULL);
    assert_int_equal(lines_of(&o, false), EACH);
    outcome_clear(&o);
    o = rig_expect(rig, 404, "GET /v1/collections/nowhere/export", NULL);
    outcome_clear(&o);
}

/* More than one piece: what is deleted behind the first one is left out, and nothing comes twice. */
static void a_long_export_comes_in_pieces(void **state)
{
    UNUSED(state);
    enum { MANY = 450 };
    struct outcome o;
    char id[32];
    o = rig_json(rig, "PUT /v1/collections/many", "{}");
    outcome_clear(&o);
    struct buf picture = rig_base64(1, 1), body = {0};
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "m%03d", i);
        buf_print(&body, "%s{\"id\":\"%s\",\"image\":\"%s\"}", i % 50 ? "," : "{\"images\":[", id, picture.data);
        if (i % 50 == 49) {
            buf_text(&body, "]}");
            o = rig_json(rig, "POST /v1/collections/many/images", body.data);
            assert_int_equal(o.status, 200);
            outcome_clear(&o);
            body.len = 0;
        }
    }
    o = rig_expect(rig, 200, "GET /v1/collections/many/export", NULL);
    assert_int_equal(lines_of(&o, true), MANY);
    outcome_clear(&o);
    buf_clear(&picture);
    buf_clear(&body);
}

#define CHANGE  "POST /v1/collections/default/images/metadata"
#define KIND(k) "\"filter\":{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"" k "\"}}]}"

static void changes(int status, const char *json, int n)
{
    struct outcome o = rig_json(rig, CHANGE, json);
    if (o.status != status || (status == 200 && (int)outcome_number(&o, "changed") != n))
        fail_msg("%s: %d %s", json, o.status, o.body.data);
    outcome_clear(&o);
}

static void has_metadata(const char *id, const char *want)
{
    char line[100];
    snprintf(line, sizeof line, "GET " LISTED "/%s", id);
    struct outcome o = rig_expect(rig, 200, line, NULL);
    struct buf text = {0};
    json_dump(outcome_at(&o, "metadata"), &text);
    assert_string_equal(text.data ? text.data : "null", want);
    buf_clear(&text);
    outcome_clear(&o);
}

static void metadata_of_many_changes_at_once(void **state)
{
    UNUSED(state);
    changes(200, "{" KIND("kind0") ",\"set\":{\"a\":1,\"b\":{\"c\":2}}}", EACH);
    has_metadata("p0-3", "{\"a\":1,\"b\":{\"c\":2}}");
    changes(200, "{\"ids\":[\"p0-3\",\"nowhere\",\"p0-3\"],\"merge\":{\"b\":{\"d\":3}}}", 1);
    has_metadata("p0-3", "{\"a\":1,\"b\":{\"c\":2,\"d\":3}}");
    changes(200, "{\"filter\":{\"must\":[{\"key\":\"b.d\",\"match\":{\"value\":3}}]},\"delete\":[\"a\",\"z\"]}", 1);
    has_metadata("p0-3", "{\"b\":{\"c\":2,\"d\":3}}");
    changes(200, "{" KIND("kind0") ",\"set\":{\"e\":5}}", EACH);
    has_metadata("p0-3", "{\"e\":5}");
    has_metadata("p1-3", "null");
    struct outcome found =
        rig_json(rig, "POST /v1/collections/default/search",
                 "{\"id\":\"p1-0\",\"limit\":100,\"filter\":{\"must\":[{\"key\":\"e\",\"match\":{\"value\":5}}]}}");
    assert_int_equal(json_count(outcome_at(&found, "data")), EACH); /* with their vectors, and shown as they are now */
    assert_int_equal((int)outcome_number(&found, "data.0.metadata.e"), 5);
    outcome_clear(&found);
    rig_reopen(rig);
    has_metadata("p0-3", "{\"e\":5}");
    changes(200, "{\"ids\":[],\"merge\":{}}", 0);
    changes(400, "{\"merge\":{\"x\":1}}", 0);
    changes(400, "{\"filter\":{},\"merge\":{\"x\":1}}", 0);
    changes(400, "{\"all\":true}", 0);
    changes(400, "{\"all\":true,\"set\":{},\"merge\":{}}", 0);
    changes(400, "{\"all\":true,\"delete\":[1]}", 0);
    changes(400, "{\"all\":true,\"delete\":[]}", 0);
    changes(200, "{\"all\":true,\"set\":{}}", KINDS * EACH + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_in_every_order_have_each_image_once),
        cmocka_unit_test(an_order_of_time_obeys_a_filter),
        cmocka_unit_test(vectors_stand_beside_images_when_asked_for),
        cmocka_unit_test(several_images_come_by_their_ids_in_the_order_asked_for),
        cmocka_unit_test(labels_have_their_counts),
        cmocka_unit_test(an_export_has_a_line_for_each_image),
        cmocka_unit_test(metadata_of_many_changes_at_once),
        cmocka_unit_test(a_long_export_comes_in_pieces),
    };
    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
