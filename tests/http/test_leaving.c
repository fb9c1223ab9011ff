/* test_leaving.c - clients that leave in the middle of large uploads: what they held is free at once, and the next
 * uploads find room. */
#include "tests/t.h"

#include "base/clock.h"
#include "tests/lib/expect.h"
#include "tests/lib/results_table.h"

#define IMAGE_URL "/v1/collections/default/images/large"

enum { LEAVING = 17, BODY = 30000000, SENT = BODY / 2 };

/* A small JPEG behind 30 MB of comments. */
static void large_picture(struct buf *out)
{
    static char comment[65537];
    struct buf small = {0};
    draw_jpeg(1, 64, &small);
    memcpy(comment, "\xff\xfe\xff\xff", 4);
    buf_add(out, small.data, 2);
    while (out->len < BODY)
        buf_add(out, comment, sizeof comment);
    buf_add(out, small.data + 2, small.len - 2);
    buf_clear(&small);
}

static double gauge(struct client *admin, const char *name)
{
    struct reply r = {0};
    assert_true(client_ask(admin, &(struct ask){.method = "GET", .target = "/metrics"}, &r));
    assert_int_equal(r.status, 200);
    char line[120];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(r.body.data, line);
    double value = at ? atof(at + strlen(line)) : -1;
    reply_clear(&r);
    return value;
}

static void seventeen_clients_that_leave_in_the_middle_of_30_mb_leave_room_for_others(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_IDLE_TIMEOUT_SECONDS=600", "ANCHORD_BODY_TIMEOUT_SECONDS=600", NULL};
    struct server s;
    struct buf body = {0};
    expect_start(&s, &(struct server_options){.env = env});
    struct client admin = client_to(s.admin), next = client_to(s.port);
    gauge(&admin, "anchord_http_body_memory_bytes"); /* its connection is there from now on */
    usleep(100000);
    size_t fds = server_fds(&s);
    large_picture(&body);
    for (size_t i = 0; i < LEAVING; i++) {
        struct client c = client_to(s.port);
        struct buf head = {0};
        buf_print(&head,
                  "PUT " IMAGE_URL
                  " HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n",
                  body.len);
        assert_true(client_connect(&c) && client_send(&c, head.data, head.len, 10));
        (void)client_send(&c, body.data, SENT, 20); /* the last may be refused */
        client_close(&c);
        buf_clear(&head);
    }
    double since = clock_s();
    bool free_again = t_wait(5, server_fds(&s) <= fds);
    double closed = clock_s() - since;
    free_again = t_wait(5, gauge(&admin, "anchord_http_body_memory_bytes") == 0) && free_again;
    result_section("Clients that leave in the middle of 30 MB");
    result_row(free_again, "17 clients send 15 MB and leave", "memory and descriptors as before",
               "%.0f bytes, %zu descriptors, before %zu", gauge(&admin, "anchord_http_body_memory_bytes"),
               server_fds(&s), fds);
    assert_true(free_again);
    print_message("closed after %.3f s\n", closed);
    for (size_t i = 0; i < 5; i++)
        expect_status(&next, i ? 200 : 201,
                      &(struct ask){.method = "PUT",
                                    .target = IMAGE_URL,
                                    .type = "image/jpeg",
                                    .body = body.data,
                                    .len = body.len,
                                    .timeout = 20});
    client_close(&admin);
    client_close(&next);
    buf_clear(&body);
    expect_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seventeen_clients_that_leave_in_the_middle_of_30_mb_leave_room_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
