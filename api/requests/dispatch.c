/* dispatch.c - the stages of many calls at once.
 *
 * A task is always in one place: a queue, a thread, the store's writer, the list of those that wait to go on, or with its
 * owner.  Whoever has it moves it, so a call needs no lock.
 *
 *     dispatch_submit()   into the light queue, or refused
 *     run_stages()        on a pool's thread: stages, as long as this thread is the right one
 *     advance()           looks at what the call needs next and hands the task on:
 *         CALL_READY      to a pool
 *         CALL_IMAGES     to the heavy pool as a few turns; each embeds a picture, takes the next number, and queues again
 *         CALL_WRITES     to the writer, which calls write_done() for each
 *         CALL_GOES_ON    to its owner, who gives it back with dispatch_go_on()
 *         CALL_DONE       to its owner: done()
 *
 * A stage with many pieces counts them in `pending`.  The thread that takes the last one off has the task again; no other may
 * touch it after its own decrement, since the call may be freed by then.  That is why run_turn() takes its next picture before
 * it counts the one that is done.
 *
 * Limits are kept at the doors.  The light and query queues refuse when they are full, images are counted when a stage brings
 * them, the store's queue refuses writes.  A refusal is an error answer of the call, so there is one way out.  What is inside is
 * never refused for lack of room: a light thread that hands a call on uses pool_push(), which always takes it.
 *
 * `lengthy` work and what watches the server have pools of their own, so neither can be in the way of the rest. */
#include "api/requests/dispatch.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "api/requests/route.h"
#include "api/services/plan_cache.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/num.h"
#include "base/recent.h"

/* Computing yields to searching, and long queries to short ones: on busy cores a light thread runs as soon as it has
 * something to do. */
enum { HEAVY_NICE = 10, WATCH_QUEUE = 4096 };

struct dispatch {
    struct dispatch_options o;
    struct pool *heavy, *light, *query, *watch;
    struct work ping;
    atomic_bool pinged;
    void (*pong)(void);
    pthread_mutex_t lock;
    struct recent recent; /* what requests take */
    struct task *waiting; /* answers that go on, when they can; guarded by lock */
};

struct turn { /* one place of a call in the heavy queue; takes one image after the other */
    struct work work;
    struct task *task;
    size_t image;
    int64_t queued_at;
};

static void run_stages(struct work *w, void *state);
static void advance(struct task *task);

static struct task *task_of(struct work *w)
{
    return container_of(w, struct task, work);
}

static double seconds_since(int64_t start)
{
    return (double)(clock_ns() - start) * 1e-9;
}

/* Where the stages of a task are run that are not long. */
static struct pool *pool_of(const struct task *task)
{
    return route_is_watch(task->request.path) ? task->d->watch : task->d->light;
}

/* ---- heavy: images ---- */

static void finish_part(struct task *task)
{
    if (atomic_fetch_sub_explicit(&task->pending, 1, memory_order_acq_rel) == 1)
        pool_push(pool_of(task), &task->work);
}

static void run_image(struct dispatch *d, struct embed_item *image, struct plan_cache *plans)
{
    int64_t start = clock_ns();
    if (atomic_load_explicit(&d->o.app->demand.hurry, memory_order_relaxed)) {
        err_set(&image->err, ERR_BUSY, "the server is stopping");
    } else {
        call_image(image, plans, &d->o.app->options.limits);
        metric_observe(METRIC_embed_duration_seconds, seconds_since(start), NULL);
    }
    metric_add(METRIC_images_embedded_total, 1, image->err.code ? "failed" : "ok", NULL);
}

