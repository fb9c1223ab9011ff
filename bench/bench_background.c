/* bench_background.c - what requests feel of work in the background, and what that work keeps: a fine-tuning job, and a change of
 * model, in which all stored images are embedded again.
 *
 *   bench_background DIR [SECONDS]     DIR holds photographs; SECONDS (5) is for each load; IMAGES=1000 are stored
 *
 * Load is searches by picture, planned at half of the rate that is possible (open loop).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "bench/lib/figures.h"
#include "bench/lib/folder.h"
#include "engine/arch_resnet.h"
#include "engine/model.h"
#include "tests/lib/client.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"

enum { CLIENTS = 8, IMAGES = 1000, DONE_S = 600, FIRST_STEPS = 5 };

#define COLLECTION "/v1/collections/default"

struct bench {
    struct folder photos;
    struct buf *embed, *search, *put; /* requests: [photos], [photos], [images] */
    size_t images;
    double seconds;
    struct server server;
    double idle;              /* images a second that it embeds for 8 connections, nothing else going on */
    struct load_result alone; /* searches at half of that */
};

static void make_requests(struct bench *b)
{
    size_t n = b->photos.n;
    b->embed = mem_new(n, sizeof *b->embed);
    b->search = mem_new(n, sizeof *b->search);
    b->put = mem_new(b->images, sizeof *b->put);
    for (size_t i = 0; i < b->images; i++) {
        const struct file *f = &b->photos.files[i % n];
        char target[80];
        snprintf(target, sizeof target, COLLECTION "/images/p%zu", i);
        struct ask q = {.method = "PUT", .target = target, .type = "image/jpeg", .body = f->bytes, .len = f->len};
        ask_bytes(&q, &b->put[i]);
        q.method = "POST";
        q.target = "/v1/embeddings";
        if (i < n)
            ask_bytes(&q, &b->embed[i]);
        q.target = COLLECTION "/search?limit=10";
        if (i < n)
            ask_bytes(&q, &b->search[i]);
    }
}

static bool run_load(struct bench *b, const struct buf *requests, size_t n, size_t total, double rate,
                     struct load_result *out, struct err *e)
{
    struct load l = {.port = b->server.port,
                     .connections = rate > 0 ? 64 : CLIENTS,
                     .requests = requests,
                     .n = n,
                     .total = total,
                     .seconds = total ? 0 : b->seconds,
                     .rate = rate};
    return load_run(&l, out, e) && (out->failed + out->broken + out->refused == 0 ||
                                    err_set(e, ERR_INTERNAL, "%zu requests failed (status %d)",
                                            out->failed + out->broken + out->refused, out->odd_status));
}

/* ---- the administrator ---- */

static struct json *ask_json(struct bench *b, const char *method, const char *target, const void *body, size_t len,
                             const char *type, struct err *e)
{
    struct client c = client_to(b->server.admin);
    struct reply r = {0};
    struct json *doc = NULL;
    client_ask(&c, &(struct ask){.method = method, .target = target, .body = body, .len = len, .type = type}, &r);
    if (r.status >= 200 && r.status < 300)
        doc = json_parse(r.body.data, r.body.len, 0, e);
    else
        err_set(e, ERR_INTERNAL, "%s %s gave %d", method, target, r.status);
    reply_clear(&r);
    client_close(&c);
    return doc;
}

/* side 0: ImageNet's 224 pixels. */
static bool import_model(struct bench *b, const char *id, uint64_t seed, uint32_t side, struct err *e)
{
    struct arch arch = RESNET_OF(RESNET_18, side ? STEM_SMALL2 : STEM_IMAGENET, 64, 0);
    struct preprocess size = preprocess_imagenet;
    char path[300], target[80];
    struct folder f = {0};
    snprintf(path, sizeof path, "%s-model", b->server.dir);
    snprintf(target, sizeof target, "/v1/models?id=%s", id);
    if (side)
        size.resize = size.size = side;
    struct model *m = model_new_random(&arch, &size, seed, e);
    bool ok = m && file_make_dirs(path, e);
    strcat(path, "/one.safetensors");
    ok = ok && model_save(m, path, e);
    *strrchr(path, '/') = 0;
    ok = ok && folder_read(path, &f, e);
    struct json *doc =
        ok ? ask_json(b, "POST", target, f.files[0].bytes, f.files[0].len, "application/octet-stream", e) : NULL;
    file_remove_tree(path);
    folder_clear(&f);
    model_free(m);
    json_free(doc);
    return doc != NULL;
}

