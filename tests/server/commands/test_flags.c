/* test_flags.c - a command's own flags. */
#include "tests/t.h"

#include "server/commands/flags.h"

static void flags_are_taken_and_operands_stay(void **state)
{
    UNUSED(state);
    char *argv[] = {(char[]){"new"},  (char[]){"--arch"},  (char[]){"resnet18"}, (char[]){"--seed=7"},
                    (char[]){"file"}, (char[]){"--force"}, (char[]){"--"},       (char[]){"--odd"}};
    int argc = COUNT(argv);
    const char *arch = NULL, *seed = NULL, *width = NULL;
    bool force = false;
    const struct flag flags[] = {{.name = "arch", .text = &arch},
                                 {.name = "seed", .text = &seed},
                                 {.name = "width", .text = &width},
                                 {.name = "force", .on = &force}};
    struct err e = {0};
    assert_ok(flags_take(&argc, argv, flags, COUNT(flags), &e), e);
    assert_int_equal(argc, 3);
    assert_string_equal(argv[0], "new");
    assert_string_equal(argv[1], "file");
    assert_string_equal(argv[2], "--odd"); /* after -- everything is an operand */
    assert_string_equal(arch, "resnet18");
    assert_string_equal(seed, "7");
    assert_null(width);
    assert_true(force);
}

static void wrong_flags_are_named(void **state)
{
    UNUSED(state);
    static const char *const cases[][2] = {
        {"--unknown", "unknown"}, {"--name", "needs a value"}, {"--on=1", "takes no value"}, {"--nam", "--nam"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char arg[32], *argv[] = {arg};
        int argc = 1;
        const char *name = NULL;
        bool on = false;
        const struct flag flags[] = {{.name = "name", .text = &name}, {.name = "on", .on = &on}};
        struct err e;
        snprintf(arg, sizeof arg, "%s", cases[i][0]);
        assert_err(flags_take(&argc, argv, flags, 2, &e), e, ERR_BAD_INPUT);
        assert_non_null(strstr(e.text, cases[i][1]));
    }
}

static void numbers_must_be_whole_and_in_range(void **state)
{
    UNUSED(state);
    static const char *const bad[] = {"", "x", "1x", "-1", "+1", " 1", "1.5", "101", "9", "99999999999999999999999"};
    uint64_t v = 5;
    struct err e = {0};
    assert_ok(flag_number("n", NULL, 10, 100, &v, &e), e);
    assert_int_equal(v, 5);
    assert_ok(flag_number("n", "100", 10, 100, &v, &e), e);
    assert_int_equal(v, 100);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_err(flag_number("n", bad[i], 10, 100, &v, &e), e, ERR_BAD_INPUT);
    assert_int_equal(v, 100);
}

static void real_numbers_must_be_in_range(void **state)
{
    UNUSED(state);
    static const char *const bad[] = {"", "x", "1x", "0.05", "11", "nan", "inf"};
    double v = 5;
    struct err e = {0};
    assert_ok(flag_real("n", NULL, 0.1, 10, &v, &e) && flag_real("n", "0.25", 0.1, 10, &v, &e), e);
    assert_true(v == 0.25);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_err(flag_real("n", bad[i], 0.1, 10, &v, &e), e, ERR_BAD_INPUT);
    assert_true(v == 0.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_taken_and_operands_stay),
        cmocka_unit_test(wrong_flags_are_named),
        cmocka_unit_test(numbers_must_be_whole_and_in_range),
        cmocka_unit_test(real_numbers_must_be_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
