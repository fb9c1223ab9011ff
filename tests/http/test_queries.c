/* test_queries.c - many clients send the dearest filters there are: whoever watches the server, and whoever searches by id, is
 * answered as if there were none of them.
 *
 * $IMAGES in the collection (3000), $KEYS of metadata in each (4), $SECONDS of it (1).  The figures that are wanted are
 * those of IMAGES=100000 KEYS=16 SECONDS=20 on a machine without other work; then they are asserted, too.
 */
#include "tests/t.h"

#include <pthread.h>

#include "base/rng.h"
#include "index/catalog/catalog.h"
#include "tests/lib/expect.h"
#include "tests/lib/load.h"

#define JSON    "application/json"
#define DEFAULT "/v1/collections/default"

enum { CLIENTS = 16, CONDITIONS = 64, WATCHES = 150, FULL = 100000 };

struct sizes {
    unsigned images, keys;
    double seconds;
};

static struct sizes sizes(void)
{
    const char *images = getenv("IMAGES"), *keys = getenv("KEYS"), *seconds = getenv("SECONDS");
    return (struct sizes){.images = images ? (unsigned)atoi(images) : 3000,
                          .keys = keys ? (unsigned)atoi(keys) : 4,
                          .seconds = seconds ? atof(seconds) : 1};
}

/* ---- a large collection, put directly into the catalogue ---- */

static void add_image(struct session *s, const struct collection_row *c, const char *sha256, unsigned i, unsigned keys)
{
    struct err e = {0};
    struct buf metadata = {0};
    struct image_row row;
    char id[24];
    float v[512] = {0};
    double sum = 0;
    struct rng r = rng_for(5, i, 0);
    assert_true(c->dimensions <= COUNT(v));
    for (size_t k = 0; k < c->dimensions; k++) {
        v[k] = (float)rng_normal(&r);
        sum += (double)v[k] * (double)v[k];
    }
    for (size_t k = 0; k < c->dimensions; k++)
        v[k] = (float)((double)v[k] / sqrt(sum));
    snprintf(id, sizeof id, "i%u", i);
    buf_print(&metadata, "{\"at\":\"2024-05-17T08:%02u:%02uZ\"", i / 60 % 60, i % 60);
    for (unsigned k = 0; k < keys; k++)
        buf_print(&metadata, ",\"k%u\":%u", k, 1000 + (i * 7919 + k) % 1000);
    buf_char(&metadata, '}');
    struct image_put put = {.id = id,
                            .media_type = "image/jpeg",
                            .label = i % 2 ? "odd" : NULL,
                            .metadata = metadata.data,
                            .vector = v,
                            .generation = c->generation,
                            .len = 1,
                            .width = i % 500,
                            .height = 100};
    memcpy(put.sha256, sha256, HASH_HEX);
    assert_ok(catalog_image_put(s, c, &put, NULL, &row, &e), e);
    image_row_clear(&row);
    buf_clear(&metadata);
}

static void fill(const char *dir, const char *sha256, const struct sizes *z)
{
    struct err e = {0};
    struct collection_row c;
    char path[300];
    snprintf(path, sizeof path, "%s/anchord.db", dir);
    struct catalog *catalog = catalog_open(path, &e);
    assert_ok(catalog, e);
    struct session *s = catalog_writer(catalog);
    assert_ok(catalog_begin(s, &e) && catalog_collection(s, "default", &c, &e), e);
    for (unsigned i = 0; i < z->images; i++)
        add_image(s, &c, sha256, i, z->keys);
    assert_ok(catalog_commit(s, &e), e);
    catalog_close(catalog, false);
}

/* ---- the dearest filters ---- */

static void add_filter(struct buf *b, unsigned kind, unsigned keys)
{
    static const char *const clauses[] = {"must", "should", "must_not", "must"};
    buf_print(b, "{\"%s\":[", clauses[kind % 4]);
    for (unsigned i = 0; i < CONDITIONS; i++) {
        buf_text(b, i ? "," : "");
        if (kind == 3 && i < 8)
            buf_print(b, "{\"key\":\"at\",\"range\":{\"gte\":\"20%02u-01-01T00:00:00+01:00\"}}", i);
        else if (kind == 3 && i < 16)
            buf_print(b, "{\"key\":\"k%u\",\"values_count\":{\"lt\":%u}}", i % keys, i);
        else if (kind == 3 && i < 24)
            buf_print(b, "{\"key\":\"width\",\"range\":{\"gte\":%u}}", i - 16);
        else
            buf_print(b, "{\"key\":\"k%u\",\"range\":{\"gte\":%u}}", i % keys, kind == 2 ? 1900 + i : i);
    }
    buf_text(b, "]}");
}

enum { KINDS = 4, DEAR = KINDS * 3 };

