/* test_configs.c - the example settings are every setting with its default, so that they cannot go stale. */
#include "tests/t.h"

#include "base/conf.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/learning/train_config.h"
#include "server/commands/train_stages.h"

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

static void runs_are_configurations(void **state)
{
    static const struct {
        const char *file;
        size_t stages;
    } runs[] = {{"configs/train-example.json", 1}, {"configs/anchord-base.json", 3}};
    UNUSED(state);
    for (size_t i = 0; i < COUNT(runs); i++) {
        struct train_stages s;
        struct err e = {0};
        void *text;
        size_t len;
        assert_ok(file_read(runs[i].file, 1 << 20, &text, &len, &e), e);
        assert_ok(train_stages_read(&s, text, len, &e), e);
        assert_int_equal(s.n, runs[i].stages);
        for (size_t k = 0; k < s.n; k++) {
            struct train_config c;
            assert_ok(train_config_parse(&c, s.texts[k], strlen(s.texts[k]), &e), e);
            train_config_clear(&c);
        }
        train_stages_clear(&s);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_configurations),
        cmocka_unit_test(the_example_file_has_every_setting_with_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
