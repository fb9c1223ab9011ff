/* test_dispatch.c - calls over the queues: all kinds at once, full queues, waiting too long, stopping. */
#include "tests/t.h"

#include <pthread.h>
#include <semaphore.h>

#include "api/requests/dispatch.h"
#include "tests/lib/rig.h"

struct asked { /* an task and who waits for it */
    struct task task;
    sem_t done, *hold; /* done() posts the one and waits for the other, when there is one */
    int order;
};

static atomic_int finished;

static void task_done(struct task *task)
{
    struct asked *t = (struct asked *)(void *)task;
    t->order = atomic_fetch_add(&finished, 1);
    sem_t *hold = t->hold;
    sem_post(&t->done);
    if (hold)
        sem_wait(hold);
}

static void send(struct dispatch *d, struct asked *t, enum method m, const char *path, const char *type,
                 const void *body, size_t len)
{
    sem_t *hold = t->hold;
    bool (*gone)(void *) = t->task.request.gone;
    *t = (struct asked){.hold = hold};
    t->task.request = (struct request){.method = m,
                                       .path = path,
                                       .content_type = type,
                                       .body = body,
                                       .body_len = len,
                                       .role = ROLE_ADMIN,
                                       .listener = LISTENER_ADMIN,
                                       .request_id = "test",
                                       .gone = gone};
    t->task.done = task_done;
    sem_init(&t->done, 0, 0);
    dispatch_submit(d, &t->task);
}

static void get(struct dispatch *d, struct asked *t, const char *path)
{
    send(d, t, METHOD_GET, path, NULL, NULL, 0);
}

/* The status; the body is left in *body when that is wanted. */
static int finish(struct asked *t, struct buf *body)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)t_patience(60);
    if (sem_timedwait(&t->done, &until) != 0)
        fail_msg("%s: no thread answers", t->task.request.path);
    int status = t->task.call.response.status;
    if (body)
        buf_add(body, t->task.call.response.body.data, t->task.call.response.body.len);
    call_free(&t->task.call);
    sem_destroy(&t->done);
    return status;
}

static struct dispatch *open_dispatch(struct rig *r, struct dispatch_options o)
{
    struct err e = {0};
    o.app = r->app;
    o.heavy_threads = o.heavy_threads ? o.heavy_threads : 2;
    o.light_threads = o.light_threads ? o.light_threads : 2;
    o.heavy_queue = o.heavy_queue ? o.heavy_queue : 512;
    o.light_queue = o.light_queue ? o.light_queue : 512;
    o.query_threads = o.query_threads ? o.query_threads : 1;
    o.query_queue = o.query_queue ? o.query_queue : 64;
    struct dispatch *d = dispatch_new(&o, &e);
    if (!d)
        fail_msg("%s", e.text);
    return d;
}

static struct buf many_pictures(size_t n)
{
    struct buf body = {0};
    struct buf picture = rig_base64(1, 1);
    buf_text(&body, "{\"input\":[");
    for (size_t i = 0; i < n; i++)
        buf_print(&body, "%s\"%s\"", i ? "," : "", picture.data);
    buf_text(&body, "]}");
    buf_clear(&picture);
    return body;
}

static void calls_of_all_kinds_go_on_at_once(void **state)
{
    UNUSED(state);
    enum { N = 60 };
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(r, (struct dispatch_options){.queue_timeout_s = 60});
    static struct asked tasks[N], searches[N], lists[N];
    static char paths[N][64], bodies[N][64];
    struct buf picture = rig_picture(2, 7), answer = {0};
    for (size_t i = 0; i < N; i++) {
        snprintf(paths[i], sizeof paths[i], "/v1/collections/default/images/i%zu", i);
        send(d, &tasks[i], METHOD_PUT, paths[i], "image/jpeg", picture.data, picture.len);
        get(d, &lists[i], "/v1/collections/default/images");
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(finish(&tasks[i], NULL), 201);
        assert_int_equal(finish(&lists[i], NULL), 200);
    }
    for (size_t i = 0; i < N; i++) {
        snprintf(bodies[i], sizeof bodies[i], "{\"id\":\"i%zu\",\"limit\":3}", i); /* what was answered is found */
        send(d, &searches[i], METHOD_POST, "/v1/collections/default/search", "application/json", bodies[i],
             strlen(bodies[i]));
    }
    for (size_t i = 0; i < N; i++)
        assert_int_equal(finish(&searches[i], i ? NULL : &answer), 200);
    assert_non_null(strstr(answer.data, "\"score\":"));
    dispatch_free(d);
    buf_clear(&picture);
    buf_clear(&answer);
    rig_close(r);
}

