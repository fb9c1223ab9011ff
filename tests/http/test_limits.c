/* test_limits.c - slow clients, too many clients, too fast clients: who is cut off, who is told to wait, and that the
 * others are served meanwhile.  Deadlines are shortened by settings. */
#include "tests/t.h"

#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/lib/expect.h"
#include "tests/lib/load.h"
#include "tests/lib/results_table.h"

#define HEAD(method, target) method " " target " HTTP/1.1\r\nHost: localhost\r\n"
#define UPLOAD               HEAD("POST", "/v1/embeddings") "Content-Type: image/jpeg\r\n"

static struct buf photo;

static int start(void **state)
{
    UNUSED(state);
    draw_jpeg(3, 160, &photo);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    buf_clear(&photo);
    return 0;
}

static struct buf request(const char *method, const char *target, const char *type, const void *body, size_t len)
{
    struct buf b = {0};
    ask_bytes(&(struct ask){.method = method, .target = target, .type = type, .body = body, .len = len}, &b);
    return b;
}

/* ---- slow clients ---- */

/* Sends the head, then a byte each half second; gives the seconds until the server ends it, its status in *status. */
static double drip(uint16_t port, const char *head, int *status)
{
    struct client c = client_to(port);
    struct reply r = {0};
    double start = clock_s(), took = 0;
    bool over = false;
    assert_true(client_connect(&c) && client_send_text(&c, head));
    while (!over && clock_s() - start < t_patience(15)) {
        over = client_receive(&c, false, 0.5, &r) || r.closed || r.status;
        if (!over)
            client_send(&c, "a", 1, 1);
    }
    took = clock_s() - start;
    *status = r.status;
    reply_clear(&r);
    client_close(&c);
    return took;
}

static void probe_drip(uint16_t port, const char *what, const char *head)
{
    int status;
    double took = drip(port, head, &status);
    bool good = took >= 1.5 && took <= t_patience(4) && status == 408;
    result_row(good, what, "408 after 2 to 4 s", "%s%.0d after %.1f s", status ? "" : "closed", status, took);
    assert_true(good);
}

static const char *const short_deadlines[] = {"ANCHORD_HEADER_TIMEOUT_SECONDS=2", "ANCHORD_BODY_TIMEOUT_SECONDS=2",
                                              "ANCHORD_IDLE_TIMEOUT_SECONDS=2", NULL};

static void slow_clients_are_cut_off_at_their_deadline(void **state)
{
    UNUSED(state);
    struct server s;
    expect_start(&s, &(struct server_options){.env = short_deadlines});
    result_section("Slow clients (deadlines set to 2 s)");
    probe_drip(s.port, "a header that comes byte by byte", HEAD("GET", "/healthz") "X: ");
    probe_drip(s.port, "a body that comes byte by byte", UPLOAD "Content-Length: 1000\r\n\r\n");
    probe_drip(s.port, "a chunked body that comes byte by byte", UPLOAD "Transfer-Encoding: chunked\r\n\r\nff\r\n");
    struct client c = client_to(s.port);
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/healthz"});
    double since = clock_s();
    bool closed = client_drained(&c, 6);
    double took = clock_s() - since;
    result_row(closed && took >= 1.5 && took <= t_patience(4), "a kept connection that asks nothing more",
               "closed after 2 to 4 s", "%s after %.1f s", closed ? "closed" : "open", took);
    assert_true(closed && took <= t_patience(4));
    client_close(&c);
    expect_stop(&s);
}

static void put_big_file(struct server *s, size_t bytes)
{
    struct client c = client_to(s->port);
    struct buf file = {0};
    buf_add(&file, photo.data, photo.len);
    buf_reserve(&file, bytes);
    memset(file.data + file.len, 0, bytes);
    file.len += bytes;
    expect_put_image(&c, 201, "/v1/collections/default/images/big", file.data, file.len);
    buf_clear(&file);
    client_close(&c);
}

