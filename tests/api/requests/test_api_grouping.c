/* test_api_grouping.c - searches from an offset on, and the best hit of each value, beside what a naive grouping gives. */
#include "tests/t.h"

#include "tests/lib/rig.h"

enum { LARGE = 1030, IMAGES = LARGE + 20, SHOPS = 7, RARE = 3 };

#define SEARCH "POST /v1/collections/default/search"

/* The first LARGE are all of one shop and alike; the others are of shops, or of a list of them, or of none. */
static void add_metadata(struct buf *b, int i)
{
    static const char *const rare[] = {"17", "17.5", "true"};
    if (i < LARGE)
        buf_text(b, i % 2 ? "{\"shop\":\"large\",\"deep\":{\"er\":1},\"deep.er\":9,\"list\":[{\"n\":1}],\"big\":1e19}"
                          : "{\"shop\":\"large\",\"list\":[{\"n\":1.0}],\"o.p\":1,\"big\":10000000000000000000}");
    else if (i < LARGE + SHOPS)
        buf_print(b, "{\"shop\":\"s%d\",\"deep\":{\"er\":%d}}", i, i);
    else if (i < LARGE + SHOPS + RARE)
        buf_print(b, "{\"shop\":[%s,\"x\"],\"label\":\"inner\"}", rare[i - LARGE - SHOPS]);
    else
        buf_text(b, i % 2 ? "{\"shop\":{\"no\":1}}" : "{\"other\":1}");
}

static int set_up(void **state)
{
    struct buf near[4], body = {0};
    rig_set_up(state);
    for (unsigned k = 0; k < 4; k++)
        near[k] = rig_base64(k, k);
    for (int i = 0; i < IMAGES; i++) {
        buf_print(&body, "%s{\"id\":\"i%03d\",\"image\":\"%s\",\"label\":\"l%d\",\"metadata\":",
                  i % 50 ? "," : "{\"images\":[", i, near[i < LARGE ? 0 : 1 + i % 3].data, i % 5);
        add_metadata(&body, i);
        buf_text(&body, "}");
        if (i % 50 == 49) {
            buf_text(&body, "]}");
            struct outcome o = rig_json(rig, "POST /v1/collections/default/images", body.data);
            assert_int_equal(o.status, 200);
            outcome_clear(&o);
            body.len = 0;
        }
    }
    for (unsigned k = 0; k < 4; k++)
        buf_clear(&near[k]);
    buf_clear(&body);
    return 0;
}

static struct outcome search(const char *more)
{
    char json[300];
    snprintf(json, sizeof json, "{\"id\":\"i000\"%s}", more);
    struct outcome o = rig_json(rig, SEARCH, json);
    if (o.status != 200)
        fail_msg("%s: %d %s", json, o.status, o.body.data);
    return o;
}

static size_t hits_of(const struct outcome *o)
{
    return json_count(outcome_at(o, "data"));
}

static const struct json *hit(const struct outcome *o, size_t i, const char *member)
{
    return json_member(json_item(outcome_at(o, "data"), i), member);
}

static const char *id_of(const struct outcome *o, size_t i)
{
    return json_as_text(hit(o, i, "id"), NULL);
}

static void pages_put_together_are_one_large_answer(void **state)
{
    UNUSED(state);
    struct outcome all = search(",\"limit\":60");
    assert_int_equal(hits_of(&all), 60);
    for (size_t at = 0; at < 60; at += 20) {
        char more[60];
        snprintf(more, sizeof more, ",\"limit\":20,\"offset\":%zu", at);
        struct outcome page = search(more);
        assert_int_equal(hits_of(&page), 20);
        for (size_t i = 0; i < 20; i++)
            assert_string_equal(id_of(&page, i), id_of(&all, at + i));
        outcome_clear(&page);
    }
    struct outcome beyond = search(",\"limit\":10,\"offset\":500,\"filter\":{\"must\":[{\"key\":\"metadata.label\","
                                   "\"match\":{\"value\":\"inner\"}}]}");
    assert_int_equal(hits_of(&beyond), 0);
    outcome_clear(&beyond);
    outcome_clear(&all);
    struct outcome refused = rig_json(rig, SEARCH, "{\"id\":\"i000\",\"limit\":501,\"offset\":500}");
    assert_int_equal(refused.status, 400);
    assert_string_equal(outcome_text(&refused, "error.param"), "offset");
    outcome_clear(&refused);
}

