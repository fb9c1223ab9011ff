/* test_filter.c - what filters keep, asked of a real catalogue; and what is refused, with the field's path. */
#include "t.h"

#include "base/json.h"
#include "index/catalog/catalog.h"
#include "index/filter.h"

static const struct {
    const char *id, *label, *metadata;
} images[] = {
    {"a", "cat", "{\"n\":1,\"colour\":\"red\",\"tags\":[\"x\",\"y\"],\"ok\":true}"},
    {"b", "cat", "{\"n\":2,\"colour\":\"blue\",\"tags\":[\"y\"],\"ok\":false}"},
    {"c", "dog", "{\"n\":3.5,\"colour\":\"red\",\"size\":{\"w\":640,\"h\":480}}"},
    {"d", NULL, "{\"n\":-4,\"colour\":\"' OR 1=1 --\"}"},
    {"e", NULL, NULL},
    {"f", "dog", "{\"n\":[10,20],\"colour\":\"1\",\"ok\":1,\"label\":\"cat\"}"},
    {"g", "caf\xc3\xa9", "{\"n\":9007199254740993}"},
};

struct world {
    char *dir;
    struct catalog *catalog;
    struct session *session;
    struct collection_row collection;
    int64_t numbers[COUNT(images)];
};

static int build_world(void **state)
{
    static struct world w;
    struct err e = {0};
    char path[320];
    const float vector[2] = {1, 0};
    w.dir = t_make_dir();
    snprintf(path, sizeof path, "%s/anchord.db", w.dir);
    w.catalog = catalog_open(path, &e);
    assert_ok(w.catalog, e);
    w.session = catalog_writer(w.catalog);
    assert_ok(catalog_begin(w.session, &e), e);
    struct collection_row other;
    for (size_t i = 0; i < 2; i++) { /* two collections with the same images: only the first is asked about */
        struct collection_row *c = i ? &other : &w.collection;
        *c = (struct collection_row){.dimensions = 2};
        snprintf(c->name, sizeof c->name, "c%zu", i);
        assert_ok(catalog_collection_add(w.session, c, &e), e);
        for (size_t k = 0; k < COUNT(images); k++) {
            struct image_row row;
            struct image_put put = {.id = images[k].id, .media_type = "image/png", .label = images[k].label,
                                    .metadata = images[k].metadata, .vector = vector, .generation = c->generation,
                                    .sha256 = "00"};
            assert_ok(catalog_image_put(w.session, c, &put, NULL, &row, &e), e);
            if (i == 0)
                w.numbers[k] = row.number;
            image_row_clear(&row);
        }
    }
    assert_ok(catalog_commit(w.session, &e), e);
    *state = &w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    catalog_close(w->catalog, false);
    t_remove_dir(w->dir);
    return 0;
}

static struct filter *parse(const char *text, struct err *e)
{
    struct json *doc = json_parse(text, strlen(text), 0, e);
    if (!doc)
        fail_msg("%s: %s", text, e->text);
    struct filter *f = filter_parse(doc, "filter", e);
    json_free(doc); /* the filter must not need it any more */
    return f;
}

/* The ids that a filter keeps, in a row: "abf". */
static void expect(const struct world *w, const char *text, const char *want)
{
    struct err e = {0};
    struct filter *f = parse(text, &e);
    if (!f)
        fail_msg("%s: %s: %s", text, e.param, e.text);
    int64_t *numbers;
    size_t n;
    char got[COUNT(images) + 1] = "";
    if (!catalog_numbers(w->session, w->collection.number, f, &numbers, &n, &e))
        fail_msg("%s: %s", text, e.text);
    assert_true(n <= COUNT(images));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < COUNT(images); k++)
            if (w->numbers[k] == numbers[i])
                strcat(got, images[k].id);
    if (strcmp(got, want) != 0)
        fail_msg("%s keeps %s, expected %s", text, got, want);
    free(numbers);
    filter_free(f);
}

