/* test_soak.c - everything at once for a while: uploads, replacements, deletes, searches, embeddings, and requests that
 * are wrong.  Nothing may grow with time, nobody may wait long, and what was counted must be what is there.
 *
 * $SOAK seconds (6; `make soak S=300`).
 */
#include "tests/t.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tests/lib/expect.h"
#include "tests/lib/load.h"
#include "tests/lib/results_table.h"

#define IMAGES "/v1/collections/default/images"
#define JSON   "application/json"

enum { IDS = 60, PICTURES = 12, ROUNDS = 600, LOG_MAX = 64 << 20, MORE_MAX = 8 << 20 };
enum { READERS = 8 }; /* descriptors of further readers of the catalogue, opened when several are at work at once */

static struct buf pictures[PICTURES];
static struct buf requests[ROUNDS];

static void add(struct buf *out, const char *method, const char *target, const char *type, const void *body, size_t len)
{
    ask_bytes(&(struct ask){.method = method, .target = target, .type = type, .body = body, .len = len}, out);
}

static void add_json(struct buf *out, const char *target, const char *json)
{
    add(out, "POST", target, JSON, json, strlen(json));
}

/* The n-th of a mixture in which each kind comes at a fixed place of ten; one in fifty is wrong. */
static void make_request(size_t n, struct buf *out)
{
    const struct buf *picture = &pictures[n % PICTURES];
    char target[120], json[200];
    snprintf(target, sizeof target, IMAGES "/i%zu?label=l%zu", (n + n / 10) % IDS, n % 3);
    snprintf(json, sizeof json, "{\"id\":\"i%zu\",\"limit\":5}", (n * 3 + n / 10) % IDS);
    if (n % 50 == 49)
        add(out, "PUT", target, "image/jpeg", picture->data, picture->len / 2);
    else if (n % 50 == 24)
        add_json(out, "/v1/collections/default/search", "{\"limit\":\"many\"}");
    else if (n % 10 < 3)
        add(out, "PUT", target, "image/jpeg", picture->data, picture->len);
    else if (n % 10 == 3)
        add(out, "DELETE", target, NULL, NULL, 0);
    else if (n % 10 == 4)
        add(out, "POST", "/v1/embeddings", "image/jpeg", picture->data, picture->len);
    else if (n % 10 == 5)
        add(out, "POST", "/v1/collections/default/search", "image/jpeg", picture->data, picture->len);
    else if (n % 10 == 6)
        add(out, "GET", IMAGES "?limit=20", NULL, NULL, 0);
    else if (n % 10 == 7)
        add_json(out, IMAGES "/count", "{\"filter\":{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"l1\"}}]}}");
    else
        add_json(out, "/v1/collections/default/search", json);
}

static int start(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < PICTURES; i++)
        draw_jpeg(i, 64 + 16 * (uint32_t)i, &pictures[i]);
    for (size_t i = 0; i < ROUNDS; i++)
        make_request(i, &requests[i]);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < PICTURES; i++)
        buf_clear(&pictures[i]);
    for (size_t i = 0; i < ROUNDS; i++)
        buf_clear(&requests[i]);
    return 0;
}

struct soak {
    struct load load;
    struct load_result result;
    struct err err;
    bool ok;
};

static void *run_load(void *arg)
{
    struct soak *s = arg;
    s->ok = load_run(&s->load, &s->result, &s->err);
    return NULL;
}

static size_t log_bytes(const struct server *s)
{
    char path[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/anchord.db-wal", s->dir);
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* What the server is made of at some moment. */
struct sample {
    size_t rss, threads, fds;
};

static struct sample sample(const struct server *s)
{
    return (struct sample){server_rss(s), server_threads(s), server_fds(s)};
}

/* Looks each fifth of a second until `end`; gives the largest of each. */
static struct sample watch(const struct server *s, double end, size_t *log)
{
    struct sample most = {0};
    while (clock_s() < end) {
        struct sample now = sample(s);
        most.rss = max_size(most.rss, now.rss);
        most.threads = max_size(most.threads, now.threads);
        most.fds = max_size(most.fds, now.fds);
        *log = max_size(*log, log_bytes(s));
        usleep(200000);
    }
    return most;
}

/* As many images as the collection counts, each of which finds itself. */
static void assert_consistent(struct client *c)
{
    char json[80];
    struct json *all = expect_get(c, 200, IMAGES "?limit=1000"), *row = expect_get(c, 200, "/v1/collections/default");
    size_t n = count_at(all, "data");
    assert_int_equal(n, int_at(row, "images"));
    for (size_t i = 0; i < n; i++) {
        char path[32];
        snprintf(path, sizeof path, "data.%zu.id", i);
        snprintf(json, sizeof json, "{\"positive\":[\"%s\"],\"limit\":1000}", text_at(all, path));
        struct json *found = expect_post(c, 200, "/v1/collections/default/search", json);
        assert_int_equal(count_at(found, "data"), n - 1); /* all but what is searched by */
        json_free(found);
    }
    json_free(all);
    json_free(row);
}

static void nothing_grows_while_everything_happens(void **state)
{
    UNUSED(state);
    enum { CONNECTIONS = 6 };
    double seconds = getenv("SOAK") ? atof(getenv("SOAK")) : 6;
    struct server s;
    pthread_t thread;
    size_t log = 0;
    expect_start(&s, &(struct server_options){0});
    struct client c = client_to(s.port);
    struct err e = {0};
    struct load_result warm; /* each thread opens the catalogue when it first needs it */
    assert_ok(load_run(
                  &(struct load){
                      .port = s.port, .connections = CONNECTIONS, .total = ROUNDS, .requests = requests, .n = ROUNDS},
                  &warm, &e),
              e);
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/healthz"});
    usleep(200000);
    struct sample before = sample(&s);
    struct soak soak = {
        .load = {.port = s.port, .connections = CONNECTIONS, .seconds = seconds, .requests = requests, .n = ROUNDS}};
    double begun = clock_s();
    assert_int_equal(pthread_create(&thread, NULL, run_load, &soak), 0);
    struct sample first = watch(&s, begun + seconds / 2, &log), second = watch(&s, begun + seconds, &log);
    pthread_join(thread, NULL);
    assert_ok(soak.ok, soak.err);
    (void)t_wait(5, server_fds(&s) <= before.fds + READERS);
    const struct load_result *r = &soak.result;
    size_t more = second.rss > first.rss ? second.rss - first.rss : 0;
    /* one thread more: the index is rebuilt in the background */
    bool good = r->broken == 0 && r->refused == 0 && r->ok > 3 * r->failed && r->max < t_patience(1) &&
                more <= (size_t)MORE_MAX * T_BULKIER && second.threads <= before.threads + 1 &&
                server_fds(&s) <= before.fds + READERS && log <= LOG_MAX;
    char what[100];
    snprintf(what, sizeof what, "everything at once over %d connections for %.0f s", CONNECTIONS, seconds);
    result_section("Everything at once");
    result_row(
        good, what, "no answer lost, none after 1 s, nothing grows in the second half",
        "%zu done, %zu refused as wrong or not there, %zu lost; slowest %.0f ms; %zu MB, %zu MB more in the second "
        "half; %zu threads; "
        "%zu descriptors, before %zu; log at most %zu MB",
        r->ok, r->failed, r->broken, r->max * 1e3, second.rss >> 20, more >> 20, second.threads, server_fds(&s),
        before.fds, log >> 20);
    assert_true(good);
    assert_consistent(&c);
    client_close(&c);
    expect_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_grows_while_everything_happens),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