static void each_picture_of_a_request_gets_its_own_vector(void **state)
{
    UNUSED(state);
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(r, (struct dispatch_options){.queue_timeout_s = 60});
    static struct asked t;
    struct buf body = {0}, answer = {0}, one = rig_base64(1, 1), other = rig_base64(2, 9);
    struct err e = {0};
    buf_print(&body, "{\"input\":[\"%s\",\"%s\",\"%s\"]}", one.data, other.data, one.data);
    send(d, &t, METHOD_POST, "/v1/embeddings", "application/json", body.data, body.len);
    assert_int_equal(finish(&t, &answer), 200);
    struct json *doc = json_parse(answer.data, answer.len, 0, &e);
    double first[3], norm[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        const struct json *v = json_member(json_item(json_member(doc, "data"), i), "embedding");
        assert_int_equal(json_count(v), RIG_DIMENSIONS);
        for (size_t k = 0; k < RIG_DIMENSIONS; k++) {
            double x = 0;
            assert_true(json_as_number(json_item(v, k), &x));
            norm[i] += x * x;
            first[i] = k ? first[i] : x;
        }
        assert_true(fabs(norm[i] - 1) < 1e-3);
    }
    assert_true(fabs(first[0] - first[2]) < 1e-6);
    assert_true(fabs(first[0] - first[1]) > 1e-6);
    json_free(doc);
    dispatch_free(d);
    buf_clear(&body);
    buf_clear(&answer);
    buf_clear(&one);
    buf_clear(&other);
    rig_close(r);
}

static void a_search_does_not_wait_behind_a_huge_upload(void **state)
{
    UNUSED(state);
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(r, (struct dispatch_options){.heavy_threads = 1, .queue_timeout_s = 60});
    static struct asked upload, search;
    struct buf body = many_pictures(60);
    rig_put(r, "a", 1, 1, NULL);
    atomic_store(&finished, 0);
    send(d, &upload, METHOD_POST, "/v1/embeddings", "application/json", body.data, body.len);
    get(d, &search, "/v1/collections/default/images/a");
    assert_int_equal(finish(&search, NULL), 200);
    assert_int_equal(finish(&upload, NULL), 200);
    assert_int_equal(search.order, 0);
    dispatch_free(d);
    buf_clear(&body);
    rig_close(r);
}

static void a_single_picture_takes_turns_with_a_huge_upload(void **state)
{
    UNUSED(state);
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(r, (struct dispatch_options){.heavy_threads = 1, .queue_timeout_s = 60});
    static struct asked upload, single;
    struct buf body = many_pictures(60), picture = rig_picture(1, 3);
    atomic_store(&finished, 0);
    send(d, &upload, METHOD_POST, "/v1/embeddings", "application/json", body.data, body.len);
    send(d, &single, METHOD_POST, "/v1/embeddings", "image/jpeg", picture.data, picture.len);
    assert_int_equal(finish(&single, NULL), 200);
    assert_int_equal(finish(&upload, NULL), 200);
    assert_int_equal(single.order, 0);
    dispatch_free(d);
    buf_clear(&body);
    buf_clear(&picture);
    rig_close(r);
}

static void what_does_not_fit_into_a_queue_is_refused_at_once(void **state)
{
    UNUSED(state);
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(
        r, (struct dispatch_options){.light_threads = 1, .light_queue = 1, .heavy_queue = 3, .queue_timeout_s = 60});
    static struct asked upload, fits, held, waiting, refused;
    sem_t hold;
    struct buf large = many_pictures(4), small = many_pictures(3), why = {0};
    send(d, &upload, METHOD_POST, "/v1/embeddings", "application/json", large.data, large.len);
    assert_int_equal(finish(&upload, &why), 503);
    assert_non_null(strstr(why.data, "overloaded"));
    send(d, &fits, METHOD_POST, "/v1/embeddings", "application/json", small.data, small.len);
    assert_int_equal(finish(&fits, NULL), 200);

    sem_init(&hold, 0, 0);
    held.hold = &hold;
    get(d, &held, "/v1/models"); /* its done() keeps the only light thread ... */
    sem_wait(&held.done);
    get(d, &waiting, "/v1/models"); /* ... this one fills the queue ... */
    get(d, &refused, "/v1/models"); /* ... and this one does not fit */
    assert_int_equal(finish(&refused, NULL), 503);
    sem_post(&hold);
    assert_int_equal(finish(&waiting, NULL), 200);
    call_free(&held.task.call);
    dispatch_free(d);
    sem_destroy(&hold);
    buf_clear(&large);
    buf_clear(&small);
    buf_clear(&why);
    rig_close(r);
}

