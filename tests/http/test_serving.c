/* test_serving.c - how the server is started, asked how it is, and told that its secrets have changed. */
#include "tests/t.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/certificates.h"
#include "tests/lib/command.h"
#include "tests/lib/expect.h"

#define KEY_ONE "anch_KeyOneA1_0123456789abcdefghijABCDEFGHIJ0123456789abc"
#define KEY_TWO "anch_KeyTwoB2_0123456789abcdefghijABCDEFGHIJ0123456789abc"

/* Starts with the variables given and asserts that it does not serve; gives what it said. */
static char *refused(const char *const *env)
{
    char *dir = t_make_dir(), *text = NULL;
    const char *args[] = {"serve",          "--data",      dir,       "--listen",    "127.0.0.1:0",
                          "--admin-listen", "127.0.0.1:0", "--model", small_model(), NULL};
    int status = program_run(args, env, &text);
    if (status != 78)
        fail_msg("exit code %d: %s", status, text);
    t_remove_dir(dir);
    return text;
}

static void what_would_let_everybody_in_refuses_to_start(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), empty[300], line[300], zero[300], cert[400], key[400], file[400];
    struct {
        const char *env[3], *says;
    } cases[] = {
        {{"ANCHORD_ADMIN_KEY="}, "admin_key"},
        {{file}, "admin_key_file"},
        {{line}, "admin_key_file"},
        {{zero}, "admin_key_file"},
        {{cert, key}, "tls_cert_file"},
        {{"ANCHORD_CORS_ORIGINS=https://a.example,*"}, "cors_origins"},
        {{"ANCHORD_ADMIN_CORS_ORIGINS=*"}, "admin_cors_origins"},
    };
    write_file(dir, "empty", "", 0);
    write_file(dir, "line", "\r\n \n", 4);
    write_file(dir, "zero", "\0key", 4);
    snprintf(empty, sizeof empty, "%s/empty", dir);
    snprintf(file, sizeof file, "ANCHORD_ADMIN_KEY_FILE=%s", empty);
    snprintf(line, sizeof line, "ANCHORD_ADMIN_KEY_FILE=%s/line", dir);
    snprintf(zero, sizeof zero, "ANCHORD_ADMIN_KEY_FILE=%s/zero", dir);
    snprintf(cert, sizeof cert, "ANCHORD_TLS_CERT_FILE=%s", empty);
    snprintf(key, sizeof key, "ANCHORD_TLS_KEY_FILE=%s", empty);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *said = refused(cases[i].env);
        assert_contains(said, cases[i].says);
        free(said);
    }
    t_remove_dir(dir);
}

static void a_page_that_is_listed_for_one_listener_may_not_call_the_other(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_CORS_ORIGINS=https://app.example",
                                      "ANCHORD_ADMIN_CORS_ORIGINS=https://admin.example", NULL};
    static const struct ask one = {.method = "POST",
                                   .target = "/v1/collections/default/images/count",
                                   .body = "{}",
                                   .len = 2,
                                   .type = "application/json",
                                   .headers = "Origin: https://app.example\r\n"},
                            other = {.method = "POST",
                                     .target = "/v1/collections/default/images/count",
                                     .body = "{}",
                                     .len = 2,
                                     .type = "application/json",
                                     .headers = "Origin: https://admin.example\r\n"};
    struct server s;
    expect_start(&s, &(struct server_options){.env = env});
    struct client c = client_to(s.port), admin = client_to(s.admin);
    expect_status(&c, 200, &one);
    expect_error(&c, 403, "origin_not_allowed", NULL, &other);
    expect_status(&admin, 200, &other);
    expect_error(&admin, 403, "origin_not_allowed", NULL, &one);
    client_close(&c);
    client_close(&admin);
    expect_stop(&s);
}

static void a_listed_page_may_send_the_headers_that_it_asks_for(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_CORS_ORIGINS=https://app.example", NULL};
    struct server s;
    struct reply r = {0};
    char value[200];
    expect_start(&s, &(struct server_options){.env = env});
    struct client c = client_to(s.port);
    struct ask q = {.method = "OPTIONS",
                    .target = "/v1/embeddings",
                    .headers = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n"
                               "Access-Control-Request-Headers: authorization,x-stainless-os\r\n"};
    assert_true(client_ask(&c, &q, &r));
    assert_int_equal(r.status, 204);
    assert_string_equal(reply_header(&r, "access-control-allow-headers", value, sizeof value),
                        "authorization,x-stainless-os");
    q.headers = "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n"
                "Access-Control-Request-Headers: x-stainless-os\r\n";
    assert_true(client_ask(&c, &q, &r));
    assert_null(reply_header(&r, "access-control-allow-headers", value, sizeof value));
    reply_clear(&r);
    client_close(&c);
    expect_stop(&s);
}

