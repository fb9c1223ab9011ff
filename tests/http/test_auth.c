/* test_auth.c - who may do what: every route with every kind of key, on both listeners; exposure; other origins. */
#include "tests/t.h"

#include <strings.h>

#include "tests/lib/expect.h"
#include "tests/lib/probe.h"
#include "tests/lib/results_table.h"

enum who { NOBODY, STRANGER, REVOKED, READER, WRITER, ADMIN, WHO_COUNT };
static const char *const who_names[WHO_COUNT] = {"no key", "a wrong key", "a revoked key", "read", "write", "admin"};

static const char admin_key[] = "anch_Adm1nKey_0123456789abcdefghijABCDEFGHIJ0123456789abc";
static char keys[WHO_COUNT][80];
static struct server server;

struct route {
    const char *method, *path;
    enum who needs;  /* NOBODY, READER, WRITER or ADMIN */
    bool admin_only; /* on the admin listener only */
};

/* Requests that harm nothing when they pass: what they name is not there, or their body is empty. */
static const struct route routes[] = {
    {"GET", "/", NOBODY, false},
    {"GET", "/healthz", NOBODY, false},
    {"GET", "/readyz", NOBODY, false},
    {"GET", "/openapi.json", NOBODY, false},
    {"GET", "/metrics", READER, false},
    {"GET", "/v1/models", READER, false},
    {"GET", "/v1/models/none", READER, false},
    {"POST", "/v1/embeddings", READER, false},
    {"GET", "/v1/collections", READER, false},
    {"PUT", "/v1/collections/none", WRITER, false},
    {"GET", "/v1/collections/none", READER, false},
    {"DELETE", "/v1/collections/none2", WRITER, false},
    {"POST", "/v1/collections/none/search", READER, false},
    {"GET", "/v1/collections/none/images", READER, false},
    {"POST", "/v1/collections/none/images", WRITER, false},
    {"POST", "/v1/collections/none/images/count", READER, false},
    {"POST", "/v1/collections/none/images/get", READER, false},
    {"POST", "/v1/collections/none/images/metadata", WRITER, false},
    {"GET", "/v1/collections/none/labels", READER, false},
    {"GET", "/v1/collections/none/export", READER, false},
    {"POST", "/v1/collections/none/images/delete", WRITER, false},
    {"PUT", "/v1/collections/none/images/x", WRITER, false},
    {"GET", "/v1/collections/none/images/x", READER, false},
    {"PATCH", "/v1/collections/none/images/x", WRITER, false},
    {"DELETE", "/v1/collections/none/images/x", WRITER, false},
    {"GET", "/v1/collections/none/images/x/content", READER, false},
    {"POST", "/v1/models", ADMIN, true},
    {"DELETE", "/v1/models/none", ADMIN, true},
    {"POST", "/v1/collections/none/model", ADMIN, true},
    {"DELETE", "/v1/collections/none/model", ADMIN, true},
    {"GET", "/v1/collections/none/generations", ADMIN, true},
    {"POST", "/v1/collections/none/rollback", ADMIN, true},
    {"POST", "/v1/fine_tuning/jobs", ADMIN, true},
    {"GET", "/v1/fine_tuning/jobs", ADMIN, true},
    {"GET", "/v1/fine_tuning/jobs/ftjob-0", ADMIN, true},
    {"POST", "/v1/fine_tuning/jobs/ftjob-0/cancel", ADMIN, true},
    {"DELETE", "/v1/fine_tuning/jobs/ftjob-0", ADMIN, true},
    {"GET", "/v1/fine_tuning/jobs/ftjob-0/events", ADMIN, true},
    {"GET", "/v1/fine_tuning/jobs/ftjob-0/checkpoints", ADMIN, true},
    {"GET", "/v1/fine_tuning/objectives", ADMIN, true},
    {"GET", "/v1/keys", ADMIN, true},
    {"POST", "/v1/keys", ADMIN, true},
    {"DELETE", "/v1/keys/nonenone", ADMIN, true},
    {"GET", "/v1/backups", ADMIN, true},
    {"POST", "/v1/backups", ADMIN, true},
    {"GET", "/v1/backups/b", ADMIN, true},
    {"DELETE", "/v1/backups/b", ADMIN, true},
};

static void make_key(struct client *c, const char *role, char *out, size_t size, char *id, size_t id_size)
{
    char body[100];
    snprintf(body, sizeof body, "{\"role\": \"%s\", \"name\": \"a-%s\"}", role, role);
    struct json *made = expect_json(c, 201,
                                    &(struct ask){.method = "POST",
                                                  .target = "/v1/keys",
                                                  .key = admin_key,
                                                  .type = "application/json",
                                                  .body = body,
                                                  .len = strlen(body)});
    snprintf(out, size, "%s", text_at(made, "key"));
    if (id)
        snprintf(id, id_size, "%s", text_at(made, "id"));
    json_free(made);
}