static void who_watches_the_server_has_a_thread_of_their_own(void **state)
{
    UNUSED(state);
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics"};
    struct rig *r = rig_open();
    struct dispatch *d =
        open_dispatch(r, (struct dispatch_options){.light_threads = 1, .light_queue = 1, .queue_timeout_s = 60});
    static struct asked held, watching;
    sem_t hold;
    sem_init(&hold, 0, 0);
    held.hold = &hold;
    get(d, &held, "/v1/models"); /* its done() keeps the only light thread */
    sem_wait(&held.done);
    for (size_t i = 0; i < COUNT(paths); i++) {
        get(d, &watching, paths[i]);
        assert_int_equal(finish(&watching, NULL), 200);
    }
    sem_post(&hold);
    call_free(&held.task.call);
    dispatch_free(d);
    sem_destroy(&hold);
    rig_close(r);
}

/* ---- queries that look at much ---- */

enum { WIDE = 6, LEAVES = 1900 }; /* images with so many values each: more rows than a light thread looks at */

static void put_wide_images(struct rig *r)
{
    struct buf patch = {0};
    char line[64], id[16];
    buf_text(&patch, "{\"metadata\":{\"n\":[1");
    for (size_t i = 1; i < LEAVES; i++)
        buf_text(&patch, ",1");
    buf_text(&patch, "]}}");
    for (unsigned i = 0; i < WIDE; i++) {
        snprintf(id, sizeof id, "w%u", i);
        snprintf(line, sizeof line, "PATCH /v1/collections/default/images/%s", id);
        rig_put(r, id, 1, i, NULL);
        struct outcome o = rig_json(r, line, patch.data);
        assert_int_equal(o.status, 200);
        outcome_clear(&o);
    }
    buf_clear(&patch);
}

#define MUCH       "{\"must\":[{\"key\":\"n\",\"range\":{\"gte\":0}}]}"
#define COUNT_MUCH "{\"filter\":" MUCH "}"

static void ask_much(struct dispatch *d, struct asked *t)
{
    send(d, t, METHOD_POST, "/v1/collections/default/images/count", "application/json", COUNT_MUCH,
         sizeof COUNT_MUCH - 1);
}

static void a_query_that_looks_at_much_holds_up_no_other(void **state)
{
    UNUSED(state);
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(
        r, (struct dispatch_options){.light_threads = 1, .query_threads = 1, .query_queue = 1, .queue_timeout_s = 60});
    static struct asked held, light, waiting, refused;
    static const char by_id[] = "{\"id\":\"w1\"}";
    struct buf answer = {0};
    sem_t hold;
    put_wide_images(r);
    sem_init(&hold, 0, 0);
    held.hold = &hold;
    ask_much(d, &held); /* its done() keeps the only thread for such queries ... */
    sem_wait(&held.done);
    assert_int_equal(held.task.call.response.status, 200);
    send(d, &light, METHOD_POST, "/v1/collections/default/search", "application/json", by_id, sizeof by_id - 1);
    assert_int_equal(finish(&light, NULL), 200); /* ... and nobody else's */
    ask_much(d, &waiting);
    send(d, &light, METHOD_POST, "/v1/collections/default/search", "application/json", by_id, sizeof by_id - 1);
    assert_int_equal(finish(&light, NULL), 200); /* after which the light thread has moved it on */
    ask_much(d, &refused);
    assert_int_equal(finish(&refused, NULL), 503); /* the queue has one place */
    sem_post(&hold);
    assert_int_equal(finish(&waiting, &answer), 200);
    assert_non_null(strstr(answer.data, "\"count\":6"));
    call_free(&held.task.call);
    dispatch_free(d);
    sem_destroy(&hold);
    buf_clear(&answer);
    rig_close(r);
}

static bool has_left(void *context)
{
    UNUSED(context);
    return true;
}

