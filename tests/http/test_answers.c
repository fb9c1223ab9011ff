/* test_answers.c - readers that do not read: what they hold is bounded, and the others are served. */
#include "tests/t.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "tests/lib/expect.h"
#include "tests/lib/load.h"
#include "tests/lib/results_table.h"

enum { IMAGES = 1000, MB = 1 << 20, MEMORY = 16 * MB, SLACK = 32 * MB };

/* Under AddressSanitizer what was freed stays resident for a while. */
#ifdef __SANITIZE_ADDRESS__
enum { EXTRA = 256 * MB };
#else
enum { EXTRA = 0 };
#endif

static const char *const env[] = {"ANCHORD_ANSWER_MEMORY_BYTES=16777216", "ANCHORD_BODY_TIMEOUT_SECONDS=60",
                                  "ANCHORD_HEAVY_QUEUE=2000", NULL};

static void put_images(uint16_t port)
{
    static struct buf puts[IMAGES];
    struct buf photo = {0};
    struct load_result r;
    struct err e = {0};
    draw_jpeg(3, 32, &photo);
    for (size_t i = 0; i < IMAGES; i++) {
        char target[64];
        snprintf(target, sizeof target, "/v1/collections/default/images/p%zu", i);
        ask_bytes(
            &(struct ask){
                .method = "PUT", .target = target, .type = "image/jpeg", .body = photo.data, .len = photo.len},
            &puts[i]);
    }
    assert_ok(load_run(&(struct load){.port = port, .connections = 16, .total = IMAGES, .requests = puts, .n = IMAGES},
                       &r, &e),
              e);
    assert_int_equal(r.ok, IMAGES);
    for (size_t i = 0; i < IMAGES; i++)
        buf_clear(&puts[i]);
    buf_clear(&photo);
}

static struct buf searches(size_t n)
{
    struct buf b = {0};
    buf_text(&b, "{\"searches\":[");
    for (size_t i = 0; i < n; i++)
        buf_print(&b, "%s{\"id\":\"p%zu\",\"limit\":1000,\"with_vector\":true}", i ? "," : "", i);
    buf_text(&b, "]}");
    return b;
}

static struct ask search_with(const struct buf *body)
{
    return (struct ask){.method = "POST",
                        .target = "/v1/collections/default/search",
                        .type = "application/json",
                        .body = body->data,
                        .len = body->len};
}

/* Sends the request and reads no more than the kernel takes. */
static struct client ask_and_do_not_read(uint16_t port, const struct ask *q)
{
    struct client c = client_to(port);
    struct buf bytes = {0};
    int small = 4096;
    ask_bytes(q, &bytes);
    assert_true(client_connect(&c));
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_true(client_send(&c, bytes.data, bytes.len, 10));
    buf_clear(&bytes);
    return c;
}

/* The status of the answer that has begun to come. */
static int status_of(struct client *c)
{
    char head[16] = "";
    (void)t_wait(30, recv(c->fd, head, 15, MSG_PEEK | MSG_DONTWAIT) == 15);
    return atoi(head + 9);
}

static void wait_until_free(struct server *s)
{
    struct client c = client_to(s->port);
    struct reply r = {0};
    assert_true(t_wait(20, client_ask(&c, &(struct ask){.method = "GET", .target = "/metrics"}, &r) &&
                               strstr(r.body.data, "\nanchord_answer_memory_bytes 0\n")));
    reply_clear(&r);
    client_close(&c);
}

static void answers_that_nobody_reads_hold_no_more_than_their_memory(void **state)
{
    UNUSED(state);
    enum { CLIENTS = 8 };
    struct server s;
    struct client deaf[CLIENTS], c;
    struct buf all = searches(100), some = searches(4);
    size_t served = 0, refused = 0;
    expect_start(&s, &(struct server_options){.env = env});
    put_images(s.port);
    size_t before = server_rss(&s), most = before;
    struct ask q = search_with(&all);
    c = client_to(s.port);
    expect_error(&c, 413, "too_large", "with_vector", &q); /* more than any answer may have */
    q = search_with(&some);
    for (size_t i = 0; i < CLIENTS; i++)
        deaf[i] = ask_and_do_not_read(s.port, &q);
    for (size_t i = 0; i < CLIENTS; i++) {
        int status = status_of(&deaf[i]);
        served += status == 200;
        refused += status == 503;
        most = max_size(most, server_rss(&s));
    }
    result_section("Answers that nobody reads");
    result_row(served + refused == CLIENTS && served && refused && most - before <= MEMORY + SLACK + EXTRA,
               "8 times 4 searches x 1,000 hits with vectors, answer_memory_bytes 16 MB",
               "some 200, the others 503, at most 48 MB more", "%zu of them 200, %zu 503, %zu MB more", served, refused,
               (most - before) / MB);
    assert_int_equal(served + refused, CLIENTS);
    assert_true(served > 0 && refused > 0);
    assert_true(most - before <= MEMORY + SLACK + EXTRA);
    expect_status(&c, 200,
                  &(struct ask){.method = "POST",
                                .target = "/v1/collections/default/search",
                                .type = "application/json",
                                .body = "{\"id\":\"p1\"}",
                                .len = 11});
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(&deaf[i]);
    wait_until_free(&s);
    expect_status(&c, 200, &q);
    client_close(&c);
    buf_clear(&all);
    buf_clear(&some);
    expect_stop(&s);
}

