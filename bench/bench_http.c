/* bench_http.c - embedding over HTTP: beside what the engine can do by itself, and beside a Node.js server.
 *
 *   bench_http DIR [SECONDS]     DIR holds photographs; SECONDS (3) is for each figure
 *
 * The peer is bench/peers/node; it is left out when it is not installed (make bench-peers).
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cores.h"
#include "base/mem.h"
#include "base/num.h"
#include "bench/lib/figures.h"
#include "bench/lib/folder.h"
#include "engine/encoder.h"
#include "tests/lib/client.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"

enum { CLIENTS = 8, ROUNDS = 3, PEER_PORT = 18473 };

struct bench {
    struct folder photos;
    struct buf *requests; /* one for each photo */
    double seconds;
};

/* ---- the engine by itself: decode, resize, forward, on as many threads as there are cores ---- */

struct runner {
    const struct bench *bench;
    struct encoder *encoder;
    size_t first;
    double *times;
    size_t done;
    struct err err;
    pthread_t thread;
};

static void *run(void *arg)
{
    struct runner *r = arg;
    const struct folder *f = &r->bench->photos;
    struct lane *lane = lane_new(r->encoder, 1, &r->err);
    float *vector = mem_new(encoder_dimensions(r->encoder), sizeof *vector);
    double end = clock_s() + r->bench->seconds;
    bool ok =
        lane && lane_embed(lane, f->files[0].bytes, f->files[0].len, &image_default_limits, vector, NULL, &r->err);
    for (size_t i = r->first; ok && clock_s() < end; i++) {
        const struct file *photo = &f->files[i % f->n];
        double start = clock_s();
        ok = lane_embed(lane, photo->bytes, photo->len, &image_default_limits, vector, NULL, &r->err);
        r->times = mem_grow(r->times, r->done + 1, sizeof *r->times);
        r->times[r->done++] = clock_s() - start;
    }
    lane_free(lane);
    free(vector);
    return NULL;
}