static void conditions_keep_what_they_say(void **state)
{
    static const char *const table[][2] = {
        {"{}", "abcdefg"},
        {"{'must':[],'should':[],'must_not':[]}", "abcdefg"},
        {"{'must':[{'key':'label','match':{'value':'cat'}}]}", "ab"},
        {"{'must':[{'key':'label','match':{'any':['dog','cat']}}]}", "abcf"},
        {"{'must':[{'key':'label','match':{'value':'caf\xc3\xa9'}}]}", "g"},
        {"{'must_not':[{'key':'label','match':{'value':'cat'}}]}", "cdefg"},
        {"{'must':[{'key':'label','match':{'value':1}}]}", ""},
        {"{'must_not':[{'key':'label','match':{'any':[]}}]}", "abcdefg"},
        {"{'must':[{'key':'colour','match':{'value':'red'}}]}", "ac"},
        {"{'must':[{'key':'colour','match':{'any':['red','blue']}}]}", "abc"},
        {"{'must':[{'key':'colour','match':{'any':[]}}]}", ""},
        {"{'must_not':[{'key':'colour','match':{'value':'red'}}]}", "bdefg"},
        {"{'must':[{'key':'tags','match':{'value':'x'}}]}", "a"},
        {"{'must':[{'key':'tags','match':{'value':'y'}}]}", "ab"},
        {"{'must':[{'key':'size.w','match':{'value':640}}]}", "c"},
        {"{'must':[{'key':'size','match':{'value':640}}]}", ""},
        {"{'must':[{'key':'ok','match':{'value':true}}]}", "a"},
        {"{'must':[{'key':'ok','match':{'value':false}}]}", "b"},
        {"{'must':[{'key':'ok','match':{'value':1}}]}", "f"},
        {"{'must':[{'key':'colour','match':{'value':1}}]}", ""},
        {"{'must':[{'key':'n','match':{'value':'1'}}]}", ""},
        {"{'must':[{'key':'n','match':{'any':[1,3.5,'red',true]}}]}", "ac"},
        {"{'must':[{'key':'n','match':{'value':2.0}}]}", "b"},
        {"{'must':[{'key':'n','match':{'value':9007199254740992}}]}", ""},
        {"{'must':[{'key':'n','match':{'value':9007199254740993}}]}", "g"},
        {"{'must':[{'key':'n','range':{'gt':1}}]}", "bcfg"},
        {"{'must':[{'key':'n','range':{'gte':1,'lt':3.5}}]}", "ab"},
        {"{'must':[{'key':'n','range':{'lte':-4}}]}", "d"},
        {"{'must':[{'key':'n','range':{'gt':10,'lt':20}}]}", ""}, /* no single element lies between */
        {"{'must':[{'key':'n','range':{'gt':9007199254740992}}]}", "g"},
        {"{'must':[{'key':'colour','range':{'gt':-1e9}}]}", ""},
        {"{'must_not':[{'key':'n','range':{'gt':1}}]}", "ade"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char text[256];
        snprintf(text, sizeof text, "%s", table[i][0]);
        for (char *p = text; *p; p++)
            if (*p == '\'')
                *p = '"';
        expect(*state, text, table[i][1]);
    }
}

static void clauses_and_nested_filters_combine(void **state)
{
#define RED "{\"key\":\"colour\",\"match\":{\"value\":\"red\"}}"
#define CAT "{\"key\":\"label\",\"match\":{\"value\":\"cat\"}}"
#define BIG "{\"key\":\"n\",\"range\":{\"gt\":2}}"
    expect(*state, "{\"must\":[" RED "," CAT "]}", "a");
    expect(*state, "{\"should\":[" RED "," CAT "]}", "abc");
    expect(*state, "{\"must\":[" CAT "],\"should\":[" RED "," BIG "]}", "a");
    expect(*state, "{\"must\":[" BIG "],\"must_not\":[" RED "]}", "fg");
    expect(*state, "{\"must_not\":[" RED "," CAT "]}", "defg");
    expect(*state, "{\"should\":[{\"must\":[" RED "," CAT "]},{\"must\":[" BIG "],\"must_not\":[" RED "]}]}", "afg");
    expect(*state, "{\"must_not\":[{\"must_not\":[" CAT "]}]}", "ab");
}

static void text_in_a_filter_is_never_taken_for_sql(void **state)
{
    expect(*state, "{\"must\":[{\"key\":\"colour\",\"match\":{\"value\":\"' OR 1=1 --\"}}]}", "d");
    expect(*state, "{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"' OR 1=1 --\"}}]}", "");
    expect(*state, "{\"must\":[{\"key\":\"x' OR '1'='1\",\"match\":{\"value\":\"1\"}}]}", "");
    expect(*state, "{\"must\":[{\"key\":\"colour\",\"match\":{\"any\":[\"?1\",\"); DROP TABLE image; --\"]}}]}", "");
    expect(*state, "{}", "abcdefg");
}

static void refuse(const char *text, const char *param)
{
    struct err e = {0};
    struct filter *f = parse(text, &e);
    if (f)
        fail_msg("%s is accepted", text);
    if (e.code != ERR_BAD_INPUT || strcmp(e.param, param) != 0)
        fail_msg("%s: param %s (%s), expected %s", text, e.param, e.text, param);
}

static void malformed_filters_are_refused_with_the_path_of_the_fault(void **state)
{
    UNUSED(state);
    refuse("[]", "filter");
    refuse("{\"musst\":[]}", "filter.musst");
    refuse("{\"must\":{}}", "filter.must");
    refuse("{\"must\":[3]}", "filter.must[0]");
    refuse("{\"must\":[{}]}", "filter.must[0].key");
    refuse("{\"must\":[{\"key\":7,\"match\":{\"value\":1}}]}", "filter.must[0].key");
    refuse("{\"must\":[{\"key\":\"\",\"match\":{\"value\":1}}]}", "filter.must[0].key");
    refuse("{\"must\":[{\"key\":\"n\"}]}", "filter.must[0]");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"value\":1},\"range\":{\"gt\":1}}]}", "filter.must[0]");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"value\":1},\"also\":1}]}", "filter.must[0].also");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":1}]}", "filter.must[0].match");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{}}]}", "filter.must[0].match");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"value\":null}}]}", "filter.must[0].match");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"value\":[1]}}]}", "filter.must[0].match.value");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"any\":3}}]}", "filter.must[0].match.any");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"any\":[1,{}]}}]}", "filter.must[0].match.any[1]");
    refuse("{\"should\":[" RED ",{\"key\":\"n\",\"range\":{}}]}", "filter.should[1].range");
    refuse("{\"must\":[{\"key\":\"n\",\"range\":{\"above\":1}}]}", "filter.must[0].range.above");
    refuse("{\"must\":[{\"key\":\"n\",\"range\":{\"gt\":\"1\"}}]}", "filter.must[0].range.gt");
    refuse("{\"must\":[{\"key\":\"label\",\"range\":{\"gt\":1}}]}", "filter.must[0].range");
    refuse("{\"must_not\":[{\"must\":[" RED ",{\"should\":5}]}]}", "filter.must_not[0].must[1].should");
}