static void queries_have_limits_that_their_errors_name(void **state)
{
    UNUSED(state);
    static const char three[] = "{\"searches\":[{\"id\":\"w1\",\"filter\":" MUCH "},{\"id\":\"w2\",\"filter\":" MUCH
                                "},{\"id\":\"w2\",\"filter\":" MUCH "}]}";
    static const struct {
        int64_t rows;
        double seconds;
        bool gone, many;
        int status;
        const char *text, *param;
    } cases[] = {
        {20000, 60, false, false, 200, "", ""},
        {11000, 60, false, false, 413, "more than 11000 rows", "\"param\":\"filter\""},
        {20000, 1e-9, false, false, 503, "longer than 1e-09 seconds", "\"param\":\"filter\""},
        {20000, 60, true, false, 503, "nobody waits", "\"param\":\"filter\""},
        {50000, 60, false, true, 200, "", ""},
        {30000, 60, false, true, 413, "more than 30000 rows", "\"param\":\"searches[2].filter\""},
    };
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(r, (struct dispatch_options){.queue_timeout_s = 60});
    put_wide_images(r);
    for (size_t i = 0; i < COUNT(cases); i++) {
        static struct asked t;
        struct buf answer = {0};
        r->app->options.query_rows = cases[i].rows;
        r->app->options.query_seconds = cases[i].seconds;
        t.task.request.gone = cases[i].gone ? has_left : NULL;
        if (cases[i].many)
            send(d, &t, METHOD_POST, "/v1/collections/default/search", "application/json", three, sizeof three - 1);
        else
            ask_much(d, &t);
        int status = finish(&t, &answer);
        if (status != cases[i].status || !strstr(answer.data, cases[i].text) || !strstr(answer.data, cases[i].param))
            fail_msg("case %zu: %d %s", i, status, answer.data);
        buf_clear(&answer);
    }
    dispatch_free(d);
    rig_close(r);
}

static void who_waited_too_long_is_refused(void **state)
{
    UNUSED(state);
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(r, (struct dispatch_options){.queue_timeout_s = 0});
    static struct asked t;
    struct buf why = {0};
    get(d, &t, "/v1/models");
    assert_int_equal(finish(&t, &why), 503);
    assert_non_null(strstr(why.data, "too long"));
    dispatch_free(d);
    buf_clear(&why);
    rig_close(r);
}

static void in_a_hurry_nothing_new_begins_and_everything_is_answered(void **state)
{
    UNUSED(state);
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(r, (struct dispatch_options){.heavy_threads = 1, .queue_timeout_s = 60});
    static struct asked upload, later;
    struct buf body = many_pictures(60);
    send(d, &upload, METHOD_POST, "/v1/embeddings", "application/json", body.data, body.len);
    usleep(20000);
    dispatch_hurry(d);
    get(d, &later, "/v1/models");
    assert_int_equal(finish(&later, NULL), 503);
    int status = finish(&upload, NULL);
    assert_true(status == 503 || status == 200); /* 200: this machine was quicker than the hurry */
    dispatch_free(d);
    buf_clear(&body);
    rig_close(r);
}

static void what_requests_take_is_measured(void **state)
{
    UNUSED(state);
    static const char *const paths[] = {"/healthz", "/v1/keys", "/v1/models/none", "/v1/models"};
    struct rig *r = rig_open();
    struct dispatch *d = open_dispatch(r, (struct dispatch_options){.queue_timeout_s = 30});
    struct asked t = {0};
    for (size_t i = 0; i < COUNT(paths); i++) { /* only the last one counts: it reads, and finds */
        for (int k = 0; k < 25; k++) {
            get(d, &t, paths[i]);
            finish(&t, NULL);
        }
        dispatch_measure(d);
        unsigned p99 = atomic_load(&r->app->demand.p99_us);
        if ((p99 > 0) != (i == 3) || p99 > 2000000)
            fail_msg("after %s: %u us", paths[i], p99);
    }
    dispatch_free(d);
    rig_close(r);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_all_kinds_go_on_at_once),
        cmocka_unit_test(each_picture_of_a_request_gets_its_own_vector),
        cmocka_unit_test(a_search_does_not_wait_behind_a_huge_upload),
        cmocka_unit_test(a_single_picture_takes_turns_with_a_huge_upload),
        cmocka_unit_test(what_does_not_fit_into_a_queue_is_refused_at_once),
        cmocka_unit_test(who_watches_the_server_has_a_thread_of_their_own),
        cmocka_unit_test(a_query_that_looks_at_much_holds_up_no_other),
        cmocka_unit_test(queries_have_limits_that_their_errors_name),
        cmocka_unit_test(who_waited_too_long_is_refused),
        cmocka_unit_test(what_requests_take_is_measured),
        cmocka_unit_test(in_a_hurry_nothing_new_begins_and_everything_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
