/* test_big_pictures.c - many progressive pictures of many pixels at once: memory stays within what the settings allow,
 * nobody is forgotten, and small requests are served meanwhile.
 *
 * As part of `make torture` (RESULTS_TABLE is set) they are 32 of 50 million pixels, else fewer and smaller ones.
 */
#include "tests/t.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "engine/pictures/image.h"
#include "tests/lib/expect.h"
#include "tests/lib/load.h"
#include "tests/lib/pictures.h"
#include "tests/lib/results_table.h"

enum { AT_ONCE = 32, SETTING = 384 << 20, SLACK = 32 << 20 };

struct size {
    uint32_t width, height;
    size_t budget;
};
static const struct size large = {8000, 6250, SETTING}, small = {2000, 1500, 20 << 20};

static struct buf picture_of(const struct size *s)
{
    struct image img = t_picture(5, s->width, s->height);
    struct buf out = {0};
    t_jpeg(&img, &(struct jpeg_form){.progressive = true, .across = 1, .down = 1, .quality = 20}, &out);
    image_clear(&img);
    return out;
}

struct sender {
    uint16_t port;
    const struct buf *file;
    atomic_size_t embedded, refused, other;
};

static void *send_one(void *arg)
{
    struct sender *s = arg;
    struct client c = client_to(s->port);
    struct reply r = {0};
    client_ask(&c,
               &(struct ask){.method = "POST",
                             .target = "/v1/embeddings",
                             .type = "image/jpeg",
                             .body = s->file->data,
                             .len = s->file->len,
                             .timeout = 300},
               &r);
    atomic_fetch_add(r.status == 200 ? &s->embedded : r.status == 503 ? &s->refused : &s->other, 1);
    reply_clear(&r);
    client_close(&c);
    return NULL;
}

/* What others see meanwhile, until `stop`. */
struct others {
    struct load load;
    struct load_result result;
    struct err err;
};

static void *ask_on(void *arg)
{
    struct others *o = arg;
    (void)!load_run(&o->load, &o->result, &o->err);
    return NULL;
}

static size_t over(size_t now, size_t before)
{
    return now > before ? now - before : 0;
}

static void many_large_pictures_at_once_stay_within_the_memory_for_decoding(void **state)
{
    UNUSED(state);
    const bool full = getenv("RESULTS_TABLE");
    const struct size *size = full ? &large : &small;
    char setting[64], what[120];
    const char *env[] = {setting, "ANCHORD_HEAVY_THREADS=4", "ANCHORD_MAX_DECODE_MILLISECONDS=120000",
                         "ASAN_OPTIONS=quarantine_size_mb=4", NULL};
    struct server s;
    struct buf file = picture_of(size), ask = {0};
    pthread_t threads[AT_ONCE], other;
    snprintf(setting, sizeof setting, "ANCHORD_DECODE_MEMORY_BYTES=%zu", size->budget);
    expect_start(&s, &(struct server_options){.env = env});
    struct sender sender = {.port = s.port, .file = &file};
    ask_bytes(&(struct ask){.method = "GET", .target = "/v1/models"}, &ask);
    atomic_bool stop = false;
    struct others others = {
        .load = {.port = s.port, .connections = 1, .total = 1000000, .requests = &ask, .n = 1, .stop = &stop}};
    size_t before = server_rss(&s), allowed = (size->budget + AT_ONCE * file.len + SLACK) * T_BULKIER;
    double start = clock_s();
    assert_int_equal(pthread_create(&other, NULL, ask_on, &others), 0);
    for (size_t i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_one, &sender), 0);
    for (size_t i = 0; i < AT_ONCE; i++)
        pthread_join(threads[i], NULL);
    double took = clock_s() - start;
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    size_t grown = over(server_peak(&s), before);
    bool good = grown <= allowed && atomic_load(&sender.embedded) == AT_ONCE && others.result.ok > 100 &&
                others.result.failed + others.result.refused + others.result.broken == 0 &&
                others.result.p99 < t_patience(0.1);
    snprintf(what, sizeof what, "%d progressive JPEGs of %.0f million pixels at once, %zu MB for decoding", AT_ONCE,
             size->width * 1e-6 * size->height, size->budget >> 20);
    result_section("Images: many large ones at once");
    result_row(good, what,
               "all embedded, memory within the setting, the bodies and 32 MB; others answered within 0.1 s",
               "%zu embedded, %zu refused, at most %zu MB more in %.1f s; others p99 %.1f ms",
               atomic_load(&sender.embedded), atomic_load(&sender.refused), grown >> 20, took, others.result.p99 * 1e3);
    assert_true(good);
    buf_clear(&file);
    buf_clear(&ask);
    expect_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_large_pictures_at_once_stay_within_the_memory_for_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
