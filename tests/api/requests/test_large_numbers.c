/* test_large_numbers.c - numbers from 2^63 on in metadata: given back as they came, and filtered by exactly. */
#include "tests/t.h"

#include "tests/lib/rig.h"

#define IMAGES "/v1/collections/default/images"

static const char *const numbers[] = {"-1e300",
                                      "-9223372036854775808",
                                      "7",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "9223372036854775809",
                                      "1e19",
                                      "18446744073709551614",
                                      "18446744073709551615",
                                      "1e20",
                                      "1e300"};

static int set_up(void **state)
{
    rig_set_up(state);
    struct buf file = rig_picture(1, 1), metadata = {0}, line = {0};
    for (size_t i = 0; i < COUNT(numbers); i++) { /* n0, n1, ... in their order */
        line.len = metadata.len = 0;
        buf_print(&line, "PUT " IMAGES "/n%02zu?metadata={\"h\":%s,\"hs\":[%s]}", i, numbers[i], numbers[i]);
        struct outcome o =
            rig_expect(rig, 201, line.data, &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
        outcome_clear(&o);
    }
    buf_clear(&file);
    buf_clear(&line);
    buf_clear(&metadata);
    return 0;
}

static void they_come_back_as_they_were_also_after_a_patch(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200, "GET " IMAGES "/n08", NULL);
    assert_non_null(strstr(o.body.data, "{\"h\":18446744073709551615,\"hs\":[18446744073709551615]}"));
    outcome_clear(&o);
    o = rig_expect(rig, 200, "PATCH " IMAGES "/n08",
                   &(struct extra){.type = "application/json", .body = "{\"metadata\":{\"k\":9223372036854775808}}"});
    assert_non_null(
        strstr(o.body.data, "{\"h\":18446744073709551615,\"hs\":[18446744073709551615],\"k\":9223372036854775808}"));
    outcome_clear(&o);
    static const char *const beyond[] = {"18446744073709551616", "-9223372036854775809", "1e400"};
    for (size_t i = 0; i < COUNT(beyond); i++) {
        char line[200];
        struct buf file = rig_picture(1, 1);
        snprintf(line, sizeof line, "PUT " IMAGES "/x?metadata={\"h\":%s}", beyond[i]);
        o = rig_expect(rig, 400, line, &(struct extra){.type = "image/jpeg", .body = file.data, .len = file.len});
        assert_string_equal(outcome_text(&o, "error.param"), "metadata");
        assert_non_null(strstr(outcome_text(&o, "error.message"), "out of range"));
        outcome_clear(&o);
        buf_clear(&file);
    }
}

/* How many numbers a condition keeps, of the single value and of the list. */
static void check(const char *condition, double want)
{
    static const char *const keys[] = {"h", "hs"};
    for (size_t i = 0; i < 2; i++) {
        char json[300];
        snprintf(json, sizeof json, "{\"filter\":{\"must\":[{\"key\":\"%s\",%s}]}}", keys[i], condition);
        struct outcome o = rig_json(rig, "POST " IMAGES "/count", json);
        if (o.status != 200 || outcome_number(&o, "count") != want)
            fail_msg("%s: %s, not %g", json, o.body.data, want);
        outcome_clear(&o);
    }
}

static void filters_compare_them_exactly(void **state)
{
    UNUSED(state);
    char condition[200];
    for (size_t i = 0; i < COUNT(numbers); i++) { /* each is equal to itself alone, and stands between its neighbours */
        snprintf(condition, sizeof condition, "\"match\":{\"value\":%s}", numbers[i]);
        check(condition, 1);
        snprintf(condition, sizeof condition, "\"range\":{\"lt\":%s}", numbers[i]);
        check(condition, (double)i);
        snprintf(condition, sizeof condition, "\"range\":{\"gte\":%s}", numbers[i]);
        check(condition, (double)(COUNT(numbers) - i));
        snprintf(condition, sizeof condition, "\"range\":{\"gt\":%s,\"lte\":1e300}", numbers[i]);
        check(condition, (double)(COUNT(numbers) - i - 1));
    }
    check("\"match\":{\"value\":10000000000000000000}", 1); /* 1e19, written otherwise */
    check("\"match\":{\"value\":9223372036854775808.0}", 1);
    check("\"match\":{\"any\":[18446744073709551615,9223372036854775807,\"18446744073709551615\"]}", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_back_as_they_were_also_after_a_patch),
        cmocka_unit_test(filters_compare_them_exactly),
    };
    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