/* Images a second of `threads` threads; *p50 is the seconds of one. */
static double engine_rate(const struct bench *b, struct encoder *encoder, size_t threads, double *p50)
{
    struct runner *runners = mem_new(threads, sizeof *runners);
    double start = clock_s(), done = 0;
    for (size_t i = 0; i < threads; i++) {
        runners[i] = (struct runner){.bench = b, .encoder = encoder, .first = i * b->photos.n / threads};
        if (pthread_create(&runners[i].thread, NULL, run, &runners[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(runners[i].thread, NULL);
        if (runners[i].err.code)
            fprintf(stderr, "%s\n", runners[i].err.text);
        done += (double)runners[i].done;
        *p50 = quantile(runners[i].times, runners[i].done, 0.5);
        free(runners[i].times);
    }
    free(runners);
    return done / (clock_s() - start);
}

/* ---- over HTTP ---- */

static bool http_rate(const struct bench *b, uint16_t port, size_t clients, struct load_result *out, struct err *e)
{
    struct load warm = {
        .port = port, .connections = clients, .total = 4 * clients, .requests = b->requests, .n = b->photos.n};
    struct load l = warm;
    l.total = 0;
    l.seconds = b->seconds;
    return load_run(&warm, out, e) && load_run(&l, out, e) &&
           (out->failed + out->broken == 0 ||
            err_set(e, ERR_INTERNAL, "%zu requests failed (status %d)", out->failed + out->broken, out->odd_status));
}

struct peer {
    double rate; /* 0: not installed */
    char setting[64];
};

/* Its best setting: one process with all threads, one process for each core, or one of each. */
static struct peer bench_peer(const struct bench *b)
{
    size_t cores = cores_usable(), tries[3][2] = {{1, cores}, {cores, 1}, {1, 1}};
    struct peer best = {0};
    char port[16], processes[16], threads[16];
    snprintf(port, sizeof port, "%d", PEER_PORT);
    for (size_t i = 0; i < COUNT(tries) && access("bench/peers/node/node_modules", F_OK) == 0; i++) {
        struct server s;
        struct load_result r;
        struct err e = {0};
        snprintf(processes, sizeof processes, "%zu", tries[i][0]);
        snprintf(threads, sizeof threads, "%zu", tries[i][1]);
        const char *command[] = {"node", "bench/peers/node/server.js", port, processes, threads, NULL};
        if (!command_start(&s, command, 30, &e) || !http_rate(b, PEER_PORT, CLIENTS, &r, &e)) {
            fprintf(stderr, "the peer: %s\n", e.text);
        } else if (r.rate > best.rate) {
            best.rate = r.rate;
            snprintf(best.setting, sizeof best.setting, "node, %zu x %zu threads, fp32", tries[i][0], tries[i][1]);
        }
        server_stop(&s);
        server_remove(&s);
    }
    return best;
}

/* ---- the figures ---- */

static bool first_embedding(const struct bench *b, struct server *s, double *seconds, struct err *e)
{
    struct client c = client_to(s->port);
    struct reply r = {0};
    double start = clock_s();
    client_ask(&c,
               &(struct ask){.method = "POST",
                             .target = "/v1/embeddings",
                             .type = "image/jpeg",
                             .body = b->photos.files[0].bytes,
                             .len = b->photos.files[0].len},
               &r);
    *seconds = s->ready_s + clock_s() - start;
    bool ok = r.status == 200 || err_set(e, ERR_INTERNAL, "the first embedding gave status %d", r.status);
    reply_clear(&r);
    client_close(&c);
    return ok;
}

/* The default model, made by a first start; then a second start is what is measured. */
static bool start_again(struct server *s, const char *dir, const char *precision, struct err *e)
{
    const char *args[] = {"--precision", precision, "--access-log=false", NULL};
    return server_start(s, &(struct server_options){.dir = dir, .model = "", .args = args}, e);
}

struct best { /* of the rounds */
    double http_rate, http_p50, http_p99, engine_rate, engine_p50;
};

/* Server and engine take turns, so that what disturbs the machine disturbs both. */
static bool measure(const struct bench *b, uint16_t port, struct encoder *encoder, struct best *best, struct err *e)
{
    *best = (struct best){.http_p50 = 1e9, .http_p99 = 1e9, .engine_p50 = 1e9};
    for (int round = 0; round < ROUNDS; round++) {
        struct load_result many, one;
        double p50, rate;
        if (!http_rate(b, port, CLIENTS, &many, e) || !http_rate(b, port, 1, &one, e))
            return false;
        rate = engine_rate(b, encoder, cores_usable(), &p50);
        engine_rate(b, encoder, 1, &p50);
        best->http_rate = fmax(best->http_rate, many.rate);
        best->http_p99 = fmin(best->http_p99, many.p99);
        best->http_p50 = fmin(best->http_p50, one.p50);
        best->engine_rate = fmax(best->engine_rate, rate);
        best->engine_p50 = fmin(best->engine_p50, p50);
    }
    return true;
}

static bool measure_precision(const struct bench *b, const char *dir, const char *name, enum precision precision,
                              struct best *best, double *idle, struct err *e)
{
    struct server s;
    char path[300];
    snprintf(path, sizeof path, "%s/models/anchord-base.safetensors", dir);
    struct model *m = model_load(path, NULL, e);
    struct encoder *encoder = m ? encoder_new(m, &(struct encoder_options){.precision = precision}, e) : NULL;
    bool ok = encoder && start_again(&s, dir, name, e);
    if (ok) {
        sleep(1);
        *idle = (double)server_rss(&s) / 1e6;
        ok = measure(b, s.port, encoder, best, e);
        server_stop(&s);
    }
    encoder_release(encoder);
    model_free(m);
    return ok;
}

static bool bench_precision(const struct bench *b, const char *dir, const char *name, enum precision precision,
                            const struct peer *peer, struct err *e)
{
    struct best best;
    char heading[100];
    double idle;
    if (!measure_precision(b, dir, name, precision, &best, &idle, e))
        return false;
    snprintf(heading, sizeof heading, "Embedding, ResNet-18 at 224 pixels, %zu photographs, precision %s", b->photos.n,
             name);
    figures_begin(heading);
    figure("rate with 8 connections", "images/s", best.http_rate, "the engine, all cores", best.engine_rate, AT_LEAST,
           0.75);
    if (peer->rate > 0)
        figure("rate with 8 connections", "images/s", best.http_rate, peer->setting, peer->rate, AT_LEAST,
               precision == PRECISION_FP32 ? 1.2 : 4);
    figure("p50 of one client", "ms", best.http_p50 * 1e3, "decode + resize + forward", best.engine_p50 * 1e3, AT_MOST,
           1.3);
    figure("p99 with 8 connections", "ms", best.http_p99 * 1e3, NULL, 0, JUST_TOLD, 0);
    figure("resident memory when idle", "MB", idle, NULL, 0, AT_MOST, 150);
    return true;
}

static bool bench_start(const struct bench *b, const char *dir, struct err *e)
{
    double best = 1e9;
    figures_begin("Start");
    for (int i = 0; i < 3; i++) {
        struct server s;
        double seconds;
        if (!start_again(&s, dir, "auto", e) || !first_embedding(b, &s, &seconds, e))
            return false;
        best = seconds < best ? seconds : best;
        server_stop(&s);
    }
    figure("from exec to the first embedding", "s", best, NULL, 0, AT_MOST, 1);
    return true;
}

int main(int argc, char **argv)
{
    struct bench b = {.seconds = argc > 2 ? atof(argv[2]) : 3};
    struct server first;
    struct err e = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: bench_http DIR [SECONDS]\n");
        return 2;
    }
    /* As in the server: one thread for each image.  libgomp reads this at its start only. */
    if (!getenv("OMP_NUM_THREADS") && setenv("OMP_NUM_THREADS", "1", 1) == 0)
        execv("/proc/self/exe", argv);
    bool ok = folder_read(argv[1], &b.photos, &e);
    b.requests = mem_new(b.photos.n + 1, sizeof *b.requests);
    for (size_t i = 0; i < b.photos.n; i++)
        ask_bytes(&(struct ask){.method = "POST",
                                .target = "/v1/embeddings",
                                .type = "image/jpeg",
                                .body = b.photos.files[i].bytes,
                                .len = b.photos.files[i].len},
                  &b.requests[i]);
    ok = ok && server_start(&first, &(struct server_options){.model = ""}, &e);
    if (ok) {
        server_stop(&first);
        struct peer peer = bench_peer(&b);
        ok = bench_start(&b, first.dir, &e) && bench_precision(&b, first.dir, "auto", PRECISION_AUTO, &peer, &e) &&
             bench_precision(&b, first.dir, "fp32", PRECISION_FP32, &peer, &e);
        server_remove(&first);
    }
    if (!ok)
        fprintf(stderr, "%s\n", e.text);
    for (size_t i = 0; i < b.photos.n; i++)
        buf_clear(&b.requests[i]);
    free(b.requests);
    folder_clear(&b.photos);
    return !ok || figures_missed() > 0;
}
