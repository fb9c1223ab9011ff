/* test_api_errors.c - paths, methods, roles, content types and JSON that are wrong: the right status, the one
 * error object, and nothing changed.
 */
#include "tests/t.h"

#include "api/requests/answer.h"
#include "tests/lib/rig.h"

#define SEARCH "POST /v1/collections/default/search"

static int set_up(void **state)
{
    rig_set_up(state);
    rig_put(rig, "a", 1, 1, NULL);
    return 0;
}

static void assert_error(const struct outcome *o, const char *what, int status)
{
    if (o->status != status)
        fail_msg("%s gave %d, expected %d: %.300s", what, o->status, status, o->body.data ? o->body.data : "");
    if (!outcome_text(o, "error.message") || !outcome_text(o, "error.type") || !outcome_text(o, "error.code"))
        fail_msg("%s gave no error object: %.300s", what, o->body.data);
}

static const struct {
    const char *line;
    int status;
    const char *allow, *param;
} paths[] = {
    {"GET /v1", 404, NULL, NULL},
    {"GET /v1/collections/", 404, NULL, NULL},
    {"GET /v1/collections/a/b", 404, NULL, NULL},
    {"GET //healthz", 404, NULL, NULL},
    {"GET /healthz/", 404, NULL, NULL},
    {"GET http://example.org/healthz", 404, NULL, NULL},
    {"GET /v1/collections/default/images/a/content/x", 404, NULL, NULL},
    {"DELETE /healthz", 405, "GET, HEAD", NULL},
    {"OTHER /healthz", 405, "GET, HEAD", NULL},
    {"OPTIONS /v1/embeddings", 405, "POST", NULL},
    {"PATCH /v1/collections/default", 405, "PUT, GET, HEAD, DELETE", NULL},
    {"POST /v1/collections/default/images/a", 405, "PUT, GET, HEAD, PATCH, DELETE", NULL},
    {"GET /v1/collections/default/search", 405, "POST", NULL},
    {"POST /v1/models", 405, "GET, HEAD", NULL}, /* an admin route on the public listener */
    {"DELETE /v1/models/anchord-base", 405, "GET, HEAD", NULL},
    {"GET /v1/keys", 404, NULL, NULL},
    {"GET /v1/backups", 404, NULL, NULL},
    {"GET /v1/collections/none", 404, NULL, NULL},
    {"GET /v1/collections/none/images", 404, NULL, NULL},
    {"GET /v1/collections/none/images/a", 404, NULL, NULL},
    {"GET /v1/collections/default/images/none", 404, NULL, NULL},
    {"GET /v1/models/none", 404, NULL, NULL},
    {"GET /v1/collections/.hidden", 400, NULL, "collection"},
    {"GET /v1/collections/%2e%2e%2fx", 400, NULL, "collection"},
    {"GET /v1/collections/a%2fb/images/a", 400, NULL, "collection"},
    {"GET /v1/collections/default/images/a%0ab", 400, NULL, "id"},
    {"GET /v1/collections/default/images/a%00", 400, NULL, "id"},
    {"GET /v1/collections/default/images/%zz", 400, NULL, "id"},
    {"GET /v1/collections/default/images/%c0%af", 400, NULL, "id"},
    {"GET /v1/collections/default/images/%", 400, NULL, "id"},
    {"GET /v1/collections/a b", 400, NULL, "collection"},
    {"GET /v1/models/..", 400, NULL, "model"},
    {"GET /v1/collections/default/images?limit=0", 400, NULL, "limit"},
    {"GET /v1/collections/default/images?limit=1001", 400, NULL, "limit"},
    {"GET /v1/collections/default/images?limit=1e3", 400, NULL, "limit"},
    {"GET /v1/collections/default/images?limit=%201", 400, NULL, "limit"},
    {"GET /v1/collections/default/images?limit=", 400, NULL, "limit"},
    {"GET /v1/collections/default/images?limit=99999999999999999999", 400, NULL, "limit"},
    {"GET /v1/collections/default/images?limit=5&limit=6", 400, NULL, "limit"},
    {"GET /v1/collections/default/images?after=a%0ab", 400, NULL, "after"},
    {"GET /v1/collections/default/images?filter={", 400, NULL, "filter"},
    {"GET /v1/collections/default/images?filter={\"must\":3}", 400, NULL, "filter.must"},
    {"GET /v1/collections/default/images?offset=3", 400, NULL, "offset"},
    {"GET /v1/collections/default/images?=3", 400, NULL, NULL},
    {"GET /v1/collections/default/images/a/content?size=15", 400, NULL, "size"},
    {"GET /v1/collections/default/images/a/content?size=4096", 400, NULL, "size"},
    {"GET /healthz?verbose", 400, NULL, "verbose"},
};