static void filters_over_the_limits_are_refused(void **state)
{
    struct buf b = {0};
    struct err e = {0};
    buf_text(&b, "{\"must\":[" RED);
    for (size_t i = 1; i < FILTER_CONDITIONS_MAX; i++)
        buf_text(&b, "," RED);
    buf_text(&b, "]}");
    expect(*state, b.data, "ac");
    b.len -= 2;
    buf_text(&b, "," RED "]}");
    assert_null(parse(b.data, &e));
    assert_string_equal(e.param, "filter.must");
    buf_clear(&b);

    expect(*state, "{\"must\":[{\"must\":[{\"must\":[{\"must\":[" RED "]}]}]}]}", "ac");
    refuse("{\"must\":[{\"must\":[{\"must\":[{\"must\":[{\"must\":[" RED "]}]}]}]}]}",
           "filter.must[0].must[0].must[0].must[0]");

    buf_text(&b, "{\"must\":[{\"key\":\"n\",\"match\":{\"any\":[0");
    for (size_t i = 0; i < FILTER_VALUES_MAX; i++)
        buf_text(&b, ",1");
    buf_text(&b, "]}}]}");
    refuse(b.data, "filter.must[0].match.any[256]");
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_keep_what_they_say),
        cmocka_unit_test(clauses_and_nested_filters_combine),
        cmocka_unit_test(text_in_a_filter_is_never_taken_for_sql),
        cmocka_unit_test(malformed_filters_are_refused_with_the_path_of_the_fault),
        cmocka_unit_test(filters_over_the_limits_are_refused),
    };
    json_init();
    return cmocka_run_group_tests(tests, build_world, end_world);
}
