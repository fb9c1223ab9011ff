/* test_generations.c - a collection changes its model, and back, under searches, uploads, replacements and deletes on 8
 * connections: no request fails, and each answer is what an exact search gives in the generation that it names, at some
 * moment between request and answer (tests/lib/history.h).
 *
 * $GENERATIONS seconds (8; `make generations S=600`); $PRECISION fp32 or bf16.
 */
#include "tests/t.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "engine/encoder.h"
#include "tests/lib/expect.h"
#include "tests/lib/history.h"

enum { WRITERS = 4, SEARCHERS = 4, OWN = 12, STATIC = 352, IDS = WRITERS * OWN + STATIC, MODELS = 3, SPANS = 4096 };

#define COLLECTION "/v1/collections/flat"
#define JSON       "application/json"

struct span { /* when a generation may have answered, and when it must have */
    int64_t generation;
    int model;
    double from, until;
};

struct shared {
    struct server server;
    struct history *history;
    struct buf pictures[HISTORY_PICTURES];
    float *vectors[MODELS]; /* [HISTORY_PICTURES, dimensions] */
    double *scores[MODELS]; /* [HISTORY_PICTURES, HISTORY_PICTURES] */
    uint32_t dimensions;
    double tolerance;
    atomic_bool stop;
    _Atomic int64_t stamp;
    pthread_mutex_t lock; /* guards what follows */
    struct span spans[SPANS];
    size_t n_spans;
    size_t errors, wrong, writes, searches, conflicts;
    char first[600];
};

static struct shared sh;
static const char *const model_ids[MODELS] = {"small", "second", "third"};