static void a_client_that_never_reads_is_cut_off_and_costs_little(void **state)
{
    UNUSED(state);
    struct server s;
    struct buf asks = {0};
    int small = 2048;
    expect_start(&s, &(struct server_options){.env = short_deadlines});
    struct client c = client_to(s.port);
    put_big_file(&s, 8u << 20);
    for (int i = 0; i < 200; i++)
        buf_text(&asks, HEAD("GET", "/v1/collections/default/images/big/content") "\r\n");
    usleep(200000);
    size_t fds = server_fds(&s), before = server_rss(&s), most = before;
    assert_true(client_connect(&c));
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_send(&c, asks.data, asks.len, 1);
    double since = clock_s();
    do { /* its end cannot be seen from here: what is unread keeps the closing from arriving */
        usleep(50000);
        most = max_size(most, server_rss(&s));
    } while (server_fds(&s) > fds && clock_s() - since < t_patience(15));
    double took = clock_s() - since;
    size_t grown = (most - before) >> 20;
    result_row(took < t_patience(15) && grown <= 40 * T_BULKIER, "200 pipelined requests for 8 MB, no answer read",
               "cut off, at most 40 MB more", "%s after %.1f s, %zu MB more",
               took < t_patience(15) ? "cut off" : "still open", took, grown);
    assert_true(took < t_patience(15) && grown <= 40 * T_BULKIER);
    client_close(&c);
    buf_clear(&asks);
    expect_stop(&s);
}

static void two_hundred_slow_clients_do_not_slow_the_others(void **state)
{
    UNUSED(state);
    enum { SLOW = 200 };
    static struct client slow[SLOW];
    static const char *const env[] = {"ANCHORD_HEADER_TIMEOUT_SECONDS=20", NULL};
    struct server s;
    struct load_result alone, beside;
    struct err e = {0};
    expect_start(&s, &(struct server_options){.env = env});
    struct buf get = request("GET", "/v1/models", NULL, NULL, 0);
    struct load l = {.port = s.port, .connections = 4, .total = 4000, .requests = &get, .n = 1};
    assert_ok(load_run(&l, &alone, &e), e);
    for (size_t i = 0; i < SLOW; i++) {
        slow[i] = client_to(s.port);
        assert_true(client_connect(&slow[i]));
        client_send_text(&slow[i], HEAD("GET", "/healthz") "X: ");
    }
    assert_ok(load_run(&l, &beside, &e), e);
    for (size_t i = 0; i < SLOW; i++)
        client_close(&slow[i]);
    result_row(beside.ok == 4000, "200 slow headers beside 4 decent connections", "all 4,000 answered",
               "%zu answered, p99 %.1f ms, alone %.1f ms", beside.ok, beside.p99 * 1e3, alone.p99 * 1e3);
    assert_int_equal(beside.ok, 4000);
    assert_true(beside.p99 < t_patience(0.25));
    buf_clear(&get);
    expect_stop(&s);
}

/* ---- too many ---- */

static void connections_over_the_limit_wait_and_the_others_go_on(void **state)
{
    UNUSED(state);
    enum { LIMIT = 32, ALL = 60 };
    static struct client many[ALL];
    static const char *const env[] = {"ANCHORD_MAX_CONNECTIONS=32", NULL};
    struct server s;
    size_t answered = 0, after = 0;
    expect_start(&s, &(struct server_options){.env = env});
    for (size_t i = 0; i < ALL; i++) {
        struct reply r = {0};
        many[i] = client_to(s.port);
        if (client_connect(&many[i]) && client_send_text(&many[i], HEAD("GET", "/healthz") "\r\n"))
            client_receive(&many[i], false, i < LIMIT - 4 ? 3 : 0.05, &r);
        answered += r.status == 200 || r.status == 503;
        reply_clear(&r);
    }
    struct reply r = {0};
    client_ask(&many[0], &(struct ask){.method = "GET", .target = "/healthz", .timeout = 2}, &r);
    int held = r.status;
    for (size_t i = 0; i < ALL; i++)
        client_close(&many[i]);
    usleep(300000);
    for (size_t i = 0; i < LIMIT - 4; i++) {
        client_ask(&many[i], &(struct ask){.method = "GET", .target = "/healthz", .timeout = 3}, &r);
        after += r.status == 200;
    }
    for (size_t i = 0; i < ALL; i++)
        client_close(&many[i]);
    reply_clear(&r);
    result_section("Too many clients");
    result_row(held == 200 && after == LIMIT - 4, "60 connections where 32 are allowed",
               "the first stay served; room again at once", "%zu answered, first one %d, afterwards %zu of %d served",
               answered, held, after, LIMIT - 4);
    assert_int_equal(held, 200);
    assert_int_equal(after, LIMIT - 4);
    expect_stop(&s);
}