static void wrong_paths_methods_and_parameters_are_told_apart(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct outcome o = rig_ask(rig, paths[i].line, NULL);
        const char *allow = outcome_header(&o, "allow"), *param = outcome_text(&o, "error.param");
        assert_error(&o, paths[i].line, paths[i].status);
        if (paths[i].allow ? !allow || strcmp(allow, paths[i].allow) != 0 : allow != NULL)
            fail_msg("%s allowed %s", paths[i].line, allow ? allow : "nothing");
        if (paths[i].param && (!param || strcmp(param, paths[i].param) != 0))
            fail_msg("%s named %s", paths[i].line, param ? param : "nothing");
        outcome_clear(&o);
    }
}

static void a_name_may_have_128_characters_and_an_id_256_bytes(void **state)
{
    UNUSED(state);
    static const struct {
        const char *start;
        size_t most;
    } cases[] = {{"GET /v1/collections/", 128}, {"GET /v1/models/", 128}, {"GET /v1/collections/default/images/", 256}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[400];
        size_t base = (size_t)snprintf(line, sizeof line, "%s", cases[i].start);
        memset(line + base, 'a', cases[i].most + 1);
        line[base + cases[i].most] = 0;
        struct outcome o = rig_ask(rig, line, NULL);
        assert_error(&o, line, 404);
        outcome_clear(&o);
        line[base + cases[i].most] = 'a';
        line[base + cases[i].most + 1] = 0;
        o = rig_ask(rig, line, NULL);
        assert_error(&o, line, 400);
        outcome_clear(&o);
    }
}

static void bodies_must_be_of_a_kind_that_the_route_takes(void **state)
{
    UNUSED(state);
    static const struct {
        const char *line, *type, *body;
        int status;
    } cases[] = {
        {"PUT /v1/collections/default/images/b", "image/jpeg", NULL, 400},
        {"PUT /v1/collections/default/images/b", "application/json", "{}", 415},
        {"PUT /v1/collections/default/images/b", "text/plain", "hello", 415},
        {"PUT /v1/collections/default/images/b", "image/jpeg", "GIF89a nothing that we know", 415},
        {"PUT /v1/collections/default/images/b", NULL, "<html>", 415},
        {"PUT /v1/collections/default/images/b", "image/jpeg", "\xff\xd8\xff\xe0 not really", 422},
        {"POST /v1/embeddings", "application/x-www-form-urlencoded", "a=b", 415},
        {"POST /v1/embeddings", "imagex/jpeg", "a=b", 415},
        {"POST /v1/embeddings", "application/jsonx", "{}", 415},
        {"POST /v1/embeddings", "multipart/mixed; boundary=x", "--x--", 415},
        {"POST /v1/embeddings", "multipart/form-data", "--x--", 400},
        {SEARCH, "multipart/form-data; boundary=x", "--x--", 400},
        {SEARCH, "application/json; charset=utf-8", "{}", 400},
        {"PUT /v1/collections/default", "image/jpeg", "x", 415},
        {"GET /healthz", "application/json", "{}", 413},
        {"DELETE /v1/collections/default/images/a", "application/json", "{}", 413},
        {"PATCH /v1/collections/default/images/a", "application/json", NULL, 400},
        {"PATCH /v1/collections/default/images/a", NULL, "{}", 415},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = rig_ask(rig, cases[i].line, &(struct extra){.type = cases[i].type, .body = cases[i].body});
        assert_error(&o, cases[i].line, cases[i].status);
        outcome_clear(&o);
    }
}

