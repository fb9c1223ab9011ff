/* test_filter.c - what filters keep, asked of a real catalogue; and what is refused, with the field's path. */
#include "tests/t.h"

#include "base/json.h"
#include "index/catalog/catalog.h"
#include "index/values/filter.h"
#include "tests/lib/naive_filter.h"

static const struct {
    const char *id, *label, *metadata;
    uint32_t width, height;
} images[] = {
    {"a", "cat", "{\"n\":1,\"colour\":\"red\",\"tags\":[\"x\",\"y\"],\"ok\":true}", 10, 20},
    {"b", "cat", "{\"n\":2,\"colour\":\"blue\",\"tags\":[\"y\"],\"ok\":false}", 20, 20},
    {"c", "dog", "{\"n\":3.5,\"colour\":\"red\",\"size\":{\"w\":640,\"h\":480}}", 30, 20},
    {"d", NULL, "{\"n\":-4,\"colour\":\"' OR 1=1 --\"}", 40, 30},
    {"e", NULL, NULL, 50, 30},
    {"f", "dog", "{\"n\":[10,20],\"colour\":\"1\",\"ok\":1,\"label\":\"cat\"}", 60, 30},
    {"g", "caf\xc3\xa9", "{\"n\":9007199254740993}", 70, 40},
    {"h", "",
     "{\"\":\"none\",\"id\":5,\"at\":\"2024-05-17T10:30:00+02:00\",\"none\":null,\"no\":[],\"deep\":{\"k\":[{\"z\":1},"
     "{\"z\":[2,3]}]},\"o\":{\"p\":{}},\"b[]\":1,\"b[0]\":2}",
     80, 40},
    {"i", "dog", "{\"at\":[\"2023-01-01\",\"no date\",7],\"metadata\":{\"x\":1},\"n\":1e300,\"tags\":[]}", 90, 40},
};

struct world {
    char *dir;
    struct catalog *catalog;
    struct session *session;
    struct collection_row collection;
    int64_t numbers[COUNT(images)];
    struct naive_image naive[COUNT(images)]; /* the same, for the oracle */
    char hashes[COUNT(images)][HASH_HEX];
};

static void note(struct world *w, size_t k, const struct image_row *row)
{
    w->numbers[k] = row->number;
    memcpy(w->hashes[k], row->sha256, HASH_HEX);
    w->naive[k] = (struct naive_image){.id = images[k].id,
                                       .label = images[k].label,
                                       .metadata = images[k].metadata,
                                       .media_type = k % 2 ? "image/png" : "image/jpeg",
                                       .sha256 = w->hashes[k],
                                       .width = row->width,
                                       .height = row->height,
                                       .bytes = row->bytes,
                                       .created_at = row->created_at,
                                       .updated_at = row->updated_at};
}

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
            struct image_put put = {.id = images[k].id,
                                    .media_type = k % 2 ? "image/png" : "image/jpeg",
                                    .label = images[k].label,
                                    .metadata = images[k].metadata,
                                    .vector = vector,
                                    .generation = c->generation,
                                    .width = images[k].width,
                                    .height = images[k].height,
                                    .len = 100 + k};
            hash_text(images[k].id, 1, put.sha256);
            assert_ok(catalog_image_put(w.session, c, &put, NULL, &row, &e), e);
            if (i == 0)
                note(&w, k, &row);
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

/* With ' for ". */
static void quote(const char *from, char *to, size_t size)
{
    snprintf(to, size, "%s", from);
    for (char *p = to; *p; p++)
        if (*p == '\'')
            *p = '"';
}