static int start(void **state)
{
    static char admin[120];
    static const char *const env[] = {admin, "ANCHORD_AUTH_FAILURES=1000000", NULL};
    char id[32], target[64];
    UNUSED(state);
    snprintf(admin, sizeof admin, "ANCHORD_ADMIN_KEY=%s", admin_key);
    expect_start(&server, &(struct server_options){.env = env});
    struct client c = client_to(server.admin);
    snprintf(keys[STRANGER], sizeof keys[0], "anch_Str4nger_0123456789abcdefghijABCDEFGHIJ0123456789abc");
    snprintf(keys[ADMIN], sizeof keys[0], "%s", admin_key);
    make_key(&c, "read", keys[READER], sizeof keys[0], NULL, 0);
    make_key(&c, "write", keys[WRITER], sizeof keys[0], NULL, 0);
    make_key(&c, "admin", keys[REVOKED], sizeof keys[0], id, sizeof id);
    snprintf(target, sizeof target, "/v1/keys/%s", id);
    expect_status(&c, 204, &(struct ask){.method = "DELETE", .target = target, .key = admin_key});
    client_close(&c);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    expect_stop(&server);
    return 0;
}

/* ---- the matrix ---- */

static int ask_status(uint16_t port, const struct route *r, enum who who)
{
    struct client c = client_to(port);
    struct reply reply = {0};
    bool sends = strcmp(r->method, "GET") != 0 && strcmp(r->method, "DELETE") != 0;
    client_ask(&c,
               &(struct ask){.method = r->method,
                             .target = r->path,
                             .type = sends ? "application/json" : NULL,
                             .key = keys[who][0] ? keys[who] : NULL,
                             .body = sends ? "[]" : NULL,
                             .len = sends ? 2 : 0},
               &reply);
    int status = reply.status;
    reply_clear(&reply);
    client_close(&c);
    return status;
}

/* What the role rules say; 0: anything but 401 and 403. */
static int expected(const struct route *r, enum who who, bool admin_listener)
{
    if (r->admin_only && !admin_listener)
        return -1; /* not there: 404 or 405 */
    if (r->needs == NOBODY)
        return 0;
    if (who < READER)
        return 401;
    return who < r->needs ? 403 : 0;
}

static bool cell_fits(int status, int want)
{
    if (want == -1)
        return status == 404 || status == 405;
    if (want == 0)
        return status >= 200 && status < 500 && status != 401 && status != 403;
    return status == want;
}

static void every_route_obeys_the_role_of_the_key_on_both_listeners(void **state)
{
    UNUSED(state);
    int before = results_bad();
    result_section("Keys: each route with each kind of key (public listener, then admin)");
    for (size_t i = 0; i < COUNT(routes); i++)
        for (int admin = 0; admin < 2; admin++) {
            char what[120], want[100] = "", got[80] = "";
            bool good = true;
            for (enum who who = 0; who < WHO_COUNT; who++) {
                int status = ask_status(admin ? server.admin : server.port, &routes[i], who);
                int rule = expected(&routes[i], who, admin);
                good = good && cell_fits(status, rule);
                snprintf(want + strlen(want), sizeof want - strlen(want), "%s%s", who ? " " : "",
                         rule == -1    ? "404/405"
                         : rule == 0   ? "ok"
                         : rule == 401 ? "401"
                                       : "403");
                snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", who ? " " : "", status);
            }
            snprintf(what, sizeof what, "%s %s on %s", routes[i].method, routes[i].path, admin ? "admin" : "public");
            result_row(good, what, want, "%s", got);
        }
    assert_int_equal(results_bad(), before);
}

/* "/v1/models/{model}" and "/v1/models/none" */
static bool path_fits(const char *pattern, const char *path)
{
    while (*pattern && *path) {
        bool any = *pattern == '{';
        size_t n = strcspn(pattern, "/"), m = strcspn(path, "/");
        if (!any && (n != m || strncmp(pattern, path, n) != 0))
            return false;
        pattern += n;
        path += m;
        if (*pattern != *path)
            return false;
        pattern += *pattern == '/';
        path += *path == '/';
    }
    return !*pattern && !*path;
}

static bool in_matrix(const char *method, const char *pattern)
{
    for (size_t i = 0; i < COUNT(routes); i++)
        if (strcasecmp(method, routes[i].method) == 0 && path_fits(pattern, routes[i].path))
            return true;
    return false;
}