/* Each is wrong as JSON, whatever the route. */
static const char *const malformed[] = {
    "{",
    "}",
    "[",
    "{\"id\":\"a\"",
    "{\"id\":\"a\"}}",
    "{\"id\":\"a\"} x",
    "{\"id\":\"a\"},",
    "{'id':'a'}",
    "{id:\"a\"}",
    "{\"id\" \"a\"}",
    "{\"id\":}",
    "{\"id\":\"a\",}",
    "{,\"id\":\"a\"}",
    "{\"id\":\"a\" \"limit\":1}",
    "{\"id\":\"a\",\"id\":\"a\"}",
    "\xef\xbb\xbf{\"id\":\"a\"}",
    "{\"id\":\"a\",\"limit\":01}",
    "{\"id\":\"a\",\"limit\":+1}",
    "{\"id\":\"a\",\"limit\":.5}",
    "{\"id\":\"a\",\"limit\":5.}",
    "{\"id\":\"a\",\"limit\":0x5}",
    "{\"id\":\"a\",\"limit\":NaN}",
    "{\"id\":\"a\",\"limit\":Infinity}",
    "{\"id\":\"a\",\"limit\":-}",
    "{\"id\":\"a\",\"limit\":1e}",
    "{\"id\":\"a\",\"limit\":9223372036854775808}",
    "{\"id\":\"a\",\"limit\":1e999}",
    "{\"id\":\"\x01\"}",
    "{\"id\":\"a\nb\"}",
    "{\"id\":\"\\x41\"}",
    "{\"id\":\"\\u00\"}",
    "{\"id\":\"\\ud800\"}",
    "{\"id\":\"\\udc00\\ud800\"}",
    "{\"id\":\"\xff\"}",
    "{\"id\":\"\xc0\xaf\"}",
    "{\"id\":\"\xed\xa0\x80\"}",
    "{\"id\":\"a\",\"x\":tru}",
    "{\"id\":\"a\",\"x\":True}",
    "{\"id\":\"a\" /* comment */}",
    "null",
    "true",
    "5",
    "\"a\"",
    "[]",
    "[{\"id\":\"a\"}]",
    " ",
    "\n",
};

static void malformed_json_is_refused_everywhere(void **state)
{
    UNUSED(state);
    static const char *const lines[] = {SEARCH,
                                        "POST /v1/embeddings",
                                        "POST /v1/collections/default/images",
                                        "PATCH /v1/collections/default/images/a",
                                        "PUT /v1/collections/new",
                                        "POST /v1/collections/default/images/delete",
                                        "POST /v1/collections/default/images/count"};
    for (size_t i = 0; i < COUNT(malformed); i++)
        for (size_t k = 0; k < COUNT(lines); k++) {
            struct outcome o = rig_json(rig, lines[k], malformed[i]);
            assert_error(&o, malformed[i], 400);
            outcome_clear(&o);
        }
    struct outcome o =
        rig_ask(rig, SEARCH, &(struct extra){.type = "application/json", .body = "{\"id\":\"a\"}\0", .len = 11});
    assert_error(&o, "a zero byte after it", 400);
    outcome_clear(&o);
    o = rig_expect(rig, 404, "GET /v1/collections/new", NULL);
    outcome_clear(&o);
}

static struct outcome send_repeated(const char *line, const char *begin, const char *unit, size_t bytes,
                                    const char *end)
{
    struct buf b = {0};
    buf_text(&b, begin);
    while (b.len < bytes)
        buf_text(&b, unit);
    buf_text(&b, end);
    struct outcome o = rig_ask(rig, line, &(struct extra){.type = "application/json", .body = b.data, .len = b.len});
    buf_clear(&b);
    return o;
}

static void json_bombs_are_refused_before_they_take_memory(void **state)
{
    UNUSED(state);
    static const struct {
        const char *begin, *unit;
        size_t bytes;
        const char *end;
        int least; /* 400 or 413: either way refused */
    } bombs[] = {
        {"{\"filter\":[", "{},", 4 << 20, "{}]}", 413},
        {"{\"filter\":[", "[],", 4 << 20, "[]]}", 413},
        {"{\"filter\":[", "0,", 4 << 20, "0]}", 413},
        {"{\"vector\":[", "0.1,", 4 << 20, "0]}", 413},
        {"{\"filter\":", "[", 2049, "", 400},
        {"{\"filter\":", "{\"must\":[", 100000, "", 400},
        {"{\"id\":\"", "aaaaaaaaaa", 9 << 20, "\"}", 400},
    };
    for (size_t i = 0; i < COUNT(bombs); i++) {
        struct outcome o = send_repeated(SEARCH, bombs[i].begin, bombs[i].unit, bombs[i].bytes, bombs[i].end);
        assert_error(&o, bombs[i].unit, bombs[i].least);
        outcome_clear(&o);
    }
    struct buf keys = {0};
    for (int i = 0; i < 400000; i++)
        buf_print(&keys, "%s\"k%d\":0", i ? "," : "{", i);
    buf_char(&keys, '}');
    struct outcome o =
        rig_ask(rig, SEARCH, &(struct extra){.type = "application/json", .body = keys.data, .len = keys.len});
    assert_error(&o, "many keys", 413);
    outcome_clear(&o);
    buf_clear(&keys);
}