static void conditions_keep_what_they_say(void **state)
{
    static const char *const table[][2] = {
        {"{}", "abcdefghi"},
        {"{'must':[],'should':[],'must_not':[]}", "abcdefghi"},
        {"{'must':[{'key':'label','match':{'value':'cat'}}]}", "ab"},
        {"{'must':[{'key':'label','match':{'any':['dog','cat']}}]}", "abcfi"},
        {"{'must':[{'key':'label','match':{'value':'caf\xc3\xa9'}}]}", "g"},
        {"{'must_not':[{'key':'label','match':{'value':'cat'}}]}", "cdefghi"},
        {"{'must':[{'key':'label','match':{'value':1}}]}", ""},
        {"{'must_not':[{'key':'label','match':{'any':[]}}]}", "abcdefghi"},
        {"{'must':[{'key':'colour','match':{'value':'red'}}]}", "ac"},
        {"{'must':[{'key':'colour','match':{'any':['red','blue']}}]}", "abc"},
        {"{'must':[{'key':'colour','match':{'any':[]}}]}", ""},
        {"{'must_not':[{'key':'colour','match':{'value':'red'}}]}", "bdefghi"},
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
        {"{'must':[{'key':'n','range':{'gt':1}}]}", "bcfgi"},
        {"{'must':[{'key':'n','range':{'gte':1,'lt':3.5}}]}", "ab"},
        {"{'must':[{'key':'n','range':{'lte':-4}}]}", "d"},
        {"{'must':[{'key':'n','range':{'gt':10,'lt':20}}]}", ""}, /* no single element lies between */
        {"{'must':[{'key':'n','range':{'gt':9007199254740992}}]}", "gi"},
        {"{'must':[{'key':'colour','range':{'gt':-1e9}}]}", ""},
        {"{'must_not':[{'key':'n','range':{'gt':1}}]}", "adeh"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char text[256];
        quote(table[i][0], text, sizeof text);
        expect(*state, text, table[i][1]);
    }
}

static void what_is_known_of_an_image_is_a_key_too(void **state)
{
    static const char *const table[][2] = {
        {"{'must':[{'key':'id','match':{'any':['a','i','no']}}]}", "ai"},
        {"{'must':[{'key':'id','match':{'except':['a','i','no']}}]}", "bcdefgh"},
        {"{'must':[{'has_id':['b','a','b']}]}", "ab"},
        {"{'must_not':[{'has_id':['b','a']}]}", "cdefghi"},
        {"{'must':[{'has_id':[]}]}", ""},
        {"{'must':[{'key':'width','range':{'gte':20,'lt':50}}]}", "bcd"},
        {"{'must':[{'key':'width','match':{'any':[10,20.0]}},{'key':'height','match':{'value':20}}]}", "ab"},
        {"{'must':[{'key':'bytes','range':{'lte':101}}]}", "ab"},
        {"{'must':[{'key':'media_type','match':{'value':'image/png'}}]}", "bdfh"},
        {"{'must':[{'key':'media_type','match':{'except':['image/png']}}]}", "acegi"},
        {"{'must':[{'key':'created_at','range':{'gt':1700000000}}]}", "abcdefghi"},
        {"{'must':[{'key':'created_at','range':{'lt':'2024-01-01T00:00:00Z'}}]}", ""},
        {"{'must':[{'key':'updated_at','range':{'gte':'2024-01-01','lt':9e11}}]}", "abcdefghi"},
        {"{'must':[{'key':'sha256','match':{'value':'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb'}"
         "}]}",
         "a"},
        {"{'must':[{'key':'sha256','match':{'except':['"
         "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb']}}]}",
         "bcdefghi"},
        {"{'must_not':[{'key':'width','range':{'gt':10}}]}", "a"},
        {"{'must':[{'key':'label','match':{'except':['cat','dog']}}]}", "g"},
        {"{'must':[{'key':'label','match':{'value':''}}]}", ""},
        {"{'must':[{'is_empty':{'key':'label'}}]}", "deh"},
        {"{'must':[{'is_null':{'key':'label'}}]}", "deh"},
        {"{'must_not':[{'is_null':{'key':'label'}}],'must':[{'key':'width','range':{'lt':50}}]}", "abc"},
    };
    char text[320];
    for (size_t i = 0; i < COUNT(table); i++) {
        quote(table[i][0], text, sizeof text);
        expect(*state, text, table[i][1]);
    }
}

static void metadata_is_asked_for_in_every_way_of_qdrant(void **state)
{
    static const char *const table[][2] = {
        {"{'must':[{'is_empty':{'key':'ok'}}]}", "cdeghi"},
        {"{'must':[{'is_empty':{'key':'none'}},{'is_null':{'key':'no'}},{'is_empty':{'key':'tags'}}]}", "cdefghi"},
        {"{'must_not':[{'is_empty':{'key':'size'}}]}", "c"},
        {"{'must_not':[{'is_empty':{'key':'o'}}]}", ""}, /* an object without a value */
        {"{'must':[{'key':'colour','match':{'except':['red']}}]}", "bdf"},
        {"{'must':[{'key':'tags','match':{'except':['y']}}]}", "a"},
        {"{'must':[{'key':'ok','match':{'except':[true]}}]}", "bf"},
        {"{'must':[{'key':'n','match':{'except':[1,2,3.5,-4,10]}}]}", "fgi"},
        {"{'must':[{'key':'n','match':{'except':[]}}]}", "abcdfgi"},
        {"{'must':[{'key':'at','range':{'gte':'2024-05-17T08:30:00Z'}}]}", "h"},
        {"{'must':[{'key':'at','range':{'gt':'2024-05-17T08:30:00Z'}}]}", ""},
        {"{'must':[{'key':'at','range':{'gt':'2022-12-31 23:59:59','lt':'2024-01-01T00:00:00.5+01:00'}}]}", "i"},
        {"{'must':[{'key':'at','range':{'gt':6}}]}", "i"},
        {"{'must':[{'key':'deep.k[].z','match':{'value':2}}]}", "h"},
        {"{'must':[{'key':'deep.k.z','range':{'gt':2}}]}", "h"},
        {"{'must':[{'key':'tags[]','match':{'value':'x'}}]}", "a"},
        {"{'must':[{'key':'metadata.b[]','match':{'value':1}}]}", "h"},
        {"{'must':[{'key':'metadata.b[0]','match':{'value':2}}]}", "h"},
        {"{'must':[{'key':'metadata.label','match':{'value':'cat'}}]}", "f"},
        {"{'must':[{'key':'metadata.id','match':{'value':5}}]}", "h"},
        {"{'must':[{'key':'metadata.','match':{'value':'none'}}]}", "h"},
        {"{'must':[{'key':'metadata.n','match':{'value':1}}]}", "a"},
        {"{'must':[{'key':'metadata.metadata.x','match':{'value':1}}]}", "i"},
        {"{'must':[{'key':'tags','values_count':{'gte':2}}]}", "a"},
        {"{'must':[{'key':'tags','values_count':{'lt':2}}]}", "bcdefghi"},
        {"{'must':[{'key':'tags','values_count':{'gt':0,'lte':1}}]}", "b"},
        {"{'must_not':[{'key':'n','values_count':{'lt':1}}]}", "abcdfgi"},
        {"{'must':{'key':'colour','match':{'value':'red'}}}", "ac"},
        {"{'must_not':{'should':{'has_id':['a']}}}", "bcdefghi"},
        {"{'min_should':{'min_count':2,'conditions':[{'key':'colour','match':{'value':'red'}},"
         "{'key':'label','match':{'value':'cat'}},{'key':'ok','match':{'value':true}}]}}",
         "a"},
        {"{'must':[{'min_should':{'min_count':1,'conditions':[{'key':'n','match':{'value':2}},{'has_id':['e']}]}}]}",
         "be"},
        {"{'min_should':{'min_count':0,'conditions':[]}}", "abcdefghi"},
        {"{'min_should':{'min_count':1,'conditions':[]}}", ""},
    };
    char text[320];
    for (size_t i = 0; i < COUNT(table); i++) {
        quote(table[i][0], text, sizeof text);
        expect(*state, text, table[i][1]);
    }
}

/* ---- against the oracle ---- */

struct dice {
    uint64_t state;
};

static unsigned roll(struct dice *d, unsigned sides)
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(d->state >> 33) % sides;
}