static void health_is_told_behind_a_name_list_and_on_all_addresses(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_ALLOWED_HOSTS=photos.example", "ANCHORD_ADMIN_KEY=" KEY_ONE, NULL};
    static const char *const args[] = {"--listen", "0.0.0.0:0", NULL};
    struct server s;
    struct reply r = {0};
    expect_start(&s, &(struct server_options){.env = env, .args = args});
    struct client c = client_to(s.port);
    char *said = command(0, "health", "--data", s.dir, NULL);
    assert_contains(said, "ready");
    free(said);
    assert_true(client_connect(&c) && client_send_text(&c, "GET /readyz HTTP/1.1\r\nHost: other.example\r\n\r\n"));
    client_receive(&c, false, 10, &r);
    assert_int_equal(r.status, 421);
    reply_clear(&r);
    client_close(&c);
    expect_stop(&s);
}

static void write_pem(const char *dir, const struct pem *pem)
{
    write_file(dir, "cert.pem", pem->cert, strlen(pem->cert));
    write_file(dir, "key.pem", pem->key, strlen(pem->key));
}

static void wait_for_line(const struct server *s, const char *text, size_t times)
{
    if (!t_wait(30, server_log_count(s, text) >= times))
        fail_msg("\"%s\" is not in the log", text);
}

static void hangup(struct server *s, const char *text, size_t times)
{
    server_signal(s, SIGHUP);
    wait_for_line(s, text, times);
}

static void a_hangup_takes_a_renewed_certificate_and_key_and_nothing_that_is_wrong(void **state)
{
    UNUSED(state);
    static struct pem first, second;
    char *dir = t_make_dir(), cert[300], key[300], admin[300];
    const char *const env[] = {cert, key, admin, NULL};
    struct server s;
    certificate_make("photos.example", &first);
    certificate_make("photos.example", &second);
    write_pem(dir, &first);
    write_file(dir, "admin", KEY_ONE "\n", strlen(KEY_ONE) + 1);
    snprintf(cert, sizeof cert, "ANCHORD_TLS_CERT_FILE=%s/cert.pem", dir);
    snprintf(key, sizeof key, "ANCHORD_TLS_KEY_FILE=%s/key.pem", dir);
    snprintf(admin, sizeof admin, "ANCHORD_ADMIN_KEY_FILE=%s/admin", dir);
    expect_start(&s, &(struct server_options){.env = env});
    command_only(0, "health", "--data", s.dir, NULL);
    write_pem(dir, &second);
    write_file(dir, "admin", KEY_TWO "\n", strlen(KEY_TWO) + 1);
    hangup(&s, " reloaded ", 1);
    command_only(0, "health", "--data", s.dir, NULL);         /* it knows the server by its new certificate */
    write_file(dir, "key.pem", first.key, strlen(first.key)); /* of another certificate */
    hangup(&s, "nothing was changed", 1);
    write_file(dir, "cert.pem", "", 0);
    hangup(&s, "nothing was changed", 2);
    command_only(0, "health", "--data", s.dir, NULL);
    expect_stop(&s); /* still running: SIGHUP is no reason to end */
    t_remove_dir(dir);
}

static int status_with(struct client *c, const char *key)
{
    struct reply r = {0};
    client_ask(c, &(struct ask){.method = "GET", .target = "/v1/models", .key = key}, &r);
    int status = r.status;
    reply_clear(&r);
    return status;
}

static void a_hangup_takes_another_admin_key(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), admin[300];
    const char *const env[] = {admin, NULL};
    struct server s;
    write_file(dir, "admin", KEY_ONE, strlen(KEY_ONE));
    snprintf(admin, sizeof admin, "ANCHORD_ADMIN_KEY_FILE=%s/admin", dir);
    expect_start(&s, &(struct server_options){.env = env});
    struct client c = client_to(s.port);
    assert_int_equal(status_with(&c, KEY_ONE), 200);
    write_file(dir, "admin", KEY_TWO, strlen(KEY_TWO));
    hangup(&s, " reloaded ", 1);
    assert_int_equal(status_with(&c, KEY_ONE), 401);
    assert_int_equal(status_with(&c, KEY_TWO), 200);
    write_file(dir, "admin", "no key", 6);
    hangup(&s, "nothing was changed", 1);
    assert_int_equal(status_with(&c, KEY_TWO), 200);
    client_close(&c);
    expect_stop(&s);
    t_remove_dir(dir);
}

