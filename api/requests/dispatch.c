/* dispatch.c - the stages of many calls at once. */
#include "api/requests/dispatch.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "api/requests/route.h"
#include "api/services/lanes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/num.h"
#include "base/recent.h"

/* Computing yields to searching, and long questions to short ones: on busy cores a light thread runs as soon as it has
 * something to do. */
enum { HEAVY_NICE = 10, WATCH_QUEUE = 4096 };

struct dispatch {
    struct dispatch_options o;
    struct pool *heavy, *light, *query, *watch;
    atomic_bool hurry;
    struct work ping;
    atomic_bool pinged;
    void (*pong)(void);
    pthread_mutex_t lock;
    struct recent recent;   /* what requests take */
    struct errand *waiting; /* answers that go on, when they can; guarded by lock */
};

struct turn { /* one place of a call in the heavy queue; takes one image after the other */
    struct work work;
    struct errand *errand;
    size_t image;
    int64_t queued_at;
};

static void run_stages(struct work *w, void *state);
static void advance(struct errand *j);

static struct errand *errand_of(struct work *w)
{
    return container_of(w, struct errand, work);
}

static double seconds_since(int64_t start)
{
    return (double)(clock_ns() - start) * 1e-9;
}

/* Where the stages of an errand are run that are not long. */
static struct pool *lane_of(const struct errand *j)
{
    return route_is_watch(j->request.path) ? j->d->watch : j->d->light;
}

/* ---- heavy: images ---- */

static void finish_task(struct errand *j)
{
    if (atomic_fetch_sub_explicit(&j->pending, 1, memory_order_acq_rel) == 1)
        pool_push(lane_of(j), &j->work);
}

static void run_image(struct dispatch *d, struct image_job *image, struct lanes *lanes)
{
    int64_t start = clock_ns();
    if (atomic_load_explicit(&d->hurry, memory_order_relaxed)) {
        err_set(&image->err, ERR_BUSY, "the server is stopping");
    } else {
        call_image(image, lanes, &d->o.app->options.limits);
        metric_observe(METRIC_embed_duration_seconds, seconds_since(start), NULL);
        if (!image->err.code)
            atomic_store_explicit(&d->o.app->embedded_at, clock_ns(), memory_order_relaxed);
    }
    metric_add(METRIC_images_embedded_total, 1, image->err.code ? "failed" : "ok", NULL);
}

static void run_turn(struct work *w, void *state)
{
    struct turn *t = container_of(w, struct turn, work);
    struct errand *j = t->errand;
    struct dispatch *d = j->d;

    metric_observe(METRIC_queue_wait_seconds, seconds_since(t->queued_at), "heavy");
    run_image(d, &j->call.images[t->image], state);
    atomic_fetch_sub_explicit(&d->o.app->embedding, 1, memory_order_relaxed);
    t->image = atomic_fetch_add_explicit(&j->next_image, 1, memory_order_relaxed);
    if (t->image < j->call.n_images) { /* before the image that is done counts as such: the call must live */
        t->queued_at = clock_ns();
        pool_push(d->heavy, &t->work);
    }
    finish_task(j);
}

static bool admit_images(struct dispatch *d, size_t n, struct err *e)
{
    if (atomic_fetch_add_explicit(&d->o.app->embedding, n, memory_order_relaxed) + n <= d->o.heavy_queue)
        return true;
    atomic_fetch_sub_explicit(&d->o.app->embedding, n, memory_order_relaxed);
    return err_set(e, ERR_BUSY, "the server is at capacity; try again");
}

static bool queue_images(struct errand *j, struct err *e)
{
    struct call *c = &j->call;
    struct dispatch *d = j->d;
    size_t turns = min_size(c->n_images, d->o.heavy_threads);
    if (!admit_images(d, c->n_images, e))
        return false;
    struct turn *t = arena_new(&c->arena, turns, sizeof *t);
    atomic_store_explicit(&j->pending, c->n_images, memory_order_relaxed);
    atomic_store_explicit(&j->next_image, turns, memory_order_relaxed);
    for (size_t i = 0; i < turns; i++)
        t[i] = (struct turn){{.run = run_turn}, j, i, clock_ns()};
    for (size_t i = 0; i < turns; i++)
        pool_push(d->heavy, &t[i].work);
    return true;
}