static void a_body_over_the_limit_is_413(void **state)
{
    UNUSED(state);
    struct outcome o = send_repeated("PATCH /v1/collections/default/images/a", "{\"label\":\"", "x", 1 << 20, "\"}");
    assert_error(&o, "a small route", 413);
    outcome_clear(&o);
    o = send_repeated("POST /v1/embeddings", "", " ", 33 << 20, "{}");
    assert_error(&o, "an upload", 413);
    outcome_clear(&o);
}

static void each_route_needs_its_role(void **state)
{
    UNUSED(state);
    static const struct {
        const char *line;
        enum role role;
    } cases[] = {
        {"GET /v1/models", ROLE_READ},
        {SEARCH, ROLE_READ},
        {"GET /metrics", ROLE_READ},
        {"DELETE /v1/collections/default/images/none", ROLE_WRITE},
        {"PUT /v1/collections/default", ROLE_WRITE},
        {"GET /v1/keys", ROLE_ADMIN},
        {"POST /v1/backups", ROLE_ADMIN},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int role = ROLE_NONE; role < ROLE_ADMIN; role++) {
            struct outcome o =
                rig_ask(rig, cases[i].line, &(struct extra){.admin = true, .role = (enum role)role, .anonymous = true});
            if (role >= (int)cases[i].role)
                assert_true(o.status != 401 && o.status != 403);
            else
                assert_error(&o, cases[i].line, role == ROLE_NONE ? 401 : 403);
            outcome_clear(&o);
        }
    struct outcome o = rig_expect(rig, 200, "GET /healthz", &(struct extra){.anonymous = true});
    outcome_clear(&o);
}

/* What failed inside is for the log: its text may name paths. */
static void inner_errors_tell_clients_nothing(void **state)
{
    UNUSED(state);
    static const enum err_code inner[] = {ERR_IO, ERR_CORRUPT, ERR_INTERNAL, ERR_FULL};
    for (size_t i = 0; i < COUNT(inner); i++) {
        struct response r = {0};
        struct err e = {0};
        err_set(&e, inner[i], "writing /var/lib/anchord/blobs/ab: libfoo said no");
        answer_error(&r, &e);
        assert_true(r.status >= 500);
        assert_null(strstr(r.body.data, "/var"));
        assert_null(strstr(r.body.data, "libfoo"));
        response_clear(&r);
    }
}

static void clients_are_told_whether_to_repeat(void **state)
{
    UNUSED(state);
    static const struct {
        enum err_code code;
        int status;
        const char *retry_after, *should_retry;
    } cases[] = {
        {ERR_BUSY, 503, "1", NULL},     {ERR_RATE_LIMITED, 429, "1", NULL}, {ERR_CONFLICT, 409, NULL, "false"},
        {ERR_FULL, 507, NULL, "false"}, {ERR_NOT_FOUND, 404, NULL, NULL},   {ERR_PRECONDITION, 412, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct response r = {0};
        struct err e = {0};
        const char *retry_after = NULL, *should_retry = NULL;
        err_set(&e, cases[i].code, "x");
        answer_error(&r, &e);
        assert_int_equal(r.status, cases[i].status);
        for (size_t k = 0; k < r.n_headers; k++) {
            if (strcmp(r.headers[k].name, "retry-after") == 0)
                retry_after = r.headers[k].value;
            if (strcmp(r.headers[k].name, "x-should-retry") == 0)
                should_retry = r.headers[k].value;
        }
        assert_true(cases[i].retry_after ? retry_after && !strcmp(retry_after, cases[i].retry_after) : !retry_after);
        assert_true(cases[i].should_retry ? should_retry && !strcmp(should_retry, cases[i].should_retry)
                                          : !should_retry);
        response_clear(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_paths_methods_and_parameters_are_told_apart),
        cmocka_unit_test(a_name_may_have_128_characters_and_an_id_256_bytes),
        cmocka_unit_test(bodies_must_be_of_a_kind_that_the_route_takes),
        cmocka_unit_test(malformed_json_is_refused_everywhere),
        cmocka_unit_test(json_bombs_are_refused_before_they_take_memory),
        cmocka_unit_test(a_body_over_the_limit_is_413),
        cmocka_unit_test(each_route_needs_its_role),
        cmocka_unit_test(inner_errors_tell_clients_nothing),
        cmocka_unit_test(clients_are_told_whether_to_repeat),
    };
    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