static void a_server_with_another_certificate_is_not_trusted(void **state)
{
    UNUSED(state);
    static struct pem pem, other;
    char *dir = t_make_dir(), cert[300], key[300], url[80], ca[300], *said;
    const char *const env[] = {cert, key, NULL};
    struct server s;
    certificate_make("localhost", &pem);
    certificate_make("localhost", &other);
    write_pem(dir, &pem);
    write_file(dir, "other.pem", other.cert, strlen(other.cert));
    snprintf(cert, sizeof cert, "ANCHORD_TLS_CERT_FILE=%s/cert.pem", dir);
    snprintf(key, sizeof key, "ANCHORD_TLS_KEY_FILE=%s/key.pem", dir);
    expect_start(&s, &(struct server_options){.env = env});
    snprintf(url, sizeof url, "https://localhost:%u", s.port);
    snprintf(ca, sizeof ca, "%s/cert.pem", dir);
    command_only(0, "health", "--url", url, "--ca-file", ca, NULL);
    snprintf(ca, sizeof ca, "%s/other.pem", dir);
    said = command(1, "health", "--url", url, "--ca-file", ca, NULL);
    assert_contains(said, "not trusted");
    free(said);
    command_only(1, "health", "--url", url, NULL);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", s.port); /* not its name */
    snprintf(ca, sizeof ca, "%s/cert.pem", dir);
    command_only(1, "health", "--url", url, "--ca-file", ca, NULL);
    expect_stop(&s);
    t_remove_dir(dir);
}

static unsigned mode_of(const char *dir, const char *name)
{
    char path[400];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void a_folder_that_others_may_read_is_told_and_what_is_made_in_it_is_closed(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct server s;
    mode_t before = umask(022);
    chmod(dir, 0755);
    expect_start(&s, &(struct server_options){.dir = dir});
    umask(before);
    assert_int_equal(mode_of(dir, "anchord.db"), 0600);
    assert_int_equal(mode_of(dir, "anchord.db-wal"), 0600);
    assert_int_equal(server_log_count(&s, "is open to other users"), 1);
    expect_stop(&s);
    t_remove_dir(dir);
}

static void every_method_that_a_path_does_not_have_is_405_with_those_that_it_has(void **state)
{
    UNUSED(state);
    static const char *const methods[] = {"TRACE", "DELETE", "PATCH", "PUT", "POST"};
    struct server s;
    struct reply r = {0};
    char allow[80];
    expect_start(&s, &(struct server_options){0});
    struct client c = client_to(s.port);
    for (size_t i = 0; i < COUNT(methods); i++) {
        assert_true(client_ask(&c, &(struct ask){.method = methods[i], .target = "/healthz"}, &r));
        assert_int_equal(r.status, 405);
        assert_string_equal(reply_header(&r, "allow", allow, sizeof allow), "GET, HEAD");
    }
    assert_true(client_ask(&c, &(struct ask){.method = "PROPFIND", .target = "/healthz"}, &r));
    assert_int_equal(r.status, 501);
    reply_clear(&r);
    client_close(&c);
    expect_stop(&s);
}

static void a_name_of_a_key_does_not_reach_the_terminal_raw(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    command_only(0, "key", "add", "--role", "admin", "--name", "a\x1b]0;x\a\xc2\x9bm", "--data", dir, NULL);
    char *said = command(0, "key", "list", "--data", dir, NULL);
    assert_null(strchr(said, '\x1b'));
    assert_contains(said, "a?]0;x???m");
    free(said);
    said = command(0, "key", "add", "--role", "admin", "--first", "--data", dir, NULL); /* there is one */
    assert_string_equal(said, "");
    free(said);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_let_everybody_in_refuses_to_start),
        cmocka_unit_test(a_page_that_is_listed_for_one_listener_may_not_call_the_other),
        cmocka_unit_test(a_listed_page_may_send_the_headers_that_it_asks_for),
        cmocka_unit_test(health_is_told_behind_a_name_list_and_on_all_addresses),
        cmocka_unit_test(a_hangup_takes_a_renewed_certificate_and_key_and_nothing_that_is_wrong),
        cmocka_unit_test(a_hangup_takes_another_admin_key),
        cmocka_unit_test(a_server_with_another_certificate_is_not_trusted),
        cmocka_unit_test(a_folder_that_others_may_read_is_told_and_what_is_made_in_it_is_closed),
        cmocka_unit_test(every_method_that_a_path_does_not_have_is_405_with_those_that_it_has),
        cmocka_unit_test(a_name_of_a_key_does_not_reach_the_terminal_raw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
