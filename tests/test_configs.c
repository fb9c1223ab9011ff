/* test_configs.c - the example settings are every setting with its default, so that they cannot go stale. */
#include "tests/t.h"

#include "base/conf.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/training/train_config.h"

static void the_example_file_has_every_setting_with_its_default(void **state)
{
    UNUSED(state);
    struct conf c;
    struct buf standard = {0}, want = {0}, got = {0};
    struct err e = {0};
    void *text;
    size_t len;
    conf_init(&c);
    conf_write_json(&c, &standard);
    assert_ok(file_read("configs/anchord.json", 1 << 20, &text, &len, &e), e);
    struct json *ours = json_parse(standard.data, standard.len, 0, &e), *example = json_parse(text, len, 0, &e);
    assert_ok(ours && example, e);
    json_dump(ours, &want);
    json_dump(example, &got);
    assert_string_equal(got.data, want.data); /* the order too */
    assert_ok(conf_read_json(&c, text, len, &e), e);
    json_free(ours);
    json_free(example);
    free(text);
    buf_clear(&standard);
    buf_clear(&want);
    buf_clear(&got);
    conf_clear(&c);
}

static void the_example_of_a_run_is_a_configuration(void **state)
{
    UNUSED(state);
    struct train_config c;
    struct err e = {0};
    void *text;
    size_t len;
    assert_ok(file_read("configs/train-example.json", 1 << 20, &text, &len, &e), e);
    assert_ok(train_config_parse(&c, text, len, &e), e);
    train_config_clear(&c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_a_run_is_a_configuration),
        cmocka_unit_test(the_example_file_has_every_setting_with_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
