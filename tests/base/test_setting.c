/* test_setting.c - values by a table: read, refused with their bounds or choices, written. */
#include "tests/t.h"

#include "base/setting.h"

struct owner {
    int64_t whole;
    uint32_t narrow;
    double real;
    bool flag;
    int choice;
    char *text;
};

static const char *const fits[] = {"crop", "pad", NULL};
static const struct setting table[] = {
    {"whole", SETTING_INT, AT(struct owner, whole), .lo = -5, .hi = 9e15},
    {"narrow", SETTING_INT, AT(struct owner, narrow), .lo = 0, .hi = 300},
    {"real", SETTING_REAL, AT(struct owner, real), .lo = 0.25, .hi = 1e9},
    {"flag", SETTING_FLAG, AT(struct owner, flag)},
    {"choice", SETTING_CHOICE, AT(struct owner, choice), .choices = fits},
    {"text", SETTING_TEXT, AT(struct owner, text), .lo = 1, .hi = 4, .wanted = "a short text"},
    {.name = "other"},
};

static bool read_into(const char *text, struct owner *o, struct err *e)
{
    *e = (struct err){0};
    struct json *v = json_parse(text, strlen(text), 0, e);
    bool ok = v && settings_read(v, "a.b", &(struct settings_of){table, COUNT(table), o}, 1, e);
    json_free(v);
    return ok;
}

static void an_object_is_read_and_written_back(void **state)
{
    UNUSED(state);
    static const char text[] =
        "{\"whole\":-5,\"narrow\":300,\"real\":0.305,\"flag\":true,\"choice\":\"pad\",\"text\":\"abcd\"}";
    struct owner o = {0};
    struct err e;
    struct buf out = {0};
    struct json_writer w = jw_to(&out);
    assert_ok(read_into(text, &o, &e), e);
    assert_ok(read_into("{\"whole\":null,\"other\":[1]}", &o, &e), e); /* as good as not given */
    jw_object(&w, NULL);
    for (size_t i = 0; i < COUNT(table); i++)
        setting_write(&table[i], &o, &w);
    jw_end(&w);
    assert_string_equal(out.data, text);
    buf_clear(&out);
    free(o.text);
}

static void what_is_no_value_is_refused_and_changes_nothing(void **state)
{
    UNUSED(state);
    static const struct {
        const char *text, *param, *why;
    } cases[] = {
        {"{\"whole\":-6}", "a.b.whole", "must be a whole number from -5 to 9e+15"},
        {"{\"whole\":1.0}", "a.b.whole", "must be a whole number from -5 to 9e+15"},
        {"{\"narrow\":301}", "a.b.narrow", "must be a whole number from 0 to 300"},
        {"{\"narrow\":4294967296}", "a.b.narrow", "must be a whole number from 0 to 300"},
        {"{\"real\":0}", "a.b.real", "must be a number from 0.25 to 1e+09"},
        {"{\"real\":\"1\"}", "a.b.real", "must be a number from 0.25 to 1e+09"},
        {"{\"flag\":1}", "a.b.flag", "must be true or false"},
        {"{\"choice\":\"stretch\"}", "a.b.choice", "must be one of crop, pad"},
        {"{\"choice\":1}", "a.b.choice", "must be one of crop, pad"},
        {"{\"text\":\"\"}", "a.b.text", "must be a short text"},
        {"{\"text\":\"abcde\"}", "a.b.text", "must be a short text"},
        {"{\"more\":1}", "a.b.more", "there is no setting \"a.b.more\""},
        {"[]", "a.b", "must be an object"},
    };
    struct owner o = {.whole = 7, .narrow = 7, .real = 7, .choice = 7}, before = o;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e;
        assert_err(read_into(cases[i].text, &o, &e), e, ERR_BAD_INPUT);
        assert_string_equal(e.param, cases[i].param);
        assert_string_equal(e.text, cases[i].why);
        assert_memory_equal(&o, &before, sizeof o);
    }
}

static void texts_are_read_as_on_a_command_line(void **state)
{
    UNUSED(state);
    static const char *const good[][2] = {{"whole", "-5"}, {"real", "1e3"}, {"flag", "1"}, {"choice", "pad"}};
    static const char *const bad[][2] = {{"whole", "5x"}, {"whole", ""},    {"whole", " 5"},  {"real", "nan"},
                                         {"flag", "yes"}, {"choice", "pa"}, {"narrow", "-1"}, {"text", "abcde"}};
    struct owner o = {0};
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(setting_parse(setting_find(table, COUNT(table), good[i][0]), &o, good[i][1]));
    assert_true(o.whole == -5 && o.real == 1000 && o.flag && o.choice == 1);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(setting_parse(setting_find(table, COUNT(table), bad[i][0]), &o, bad[i][1]));
    assert_true(o.whole == -5 && o.real == 1000 && o.flag && o.choice == 1 && !o.text);
}

static void a_member_of_two_tables_goes_to_both(void **state)
{
    UNUSED(state);
    struct owner a = {0}, b = {0};
    struct err e = {0};
    const struct settings_of parts[] = {{table, 3, &a}, {table + 2, 2, &b}};
    static const char text[] = "{\"real\":2,\"flag\":true}";
    struct json *v = json_parse(text, sizeof text - 1, 0, &e);
    assert_ok(settings_read(v, "", parts, 2, &e), e);
    assert_true(a.real == 2 && b.real == 2 && !a.flag && b.flag);
    json_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_read_and_written_back),
        cmocka_unit_test(what_is_no_value_is_refused_and_changes_nothing),
        cmocka_unit_test(texts_are_read_as_on_a_command_line),
        cmocka_unit_test(a_member_of_two_tables_goes_to_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