static void complain(size_t *counter, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void complain(size_t *counter, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    pthread_mutex_lock(&sh.lock);
    ++*counter;
    if (!sh.first[0])
        vsnprintf(sh.first, sizeof sh.first, fmt, ap);
    pthread_mutex_unlock(&sh.lock);
    va_end(ap);
}

static void count(size_t *counter)
{
    pthread_mutex_lock(&sh.lock);
    ++*counter;
    pthread_mutex_unlock(&sh.lock);
}

/* ---- what is right ---- */

static void embed_pictures(int which, const struct model *m, enum precision precision)
{
    struct err e = {0};
    struct encoder *enc = encoder_new(m, &(struct encoder_options){.precision = precision}, &e);
    assert_ok(enc, e);
    struct lane *lane = lane_new(enc, 1, &e);
    assert_ok(lane, e);
    size_t d = sh.dimensions = encoder_dimensions(enc);
    sh.vectors[which] = calloc(HISTORY_PICTURES * d, sizeof(float));
    sh.scores[which] = calloc(HISTORY_PICTURES * HISTORY_PICTURES, sizeof(double));
    for (size_t i = 0; i < HISTORY_PICTURES; i++)
        assert_ok(lane_embed(lane, sh.pictures[i].data, sh.pictures[i].len, &image_default_limits,
                             sh.vectors[which] + i * d, NULL, &e),
                  e);
    for (size_t i = 0; i < HISTORY_PICTURES; i++)
        for (size_t k = 0; k < HISTORY_PICTURES; k++)
            for (size_t j = 0; j < d; j++)
                sh.scores[which][i * HISTORY_PICTURES + k] +=
                    (double)sh.vectors[which][i * d + j] * (double)sh.vectors[which][k * d + j];
    lane_free(lane);
    encoder_release(enc);
}

/* May generation `number` have answered between these moments?  Its model, or -1. */
static int model_of(int64_t number, double from, double to)
{
    int model = -1;
    pthread_mutex_lock(&sh.lock);
    for (size_t i = 0; i < sh.n_spans; i++)
        if (sh.spans[i].generation == number && sh.spans[i].from <= to && sh.spans[i].until >= from)
            model = sh.spans[i].model;
    pthread_mutex_unlock(&sh.lock);
    return model;
}

/* ---- writers ---- */

static void id_name(size_t id, char out[16])
{
    snprintf(out, 16, "i%03zu", id);
}

static bool write_one(struct client *c, size_t id, int picture_number)
{
    struct reply r = {0};
    char target[128], name[16];
    int64_t stamp = atomic_fetch_add(&sh.stamp, 1) + 1;
    bool gone = picture_number == HISTORY_ABSENT;
    id_name(id, name);
    snprintf(target, sizeof target, gone ? COLLECTION "/images/%s" : COLLECTION "/images/%s?label=s%lld", name,
             (long long)stamp);
    struct ask q = {.method = gone ? "DELETE" : "PUT", .target = target};
    if (!gone) {
        q.type = "image/jpeg";
        q.body = sh.pictures[picture_number].data;
        q.len = sh.pictures[picture_number].len;
    }
    history_begin(sh.history, id, picture_number, stamp);
    client_ask(c, &q, &r);
    bool ok = gone ? r.status == 204 : r.status == 200 || r.status == 201;
    history_end(sh.history, id, !ok);
    if (ok)
        count(&sh.writes);
    else
        complain(&sh.errors, "%s %s gave %d: %.200s", q.method, target, r.status, r.body.data ? r.body.data : "");
    reply_clear(&r);
    return ok;
}

static void *write_on(void *arg)
{
    size_t number = (size_t)(intptr_t)arg;
    struct client c = client_to(sh.server.port);
    struct rng r = rng_for(5, number, 0);
    while (!atomic_load(&sh.stop)) {
        size_t id = number * OWN + rng_below(&r, OWN);
        bool gone = history_picture(sh.history, id) != HISTORY_ABSENT && rng_below(&r, 4) == 0;
        write_one(&c, id, gone ? HISTORY_ABSENT : (int)rng_below(&r, HISTORY_PICTURES));
        usleep((useconds_t)rng_below(&r, 8000));
    }
    client_close(&c);
    return NULL;
}

/* ---- searchers ---- */

static bool read_hits(const struct json *doc, struct history_hit *hits, size_t *n)
{
    const struct json *data = json_member(doc, "data");
    *n = json_count(data);
    for (size_t i = 0; i < *n; i++) {
        const struct json *hit = json_item(data, i);
        const char *id = json_as_text(json_member(hit, "id"), NULL),
                   *label = json_as_text(json_member(hit, "label"), NULL);
        if (*n > IDS || !id || id[0] != 'i' || !label || !json_as_number(json_member(hit, "score"), &hits[i].score))
            return false;
        hits[i].id = strtoul(id + 1, NULL, 10);
        hits[i].stamp = strtoll(label + 1, NULL, 10);
        if (hits[i].id >= IDS)
            return false;
    }
    return true;
}

static void check_answer(struct history_answer *a, const struct reply *r, const char *what)
{
    struct err e = {0};
    struct history_hit hits[IDS];
    char why[400] = "";
    double generation = 0;
    struct json *doc = json_parse(r->body.data, r->body.len, 0, &e);
    const char *model = doc ? json_as_text(json_member(doc, "model"), NULL) : NULL;
    if (!model || !json_as_number(json_member(doc, "generation"), &generation) || !read_hits(doc, hits, &a->n)) {
        complain(&sh.wrong, "%s: not an answer: %.300s", what, r->body.data);
        json_free(doc);
        return;
    }
    int m = model_of((int64_t)generation, a->from, a->to);
    a->hits = hits;
    a->scores = m < 0 ? NULL : sh.scores[m];
    if (m < 0 || strcmp(model, model_ids[m]) != 0)
        complain(&sh.wrong, "%s: generation %.0f of %s cannot have answered by then", what, generation, model);
    else if (!history_allows(sh.history, a, why, sizeof why))
        complain(&sh.wrong, "%s, generation %.0f: %s", what, generation, why);
    json_free(doc);
}

/* Asks by a picture, by an id or by the vector that the model which answered last makes. */
static void search_one(struct client *c, struct rng *rng, int *model)
{
    struct reply r = {0};
    struct buf body = {0};
    struct history_answer a = {.tolerance = sh.tolerance, .query = (int)rng_below(rng, HISTORY_PICTURES)};
    int kind = (int)rng_below(rng, 3);
    char target[100], name[16];
    a.limit = rng_below(rng, 3) == 0 ? 1000 : 1 + rng_below(rng, 20);
    snprintf(target, sizeof target, COLLECTION "/search?limit=%zu", a.limit);
    if (kind == 0) {
        buf_add(&body, sh.pictures[a.query].data, sh.pictures[a.query].len);
    } else if (kind == 1) {
        a.query = -1;
        a.query_id = rng_below(rng, WRITERS * OWN + 20);
        id_name(a.query_id, name);
        buf_print(&body, "{\"id\":\"%s\"}", name);
    } else {
        buf_print(&body, "{\"model\":\"%s\",\"vector\":[", model_ids[*model]);
        for (size_t i = 0; i < sh.dimensions; i++)
            buf_print(&body, "%s%.9g", i ? "," : "", (double)sh.vectors[*model][(size_t)a.query * sh.dimensions + i]);
        buf_text(&body, "]}");
    }
    a.from = clock_s();
    client_ask(
        c,
        &(struct ask){
            .method = "POST", .target = target, .type = kind ? JSON : "image/jpeg", .body = body.data, .len = body.len},
        &r);
    a.to = clock_s();
    if (kind == 2 && r.status == 409) { /* the model is another by now: so it must be */
        *model = (*model + 1) % MODELS;
        count(&sh.conflicts);
    } else if (r.status == 200) {
        check_answer(&a, &r, kind == 0 ? "by picture" : kind == 1 ? "by id" : "by vector");
    } else if (kind != 1 || r.status != 404 || !history_allows(sh.history, &a, name, sizeof name)) {
        complain(&sh.errors, "search gave %d: %.300s", r.status, r.body.data ? r.body.data : "");
    }
    count(&sh.searches);
    buf_clear(&body);
    reply_clear(&r);
}

static void *search_on(void *arg)
{
    struct client c = client_to(sh.server.port);
    struct rng r = rng_for(6, (uint64_t)(intptr_t)arg, 0);
    int model = 0;
    while (!atomic_load(&sh.stop)) {
        search_one(&c, &r, &model);
        usleep((useconds_t)rng_below(&r, 8000));
    }
    client_close(&c);
    return NULL;
}

/* ---- the administrator ---- */

/* The model of the collection now, and its generation. */
static int active(struct client *c, int64_t *generation)
{
    struct json *doc = expect_get(c, 200, COLLECTION);
    int model = -1;
    for (int i = 0; i < MODELS; i++)
        if (strcmp(model_ids[i], text_at(doc, "model")) == 0)
            model = i;
    *generation = int_at(doc, "generation");
    json_free(doc);
    return model;
}

static void print_generations(struct client *admin)
{
    struct reply r = {0};
    client_ask(admin, &(struct ask){.method = "GET", .target = COLLECTION "/generations"}, &r);
    print_message("%s\n", r.body.data ? r.body.data : "");
    reply_clear(&r);
}

/* Asks for the change and waits for the switch; notes when which generation may answer. */
static void change(struct client *admin, const char *target, const char *json, int model, double timeout)
{
    double start = clock_s();
    struct json *doc = expect_post(admin, 202, target, json);
    int64_t wanted = int_at(doc, "generation"), now = 0;
    json_free(doc);
    pthread_mutex_lock(&sh.lock);
    assert_true(sh.n_spans < SPANS);
    sh.spans[sh.n_spans++] = (struct span){wanted, model, start, 1e18};
    pthread_mutex_unlock(&sh.lock);
    while (active(admin, &now), now != wanted) {
        if (clock_s() - start > t_patience(timeout)) {
            print_generations(admin);
            fail_msg("generation %lld is not active after %.0f s", (long long)wanted, t_patience(timeout));
        }
        usleep(2000);
    }
    double end = clock_s();
    pthread_mutex_lock(&sh.lock);
    for (size_t i = 0; i + 1 < sh.n_spans; i++)
        if (sh.spans[i].until > end)
            sh.spans[i].until = end;
    pthread_mutex_unlock(&sh.lock);
    assert_int_equal(active(admin, &now), model);
}

/* ---- the test ---- */

static void open_all(const char *precision)
{
    static const char *args[] = {"--precision", NULL, NULL};
    args[1] = precision;
    enum precision p = strcmp(precision, "bf16") == 0 ? PRECISION_BF16 : PRECISION_FP32;
    sh = (struct shared){.tolerance = p == PRECISION_BF16 ? 2e-2 : 1e-4};
    pthread_mutex_init(&sh.lock, NULL);
    expect_start(&sh.server, &(struct server_options){.args = args});
    struct client admin = client_to(sh.server.admin);
    for (size_t i = 0; i < HISTORY_PICTURES; i++)
        draw_jpeg(i * 7 + 1, 40, &sh.pictures[i]);
    for (int i = 0; i < MODELS; i++) {
        struct model *m = small_model_of(SMALL_MODEL_SEED + (uint64_t)i);
        char path[300], target[80];
        struct err e = {0};
        void *bytes;
        size_t len;
        snprintf(path, sizeof path, "%s.model", sh.server.dir);
        snprintf(target, sizeof target, "/v1/models?id=%s", model_ids[i]);
        assert_ok(model_save(m, path, &e) && file_read(path, 16 << 20, &bytes, &len, &e), e);
        expect_status(
            &admin, i ? 201 : 200,
            &(struct ask){
                .method = "POST", .target = target, .body = bytes, .len = len, .type = "application/octet-stream"});
        embed_pictures(i, m, p);
        free(bytes);
        model_free(m);
    }
    json_free(expect_json(
        &admin, 201,
        &(struct ask){.method = "PUT", .target = COLLECTION, .type = JSON, .body = "{\"index\":\"flat\"}", .len = 16}));
    client_close(&admin);
}

static void close_all(void)
{
    for (size_t i = 0; i < HISTORY_PICTURES; i++)
        buf_clear(&sh.pictures[i]);
    for (int i = 0; i < MODELS; i++) {
        free(sh.vectors[i]);
        free(sh.scores[i]);
    }
    expect_stop(&sh.server);
}

/* Nothing moves any more: by each picture the whole collection, each image with its score. */
static void check_all_found(struct client *c)
{
    struct reply r = {0};
    for (int i = 0; i < HISTORY_PICTURES; i++) {
        struct history_answer a = {.tolerance = sh.tolerance, .query = i, .limit = 1000, .from = clock_s()};
        client_ask(c,
                   &(struct ask){.method = "POST",
                                 .target = COLLECTION "/search?limit=1000",
                                 .type = "image/jpeg",
                                 .body = sh.pictures[i].data,
                                 .len = sh.pictures[i].len},
                   &r);
        a.to = clock_s();
        assert_int_equal(r.status, 200);
        check_answer(&a, &r, "at rest");
    }
    reply_clear(&r);
}

static double wanted_seconds(void)
{
    const char *set = getenv("GENERATIONS");
    return set ? strtod(set, NULL) : 8;
}

/* Models by turns, so that none finds its vectors of before, and a roll-back after each second change. */
static size_t change_on(struct client *admin, double seconds, double *longest)
{
    double end = clock_s() + seconds, start;
    int before = 0, model = 0;
    size_t n = 0;
    char json[64];
    for (; clock_s() < end && !sh.errors && !sh.wrong; n++) {
        start = clock_s();
        if (n % 3 == 2) {
            change(admin, COLLECTION "/rollback", "{}", before, 60);
            int swap = model;
            model = before;
            before = swap;
        } else {
            before = model;
            model = (model + 1) % MODELS;
            snprintf(json, sizeof json, "{\"model\":\"%s\"}", model_ids[model]);
            change(admin, COLLECTION "/model", json, model, 60);
        }
        *longest = fmax(*longest, clock_s() - start);
        usleep(200000);
    }
    return n;
}

static void nobody_notices(void **state)
{
    UNUSED(state);
    const char *precision = getenv("PRECISION");
    pthread_t threads[WRITERS + SEARCHERS];
    double longest = 0;
    int64_t generation;
    open_all(precision ? precision : "fp32");
    struct client admin = client_to(sh.server.admin);
    sh.history = history_new(IDS);
    active(&admin, &generation);
    sh.spans[sh.n_spans++] = (struct span){generation, 0, 0, 1e18};
    for (size_t i = 0; i < IDS; i++)
        assert_true(i < WRITERS * OWN / 2 || write_one(&admin, i, (int)(i % HISTORY_PICTURES)));
    for (size_t i = 0; i < WRITERS + SEARCHERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < WRITERS ? write_on : search_on, (void *)(intptr_t)i), 0);
    size_t changes = change_on(&admin, wanted_seconds(), &longest);
    atomic_store(&sh.stop, true);
    for (size_t i = 0; i < WRITERS + SEARCHERS; i++)
        pthread_join(threads[i], NULL);
    check_all_found(&admin);
    print_message(
        "%zu changes and roll-backs, the longest %.2f s; %zu writes, %zu searches, %zu told that the model is "
        "another; %zu errors, %zu wrong answers%s%s\n",
        changes, longest, sh.writes, sh.searches, sh.conflicts, sh.errors, sh.wrong, sh.first[0] ? ": " : "", sh.first);
    assert_int_equal(sh.errors, 0);
    assert_int_equal(sh.wrong, 0);
    assert_true(changes >= 3 && sh.writes > 100 && sh.searches > 100);
    client_close(&admin);
    history_free(sh.history);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_notices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