static const char *pick(struct dice *d, const char *const *of, unsigned n)
{
    return of[roll(d, n)];
}

static void roll_value(struct dice *d, struct buf *b, bool date)
{
    static const char *const values[] = {
        "1",     "2",    "2.0",   "3.5",   "-4",           "9007199254740993", "1e300",
        "40",    "20",   "true",  "false", "\"red\"",      "\"cat\"",          "\"dog\"",
        "\"y\"", "\"\"", "\"h\"", "\"1\"", "\"image/png\""};
    static const char *const dates[] = {"\"2023-01-01\"", "\"2024-05-17T08:30:00Z\"",
                                        "\"2030-01-01T00:00:00.5-03:00\""};
    buf_text(b, date ? pick(d, dates, COUNT(dates)) : pick(d, values, COUNT(values)));
}

static void roll_numbers(struct dice *d, struct buf *b, bool whole)
{
    static const char *const bounds[] = {"gt", "gte", "lt", "lte"};
    static const char *const numbers[] = {"0", "1", "2", "20", "40", "9007199254740992", "-1", "2.5", "3.5", "1e299"};
    for (unsigned i = roll(d, 3), n = 0; i < 4; i += 1 + roll(d, 3), n++)
        buf_print(b, "%s\"%s\":%s", n ? "," : "", bounds[i], pick(d, numbers, whole ? 7 : 10));
}