/* How many of the first n connections get an answer to what they all ask while the server is stopped. */
static size_t ask_together(struct server *s, struct client *list, size_t n)
{
    size_t answered = 0;
    server_signal(s, SIGSTOP);
    usleep(5000);
    for (size_t i = 0; i < n; i++)
        client_send_text(&list[i], HEAD("GET", "/healthz") "\r\n");
    server_signal(s, SIGCONT);
    for (size_t i = 0; i < n; i++) {
        struct reply r = {0};
        client_receive(&list[i], false, 2, &r);
        answered += r.status == 200;
        reply_clear(&r);
    }
    return answered;
}

/* libmicrohttpd takes 128 events at a time; a thread that gets exactly as many must not go to sleep over them.  Which
 * connections share a thread is not known: with one more each time, each thread has its turn. */
static void clients_that_are_ready_in_the_same_instant_are_all_answered(void **state)
{
    UNUSED(state);
    enum { MOST = 320, LEAST = 128 };
    static struct client list[MOST];
    struct server s;
    size_t silent = 0;
    expect_start(&s, &(struct server_options){0});
    for (size_t i = 0; i < MOST; i++) {
        list[i] = client_to(s.port);
        expect_status(&list[i], 200, &(struct ask){.method = "GET", .target = "/healthz"});
    }
    for (size_t n = LEAST; n <= MOST && silent == 0; n++)
        silent = n - ask_together(&s, list, n);
    result_row(silent == 0, "128 to 320 requests in the same instant", "all answered", "%zu without an answer", silent);
    assert_int_equal(silent, 0);
    for (size_t i = 0; i < MOST; i++)
        client_close(&list[i]);
    expect_stop(&s);
}

static void one_address_can_be_held_to_its_share(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_MAX_CONNECTIONS_PER_ADDRESS=4", NULL};
    static struct client mine[8];
    struct server s;
    struct reply r = {0};
    size_t served = 0;
    expect_start(&s, &(struct server_options){.env = env});
    for (size_t i = 0; i < COUNT(mine); i++) {
        mine[i] = client_to(s.port);
        client_ask(&mine[i], &(struct ask){.method = "GET", .target = "/healthz", .timeout = 1}, &r);
        served += r.status == 200;
    }
    struct client other = client_to(s.port);
    other.source = "127.0.0.9";
    client_ask(&other, &(struct ask){.method = "GET", .target = "/healthz", .timeout = 2}, &r);
    result_row(served == 4 && r.status == 200, "8 connections of one address where 4 are allowed",
               "4 served, another address served", "%zu served, another address %d", served, r.status);
    assert_int_equal(served, 4);
    assert_int_equal(r.status, 200);
    for (size_t i = 0; i < COUNT(mine); i++)
        client_close(&mine[i]);
    client_close(&other);
    reply_clear(&r);
    expect_stop(&s);
}

static void overload_is_refused_quickly_while_work_goes_on(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_HEAVY_QUEUE=8", NULL};
    static const char *const args[] = {"--precision", "fp32", NULL}; /* ResNet-18: its work outweighs HTTP's */
    struct server s;
    struct load_result peak, over;
    struct err e = {0};
    expect_start(&s, &(struct server_options){.env = env, .model = "", .args = args});
    struct buf put = request("POST", "/v1/embeddings", "image/jpeg", photo.data, photo.len);
    bool good = false;
    for (int i = 0; i < 4 && !good; i++) { /* other programs may come between the two rates */
        struct load l = {.port = s.port, .connections = 4, .seconds = 1.5, .requests = &put, .n = 1};
        assert_ok(load_run(&l, &peak, &e), e);
        l = (struct load){
            .port = s.port, .connections = 64, .seconds = 3, .rate = 4 * peak.rate, .requests = &put, .n = 1};
        assert_ok(load_run(&l, &over, &e), e);
        good = over.refused > 0 && over.failed == 0 && over.broken == 0 && over.rate >= 0.6 * peak.rate;
    }
    result_row(good, "uploads at four times what it can do", "some 503, quickly; the work goes on",
               "%.0f/s done (%.0f/s at the peak), %zu times 503 with p99 %.0f ms, %zu other", over.rate, peak.rate,
               over.refused, over.refused_p99 * 1e3, over.failed + over.broken);
    assert_true(good);
    buf_clear(&put);
    expect_stop(&s);
}