static void run_turn(struct work *w, void *state)
{
    struct turn *t = container_of(w, struct turn, work);
    struct task *task = t->task;
    struct dispatch *d = task->d;

    metric_observe(METRIC_queue_wait_seconds, seconds_since(t->queued_at), "heavy");
    run_image(d, &task->call.images[t->image], state);
    demand_image_done(&d->o.app->demand, !task->call.images[t->image].err.code);
    t->image = atomic_fetch_add_explicit(&task->next_image, 1, memory_order_relaxed);
    if (t->image < task->call.n_images) { /* before the image that is done counts as such: the call must live */
        t->queued_at = clock_ns();
        pool_push(d->heavy, &t->work);
    }
    finish_part(task);
}

static bool admit_images(struct dispatch *d, size_t n, struct err *e)
{
    return demand_add_images(&d->o.app->demand, n, d->o.heavy_queue) ||
           err_set(e, ERR_BUSY, "the server is at capacity; try again");
}

static bool queue_images(struct task *task, struct err *e)
{
    struct call *c = &task->call;
    struct dispatch *d = task->d;
    size_t turns = min_size(c->n_images, d->o.heavy_threads);
    if (!admit_images(d, c->n_images, e))
        return false;
    struct turn *t = arena_new(&c->arena, turns, sizeof *t);
    atomic_store_explicit(&task->pending, c->n_images, memory_order_relaxed);
    atomic_store_explicit(&task->next_image, turns, memory_order_relaxed);
    for (size_t i = 0; i < turns; i++)
        t[i] = (struct turn){{.run = run_turn}, task, i, clock_ns()};
    for (size_t i = 0; i < turns; i++)
        pool_push(d->heavy, &t[i].work);
    return true;
}

/* ---- writes ---- */

static void write_done(struct write *w)
{
    struct task *task = w->user;
    if (atomic_fetch_sub_explicit(&task->pending, 1, memory_order_acq_rel) != 1)
        return;
    call_step(&task->call); /* only renders, so it may be done here, on the writer's thread */
    advance(task);
}

static bool submit_writes(struct task *task, struct err *e)
{
    struct call *c = &task->call;
    for (size_t i = 0; i < c->n_writes; i++) {
        c->writes[i]->done = write_done;
        c->writes[i]->user = task;
    }
    atomic_store_explicit(&task->pending, c->n_writes, memory_order_relaxed);
    return store_submit(task->d->o.app->store, c->writes, c->n_writes, e);
}

/* ---- the stages ---- */

/* Hands the call to whoever does what it waits for.  After a true return the task belongs to them. */
static bool hand_on(struct task *task, struct err *e)
{
    struct work *w = &task->work;
    switch (task->call.state) {
    case CALL_READY:
        if (task->call.lengthy)
            return pool_add(task->d->query, &w, 1, e);
        pool_push(task->call.heavy ? task->d->heavy : pool_of(task), w);
        return true;
    case CALL_IMAGES: return queue_images(task, e);
    case CALL_WRITES: return submit_writes(task, e);
    case CALL_GOES_ON: dispatch_go_on(task->d, task); return true;
    default: return false;
    }
}

/* There is something for its owner to send. */
static bool has_answer(const struct call *c)
{
    return c->state == CALL_DONE || (c->state == CALL_GOES_ON && (!c->response.begun || c->response.body.len > 0));
}

/* Only those whose time is ours to shorten: a batch is long by itself, a write waits for the disk. */
static void note_time(struct task *task)
{
    const struct call *c = &task->call;
    if (c->route && c->route->role == ROLE_READ && c->n_images <= 1 && c->response.status < 400 && !c->response.begun)
        recent_add(&task->d->recent, clock_ns() - task->queued_at);
}

static void advance(struct task *task)
{
    struct err e = {0};
    if (!has_answer(&task->call)) {
        if (hand_on(task, &e))
            return;
        call_refuse(&task->call, &e);
    }
    note_time(task);
    task->done(task);
}

