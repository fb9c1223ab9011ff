/* test_api_search.c - searches by id, vector, picture and examples; many at once; what is refused. */
#include "tests/t.h"

#include "tests/lib/rig.h"

#define SEARCH "POST /v1/collections/default/search"

enum { N = 40 }; /* images p.0 ... p.39: four kinds, label by kind, metadata {"n": i} */

static float vectors[N][RIG_DIMENSIONS];

static void id_of(size_t i, char *out, size_t size)
{
    snprintf(out, size, "p.%zu", i);
}

static void fetch_vector(size_t i)
{
    char body[128];
    snprintf(body, sizeof body, "{\"positive\":[\"p.%zu\"],\"limit\":1000,\"with_vector\":true,\"exact\":true}",
             (i + 1) % N);
    struct outcome o = rig_json(rig, SEARCH, body);
    assert_int_equal(o.status, 200);
    for (size_t k = 0; k < json_count(outcome_at(&o, "data")); k++) {
        char path[32], want[16];
        snprintf(path, sizeof path, "data.%zu.id", k);
        id_of(i, want, sizeof want);
        if (strcmp(outcome_text(&o, path), want) != 0)
            continue;
        for (size_t d = 0; d < RIG_DIMENSIONS; d++) {
            snprintf(path, sizeof path, "data.%zu.vector.%zu", k, d);
            vectors[i][d] = (float)outcome_number(&o, path);
        }
    }
    outcome_clear(&o);
}

static int set_up(void **state)
{
    static const char *const labels[] = {"red", "green", "blue", "grey"};
    rig_set_up(state);
    for (size_t i = 0; i < N; i++) {
        char line[160];
        struct buf file = rig_picture((unsigned)i % 4, (unsigned)i);
        snprintf(line, sizeof line, "PUT /v1/collections/default/images/p.%zu?label=%s&metadata={\"n\":%zu}", i,
                 labels[i % 4], i);
        struct outcome o = rig_expect(rig, 201, line, &(struct extra){.body = file.data, .len = file.len});
        outcome_clear(&o);
        buf_clear(&file);
    }
    for (size_t i = 0; i < N; i++)
        fetch_vector(i);
    return 0;
}