static void bodies_together_stay_within_their_memory(void **state)
{
    UNUSED(state);
    enum { N = 40, BODY = 1 << 20 }; /* of two addresses, for one gets half */
    static struct client many[N];
    static const char *const env[] = {"ANCHORD_BODY_MEMORY_BYTES=16777216", NULL};
    static char half[BODY / 2];
    struct server s;
    size_t refused = 0, read = 0;
    expect_start(&s, &(struct server_options){.env = env});
    usleep(100000);
    size_t before = server_rss(&s);
    for (size_t i = 0; i < N; i++) {
        many[i] = client_to(s.port);
        many[i].source = i % 2 ? "127.0.0.2" : "127.0.0.1";
        assert_true(client_connect(&many[i]) && client_send_text(&many[i], UPLOAD "Content-Length: 1048576\r\n\r\n"));
        client_send(&many[i], half, sizeof half, 1);
    }
    usleep(300000);
    size_t grown = server_rss(&s) > before ? (server_rss(&s) - before) >> 20 : 0;
    for (size_t i = 0; i < N; i++)
        client_send(&many[i], half, sizeof half, 1);
    for (size_t i = 0; i < N; i++) {
        struct reply r = {0};
        client_receive(&many[i], false, 5, &r);
        refused += r.status == 503;
        read += r.status == 415 || r.status == 422; /* they are no pictures */
        reply_clear(&r);
        client_close(&many[i]);
    }
    bool good = refused >= N / 4 && read >= 8 && refused + read == N && grown <= 32 * T_BULKIER;
    result_row(good, "40 bodies of 1 MB, all half sent at once, where 16 MB are allowed",
               "some 503, some read; at most 32 MB more", "%zu times 503, %zu read, %zu MB more", refused, read, grown);
    assert_true(good);
    struct client c = client_to(s.port);
    usleep(300000);
    expect_status(
        &c, 200,
        &(struct ask){
            .method = "POST", .target = "/v1/embeddings", .type = "image/jpeg", .body = photo.data, .len = photo.len});
    client_close(&c);
    expect_stop(&s);
}

/* ---- too fast ---- */

static void a_rate_limit_holds_and_says_when_to_come_back(void **state)
{
    UNUSED(state);
    static const char *const env[] = {"ANCHORD_RATE_LIMIT=50", "ANCHORD_RATE_BURST=10", NULL};
    struct server s;
    struct load_result fast;
    struct err e = {0};
    struct reply r = {0};
    char wait[32] = "";
    expect_start(&s, &(struct server_options){.env = env});
    struct buf get = request("GET", "/v1/models", NULL, NULL, 0), many = {0};
    assert_ok(
        load_run(&(struct load){.port = s.port, .connections = 4, .seconds = 3, .rate = 200, .requests = &get, .n = 1},
                 &fast, &e),
        e);
    struct client c = client_to(s.port), other = client_to(s.port);
    for (int i = 0; i < 60; i++) /* at once, or a busy machine would be slow enough for the limit */
        buf_add(&many, get.data, get.len);
    assert_true(client_connect(&c) && client_send(&c, many.data, many.len, 5));
    for (int i = 0; i < 60 && r.status != 429; i++)
        assert_true(client_receive(&c, false, 5, &r));
    reply_header(&r, "retry-after", wait, sizeof wait);
    other.source = "127.0.0.9";
    expect_status(&other, 200, &(struct ask){.method = "GET", .target = "/v1/models"});
    const double most = 10 + 50 * fast.seconds; /* a client that others slow down sends late and gets less */
    bool good = (double)fast.ok <= most + 20 && fast.ok >= 60 && fast.failed == 0 && atoi(wait) >= 1;
    result_section("Too fast");
    result_row(good, "200 requests a second for 3 s where 50 and a burst of 10 are allowed",
               "about 160 answered, the others 429", "%zu answered, %zu times 429, Retry-After: %s", fast.ok,
               fast.refused, wait);
    assert_true(good);
    client_close(&c);
    client_close(&other);
    reply_clear(&r);
    buf_clear(&get);
    buf_clear(&many);
    expect_stop(&s);
}

