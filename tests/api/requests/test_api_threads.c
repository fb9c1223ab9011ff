/* test_api_threads.c - many calls at once on one app: for ThreadSanitizer, and for what must hold anyway. */
#include "tests/t.h"

#include <pthread.h>

#include "tests/lib/rig.h"

enum { THREADS = 4, ROUNDS = 12 };

struct worker {
    pthread_t thread;
    unsigned number;
    size_t failed; /* answers that should not be */
    char what[200];
};

static void note(struct worker *w, const char *line, const struct outcome *o)
{
    w->failed++;
    snprintf(w->what, sizeof w->what, "%.80s: %d %.80s", line, o->status, o->body.data ? o->body.data : "");
}

static bool is_among(int status, const int *wanted)
{
    while (*wanted && *wanted != status)
        wanted++;
    return *wanted != 0;
}

/* Puts, searches, patches and deletes; all threads share four ids, so they meet. */
static void *live(void *arg)
{
    struct worker *w = arg;
    struct plan_cache *plans = plan_cache_new();
    for (unsigned i = 0; i < ROUNDS; i++) {
        char put[80], search[160], patch[80], remove[80];
        unsigned id = (w->number + i) % 4;
        struct buf file = rig_picture(id, i);
        snprintf(put, sizeof put, "PUT /v1/collections/default/images/t.%u", id);
        snprintf(search, sizeof search, "{\"positive\":[\"fixed\"],\"limit\":3,\"with_vector\":true}");
        snprintf(patch, sizeof patch, "PATCH /v1/collections/default/images/t.%u", (id + 1) % 4);
        snprintf(remove, sizeof remove, "DELETE /v1/collections/default/images/t.%u", (id + 2) % 4);
        const struct {
            const char *line;
            struct extra x;
            int status[4];
        } steps[] = {
            {put, {.body = file.data, .len = file.len}, {200, 201}},
            {"POST /v1/collections/default/search?limit=2", {.body = file.data, .len = file.len}, {200}},
            {"POST /v1/collections/default/search", {.type = "application/json", .body = search}, {200}},
            {patch, {.type = "application/json", .body = "{\"label\":\"x\",\"metadata\":{\"n\":1}}"}, {200, 404}},
            {"GET /v1/collections/default/images?limit=5", {0}, {200}},
            {"GET /readyz", {0}, {200}},
            {"GET /metrics", {0}, {200}},
            {remove, {0}, {204, 404}},
        };
        for (size_t k = 0; k < COUNT(steps); k++) {
            struct outcome o = rig_ask_with(rig, plans, steps[k].line, &steps[k].x);
            if (!is_among(o.status, steps[k].status))
                note(w, steps[k].line, &o);
            outcome_clear(&o);
        }
        buf_clear(&file);
    }
    plan_cache_free(plans);
    return NULL;
}

static void run_all(void *(*what)(void *), struct worker *workers)
{
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, what, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        if (workers[i].failed)
            fail_msg("thread %u: %zu wrong answers, the last: %s", i, workers[i].failed, workers[i].what);
}

static void calls_on_the_same_images_do_not_disturb_each_other(void **state)
{
    UNUSED(state);
    struct worker workers[THREADS];
    rig = rig_open();
    rig_put(rig, "fixed", 3, 3, NULL);
    run_all(live, workers);
    rig_close(rig);
}

static void *make_and_drop(void *arg)
{
    struct worker *w = arg;
    struct plan_cache *plans = plan_cache_new();
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct buf file = rig_picture(1, i);
        const struct {
            const char *line;
            struct extra x;
            int status[4];
        } steps[] = {
            {"PUT /v1/collections/shared", {0}, {200, 201}},
            {"PUT /v1/collections/shared/images/a", {.body = file.data, .len = file.len}, {200, 201, 404}},
            {"POST /v1/collections/shared/search", {.body = file.data, .len = file.len}, {200, 404}},
            {"DELETE /v1/collections/shared", {0}, {204, 404}},
        };
        for (size_t k = 0; k < COUNT(steps); k++) {
            struct outcome o = rig_ask_with(rig, plans, steps[k].line, &steps[k].x);
            if (!is_among(o.status, steps[k].status))
                note(w, steps[k].line, &o);
            outcome_clear(&o);
        }
        buf_clear(&file);
    }
    plan_cache_free(plans);
    return NULL;
}

static void collections_come_and_go_under_uploads_and_searches(void **state)
{
    UNUSED(state);
    struct worker workers[THREADS];
    rig = rig_open();
    run_all(make_and_drop, workers);
    rig_close(rig);
}

static void *put_new(void *arg)
{
    struct worker *w = arg;
    struct plan_cache *plans = plan_cache_new();
    struct buf file = rig_picture(2, w->number);
    struct outcome o = rig_ask_with(rig, plans, "PUT /v1/collections/default/images/one",
                                    &(struct extra){.body = file.data, .len = file.len, .if_none_match = "*"});
    w->failed = o.status == 412;
    if (o.status != 201 && o.status != 412)
        w->failed = 100;
    outcome_clear(&o);
    buf_clear(&file);
    plan_cache_free(plans);
    return NULL;
}

static void of_many_first_uploads_one_wins(void **state)
{
    UNUSED(state);
    struct worker workers[THREADS];
    size_t lost = 0;
    rig = rig_open();
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, put_new, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        lost += workers[i].failed;
    }
    assert_int_equal(lost, THREADS - 1);
    rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_on_the_same_images_do_not_disturb_each_other),
        cmocka_unit_test(collections_come_and_go_under_uploads_and_searches),
        cmocka_unit_test(of_many_first_uploads_one_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