static void make_dear(struct buf out[DEAR], unsigned keys)
{
    static const char *const targets[] = {DEFAULT "/images/count", DEFAULT "/search", DEFAULT "/search"};
    for (unsigned i = 0; i < DEAR; i++) {
        struct buf body = {0};
        buf_text(&body, i % 3 == 0   ? "{\"filter\":"
                        : i % 3 == 1 ? "{\"id\":\"i1\",\"filter\":"
                                     : "{\"searches\":[{\"id\":\"i2\",\"filter\":");
        add_filter(&body, i / 3, keys);
        for (unsigned k = 1; i % 3 == 2 && k < 10; k++) {
            buf_text(&body, "},{\"id\":\"i2\",\"filter\":");
            add_filter(&body, (i + k) % KINDS, keys);
        }
        buf_text(&body, i % 3 == 2 ? "}]}" : "}");
        out[i] = (struct buf){0};
        ask_bytes(
            &(struct ask){.method = "POST", .target = targets[i % 3], .type = JSON, .body = body.data, .len = body.len},
            &out[i]);
        buf_clear(&body);
    }
}

/* ---- who is beside them ---- */

static struct load_result ask_beside(uint16_t port, const struct buf *request)
{
    struct load_result r = {0};
    struct err e = {0};
    assert_ok(
        load_run(&(struct load){.port = port, .connections = 1, .total = WATCHES, .requests = request, .n = 1}, &r, &e),
        e);
    assert_int_equal(r.ok, WATCHES);
    return r;
}

struct storm {
    struct load load;
    struct load_result result;
    struct err e;
    bool ok;
};

static void *rage(void *arg)
{
    struct storm *s = arg;
    s->ok = load_run(&s->load, &s->result, &s->e);
    return NULL;
}

static void tell(const char *what, const struct load_result *beside, const struct load_result *idle, bool full)
{
    print_message("%s: p99 %.2f ms, idle %.2f ms\n", what, beside->p99 * 1e3, idle->p99 * 1e3);
    assert_true(beside->p99 < (full ? 0.1 : t_patience(0.25))); /* one dear filter after the other would take longer */
    assert_true(!full || beside->p99 <= 3 * idle->p99);
}

static void the_dearest_filters_hold_up_nobody_else(void **state)
{
    UNUSED(state);
    static const char *const settings[] = {"ANCHORD_HNSW_FROM=10000000", "ANCHORD_ACCESS_LOG=false", NULL};
    struct sizes z = sizes();
    struct server s;
    struct buf photo = {0}, dear[DEAR], watch = {0}, by_id = {0};
    char dir[] = "/tmp/anchord-queries-XXXXXX", sha256[HASH_HEX];
    assert_non_null(mkdtemp(dir));
    const struct server_options o = {.dir = dir, .env = settings, .timeout = 300};
    draw_jpeg(1, 64, &photo);
    expect_start(&s, &o);
    struct client c = client_to(s.port);
    struct reply r = {0};
    assert_true(client_ask(&c,
                           &(struct ask){.method = "PUT",
                                         .target = DEFAULT "/images/first",
                                         .type = "image/jpeg",
                                         .body = photo.data,
                                         .len = photo.len},
                           &r));
    const char *found = strstr(r.body.data, "\"sha256\":\"");
    assert_non_null(found);
    snprintf(sha256, sizeof sha256, "%s", found + 10);
    reply_clear(&r);
    client_close(&c);
    assert_int_equal(server_stop(&s), 0);
    fill(dir, sha256, &z);

    expect_start(&s, &o);
    make_dear(dear, z.keys);
    ask_bytes(&(struct ask){.method = "GET", .target = "/healthz"}, &watch);
    ask_bytes(
        &(struct ask){
            .method = "POST", .target = DEFAULT "/search", .type = JSON, .body = "{\"id\":\"i7\"}", .len = 11},
        &by_id);
    struct load_result idle = ask_beside(s.port, &watch), idle_by_id = ask_beside(s.port, &by_id);
    atomic_bool stop = false;
    struct storm storm = {
        .load = {.port = s.port, .connections = CLIENTS, .seconds = 600, .requests = dear, .n = DEAR, .stop = &stop}};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, rage, &storm), 0);
    usleep((useconds_t)(z.seconds * 5e5));
    struct load_result beside = ask_beside(s.port, &watch), beside_by_id = ask_beside(s.port, &by_id);
    usleep((useconds_t)(z.seconds * 5e5));
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    assert_ok(storm.ok, storm.e);
    assert_true(storm.result.ok + storm.result.refused > 0);
    assert_int_equal(storm.result.broken, 0);
    assert_true(storm.result.failed == 0 || storm.result.odd_status == 413); /* over query_rows */

    print_message("16 clients with the dearest filters, %u images with %u keys: median %.2f s, the slowest %.2f s\n",
                  z.images, z.keys, storm.result.p50, storm.result.max);
    tell("GET /healthz beside them", &beside, &idle, z.images >= FULL);
    tell("a search by id beside them", &beside_by_id, &idle_by_id, z.images >= FULL);
    for (size_t i = 0; i < DEAR; i++)
        buf_clear(&dear[i]);
    buf_clear(&watch);
    buf_clear(&by_id);
    buf_clear(&photo);
    assert_int_equal(server_stop(&s), 0);
    server_remove(&s);
    t_remove_dir(strdup(dir));
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_dearest_filters_hold_up_nobody_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