/* ---- writes ---- */

static void write_done(struct write *w)
{
    struct errand *j = w->user;
    if (atomic_fetch_sub_explicit(&j->pending, 1, memory_order_acq_rel) != 1)
        return;
    call_step(&j->call); /* only renders, so it may be done here, on the writer's thread */
    advance(j);
}

static bool submit_writes(struct errand *j, struct err *e)
{
    struct call *c = &j->call;
    for (size_t i = 0; i < c->n_writes; i++) {
        c->writes[i]->done = write_done;
        c->writes[i]->user = j;
    }
    atomic_store_explicit(&j->pending, c->n_writes, memory_order_relaxed);
    return store_submit(j->d->o.app->store, c->writes, c->n_writes, e);
}

/* ---- the stages ---- */

/* Hands the call to whoever does what it waits for.  After a true return the errand belongs to them. */
static bool hand_on(struct errand *j, struct err *e)
{
    struct work *w = &j->work;
    switch (j->call.state) {
    case CALL_READY:
        if (j->call.lengthy)
            return pool_add(j->d->query, &w, 1, e);
        pool_push(j->call.heavy ? j->d->heavy : lane_of(j), w);
        return true;
    case CALL_IMAGES: return queue_images(j, e);
    case CALL_WRITES: return submit_writes(j, e);
    case CALL_GOES_ON: dispatch_go_on(j->d, j); return true;
    default: return false;
    }
}

/* There is something for its owner to send. */
static bool has_answer(const struct call *c)
{
    return c->state == CALL_DONE || (c->state == CALL_GOES_ON && (!c->response.begun || c->response.body.len > 0));
}

/* Only those whose time is ours to shorten: a batch is long by itself, a write waits for the disk. */
static void note_time(struct errand *j)
{
    const struct call *c = &j->call;
    if (c->route && c->route->role == ROLE_READ && c->n_images <= 1 && c->response.status < 400 && !c->response.begun)
        recent_add(&j->d->recent, clock_ns() - j->queued_at);
}

static void advance(struct errand *j)
{
    struct err e = {0};
    if (!has_answer(&j->call)) {
        if (hand_on(j, &e))
            return;
        call_refuse(&j->call, &e);
    }
    note_time(j);
    j->done(j);
}

static bool waited_too_long(const struct errand *j, struct err *e)
{
    const struct dispatch *d = j->d;
    if (atomic_load_explicit(&d->hurry, memory_order_relaxed))
        return !err_set(e, ERR_BUSY, "the server is stopping");
    if (clock_ns() - j->queued_at > d->o.queue_timeout_s * 1000000000)
        return !err_set(e, ERR_BUSY, "the request waited too long for its turn; try again");
    return false;
}

static bool is_elsewhere(const struct call *c)
{
    return c->heavy || c->lengthy;
}

/* The thread is the right one for the call's next stage: as many stages as this thread may do. */
static void run_stages(struct work *w, void *state)
{
    struct errand *j = errand_of(w);
    struct call *c = &j->call;
    struct err e = {0};
    UNUSED(state);

    if (!j->begun) {
        j->begun = true;
        metric_observe(METRIC_queue_wait_seconds, seconds_since(j->queued_at), "light");
        call_begin(c, j->d->o.app, &j->request);
        if (c->state == CALL_DONE) {
            advance(j);
            return;
        }
        if (waited_too_long(j, &e)) {
            call_refuse(c, &e);
            advance(j);
            return;
        }
        if (is_elsewhere(c)) { /* the light thread only looked at it */
            advance(j);
            return;
        }
    } else if (c->lengthy && waited_too_long(j, &e)) {
        call_refuse(c, &e);
        advance(j);
        return;
    }
    do
        call_step(c);
    while (c->state == CALL_READY && !is_elsewhere(c));
    advance(j);
}

