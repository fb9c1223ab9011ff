/* test_run_events.c - what a worker writes is what the server reads. */
#include "tests/t.h"

#include "engine/training/run_events.h"

static void every_event_is_read_as_it_was_written(void **state)
{
    UNUSED(state);
    struct err e = {0};
    for (int event = EVENT_UNKNOWN + 1; event <= EVENT_FAILED; event++) {
        struct buf line = {0};
        struct json_writer w = run_event_begin(&line, (enum run_event)event);
        jw_end(&w);
        struct json *v = json_parse(line.data, line.len, 0, &e);
        assert_ok(v, e);
        assert_int_equal(run_event_of(v), event);
        json_free(v);
        buf_clear(&line);
    }
    static const char *const none[] = {"{\"event\":\"\"}", "{\"event\":3}", "{}", "{\"event\":\"starts\"}"};
    for (size_t i = 0; i < COUNT(none); i++) {
        struct json *v = json_parse(none[i], strlen(none[i]), 0, &e);
        assert_int_equal(run_event_of(v), EVENT_UNKNOWN);
        json_free(v);
    }
    assert_int_equal(run_event_of(NULL), EVENT_UNKNOWN);
}

static void every_ending_is_read_as_it_was_written(void **state)
{
    UNUSED(state);
    char text[64];
    struct err e = {0};
    for (int end = TRAIN_UNENDED; end <= TRAIN_DIVERGED; end++) {
        int n = snprintf(text, sizeof text, "{\"end\":\"%s\"}", train_end_name((enum train_end)end));
        struct json *v = json_parse(text, (size_t)n, 0, &e);
        assert_int_equal(train_end_parse(json_member(v, "end")), end);
        assert_int_equal(train_end_is_whole((enum train_end)end), end == TRAIN_DONE || end == TRAIN_MAX_MINUTES);
        json_free(v);
    }
    assert_int_equal(train_end_parse(NULL), TRAIN_UNENDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_is_read_as_it_was_written),
        cmocka_unit_test(every_ending_is_read_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