static void roll_comparison(struct dice *d, struct buf *b)
{
    static const char *const keys[] = {"n",  "colour",         "tags",       "ok",    "size.w", "deep.k[].z",
                                       "at", "metadata.label", "metadata.",  "none",  "o",      "size",
                                       "id", "label",          "media_type", "width", "height", "bytes"};
    static const unsigned metadata = 12, texts = 15;
    unsigned key = roll(d, COUNT(keys)), what = roll(d, 5);
    buf_print(b, "{\"key\":\"%s\",", keys[key]);
    if (what == 0 && key < metadata) {
        buf_text(b, "\"values_count\":{");
        roll_numbers(d, b, true);
        buf_text(b, "}}");
    } else if (what == 1 && (key < metadata || key >= texts)) {
        buf_text(b, "\"range\":{");
        roll_numbers(d, b, false);
        buf_text(b, "}}");
    } else if (what == 2 && key < metadata) {
        buf_text(b, "\"range\":{\"gte\":");
        roll_value(d, b, true);
        buf_text(b, "}}");
    } else {
        buf_print(b, "\"match\":{\"%s\":[", roll(d, 2) ? "any" : "except");
        for (unsigned i = 0, n = roll(d, 4); i < n; i++) {
            buf_text(b, i ? "," : "");
            if (key >= texts)
                buf_print(b, "%u", roll(d, 9) * 10);
            else
                roll_value(d, b, false);
        }
        buf_text(b, "]}}");
    }
}

static void roll_group(struct dice *d, struct buf *b, int depth);

static void roll_condition(struct dice *d, struct buf *b, int depth)
{
    static const char *const keys[] = {"n", "label", "size", "o", "none", "at", "metadata.", "deep", "deep.k"};
    unsigned what = roll(d, 10);
    if (what < 2 && depth < 4)
        roll_group(d, b, depth + 1);
    else if (what == 2)
        buf_print(b, "{\"%s\":{\"key\":\"%s\"}}", roll(d, 2) ? "is_empty" : "is_null", pick(d, keys, COUNT(keys)));
    else if (what == 3)
        buf_print(b, "{\"has_id\":[\"%c\",\"%c\"]}", 'a' + (char)roll(d, 10), 'a' + (char)roll(d, 10));
    else
        roll_comparison(d, b);
}

static void roll_conditions(struct dice *d, struct buf *b, int depth)
{
    buf_char(b, '[');
    for (unsigned i = 0, n = roll(d, 3); i < n; i++) {
        buf_text(b, i ? "," : "");
        roll_condition(d, b, depth);
    }
    buf_char(b, ']');
}