/* The value at "shop" as the documents say; "" for none. */
static void naive_value(const struct json *metadata, struct buf *out)
{
    const struct json *v = json_member(metadata, "shop");
    if (json_kind(v) == JSON_KIND_LIST)
        v = json_item(v, 0);
    out->len = 0;
    if (v && json_kind(v) != JSON_KIND_OBJECT)
        json_dump(v, out);
    else
        buf_text(out, "");
}

/* The large shop is more than one search gives, and all of it is nearer than the rest: so the whole ranking is the
 * best one and then what is not of it. */
static void each_value_has_its_best_hit(void **state)
{
    UNUSED(state);
    struct outcome best = search(",\"limit\":1"), grouped = search(",\"limit\":100,\"group_by\":\"shop\"");
    struct outcome rest =
        search(",\"limit\":1000,\"filter\":{\"must_not\":[{\"key\":\"shop\",\"match\":{\"value\":\"large\"}}]}");
    struct buf value = {0}, shown = {0}, seen = {0};
    size_t n = 0;
    assert_int_equal(hits_of(&rest), IMAGES - LARGE);
    buf_text(&seen, "|");
    for (size_t i = 0; i < 1 + hits_of(&rest); i++) {
        char part[80];
        const struct outcome *from = i ? &rest : &best;
        size_t at = i ? i - 1 : 0;
        naive_value(hit(from, at, "metadata"), &value);
        snprintf(part, sizeof part, "|%s|", value.data);
        if (!value.len || strstr(seen.data, part))
            continue;
        buf_text(&seen, part + 1);
        assert_true(n < hits_of(&grouped));
        assert_string_equal(id_of(&grouped, n), id_of(from, at));
        shown.len = 0;
        json_dump(hit(&grouped, n++, "group"), &shown);
        assert_string_equal(shown.data, value.data);
    }
    assert_int_equal(n, 1 + SHOPS + RARE);
    assert_int_equal(hits_of(&grouped), n);
    struct outcome page = search(",\"limit\":3,\"offset\":2,\"group_by\":\"shop\",\"with_vector\":true");
    assert_int_equal(hits_of(&page), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(id_of(&page, i), id_of(&grouped, 2 + i));
        assert_int_equal(json_count(hit(&page, i, "vector")), RIG_DIMENSIONS);
    }
    outcome_clear(&page);
    outcome_clear(&best);
    outcome_clear(&rest);
    outcome_clear(&grouped);
    buf_clear(&value);
    buf_clear(&shown);
    buf_clear(&seen);
}

static void keys_are_labels_and_places_in_the_metadata(void **state)
{
    UNUSED(state);
    static const struct {
        const char *key;
        size_t groups;
    } cases[] = {{"label", 5},   {"deep.er", 1 + SHOPS}, {"metadata.label", 1}, {"nowhere", 0}, {"deep", 0},
                 {"shop.no", 1}, {"list[].n", 1},        {"list.n", 1},         {"o.p", 1},     {"big", 1}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char more[80];
        snprintf(more, sizeof more, ",\"limit\":50,\"group_by\":\"%s\"", cases[i].key);
        struct outcome o = search(more);
        if (hits_of(&o) != cases[i].groups)
            fail_msg("%s: %zu groups, not %zu", cases[i].key, hits_of(&o), cases[i].groups);
        outcome_clear(&o);
    }
    static const char *const wrong[] = {"", "width", "shop[0]"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char json[100];
        snprintf(json, sizeof json, "{\"searches\":[{\"id\":\"i000\",\"group_by\":\"%s\"}]}", wrong[i]);
        struct outcome refused = rig_json(rig, SEARCH, json);
        assert_int_equal(refused.status, 400);
        assert_string_equal(outcome_text(&refused, "error.param"), "searches[0].group_by");
        outcome_clear(&refused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_put_together_are_one_large_answer),
        cmocka_unit_test(each_value_has_its_best_hit),
        cmocka_unit_test(keys_are_labels_and_places_in_the_metadata),
    };
    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
