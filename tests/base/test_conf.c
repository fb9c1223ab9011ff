/* test_conf.c - settings from their four sources, and what is refused. */
#include "tests/t.h"

#include "base/conf.h"
#include "base/file.h"

static void a_file_is_beaten_by_the_environment_and_that_by_flags(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300], env_listen[] = "ANCHORD_LISTEN=0.0.0.0:1", env_port[] = "ANCHORD_PORT=tcp://x",
         env_hosts[] = "ANCHORD_ALLOWED_HOSTS=a.example, b.example", env_data[] = "ANCHORD_DATA=/x",
         env_other[] = "HOME=/";
    char *env[] = {env_listen, env_port, env_hosts, env_data, env_other, NULL};
    struct conf c;
    struct err e = {0};
    static const char text[] = "{\"listen\":\"a:1\",\"admin_listen\":\"a:2\",\"data\":\"/d\",\"rate_limit\":2.5,"
                               "\"access_log\":false,\"heavy_threads\":3,\"cors_origins\":[\"http://x\",\"http://y\"]}";
    snprintf(path, sizeof path, "%s/conf.json", dir);
    assert_ok(file_replace(path, text, sizeof text - 1, &e), e);
    char flag_file[] = "--config", flag_data[] = "--data=/e", flag_threads[] = "--heavy-threads", value[] = "5",
         image[] = "cat.jpg", flag_log[] = "--access-log", end[] = "--", rest[] = "--data=/f";
    char *argv[] = {flag_file, path, image, flag_data, flag_threads, value, flag_log, end, rest, NULL};
    int argc = 9;
    assert_ok(conf_load(&c, &argc, argv, env, &e), e);
    assert_string_equal(c.listen, "0.0.0.0:1");
    assert_string_equal(c.admin_listen, "a:2");
    assert_string_equal(c.data, "/e");
    assert_int_equal(c.heavy_threads, 5);
    assert_int_equal(c.light_threads, 2);
    assert_true(c.rate_limit > 2.4 && c.rate_limit < 2.6);
    assert_true(c.access_log);
    assert_int_equal(c.allowed_hosts.n, 2);
    assert_string_equal(c.allowed_hosts.items[1], "b.example");
    assert_int_equal(c.cors_origins.n, 2);
    assert_int_equal(argc, 3);
    assert_string_equal(argv[0], "cat.jpg");
    assert_string_equal(argv[1], "--");
    assert_string_equal(argv[2], "--data=/f");
    conf_clear(&c);
    t_remove_dir(dir);
}