static void roll_group(struct dice *d, struct buf *b, int depth)
{
    static const char *const clauses[] = {"must", "should", "must_not"};
    buf_char(b, '{');
    unsigned first = roll(d, 3);
    for (unsigned i = first; i < COUNT(clauses); i++) {
        buf_print(b, "%s\"%s\":", i > first ? "," : "", clauses[i]);
        roll_conditions(d, b, depth);
    }
    if (roll(d, 4) == 0) {
        buf_print(b, ",\"min_should\":{\"min_count\":%u,\"conditions\":", roll(d, 3));
        roll_conditions(d, b, depth);
        buf_char(b, '}');
    }
    buf_char(b, '}');
}

static void filters_keep_what_a_walk_through_each_image_keeps(void **state)
{
    struct world *w = *state;
    struct dice d = {2024};
    struct buf text = {0};
    for (int round = 0; round < 3000; round++) {
        struct err e = {0};
        char want[COUNT(images) + 1] = "";
        text.len = 0;
        roll_group(&d, &text, 1);
        struct json *doc = json_parse(text.data, text.len, 0, &e);
        if (!doc)
            fail_msg("%s: %s", text.data, e.text);
        struct filter *f = filter_parse(doc, "filter", &e);
        if (!f && strstr(e.text, "more than")) { /* conditions */
            json_free(doc);
            continue;
        }
        filter_free(f);
        for (size_t k = 0; k < COUNT(images); k++)
            if (naive_keeps(doc, &w->naive[k]))
                strcat(want, images[k].id);
        json_free(doc);
        expect(w, text.data, want);
    }
    buf_clear(&text);
}