static bool begin_change(struct bench *b, const char *id, struct err *e)
{
    char json[80];
    snprintf(json, sizeof json, "{\"model\":\"%s\"}", id);
    struct json *doc = ask_json(b, "POST", COLLECTION "/model", json, strlen(json), "application/json", e);
    json_free(doc);
    return doc != NULL;
}

/* Of the newest generation; *active: it is. */
static double newest_done(struct bench *b, bool *active, struct err *e)
{
    double done = 0;
    struct json *doc = ask_json(b, "GET", COLLECTION "/generations", NULL, 0, NULL, e);
    const struct json *g = doc ? json_item(json_member(doc, "data"), 0) : NULL;
    *active = g && strcmp(json_as_text(json_member(g, "state"), NULL), "active") == 0;
    if (g && !json_as_number(json_member(g, "done"), &done))
        done = 0;
    json_free(doc);
    return done;
}

static bool wait_for_switch(struct bench *b, double *seconds, struct err *e)
{
    bool active = false;
    double start = clock_s();
    while (!active && !e->code && clock_s() < start + DONE_S) {
        newest_done(b, &active, e);
        usleep(10000);
    }
    *seconds = clock_s() - start;
    return active || err_set(e, ERR_TIMEOUT, "no switch after %d s", DONE_S);
}

/* The hash of all ids in their order, and how many there are. */
static bool all_ids(struct bench *b, char hex[HASH_HEX], size_t *n, struct err *e)
{
    struct buf ids = {0};
    char target[256], last[130] = "";
    size_t got = 1;
    *n = 0;
    while (got > 0) {
        snprintf(target, sizeof target, COLLECTION "/images?limit=1000%s%s", last[0] ? "&after=" : "", last);
        struct json *doc = ask_json(b, "GET", target, NULL, 0, NULL, e);
        const struct json *data = doc ? json_member(doc, "data") : NULL;
        got = json_count(data);
        for (size_t i = 0; i < got; i++) {
            snprintf(last, sizeof last, "%s", json_as_text(json_member(json_item(data, i), "id"), NULL));
            buf_print(&ids, "%s\n", last);
        }
        *n += got;
        json_free(doc);
    }
    hash_text(ids.data ? ids.data : "", ids.len, hex);
    buf_clear(&ids);
    return e->code == ERR_NONE;
}

/* ---- a job ---- */

/* Views at 64 pixels, long enough for everything here. */
static bool begin_job(struct bench *b, char id[40], struct err *e)
{
    static const char json[] =
        "{\"training_file\":\"default\",\"model\":\"small\",\"promote\":\"never\",\"method\":{\"type\":\"infonce\","
        "\"infonce\":{\"hyperparameters\":{\"n_epochs\":50,\"batch_size\":64}}}}";
    struct json *doc = ask_json(b, "POST", "/v1/fine_tuning/jobs", json, sizeof json - 1, "application/json", e);
    snprintf(id, 40, "%s", doc ? json_as_text(json_member(doc, "id"), NULL) : "");
    json_free(doc);
    return id[0] != 0;
}

static void end_job(struct bench *b, const char *id)
{
    struct err ignored = {0};
    char target[100];
    snprintf(target, sizeof target, "/v1/fine_tuning/jobs/%s/cancel", id);
    json_free(ask_json(b, "POST", target, NULL, 0, NULL, &ignored));
}

/* As its log tells them. */
static size_t steps_of(struct bench *b, const char *id)
{
    char path[400], line[4096];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/jobs/%s/log.jsonl", b->server.dir, id);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        n += strncmp(line, "{\"event\":\"step\"", 15) == 0;
    if (f)
        fclose(f);
    return n;
}

static bool wait_for_steps(struct bench *b, const char *id, size_t n, struct err *e)
{
    for (double until = clock_s() + DONE_S; clock_s() < until; usleep(20000))
        if (steps_of(b, id) >= n)
            return true;
    return err_set(e, ERR_TIMEOUT, "the job does not begin");
}

/* ---- the figures ---- */

