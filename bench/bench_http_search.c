/* bench_http_search.c - searching over HTTP: beside FAISS called directly, and beside itself while others upload.
 *
 *   bench_http_search DIR [N [SECONDS]]    DIR holds photographs for the uploads; N (100,000) stored vectors of 512
 *                                          dimensions, clustered as real ones are; SECONDS (5) for each figure
 *
 * The collection is filled through the store, with one picture's bytes for all: only the vectors differ.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/mem.h"
#include "base/num.h"
#include "bench/lib/faiss_plain.h"
#include "bench/lib/figures.h"
#include "bench/lib/folder.h"
#include "engine/pictures/image.h"
#include "index/store.h"
#include "index/vectors/segment.h"
#include "tests/lib/client.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/vectors.h"

enum { CLIENTS = 8, K = 10, PER_CLUSTER = 100, GROUP = 256, UPLOADED = 64, ASKS = 2000 };

struct bench {
    struct folder photos;
    size_t n, d;
    double seconds;
    float *vectors; /* [n, d] */
    struct server server;
};

/* ---- filling the collection ---- */

static sem_t group_done;

static void wake(struct write *w)
{
    UNUSED(w);
    sem_post(&group_done);
}

static bool put_group(struct store *s, const struct bench *b, size_t first, size_t n, const struct collection_row *row,
                      struct err *e)
{
    static struct write writes[GROUP];
    static struct write *list[GROUP];
    static char ids[GROUP][24];
    const struct file *f = &b->photos.files[0];
    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "image-%zu", first + i);
        writes[i] = (struct write){.kind = WRITE_IMAGE_PUT,
                                   .collection = "default",
                                   .done = wake,
                                   .image.put = {.id = ids[i],
                                                 .bytes = f->bytes,
                                                 .len = f->len,
                                                 .media_type = "image/jpeg",
                                                 .width = 1,
                                                 .height = 1,
                                                 .vector = b->vectors + (first + i) * b->d,
                                                 .generation = row->generation}};
        hash_text(f->bytes, f->len, writes[i].image.put.sha256);
        list[i] = &writes[i];
    }
    if (!store_submit(s, list, n, e))
        return false;
    bool ok = true;
    for (size_t i = 0; i < n; i++)
        sem_wait(&group_done);
    for (size_t i = 0; i < n; i++) {
        if (writes[i].err.code && ok)
            ok = err_set(e, writes[i].err.code, "%s", writes[i].err.text);
        write_clear(&writes[i]);
    }
    return ok;
}

static bool fill(const struct bench *b, const char *dir, struct err *e)
{
    struct collection_row row;
    struct store *s = store_open(&(struct store_options){.dir = dir}, e);
    bool ok = s && store_collection(s, "default", &row, e);
    sem_init(&group_done, 0, 0);
    if (ok && row.dimensions != b->d)
        ok = err_set(e, ERR_INTERNAL, "the default model has %u dimensions", row.dimensions);
    for (size_t i = 0; ok && i < b->n; i += GROUP)
        ok = put_group(s, b, i, min_size(GROUP, b->n - i), &row, e);
    store_close(s);
    return ok;
}

/* Until a whole second passes without work: the graph is built in the background. */
static void wait_until_built(struct server *s)
{
    double before = -1, now = server_cpu(s);
    while (now - before > 0.05) {
        before = now;
        sleep(1);
        now = server_cpu(s);
    }
}

/* ---- FAISS by itself ---- */

struct direct {
    const struct bench *b;
    const FaissIndex *index;
    size_t first, done;
    pthread_t thread;
};

static void *search_directly(void *arg)
{
    struct direct *t = arg;
    float scores[K + 1];
    idx_t rows[K + 1];
    double end = clock_s() + t->b->seconds;
    for (size_t i = t->first; clock_s() < end; i = (i + 7919) % t->b->n) {
        if (faiss_Index_search_with_params(t->index, 1, t->b->vectors + i * t->b->d, K + 1, NULL, scores, rows) != 0)
            abort();
        t->done++;
    }
    return NULL;
}