/* ---- clients that leave while their request waits ---- */

static void requests_whose_client_left_are_cleaned_up(void **state)
{
    UNUSED(state);
    struct server s;
    expect_start(&s, &(struct server_options){0});
    struct buf put = request("POST", "/v1/embeddings", "image/jpeg", photo.data, photo.len);
    struct client c = client_to(s.port);
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/healthz"});
    usleep(200000);
    size_t fds = server_fds(&s), threads = server_threads(&s);
    for (size_t i = 0; i < 500; i++) {
        struct client gone = client_to(s.port);
        assert_true(client_connect(&gone) && client_send(&gone, put.data, put.len, 5));
        if (i % 2)
            client_reset(&gone);
        else
            client_close(&gone);
    }
    (void)t_wait(10, server_fds(&s) <= fds);
    result_section("Clients that leave");
    result_row(server_alive(&s) && server_fds(&s) <= fds, "500 uploads whose client leaves without the answer",
               "all cleaned up", "%zu descriptors, before %zu; %zu threads, before %zu", server_fds(&s), fds,
               server_threads(&s), threads);
    assert_true(server_alive(&s));
    assert_int_equal(server_fds(&s), fds);
    assert_int_equal(server_threads(&s), threads);
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/healthz"});
    client_close(&c);
    buf_clear(&put);
    expect_stop(&s);
}

static void the_number_of_threads_does_not_follow_the_load(void **state)
{
    UNUSED(state);
    struct server s;
    struct load_result out;
    struct err e = {0};
    expect_start(&s, &(struct server_options){0});
    struct client c = client_to(s.port);
    expect_put_image(&c, 201, "/v1/collections/default/images/a", photo.data, photo.len);
    struct buf list[2] = {request("POST", "/v1/collections/default/search", "image/jpeg", photo.data, photo.len),
                          request("PUT", "/v1/collections/default/images/b", "image/jpeg", photo.data, photo.len)};
    size_t before = server_threads(&s);
    assert_ok(
        load_run(&(struct load){.port = s.port, .connections = 64, .total = 600, .requests = list, .n = 2}, &out, &e),
        e);
    size_t after = server_threads(&s);
    result_row(before == after && out.ok == 600, "64 clients that search and upload at once",
               "as many threads as before", "%zu threads, before %zu; %zu of 600 answered", after, before, out.ok);
    assert_int_equal(after, before);
    assert_int_equal(out.ok, 600);
    client_close(&c);
    buf_clear(&list[0]);
    buf_clear(&list[1]);
    expect_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_clients_are_cut_off_at_their_deadline),
        cmocka_unit_test(a_client_that_never_reads_is_cut_off_and_costs_little),
        cmocka_unit_test(two_hundred_slow_clients_do_not_slow_the_others),
        cmocka_unit_test(connections_over_the_limit_wait_and_the_others_go_on),
        cmocka_unit_test(clients_that_are_ready_in_the_same_instant_are_all_answered),
        cmocka_unit_test(one_address_can_be_held_to_its_share),
        cmocka_unit_test(overload_is_refused_quickly_while_work_goes_on),
        cmocka_unit_test(bodies_together_stay_within_their_memory),
        cmocka_unit_test(a_rate_limit_holds_and_says_when_to_come_back),
        cmocka_unit_test(requests_whose_client_left_are_cleaned_up),
        cmocka_unit_test(the_number_of_threads_does_not_follow_the_load),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