static void an_empty_filter_is_told_from_one_that_restricts(void **state)
{
    static const struct {
        const char *filter;
        bool all;
    } table[] = {
        {"{}", true},
        {"{'must':[],'should':[],'must_not':[]}", true},
        {"{'must_not':[{'key':'label','match':{'any':[]}}]}", true},
        {"{'must':[{'must':[]},{'should':[]}]}", true},
        {"{'must_not':[{'must':[{'has_id':[]},{'key':'n','match':{'value':1}}]}]}", true},
        {"{'min_should':{'min_count':0,'conditions':[{'has_id':['a']}]}}", true},
        {"{'should':[{'must':[]},{'has_id':['a']}]}", true},
        {"{'must':[{'has_id':[]}]}", false},
        {"{'must':[{'key':'label','match':{'any':[]}}]}", false},
        {"{'must_not':[{'key':'label','match':{'value':'a'}}]}", false},
        {"{'must_not':[{'must':[]}]}", false},
        {"{'min_should':{'min_count':1,'conditions':[]}}", false},
        {"{'must':[{'is_empty':{'key':'n'}}]}", false},
        {"{'must':[{'key':'n','match':{'except':[]}}]}", false},
    };
    char text[200];
    UNUSED(state);
    for (size_t i = 0; i < COUNT(table); i++) {
        struct err e = {0};
        quote(table[i].filter, text, sizeof text);
        struct filter *f = parse(text, &e);
        assert_ok(f, e);
        if (filter_keeps_all(f) != table[i].all)
            fail_msg("%s", text);
        filter_free(f);
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
    expect(*state, "{\"must\":[" BIG "],\"must_not\":[" RED "]}", "fgi");
    expect(*state, "{\"must_not\":[" RED "," CAT "]}", "defghi");
    expect(*state, "{\"should\":[{\"must\":[" RED "," CAT "]},{\"must\":[" BIG "],\"must_not\":[" RED "]}]}", "afgi");
    expect(*state, "{\"must_not\":[{\"must_not\":[" CAT "]}]}", "ab");
}

static void text_in_a_filter_is_never_taken_for_sql(void **state)
{
    expect(*state, "{\"must\":[{\"key\":\"colour\",\"match\":{\"value\":\"' OR 1=1 --\"}}]}", "d");
    expect(*state, "{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"' OR 1=1 --\"}}]}", "");
    expect(*state, "{\"must\":[{\"key\":\"x' OR '1'='1\",\"match\":{\"value\":\"1\"}}]}", "");
    expect(*state, "{\"must\":[{\"key\":\"colour\",\"match\":{\"any\":[\"?1\",\"); DROP TABLE image; --\"]}}]}", "");
    expect(*state, "{}", "abcdefghi");
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
    refuse("{\"must\":{}}", "filter.must.key");
    refuse("{\"must\":3}", "filter.must");
    refuse("{\"must\":[3]}", "filter.must[0]");
    refuse("{\"must\":[{}]}", "filter.must[0].key");
    refuse("{\"must\":[{\"key\":7,\"match\":{\"value\":1}}]}", "filter.must[0].key");
    refuse("{\"must\":[{\"key\":\"\",\"match\":{\"value\":1}}]}", "filter.must[0].key");
    refuse("{\"must\":[{\"key\":\"n\"}]}", "filter.must[0]");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"value\":1},\"range\":{\"gt\":1}}]}", "filter.must[0]");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"value\":1},\"also\":1}]}", "filter.must[0].also");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":1}]}", "filter.must[0].match");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{}}]}", "filter.must[0].match");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"value\":null}}]}", "filter.must[0].match.value");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"any\":null}}]}", "filter.must[0].match.any");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"value\":1,\"except\":[2]}}]}", "filter.must[0].match");
    refuse("{\"must\":[{\"key\":\"n\",\"match\":{\"text\":\"x\"}}]}", "filter.must[0].match.text");
    refuse("{\"must\":[{\"nested\":{\"key\":\"n\"}}]}", "filter.must[0].nested");
    refuse("{\"must\":[{\"key\":\"o.k[0].z\",\"match\":{\"value\":1}}]}", "filter.must[0].key");
    refuse("{\"must\":[{\"is_empty\":\"n\"}]}", "filter.must[0].is_empty");
    refuse("{\"must\":[{\"is_empty\":{\"key\":\"n\"},\"key\":\"n\"}]}", "filter.must[0].key");
    refuse("{\"must\":[{\"has_id\":\"a\"}]}", "filter.must[0].has_id");
    refuse("{\"must\":[{\"key\":\"width\",\"match\":{\"value\":\"a\"}}]}", "filter.must[0].match.value");
    refuse("{\"must\":[{\"key\":\"id\",\"range\":{\"gt\":1}}]}", "filter.must[0].range");
    refuse("{\"must\":[{\"key\":\"label\",\"values_count\":{\"gt\":1}}]}", "filter.must[0].values_count");
    refuse("{\"must\":[{\"key\":\"n\",\"values_count\":{\"gt\":1.5}}]}", "filter.must[0].values_count.gt");
    refuse("{\"must\":[{\"key\":\"at\",\"range\":{\"gt\":\"yesterday\"}}]}", "filter.must[0].range.gt");
    refuse("{\"must\":[{\"key\":\"at\",\"range\":{\"gt\":\"2024-01-01\",\"lt\":5}}]}", "filter.must[0].range.lt");
    refuse("{\"must\":[{\"key\":\"created_at\",\"range\":{\"gt\":\"2024-13-01\"}}]}", "filter.must[0].range.gt");
    refuse("{\"min_should\":[]}", "filter.min_should");
    refuse("{\"min_should\":{\"conditions\":[]}}", "filter.min_should.min_count");
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
        cmocka_unit_test(what_is_known_of_an_image_is_a_key_too),
        cmocka_unit_test(metadata_is_asked_for_in_every_way_of_qdrant),
        cmocka_unit_test(filters_keep_what_a_walk_through_each_image_keeps),
        cmocka_unit_test(an_empty_filter_is_told_from_one_that_restricts),
        cmocka_unit_test(clauses_and_nested_filters_combine),
        cmocka_unit_test(text_in_a_filter_is_never_taken_for_sql),
        cmocka_unit_test(malformed_filters_are_refused_with_the_path_of_the_fault),
        cmocka_unit_test(filters_over_the_limits_are_refused),
    };
    json_init();
    return cmocka_run_group_tests(tests, build_world, end_world);
}