/* Searches a second from as many threads as there are cores. */
static double direct_rate(const struct bench *b, const FaissIndex *index)
{
    size_t n = cores_usable();
    struct direct *threads = mem_new(n, sizeof *threads);
    double start = clock_s(), done = 0;
    for (size_t i = 0; i < n; i++) {
        threads[i] = (struct direct){.b = b, .index = index, .first = i * b->n / n};
        if (pthread_create(&threads[i].thread, NULL, search_directly, &threads[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < n; i++) {
        pthread_join(threads[i].thread, NULL);
        done += (double)threads[i].done;
    }
    free(threads);
    return done / (clock_s() - start);
}

/* ---- over HTTP ---- */

static struct buf *search_requests(const struct bench *b)
{
    struct buf *list = mem_new(ASKS, sizeof *list);
    for (size_t i = 0; i < ASKS; i++) {
        char body[80];
        snprintf(body, sizeof body, "{\"id\":\"image-%zu\",\"limit\":%d}", i * 7919 % b->n, K);
        ask_bytes(&(struct ask){.method = "POST",
                                .target = "/v1/collections/default/search",
                                .type = "application/json",
                                .body = body,
                                .len = strlen(body)},
                  &list[i]);
    }
    return list;
}

static bool search_load(const struct bench *b, const struct buf *requests, size_t clients, struct load_result *out,
                        struct err *e)
{
    struct load l = {
        .port = b->server.port, .connections = clients, .seconds = b->seconds, .requests = requests, .n = ASKS};
    return load_run(&l, out, e) &&
           (out->failed + out->broken == 0 || err_set(e, ERR_INTERNAL, "searches fail (status %d)", out->odd_status));
}

/* A body with 64 photographs for POST .../images of the collection `beside`. */
static void bulk_request(const struct bench *b, struct buf *out)
{
    struct buf body = {0};
    for (size_t i = 0; i < UPLOADED; i++) {
        const struct file *f = &b->photos.files[i % b->photos.n];
        buf_print(&body, "%s{\"id\":\"bulk-%zu\",\"image\":\"", i ? "," : "{\"images\":[", i);
        base64_encode(f->bytes, f->len, &body);
        buf_text(&body, "\"}");
    }
    buf_text(&body, "]}");
    ask_bytes(&(struct ask){.method = "POST",
                            .target = "/v1/collections/beside/images",
                            .type = "application/json",
                            .body = body.data,
                            .len = body.len},
              out);
    buf_clear(&body);
}

/* A JPEG of 50 million pixels, with detail everywhere. */
static bool huge_request(struct buf *out, struct err *e)
{
    struct image img;
    struct buf jpeg = {0};
    if (!image_new(7070, 7070, &img, e))
        return false;
    for (size_t i = 0; i < (size_t)7070 * 7070 * 3; i++)
        img.rgb[i] = (uint8_t)((i / 37) ^ (i / 7070 / 11));
    bool ok = image_write_jpeg(&img, 80, &jpeg, e);
    ask_bytes(&(struct ask){.method = "PUT",
                            .target = "/v1/collections/beside/images/huge",
                            .type = "image/jpeg",
                            .body = jpeg.data,
                            .len = jpeg.len},
              out);
    image_clear(&img);
    buf_clear(&jpeg);
    return ok;
}

struct uploads {
    struct load load;
    struct load_result result;
    struct err err;
    pthread_t thread;
};

static void *upload(void *arg)
{
    struct uploads *u = arg;
    if (!load_run(&u->load, &u->result, &u->err))
        fprintf(stderr, "uploads: %s\n", u->err.text);
    return NULL;
}

/* p99 of one client's searches, alone and while another client uploads. */
static bool bench_beside(const struct bench *b, const struct buf *requests, struct err *e)
{
    struct buf bodies[2] = {{0}, {0}};
    struct load_result alone, beside;
    atomic_bool stop = false;
    struct client c = client_to(b->server.port);
    struct reply r = {0};
    client_ask(
        &c,
        &(struct ask){
            .method = "PUT", .target = "/v1/collections/beside", .type = "application/json", .body = "{}", .len = 2},
        &r);
    reply_clear(&r);
    client_close(&c);
    bulk_request(b, &bodies[0]);
    bool ok = huge_request(&bodies[1], e) && search_load(b, requests, 1, &alone, e);
    struct uploads u = {.load = {.port = b->server.port, .connections = 1, .requests = bodies, .n = 2, .stop = &stop}};
    if (ok && pthread_create(&u.thread, NULL, upload, &u) == 0) {
        sleep(1);
        ok = search_load(b, requests, 1, &beside, e);
        atomic_store(&stop, true);
        pthread_join(u.thread, NULL);
    }
    if (ok) {
        figures_begin("Search by one client while another uploads bodies of 64 photographs and of 50 megapixels");
        figure("p50", "ms", beside.p50 * 1e3, "without uploads", alone.p50 * 1e3, JUST_TOLD, 0);
        figure("p99", "ms", beside.p99 * 1e3, "without uploads", alone.p99 * 1e3, AT_MOST, 2);
        figure("bodies uploaded meanwhile", "", (double)u.result.ok, NULL, 0, AT_LEAST, 2);
    }
    buf_clear(&bodies[0]);
    buf_clear(&bodies[1]);
    return ok;
}

static bool bench_rate(const struct bench *b, const struct buf *requests, struct err *e)
{
    FaissIndex *index = faiss_plain_new(to_int(b->d), "HNSW32,Flat", SEGMENT_EF, b->n, b->vectors);
    struct load_result best = {0}, r;
    double direct = 0;
    bool ok = index != NULL;
    for (int round = 0; round < 3 && ok; round++) {
        double rate = direct_rate(b, index);
        direct = rate > direct ? rate : direct;
        ok = search_load(b, requests, CLIENTS, &r, e);
        best = r.rate > best.rate ? r : best;
    }
    faiss_Index_free(index);
    char heading[100];
    snprintf(heading, sizeof heading, "Search by id among %zu vectors of %zu dimensions, 8 connections", b->n, b->d);
    figures_begin(heading);
    figure("rate", "searches/s", best.rate, "FAISS's C API, all cores", direct, AT_LEAST, 0.6);
    figure("p50", "ms", best.p50 * 1e3, NULL, 0, JUST_TOLD, 0);
    figure("p99", "ms", best.p99 * 1e3, NULL, 0, JUST_TOLD, 0);
    return ok;
}

static bool run(struct bench *b, struct err *e)
{
    static const char *const quiet[] = {"--access-log=false", NULL};
    struct server_options o = {.model = "", .args = quiet};
    char dir[256];
    if (!server_start(&b->server, &o, e))
        return false;
    snprintf(dir, sizeof dir, "%s", b->server.dir);
    server_stop(&b->server);
    b->vectors = vectors_clustered(1, b->n, b->d, b->n / PER_CLUSTER + 1, 0.6);
    if (!fill(b, dir, e))
        return false;
    o.dir = dir;
    if (!server_start(&b->server, &o, e))
        return false;
    wait_until_built(&b->server);
    struct buf *requests = search_requests(b);
    bool ok = bench_rate(b, requests, e) && bench_beside(b, requests, e);
    figure("resident memory with it all", "MB", (double)server_rss(&b->server) / 1e6, NULL, 0, JUST_TOLD, 0);
    server_stop(&b->server);
    for (size_t i = 0; i < ASKS; i++)
        buf_clear(&requests[i]);
    free(requests);
    char command[400];
    *strrchr(dir, '/') = 0;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) == 0 && ok;
}

int main(int argc, char **argv)
{
    struct bench b = {
        .n = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000, .d = 512, .seconds = argc > 3 ? atof(argv[3]) : 5};
    struct err e = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: bench_http_search DIR [N [SECONDS]]\n");
        return 2;
    }
    if (!getenv("OMP_NUM_THREADS") && setenv("OMP_NUM_THREADS", "1", 1) == 0)
        execv("/proc/self/exe", argv);
    bool ok = folder_read(argv[1], &b.photos, &e) && run(&b, &e);
    if (!ok)
        fprintf(stderr, "%s\n", e.text);
    free(b.vectors);
    folder_clear(&b.photos);
    return !ok || figures_missed() > 0;
}