static bool bench_rate(struct bench *b, struct err *e)
{
    struct load_result r[2];
    char before[HASH_HEX], after[HASH_HEX];
    size_t n_before, n_after;
    double seconds;
    if (!all_ids(b, before, &n_before, e) || !run_load(b, b->embed, b->photos.n, 0, 0, &r[0], e) ||
        !begin_change(b, "second", e) || !wait_for_switch(b, &seconds, e) ||
        !run_load(b, b->embed, b->photos.n, 0, 0, &r[1], e) || !all_ids(b, after, &n_after, e))
        return false;
    b->idle = fmax(r[0].rate, r[1].rate);
    figure("embedding again, nobody else asks", "images/s", (double)b->images / seconds, "requests, 8 connections",
           b->idle, AT_LEAST, 0.7);
    figure("images before and after", "images", (double)n_after, "before", (double)n_before, AT_LEAST, 1);
    return strcmp(before, after) == 0 || err_set(e, ERR_INTERNAL, "the ids are others after the switch");
}

static void tell_load(const struct bench *b, const char *what, const struct load_result *r)
{
    char row[100];
    snprintf(row, sizeof row, "p50 of searches at half load, %s", what);
    figure(row, "ms", r->p50 * 1e3, "alone", b->alone.p50 * 1e3, JUST_TOLD, 0);
    figure("p99", "ms", r->p99 * 1e3, "alone", b->alone.p99 * 1e3, AT_MOST, 3);
}

static bool bench_job(struct bench *b, struct err *e)
{
    struct load_result beside;
    char id[40];
    if (!begin_job(b, id, e) || !wait_for_steps(b, id, FIRST_STEPS, e))
        return false;
    double start = clock_s(), first = (double)steps_of(b, id);
    usleep((useconds_t)(b->seconds * 1e6));
    double then = clock_s(), second = (double)steps_of(b, id), idle = (second - first) / (then - start);
    if (!run_load(b, b->search, b->photos.n, 0, b->idle / 2, &beside, e))
        return false;
    double busy = ((double)steps_of(b, id) - second) / (clock_s() - then);
    end_job(b, id);
    tell_load(b, "a job trains", &beside);
    figure("steps of the job meanwhile", "/s", busy, "nobody asks", idle, AT_LEAST, 0.25);
    return true;
}

static bool bench_change(struct bench *b, struct err *e)
{
    struct load_result beside;
    bool active = true;
    if (!begin_change(b, "third", e))
        return false;
    double start = clock_s(), before = newest_done(b, &active, e);
    if (!run_load(b, b->search, b->photos.n, 0, b->idle / 2, &beside, e))
        return false;
    double done = newest_done(b, &active, e) - before, seconds = clock_s() - start;
    if (active)
        return err_set(e, ERR_INTERNAL, "the change was done before the load: give more IMAGES");
    tell_load(b, "embedding again", &beside);
    figure("embedding again meanwhile", "images/s", done / seconds, "requests alone, 8 connections", b->idle, JUST_TOLD,
           0);
    return true;
}

static bool bench(struct bench *b, struct err *e)
{
    struct load_result r;
    if (!import_model(b, "second", 2, 0, e) || !import_model(b, "third", 3, 0, e) ||
        !import_model(b, "small", 4, 64, e) || !run_load(b, b->put, b->images, b->images, 0, &r, e))
        return false;
    figures_begin("Work in the background, ResNet-18 at 224 pixels");
    if (!bench_rate(b, e) || !run_load(b, b->search, b->photos.n, 0, b->idle / 2, &b->alone, e))
        return false;
    return bench_job(b, e) && bench_change(b, e);
}

int main(int argc, char **argv)
{
    static const char *const args[] = {"--access-log=false", NULL};
    struct bench b = {.seconds = argc > 2 ? atof(argv[2]) : 5, .images = IMAGES};
    struct err e = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: bench_background DIR [SECONDS]\n");
        return 2;
    }
    if (!getenv("OMP_NUM_THREADS") && setenv("OMP_NUM_THREADS", "1", 1) == 0)
        execv("/proc/self/exe", argv);
    if (getenv("IMAGES"))
        b.images = strtoul(getenv("IMAGES"), NULL, 10);
    bool ok = folder_read(argv[1], &b.photos, &e);
    if (ok)
        make_requests(&b);
    ok = ok && server_start(&b.server, &(struct server_options){.model = "", .args = args}, &e);
    if (ok) {
        ok = bench(&b, &e);
        server_stop(&b.server);
        server_remove(&b.server);
    }
    if (!ok)
        fprintf(stderr, "%s\n", e.text);
    return ok && figures_missed() == 0 ? 0 : 1;
}