void dispatch_submit(struct dispatch *d, struct errand *j)
{
    struct err e = {0};
    struct work *w = &j->work;
    j->d = d;
    j->begun = false;
    j->queued_at = clock_ns();
    j->work.run = run_stages;
    if (pool_add(lane_of(j), &w, 1, &e))
        return;
    j->call = (struct call){.app = d->o.app, .request = &j->request};
    call_refuse(&j->call, &e);
    j->done(j);
}

/* ---- answers that go on ---- */

void dispatch_go_on(struct dispatch *d, struct errand *j)
{
    if (!atomic_load(&d->o.app->draining) && call_is_ready(&j->call)) {
        pool_push(d->light, &j->work);
        return;
    }
    pthread_mutex_lock(&d->lock);
    j->next_waiting = d->waiting;
    d->waiting = j;
    pthread_mutex_unlock(&d->lock);
}

void dispatch_wake(struct dispatch *d)
{
    bool ending = atomic_load(&d->o.app->draining);
    pthread_mutex_lock(&d->lock);
    struct errand *j = d->waiting, *next;
    d->waiting = NULL;
    pthread_mutex_unlock(&d->lock);
    for (; j; j = next) {
        next = j->next_waiting;
        if (ending)
            j->done(j);
        else if (call_is_ready(&j->call))
            pool_push(d->light, &j->work);
        else
            dispatch_go_on(d, j);
    }
}

/* ---- the queues ---- */

static void *open_lanes(void *context)
{
    UNUSED(context);
    return lanes_new();
}

static void close_lanes(void *state)
{
    lanes_free(state);
}

struct dispatch *dispatch_new(const struct dispatch_options *o, struct err *e)
{
    struct dispatch *d = mem_new(1, sizeof *d);
    d->o = *o;
    pthread_mutex_init(&d->lock, NULL);
    d->heavy = pool_new(&(struct pool_options){.name = "heavy",
                                               .threads = o->heavy_threads,
                                               .capacity = o->heavy_queue,
                                               .thread_open = open_lanes,
                                               .thread_close = close_lanes,
                                               .nice = HEAVY_NICE},
                        e);
    d->light =
        pool_new(&(struct pool_options){.name = "light", .threads = o->light_threads, .capacity = o->light_queue}, e);
    d->query = pool_new(
        &(struct pool_options){
            .name = "query", .threads = o->query_threads, .capacity = o->query_queue, .nice = HEAVY_NICE},
        e);
    d->watch = pool_new(&(struct pool_options){.name = "watch", .threads = 1, .capacity = WATCH_QUEUE}, e);
    if (d->heavy && d->light && d->query && d->watch)
        return d;
    dispatch_free(d);
    return NULL;
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    pool_free(d->heavy);
    pool_free(d->light);
    pool_free(d->query);
    pool_free(d->watch);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void dispatch_hurry(struct dispatch *d)
{
    atomic_store(&d->hurry, true);
    atomic_store(&d->o.app->hurry, true);
}

static void answer_ping(struct work *w, void *state)
{
    struct dispatch *d = container_of(w, struct dispatch, ping);
    UNUSED(state);
    d->pong();
    atomic_store(&d->pinged, false);
}

void dispatch_ping(struct dispatch *d, void (*pong)(void))
{
    if (atomic_exchange(&d->pinged, true))
        return;
    d->pong = pong;
    d->ping.run = answer_ping;
    pool_push(d->light, &d->ping);
}

void dispatch_measure(struct dispatch *d)
{
    metric_set(METRIC_queue_waiting, (double)atomic_load(&d->o.app->embedding), "heavy", NULL);
    metric_set(METRIC_queue_waiting, (double)pool_waiting(d->light), "light", NULL);
    metric_set(METRIC_queue_waiting, (double)pool_waiting(d->query), "query", NULL);
    metric_set(METRIC_answer_memory_bytes, (double)atomic_load(&d->o.app->answers.used), NULL, NULL);
    double p99 = recent_p99(&d->recent, clock_ns());
    metric_set(METRIC_recent_p99_seconds, p99, NULL, NULL);
    atomic_store_explicit(&d->o.app->recent_p99_us, (unsigned)(p99 * 1e6), memory_order_relaxed);
}