/* The naive search: scores of all against q, best first, without those of `except`. */
struct ranked {
    size_t i;
    double score;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

static size_t rank_all(const double *q, const size_t *except, size_t n_except, struct ranked *out)
{
    size_t n = 0;
    double length = 0;
    for (size_t d = 0; d < RIG_DIMENSIONS; d++)
        length += q[d] * q[d];
    for (size_t i = 0; i < N; i++) {
        bool skip = false;
        for (size_t k = 0; k < n_except; k++)
            skip |= except[k] == i;
        if (skip)
            continue;
        out[n] = (struct ranked){i, 0};
        for (size_t d = 0; d < RIG_DIMENSIONS; d++)
            out[n].score += q[d] * (double)vectors[i][d] / sqrt(length);
        n++;
    }
    qsort(out, n, sizeof *out, by_score);
    return n;
}

/* Compares data[0..n) below `path` with the naive ranking; equal scores may change places. */
static void assert_ranking(const struct outcome *o, const char *at, const struct ranked *want, size_t n)
{
    char path[64];
    snprintf(path, sizeof path, "%sdata", at);
    assert_int_equal(json_count(outcome_at(o, path)), n);
    for (size_t k = 0; k < n; k++) {
        snprintf(path, sizeof path, "%sdata.%zu.score", at, k);
        if (!(fabs(outcome_number(o, path) - want[k].score) < 1e-5))
            fail_msg("place %zu: score %g, expected %g", k, outcome_number(o, path), want[k].score);
    }
}

static void widen(const float *v, double *out, double weight)
{
    for (size_t d = 0; d < RIG_DIMENSIONS; d++)
        out[d] += weight * (double)v[d];
}

static void by_id_the_image_itself_is_left_out(void **state)
{
    UNUSED(state);
    struct ranked want[N];
    double q[RIG_DIMENSIONS] = {0};
    widen(vectors[3], q, 1);
    rank_all(q, (size_t[]){3}, 1, want);
    struct outcome o = rig_json(rig, SEARCH, "{\"id\":\"p.3\",\"limit\":7}");
    assert_int_equal(o.status, 200);
    assert_ranking(&o, "", want, 7);
    assert_string_equal(outcome_text(&o, "model"), "anchord-base");
    assert_true(outcome_number(&o, "generation") >= 1);
    assert_null(outcome_at(&o, "data.0.vector"));
    char id[16];
    id_of(want[0].i, id, sizeof id);
    assert_string_equal(outcome_text(&o, "data.0.id"), id);
    assert_true(outcome_number(&o, "data.0.metadata.n") == (double)want[0].i);
    assert_non_null(outcome_text(&o, "data.0.label"));
    outcome_clear(&o);
}

static void by_picture_the_same_picture_comes_first(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(11 % 4, 11), text = rig_base64(11 % 4, 11), body = {0};
    struct outcome raw = rig_expect(rig, 200, SEARCH "?limit=3",
                                    &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
    buf_print(&body, "{\"image\":\"%s\",\"limit\":3}", text.data);
    struct outcome json = rig_json(rig, SEARCH, body.data);
    assert_string_equal(outcome_text(&raw, "data.0.id"), "p.11");
    assert_true(outcome_number(&raw, "data.0.score") > 0.99999);
    assert_int_equal(json_count(outcome_at(&raw, "data")), 3);
    assert_int_equal(raw.body.len, json.body.len);
    assert_memory_equal(raw.body.data, json.body.data, raw.body.len);
    outcome_clear(&raw);
    outcome_clear(&json);
    buf_clear(&file);
    buf_clear(&text);
    buf_clear(&body);
}

static void write_floats(struct buf *b, const float *v)
{
    for (size_t d = 0; d < RIG_DIMENSIONS; d++)
        buf_print(b, "%s%.9g", d ? "," : "", (double)v[d]);
}

static void by_vector_the_model_or_the_pin_must_be_named(void **state)
{
    UNUSED(state);
    struct buf body = {0};
    buf_text(&body, "{\"vector\":[");
    write_floats(&body, vectors[5]);
    buf_char(&body, ']');
    size_t open = body.len;
    buf_char(&body, '}');
    struct outcome o = rig_json(rig, SEARCH, body.data);
    assert_int_equal(o.status, 400);
    assert_string_equal(outcome_text(&o, "error.param"), "model");
    outcome_clear(&o);
    o = rig_ask(rig, SEARCH, &(struct extra){.type = "application/json", .body = body.data, .pin = "1"});
    assert_int_equal(o.status, 200);
    assert_string_equal(outcome_text(&o, "data.0.id"), "p.5");
    outcome_clear(&o);
    body.len = open;
    buf_text(&body, ",\"model\":\"anchord-base\"}");
    o = rig_json(rig, SEARCH, body.data);
    assert_int_equal(o.status, 200);
    assert_string_equal(outcome_text(&o, "data.0.id"), "p.5");
    outcome_clear(&o);
    body.len = open;
    buf_text(&body, ",\"model\":\"another\"}");
    o = rig_json(rig, SEARCH, body.data);
    assert_int_equal(o.status, 409);
    assert_string_equal(outcome_header(&o, "x-should-retry"), "false");
    outcome_clear(&o);
    o = rig_ask(rig, SEARCH, &(struct extra){.type = "application/json", .body = body.data, .pin = "999"});
    assert_int_equal(o.status, 412);
    outcome_clear(&o);
    buf_clear(&body);
}

static void examples_pull_towards_and_push_away(void **state)
{
    UNUSED(state);
    struct ranked want[N];
    double q[RIG_DIMENSIONS] = {0};
    widen(vectors[0], q, 2.0 / 2);
    widen(vectors[4], q, 2.0 / 2);
    widen(vectors[1], q, -1.0 / 3);
    widen(vectors[5], q, -1.0 / 3);
    widen(vectors[9], q, -1.0 / 3);
    rank_all(q, (size_t[]){0, 1, 4, 5, 9}, 5, want);
    struct buf text = rig_base64(5 % 4, 5), body = {0};
    buf_print(&body, "{\"positive\":[\"p.0\",{\"id\":\"p.4\"}],\"negative\":[\"p.1\",\"p.5\",\"p.9\"],\"limit\":6}");
    struct outcome o = rig_json(rig, SEARCH, body.data);
    assert_int_equal(o.status, 200);
    assert_ranking(&o, "", want, 6);
    outcome_clear(&o);
    /* the same picture as an image: only ids are left out of the answer */
    rank_all(q, (size_t[]){0, 1, 4, 9}, 4, want);
    body.len = 0;
    buf_print(&body, "{\"positive\":[\"p.0\",\"p.4\"],\"negative\":[\"p.1\",{\"image\":\"%s\"},\"p.9\"],\"limit\":6}",
              text.data);
    o = rig_json(rig, SEARCH, body.data);
    assert_int_equal(o.status, 200);
    assert_ranking(&o, "", want, 6);
    outcome_clear(&o);
    buf_clear(&text);
    buf_clear(&body);
}

static void many_searches_are_answered_in_order_by_one_generation(void **state)
{
    UNUSED(state);
    struct buf text = rig_base64(2 % 4, 2), body = {0};
    buf_print(&body,
              "{\"searches\":[{\"id\":\"p.1\",\"limit\":2},{\"image\":\"%s\",\"limit\":1},"
              "{\"id\":\"p.1\",\"limit\":5,\"filter\":{\"must\":[{\"key\":\"label\",\"match\":{\"value\":"
              "\"red\"}}]}}]}",
              text.data);
    struct outcome o = rig_json(rig, SEARCH, body.data);
    assert_int_equal(o.status, 200);
    assert_int_equal(json_count(outcome_at(&o, "data")), 3);
    assert_int_equal(json_count(outcome_at(&o, "data.0.data")), 2);
    assert_string_equal(outcome_text(&o, "data.1.data.0.id"), "p.2");
    assert_int_equal(json_count(outcome_at(&o, "data.2.data")), 5);
    assert_string_equal(outcome_text(&o, "data.2.data.4.label"), "red");
    assert_string_equal(outcome_text(&o, "model"), "anchord-base");
    outcome_clear(&o);
    o = rig_json(rig, SEARCH, "{\"searches\":[{\"id\":\"p.1\"},{\"id\":\"p.1\",\"limit\":0}]}");
    assert_int_equal(o.status, 400);
    assert_string_equal(outcome_text(&o, "error.param"), "searches[1].limit");
    outcome_clear(&o);
    buf_clear(&text);
    buf_clear(&body);
}

static void settings_narrow_the_answer(void **state)
{
    UNUSED(state);
    struct outcome o = rig_json(rig, SEARCH,
                                "{\"id\":\"p.0\",\"limit\":1000,\"filter\":{\"must\":[{\"key\":\"n\","
                                "\"range\":{\"gte\":10,\"lt\":15}}]}}");
    assert_int_equal(json_count(outcome_at(&o, "data")), 5);
    outcome_clear(&o);
    o = rig_json(rig, SEARCH, "{\"id\":\"p.0\",\"limit\":1000,\"score_threshold\":2}");
    assert_int_equal(o.status, 200);
    assert_int_equal(json_count(outcome_at(&o, "data")), 0);
    outcome_clear(&o);
    o = rig_json(rig, SEARCH "?limit=2", "{\"id\":\"p.0\",\"with_vector\":true}");
    assert_int_equal(json_count(outcome_at(&o, "data")), 2);
    assert_int_equal(json_count(outcome_at(&o, "data.1.vector")), RIG_DIMENSIONS);
    outcome_clear(&o);
    o = rig_json(rig, SEARCH, "{\"id\":\"p.0\",\"limit\":1000,\"ef\":64,\"exact\":true}"); /* more than there are */
    assert_int_equal(json_count(outcome_at(&o, "data")), N - 1);
    assert_null(outcome_at(&o, "data.0.vector"));
    outcome_clear(&o);
}

static const struct {
    const char *json;
    int status;
    const char *param;
} refused[] = {
    {"{}", 400, NULL},
    {"{\"limit\":3}", 400, NULL},
    {"{\"id\":\"p.0\",\"image\":\"aGk=\"}", 400, NULL},
    {"{\"id\":\"p.0\",\"negative\":[\"p.1\"]}", 400, NULL},
    {"{\"id\":\"none\"}", 404, "id"},
    {"{\"id\":\"a/b\"}", 404, "id"},
    {"{\"id\":\"a\\tb\"}", 400, "id"},
    {"{\"id\":5}", 400, "id"},
    {"{\"id\":\"p.0\",\"k\":3}", 400, "k"},
    {"{\"id\":\"p.0\",\"limit\":0}", 400, "limit"},
    {"{\"id\":\"p.0\",\"limit\":-1}", 400, "limit"},
    {"{\"id\":\"p.0\",\"limit\":1000000000}", 400, "limit"},
    {"{\"id\":\"p.0\",\"limit\":1001}", 400, "limit"},
    {"{\"id\":\"p.0\",\"limit\":1.5}", 400, "limit"},
    {"{\"id\":\"p.0\",\"limit\":\"5\"}", 400, "limit"},
    {"{\"id\":\"p.0\",\"ef\":0}", 400, "ef"},
    {"{\"id\":\"p.0\",\"exact\":1}", 400, "exact"},
    {"{\"id\":\"p.0\",\"with_vector\":\"yes\"}", 400, "with_vector"},
    {"{\"id\":\"p.0\",\"score_threshold\":\"high\"}", 400, "score_threshold"},
    {"{\"id\":\"p.0\",\"filter\":[]}", 400, "filter"},
    {"{\"id\":\"p.0\",\"filter\":{\"must\":5}}", 400, "filter.must"},
    {"{\"id\":\"p.0\",\"model\":\"other\"}", 409, "model"},
    {"{\"image\":\"aGVsbG8=\"}", 400, "image"},
    {"{\"image\":\"/9j/AAAA\"}", 422, "image"},
    {"{\"vector\":[],\"model\":\"anchord-base\"}", 400, "vector"},
    {"{\"vector\":[1,2,3],\"model\":\"anchord-base\"}", 400, "vector"},
    {"{\"vector\":[1,null],\"model\":\"anchord-base\"}", 400, "vector"},
    {"{\"vector\":[0,0],\"model\":\"anchord-base\"}", 400, "vector"},
    {"{\"vector\":[1e39,0],\"model\":\"anchord-base\"}", 400, "vector"},
    {"{\"vector\":[NaN],\"model\":\"anchord-base\"}", 400, NULL},
    {"{\"vector\":[1e400],\"model\":\"anchord-base\"}", 400, NULL},
    {"{\"vector\":\"abc\",\"model\":\"anchord-base\"}", 400, "vector"},
    {"{\"positive\":[]}", 400, "positive"},
    {"{\"negative\":[\"p.0\"]}", 400, "positive"},
    {"{\"positive\":\"p.0\"}", 400, "positive"},
    {"{\"positive\":[\"p.0\"],\"negative\":[\"none\"]}", 404, "negative[0]"},
    {"{\"positive\":[\"p.0\",7]}", 400, "positive[1]"},
    {"{\"positive\":[{\"id\":\"p.0\",\"image\":\"aGk=\"}]}", 400, "positive[0]"},
    {"{\"positive\":[\"p.0\"],\"negative\":[\"p.0\",\"p.0\"]}", 200, NULL}, /* 2p - p = p */
    {"{\"searches\":[]}", 400, "searches"},
    {"{\"searches\":{}}", 400, "searches"},
    {"{\"searches\":[5]}", 400, "searches[0]"},
    {"{\"searches\":[{\"id\":\"none\"}]}", 404, "searches[0].id"},
    {"{\"searches\":[{\"id\":\"p.0\"}],\"limit\":5}", 400, "limit"},
};

static void what_makes_no_sense_is_refused_with_its_field(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct outcome o = rig_json(rig, SEARCH, refused[i].json);
        const char *param = outcome_text(&o, "error.param");
        if (o.status != refused[i].status)
            fail_msg("%s gave %d: %s", refused[i].json, o.status, o.body.data);
        if (refused[i].param ? !param || strcmp(param, refused[i].param) != 0 : param != NULL)
            fail_msg("%s named %s", refused[i].json, param ? param : "nothing");
        outcome_clear(&o);
    }
    struct buf huge = {0};
    buf_text(&huge, "{\"model\":\"anchord-base\",\"vector\":[1e39");
    for (size_t d = 1; d < RIG_DIMENSIONS; d++)
        buf_text(&huge, ",0");
    buf_text(&huge, "]}");
    struct outcome o = rig_json(rig, SEARCH, huge.data);
    assert_int_equal(o.status, 400);
    assert_string_equal(outcome_text(&o, "error.param"), "vector");
    outcome_clear(&o);
    buf_clear(&huge);
    o = rig_ask(rig, SEARCH, &(struct extra){.type = "application/json", .body = "{\"id\":\"p.0\"}", .pin = "one"});
    assert_int_equal(o.status, 400);
    assert_string_equal(outcome_text(&o, "error.param"), "anchord-generation");
    outcome_clear(&o);
}

static void an_empty_collection_answers_an_empty_list(void **state)
{
    UNUSED(state);
    struct buf file = rig_picture(0, 0);
    struct outcome o = rig_expect(rig, 201, "PUT /v1/collections/empty", NULL);
    outcome_clear(&o);
    o = rig_expect(rig, 200, "POST /v1/collections/empty/search", &(struct extra){.body = file.data, .len = file.len});
    assert_int_equal(json_count(outcome_at(&o, "data")), 0);
    outcome_clear(&o);
    o = rig_expect(rig, 404, "POST /v1/collections/none/search", &(struct extra){.body = file.data, .len = file.len});
    outcome_clear(&o);
    buf_clear(&file);
}

/* What was acknowledged is found at once; what was deleted never again. */
static void searches_see_what_was_just_written(void **state)
{
    UNUSED(state);
    for (unsigned i = 0; i < 5; i++) {
        struct buf file = rig_picture(9, 900 + i);
        struct extra x = {.body = file.data, .len = file.len};
        struct outcome o;
        rig_put(rig, "fresh", 9, 900 + i, NULL);
        o = rig_expect(rig, 200, SEARCH "?limit=1", &x);
        assert_string_equal(outcome_text(&o, "data.0.id"), "fresh");
        outcome_clear(&o);
        o = rig_expect(rig, 204, "DELETE /v1/collections/default/images/fresh", NULL);
        outcome_clear(&o);
        o = rig_expect(rig, 200, SEARCH "?limit=1000", &x);
        for (size_t k = 0; k < N; k++) {
            char path[32];
            snprintf(path, sizeof path, "data.%zu.id", k);
            assert_string_not_equal(outcome_text(&o, path), "fresh");
        }
        assert_int_equal(json_count(outcome_at(&o, "data")), N);
        outcome_clear(&o);
        buf_clear(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_id_the_image_itself_is_left_out),
        cmocka_unit_test(by_picture_the_same_picture_comes_first),
        cmocka_unit_test(by_vector_the_model_or_the_pin_must_be_named),
        cmocka_unit_test(examples_pull_towards_and_push_away),
        cmocka_unit_test(many_searches_are_answered_in_order_by_one_generation),
        cmocka_unit_test(settings_narrow_the_answer),
        cmocka_unit_test(what_makes_no_sense_is_refused_with_its_field),
        cmocka_unit_test(an_empty_collection_answers_an_empty_list),
        cmocka_unit_test(searches_see_what_was_just_written),
    };
    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