static void slow_readers_of_a_large_image_cost_no_memory_for_it(void **state)
{
    UNUSED(state);
    enum { READERS = 24, LARGE = 8 * MB };
    static const struct ask get = {.method = "GET", .target = "/v1/collections/default/images/big/content"};
    struct server s;
    struct client slow[READERS], c;
    struct buf file = {0};
    struct reply r = {0};
    expect_start(&s, &(struct server_options){.env = env});
    c = client_to(s.port);
    draw_jpeg(3, 160, &file);
    buf_reserve(&file, LARGE);
    memset(file.data + file.len, 'x', LARGE);
    file.len += LARGE;
    expect_put_image(&c, 201, "/v1/collections/default/images/big", file.data, file.len);
    expect_status(&c, 200, &get);
    size_t before = server_rss(&s), fds = server_fds(&s);
    for (size_t i = 0; i < READERS; i++)
        slow[i] = ask_and_do_not_read(s.port, &get);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(status_of(&slow[i]), 200);
    size_t grown = server_rss(&s) - before;
    result_row(grown <= SLACK + EXTRA, "24 readers of one 8 MB image that do not read", "at most 32 MB more",
               "%zu MB more", grown / MB);
    assert_true(server_rss(&s) <= before || grown <= SLACK + EXTRA);
    assert_true(server_fds(&s) > fds + READERS);
    assert_true(client_ask(&c, &get, &r)); /* and who reads gets it whole */
    assert_int_equal(r.body.len, file.len);
    assert_memory_equal(r.body.data, file.data, file.len);
    for (size_t i = 0; i < READERS; i++)
        client_close(&slow[i]);
    assert_true(t_wait(5, server_fds(&s) <= fds));
    reply_clear(&r);
    buf_clear(&file);
    client_close(&c);
    expect_stop(&s);
}

/* RFC 9110, 8.6. */
static void a_304_has_the_length_of_the_200_or_none(void **state)
{
    UNUSED(state);
    static const char *const targets[] = {"/v1/collections/default/images/a",
                                          "/v1/collections/default/images/a/content"};
    struct server s;
    struct buf file = {0};
    struct reply r = {0};
    char etag[128], line[160], length[32], got[32];
    expect_start(&s, &(struct server_options){0});
    struct client c = client_to(s.port);
    draw_jpeg(3, 160, &file);
    expect_put_image(&c, 201, "/v1/collections/default/images/a", file.data, file.len);
    for (size_t i = 0; i < COUNT(targets); i++) {
        assert_true(client_ask(&c, &(struct ask){.method = "GET", .target = targets[i]}, &r));
        assert_int_equal(r.status, 200);
        assert_non_null(reply_header(&r, "etag", etag, sizeof etag));
        assert_non_null(reply_header(&r, "content-length", length, sizeof length));
        snprintf(line, sizeof line, "If-None-Match: %s\r\n", etag);
        /* the client's HEAD: a length, and no body behind it */
        struct buf ask = {0};
        ask_bytes(&(struct ask){.method = "GET", .target = targets[i], .headers = line}, &ask);
        assert_true(client_send(&c, ask.data, ask.len, 5) && client_receive(&c, true, 5, &r));
        assert_int_equal(r.status, 304);
        assert_non_null(reply_header(&r, "content-length", got, sizeof got));
        assert_string_equal(got, length);
        assert_true(r.keep);
        buf_clear(&ask);
    }
    reply_clear(&r);
    buf_clear(&file);
    client_close(&c);
    expect_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_nobody_reads_hold_no_more_than_their_memory),
        cmocka_unit_test(a_304_has_the_length_of_the_200_or_none),
        cmocka_unit_test(slow_readers_of_a_large_image_cost_no_memory_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
