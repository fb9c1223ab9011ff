/* test_metric.c - counting from many threads, bounded labels, the Prometheus text. */
#include "tests/t.h"

#include <pthread.h>

#include "base/metric.h"

static void *count(void *arg)
{
    UNUSED(arg);
    for (int i = 0; i < 100000; i++) {
        metric_add(METRIC_http_requests_total, 1, "/count", i % 2 ? "200" : "404");
        metric_observe(METRIC_search_duration_seconds, 0.001 * (i % 3), NULL);
    }
    return NULL;
}

static void nothing_is_lost_when_many_threads_count(void **state)
{
    UNUSED(state);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, count, NULL);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(metric_get(METRIC_http_requests_total, "/count", "200") == 200000);
    assert_true(metric_get(METRIC_http_requests_total, "/count", "404") == 200000);
    assert_true(metric_get(METRIC_search_duration_seconds, NULL, NULL) == 400000);
}

static void beyond_the_limit_new_labels_count_as_other(void **state)
{
    UNUSED(state);
    for (int i = 0; i < METRIC_SERIES_MAX + 45; i++) {
        char reason[16];
        snprintf(reason, sizeof reason, "r%d", i);
        metric_add(METRIC_http_refusals_total, 1, reason, NULL);
    }
    metric_add(METRIC_http_refusals_total, 1, "r0", NULL);
    assert_true(metric_get(METRIC_http_refusals_total, "r0", NULL) == 2);
    assert_true(metric_get(METRIC_http_refusals_total, "one too many", NULL) == 45);
    struct buf out = {0};
    metric_render(&out);
    assert_non_null(strstr(out.data, "anchord_http_refusals_total{reason=\"other\"} 45\n"));
    buf_clear(&out);
}

static void the_text_is_what_prometheus_reads(void **state)
{
    UNUSED(state);
    struct buf out = {0};
    metric_set(METRIC_store_images, 7, NULL, NULL);
    metric_add(METRIC_http_requests_total, 2, "/\"a\\\n", "418");
    metric_observe(METRIC_queue_wait_seconds, 0.002, "heavy");
    metric_observe(METRIC_queue_wait_seconds, 100, "heavy");
    metric_render(&out);
    static const char *const lines[] = {
        "# TYPE anchord_store_images gauge\nanchord_store_images 7\n",
        "anchord_http_requests_total{route=\"/\\\"a\\\\\\n\",status=\"418\"} 2\n",
        "anchord_queue_wait_seconds_bucket{queue=\"heavy\",le=\"0.001\"} 0\n",
        "anchord_queue_wait_seconds_bucket{queue=\"heavy\",le=\"0.0025\"} 1\n",
        "anchord_queue_wait_seconds_bucket{queue=\"heavy\",le=\"+Inf\"} 2\n",
        "anchord_queue_wait_seconds_sum{queue=\"heavy\"} 100.002\n",
        "anchord_queue_wait_seconds_count{queue=\"heavy\"} 2\n",
        "anchord_store_groups_total 0\n",
        "anchord_build_info{version=\"",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        if (!strstr(out.data, lines[i]))
            fail_msg("not in the text: %s", lines[i]);
    assert_true(metric_get(METRIC_process_resident_memory_bytes, NULL, NULL) > 100000);
    assert_true(metric_get(METRIC_process_open_fds, NULL, NULL) >= 3);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_when_many_threads_count),
        cmocka_unit_test(beyond_the_limit_new_labels_count_as_other),
        cmocka_unit_test(the_text_is_what_prometheus_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