static void no_route_is_missing_from_the_matrix(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.admin);
    struct json *all = expect_get(&c, 200, "/openapi.json");
    const struct json *methods, *route;
    const char *pattern, *method;
    size_t n = 0;
    for (void *it = NULL; (it = json_next(json_member(all, "paths"), it, &pattern, &methods));)
        for (void *at = NULL; (at = json_next(methods, at, &method, &route));) {
            if (strcmp(method, "parameters") != 0 && !in_matrix(method, pattern))
                fail_msg("%s %s is not in the table of this test", method, pattern);
            n++;
        }
    assert_true(n >= 29);
    json_free(all);
    client_close(&c);
}

static void a_key_is_taken_from_three_headers_and_from_no_other_place(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    char line[120], target[160];
    struct ask q = {.method = "GET", .target = "/v1/models", .headers = line};
    static const char *const names[] = {"Authorization: Bearer ", "authorization: bearer ", "api-key: ", "x-api-key: "};
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(line, sizeof line, "%s%s\r\n", names[i], keys[READER]);
        expect_status(&c, 200, &q);
    }
    snprintf(line, sizeof line, "Authorization: Basic %s\r\n", keys[READER]);
    expect_error(&c, 401, "invalid_api_key", NULL, &q);
    snprintf(line, sizeof line, "Cookie: key=%s\r\n", keys[READER]);
    expect_error(&c, 401, "invalid_api_key", NULL, &q);
    snprintf(target, sizeof target, "/v1/models?api-key=%s", keys[READER]);
    expect_status(&c, 401, &(struct ask){.method = "GET", .target = target});
    client_close(&c);
}

static void an_upload_without_a_key_is_refused_before_its_body(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.port);
    struct reply r = {0};
    static const char head[] = "PUT /v1/collections/default/images/x HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: image/jpeg\r\nExpect: 100-continue\r\nContent-Length: 30000000\r\n\r\n";
    assert_true(client_connect(&c));
    assert_true(client_send_text(&c, head));
    client_receive(&c, false, 2, &r);
    result_section("Keys: bodies");
    result_row(r.status == 401 && !r.continued, "30 MB with Expect: 100-continue and no key", "401, no 100", "%d%s",
               r.status, r.continued ? " after 100" : ", no 100");
    assert_int_equal(r.status, 401);
    assert_false(r.continued);
    reply_clear(&r);
    client_close(&c);
}

/* ---- keys stay secret ---- */

static bool file_holds(const char *path, const char *text)
{
    char command[600];
    snprintf(command, sizeof command, "grep -rqaF -- '%s' '%s'", text, path);
    return system(command) == 0;
}

static void no_key_is_in_the_data_folder_the_log_or_an_answer(void **state)
{
    UNUSED(state);
    struct client c = client_to(server.admin);
    struct reply r = {0};
    int before = results_bad();
    result_section("Keys: where they must not be");
    client_ask(&c, &(struct ask){.method = "GET", .target = "/v1/keys", .key = admin_key}, &r);
    assert_int_equal(r.status, 200);
    for (enum who who = STRANGER; who < WHO_COUNT; who++) {
        const char *secret = keys[who] + 14;
        char what[80];
        snprintf(what, sizeof what, "the secret of %s", who_names[who]);
        bool on_disk = file_holds(server.dir, secret), in_log = file_holds(server.log, secret),
             shown = strstr(r.body.data, secret) != NULL;
        result_row(!on_disk && !in_log && !shown, what, "nowhere", "%s%s%s", on_disk ? "in the data folder " : "",
                   in_log ? "in the log " : "",
                   shown               ? "in GET /v1/keys"
                   : on_disk || in_log ? ""
                                       : "nowhere");
    }
    reply_clear(&r);
    client_close(&c);
    assert_int_equal(results_bad(), before);
}

static void wrong_keys_from_one_address_are_slowed_down(void **state)
{
    UNUSED(state);
    char admin[120];
    const char *env[] = {admin, "ANCHORD_AUTH_FAILURES=5", NULL};
    struct server s;
    int refused = 0, limited = 0;
    snprintf(admin, sizeof admin, "ANCHORD_ADMIN_KEY=%s", admin_key);
    expect_start(&s, &(struct server_options){.env = env});
    struct client c = client_to(s.port);
    struct reply r = {0};
    for (int i = 0; i < 12; i++) {
        client_ask(&c, &(struct ask){.method = "GET", .target = "/v1/models", .key = keys[STRANGER]}, &r);
        refused += r.status == 401;
        limited += r.status == 429;
    }
    result_row(refused <= 6 && limited >= 6, "12 wrong keys in a row, 5 a minute allowed", "401, then 429",
               "%d times 401, %d times 429", refused, limited);
    assert_true(refused >= 5 && refused <= 6 && limited == 12 - refused);
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/v1/models", .key = admin_key});
    client_close(&c);
    reply_clear(&r);
    expect_stop(&s);
}

/* ---- exposure ---- */