static bool waited_too_long(const struct task *task, struct err *e)
{
    const struct dispatch *d = task->d;
    if (atomic_load_explicit(&d->o.app->demand.hurry, memory_order_relaxed))
        return !err_set(e, ERR_BUSY, "the server is stopping");
    if (clock_ns() - task->queued_at > d->o.queue_timeout_s * 1000000000)
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
    struct task *task = task_of(w);
    struct call *c = &task->call;
    struct err e = {0};
    UNUSED(state);

    if (!task->begun) {
        task->begun = true;
        metric_observe(METRIC_queue_wait_seconds, seconds_since(task->queued_at), "light");
        call_begin(c, task->d->o.app, &task->request);
        if (c->state == CALL_DONE) {
            advance(task);
            return;
        }
        if (waited_too_long(task, &e)) {
            call_refuse(c, &e);
            advance(task);
            return;
        }
        if (is_elsewhere(c)) { /* the light thread only looked at it */
            advance(task);
            return;
        }
    } else if (c->lengthy && waited_too_long(task, &e)) {
        call_refuse(c, &e);
        advance(task);
        return;
    }
    do
        call_step(c);
    while (c->state == CALL_READY && !is_elsewhere(c));
    advance(task);
}

void dispatch_submit(struct dispatch *d, struct task *task)
{
    struct err e = {0};
    struct work *w = &task->work;
    task->d = d;
    task->begun = false;
    task->queued_at = clock_ns();
    task->work.run = run_stages;
    if (pool_add(pool_of(task), &w, 1, &e))
        return;
    task->call = (struct call){.app = d->o.app, .request = &task->request};
    call_refuse(&task->call, &e);
    task->done(task);
}

/* ---- answers that go on ---- */

void dispatch_go_on(struct dispatch *d, struct task *task)
{
    if (!demand_is_draining(&d->o.app->demand) && call_is_ready(&task->call)) {
        pool_push(d->light, &task->work);
        return;
    }
    pthread_mutex_lock(&d->lock);
    task->next_waiting = d->waiting;
    d->waiting = task;
    pthread_mutex_unlock(&d->lock);
}

void dispatch_wake(struct dispatch *d)
{
    bool ending = demand_is_draining(&d->o.app->demand);
    pthread_mutex_lock(&d->lock);
    struct task *task = d->waiting, *next;
    d->waiting = NULL;
    pthread_mutex_unlock(&d->lock);
    for (; task; task = next) {
        next = task->next_waiting;
        if (ending)
            task->done(task);
        else if (call_is_ready(&task->call))
            pool_push(d->light, &task->work);
        else
            dispatch_go_on(d, task);
    }
}

/* ---- the queues ---- */

static void *open_plans(void *context)
{
    UNUSED(context);
    return plan_cache_new();
}

static void close_plans(void *state)
{
    plan_cache_free(state);
}

struct dispatch *dispatch_new(const struct dispatch_options *o, struct err *e)
{
    struct dispatch *d = mem_new(1, sizeof *d);
    d->o = *o;
    pthread_mutex_init(&d->lock, NULL);
    d->heavy = pool_new(&(struct pool_options){.name = "heavy",
                                               .threads = o->heavy_threads,
                                               .capacity = o->heavy_queue,
                                               .thread_open = open_plans,
                                               .thread_close = close_plans,
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
    atomic_store(&d->o.app->demand.hurry, true);
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
    metric_set(METRIC_queue_waiting, (double)atomic_load(&d->o.app->demand.images), "heavy", NULL);
    metric_set(METRIC_queue_waiting, (double)pool_waiting(d->light), "light", NULL);
    metric_set(METRIC_queue_waiting, (double)pool_waiting(d->query), "query", NULL);
    metric_set(METRIC_answer_memory_bytes, (double)atomic_load(&d->o.app->answers.used), NULL, NULL);
    double p99 = recent_p99(&d->recent, clock_ns());
    metric_set(METRIC_recent_p99_seconds, p99, NULL, NULL);
    atomic_store_explicit(&d->o.app->demand.p99_us, (unsigned)(p99 * 1e6), memory_order_relaxed);
}