static void what_is_unknown_or_impossible_is_refused_by_name(void **state)
{
    UNUSED(state);
    static const struct {
        const char *json, *name;
    } cases[] = {
        {"{\"lisen\":\"x\"}", "lisen"},
        {"{\"light_threads\":0}", "light_threads"},
        {"{\"light_threads\":\"2\"}", "light_threads"},
        {"{\"light_threads\":2.5}", "light_threads"},
        {"{\"light_threads\":99999999999999999999}", ""},
        {"{\"rate_limit\":-1}", "rate_limit"},
        {"{\"access_log\":1}", "access_log"},
        {"{\"access_log\":\"yes\"}", "access_log"},
        {"{\"precision\":\"fp16\"}", "precision"},
        {"{\"precision\":\"auto|fp32\"}", "precision"},
        {"{\"precision\":\"\"}", "precision"},
        {"{\"listen\":8080}", "listen"},
        {"{\"listen\":\"a\\u0000b\"}", ""},
        {"{\"cors_origins\":[\"a\",2]}", "cors_origins[1]"},
        {"{\"cors_origins\":{}}", "cors_origins"},
        {"{\"cors_origins\":[\"a,b\"]}", "cors_origins[0]"},
        {"[]", "object"},
        {"{\"data\":\"a\",\"data\":\"b\"}", ""},
        {"{", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf c;
        struct err e;
        conf_init(&c);
        assert_err(conf_read_json(&c, cases[i].json, strlen(cases[i].json), &e), e, ERR_BAD_INPUT);
        if (!strstr(e.text, cases[i].name))
            fail_msg("%s: \"%s\" does not name %s", cases[i].json, e.text, cases[i].name);
        conf_clear(&c);
    }
}

static void a_wrong_variable_or_flag_is_refused_by_name(void **state)
{
    UNUSED(state);
    struct conf c;
    struct err e;
    char unknown[] = "ANCHORD_LISEN=x", small[] = "ANCHORD_LIGHT_THREADS=0", lower[] = "ANCHORD_light_threads=4";
    char *envs[3][2] = {{unknown, NULL}, {small, NULL}, {lower, NULL}};
    static const char *const names[] = {"ANCHORD_LISEN", "LIGHT_THREADS", "light_threads"};
    conf_init(&c);
    for (size_t i = 0; i < 3; i++) {
        assert_err(conf_read_env(&c, envs[i], &e), e, ERR_BAD_INPUT);
        assert_non_null(strstr(e.text, names[i]));
    }
    static const char *const bad[] = {"", " 4", "4 ", "0x4", "4.0", "nan", "-1", "99999999999999999999"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_err(conf_set(&c, "light_threads", bad[i], &e), e, ERR_BAD_INPUT);
    static const char *const bad_real[] = {"", "nan", "inf", "1e7", "1x"};
    for (size_t i = 0; i < COUNT(bad_real); i++)
        assert_err(conf_set(&c, "rate_limit", bad_real[i], &e), e, ERR_BAD_INPUT);
    char flag[] = "--light-threads";
    char *argv[] = {flag, NULL};
    int argc = 1;
    assert_err(conf_read_flags(&c, &argc, argv, &e), e, ERR_BAD_INPUT);
    assert_non_null(strstr(e.text, "light_threads"));
    conf_clear(&c);
}

static void the_variables_of_an_orchestrator_stop_nobody(void **state)
{
    UNUSED(state);
    static const char *const passed_over[] = {"ANCHORD_SERVICE_HOST=10.0.0.1",
                                              "ANCHORD_SERVICE_PORT=80",
                                              "ANCHORD_SERVICE_PORT_HTTP=80",
                                              "ANCHORD_PORT=tcp://10.0.0.1:80",
                                              "ANCHORD_PORT_80_TCP=tcp://x",
                                              "ANCHORD_PORT_80_TCP_PROTO=tcp",
                                              "ANCHORD_ADMIN_SERVICE_HOST=1",
                                              "ANCHORD_ADMIN_PORT=tcp://x",
                                              "ANCHORD_ADMIN_PORT_8081_TCP_ADDR=10.0.0.2",
                                              "ANCHORD_ADMIN_SERVICE_PORT_METRICS=1",
                                              "ANCHORD_PUBLIC_SERVICE_PORT=8080",
                                              "ANCHORD_A_B_PORT_53_UDP=udp://x",
                                              "ANCHORD_VERSION=1.2",
                                              "ANCHORD_IMAGE=x",
                                              "ANCHORD_KEY=y",
                                              "ANCHORD_NAME=/a/b"};
    static const char *const refused[] = {"ANCHORD_SERVICE_HOSTS=1", "ANCHORD_PORTS=1",   "ANCHORD_IMPORT=1",
                                          "ANCHORD_PORT_X=1",        "ANCHORD_PORT_80=1", "ANCHORD_LISEN_PORT2=1",
                                          "ANCHORD_SERVICE_PORTS=1"};
    char variable[80], *env[] = {variable, NULL};
    struct conf c;
    struct err e = {0};
    conf_init(&c);
    for (size_t i = 0; i < COUNT(passed_over); i++) {
        snprintf(variable, sizeof variable, "%s", passed_over[i]);
        assert_ok(conf_read_env(&c, env, &e), e);
    }
    for (size_t i = 0; i < COUNT(refused); i++) {
        snprintf(variable, sizeof variable, "%s", refused[i]);
        assert_err(conf_read_env(&c, env, &e), e, ERR_BAD_INPUT);
    }
    conf_clear(&c);
}

static void an_empty_secret_in_the_environment_is_refused(void **state)
{
    UNUSED(state);
    char secret[] = "ANCHORD_ADMIN_KEY=", file[] = "ANCHORD_ADMIN_KEY_FILE=";
    struct conf c;
    struct err e = {0};
    conf_init(&c);
    assert_err(conf_read_env(&c, (char *[]){secret, NULL}, &e), e, ERR_BAD_INPUT);
    assert_non_null(strstr(e.text, "ADMIN_KEY"));
    e = (struct err){0};
    assert_ok(conf_read_env(&c, (char *[]){file, NULL}, &e), e);
    conf_clear(&c);
}

static void a_secret_is_no_flag_and_is_never_written(void **state)
{
    UNUSED(state);
    struct conf c;
    struct err e = {0};
    struct buf out = {0};
    char flag[] = "--admin-key=s3cret";
    char *argv[] = {flag, NULL};
    int argc = 1;
    conf_init(&c);
    assert_ok(conf_read_flags(&c, &argc, argv, &e), e);
    assert_int_equal(argc, 1);
    assert_ok(conf_set(&c, "admin_key", "s3cret", &e), e);
    conf_write_json(&c, &out);
    assert_null(strstr(out.data, "s3cret"));
    buf_clear(&out);
    conf_clear(&c);
}

static void what_is_written_reads_back_the_same(void **state)
{
    UNUSED(state);
    struct conf c, d;
    struct err e = {0};
    struct buf once = {0}, twice = {0}, help = {0};
    conf_init(&c);
    conf_init(&d);
    assert_ok(conf_set(&c, "cors_origins", "http://a,http://b", &e), e);
    assert_ok(conf_set(&c, "rate_limit", "0.25", &e), e);
    conf_write_json(&c, &once);
    assert_ok(conf_read_json(&d, once.data, once.len, &e), e);
    conf_write_json(&d, &twice);
    assert_string_equal(once.data, twice.data);
    conf_write_help(&help);
    assert_non_null(strstr(help.data, "--admin-listen"));
    assert_null(strstr(help.data, "--admin-key "));
    buf_clear(&once);
    buf_clear(&twice);
    buf_clear(&help);
    conf_clear(&c);
    conf_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_beaten_by_the_environment_and_that_by_flags),
        cmocka_unit_test(what_is_unknown_or_impossible_is_refused_by_name),
        cmocka_unit_test(a_wrong_variable_or_flag_is_refused_by_name),
        cmocka_unit_test(the_variables_of_an_orchestrator_stop_nobody),
        cmocka_unit_test(an_empty_secret_in_the_environment_is_refused),
        cmocka_unit_test(a_secret_is_no_flag_and_is_never_written),
        cmocka_unit_test(what_is_written_reads_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