static void try_to_listen(const char *listen, const char *admin_listen, bool with_key, int want)
{
    char dir[] = "/tmp/anchord-exposed-XXXXXX", key[120], what[160], *text = NULL;
    snprintf(key, sizeof key, "ANCHORD_ADMIN_KEY=%s", admin_key);
    const char *env[] = {with_key ? key : NULL, NULL};
    const char *args[] = {"serve",          "--data",     dir,       "--listen",    listen,
                          "--admin-listen", admin_listen, "--model", small_model(), NULL};
    assert_non_null(mkdtemp(dir));
    int status = program_run(args, env, &text);
    snprintf(what, sizeof what, "serve on %s, admin on %s, %s", listen, admin_listen, with_key ? "a key" : "no key");
    result_row(status == want, what, "exit code 78", "exit code %d", status);
    print_message("   %.200s\n", text);
    assert_int_equal(status, want);
    free(text);
    t_remove_dir(strdup(dir));
}

static void an_open_address_without_a_key_refuses_to_start(void **state)
{
    UNUSED(state);
    result_section("Exposure");
    try_to_listen("0.0.0.0:0", "127.0.0.1:0", false, 78);
    try_to_listen("127.0.0.1:0", "0.0.0.0:0", false, 78);
    try_to_listen("[::]:0", "127.0.0.1:0", false, 78);
}

/* ---- other web pages ---- */

static void foreign_pages_may_not_write_and_listed_ones_may(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_CORS_ORIGINS=https://app.example", NULL};
    struct server s;
    struct reply r = {0};
    char value[100];
    int before = results_bad();
    expect_start(&s, &(struct server_options){.env = env});
    struct client c = client_to(s.port);
    struct ask write = {.method = "POST",
                        .target = "/v1/collections/default/images/count",
                        .body = "{}",
                        .len = 2,
                        .type = "application/json",
                        .headers = "Origin: https://evil.example\r\n"};
    result_section("Other origins");
    probe_ask(&s, "POST from a foreign origin", "403", "origin_not_allowed", &write);
    write.headers = "Origin: https://app.example\r\n";
    probe_ask(&s, "POST from a listed origin", "200", NULL, &write);
    write.headers = "Host: rebound.example\r\n";
    probe_ask(&s, "a second, foreign Host", "400", NULL, &write);
    static const struct {
        const char *target, *headers, *pattern;
    } gets[] = {
        {"/v1/collections/default/images?filter={}", "Origin: https://evil.example\r\n", "403"},
        {"/v1/models", "Origin: https://app.example\r\n", "200"},
        {"/v1/models", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image\r\n", "403"},
        {"/v1/models", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: iframe\r\n", "403"},
        {"/v1/models", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: document\r\n", "200"},
        {"/v1/models", "Sec-Fetch-Site: same-site\r\nSec-Fetch-Dest: image\r\n", "200"},
        {"/v1/models", "Sec-Fetch-Site: none\r\n", "200"},
        {"/metrics", "Origin: https://evil.example\r\n", "403"},
        {"/healthz", "Origin: https://evil.example\r\n", "200"},
    };
    for (size_t i = 0; i < COUNT(gets); i++) {
        struct ask get = {.method = "GET", .target = gets[i].target, .headers = gets[i].headers};
        probe_ask(&s, gets[i].headers, gets[i].pattern, gets[i].pattern[0] == '4' ? "origin_not_allowed" : NULL, &get);
    }
    struct ask preflight = {.method = "OPTIONS",
                            .target = "/v1/models",
                            .headers = "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n"};
    client_ask(&c, &preflight, &r);
    char *allowed = reply_header(&r, "access-control-allow-origin", value, sizeof value);
    result_row(!allowed, "preflight of a foreign origin", "no Access-Control-Allow-Origin", "%s",
               allowed ? allowed : "none");
    preflight.headers = "Origin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n";
    client_ask(&c, &preflight, &r);
    allowed = reply_header(&r, "access-control-allow-origin", value, sizeof value);
    result_row(allowed && strcmp(allowed, "https://app.example") == 0 && r.status == 204,
               "preflight of a listed origin", "204 https://app.example", "%d %s", r.status,
               allowed ? allowed : "none");
    reply_clear(&r);
    client_close(&c);
    expect_stop(&s);
    assert_int_equal(results_bad(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_obeys_the_role_of_the_key_on_both_listeners),
        cmocka_unit_test(no_route_is_missing_from_the_matrix),
        cmocka_unit_test(a_key_is_taken_from_three_headers_and_from_no_other_place),
        cmocka_unit_test(an_upload_without_a_key_is_refused_before_its_body),
        cmocka_unit_test(no_key_is_in_the_data_folder_the_log_or_an_answer),
        cmocka_unit_test(wrong_keys_from_one_address_are_slowed_down),
        cmocka_unit_test(an_open_address_without_a_key_refuses_to_start),
        cmocka_unit_test(foreign_pages_may_not_write_and_listed_ones_may),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
