/* pool.c - threads, a list, a mutex, a condition. */
#include "base/pool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

struct pool {
    struct pool_options o;
    pthread_t *threads;
    size_t started;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    /* guarded by mu */
    struct work *first, **last;
    size_t waiting;
    bool closing;
};

static void *thread_main(void *arg)
{
    struct pool *p = arg;
    thread_nice(p->o.nice);
    void *state = p->o.thread_open ? p->o.thread_open(p->o.context) : NULL;
    pthread_mutex_lock(&p->mu);
    for (;;) {
        while (!p->first && !p->closing)
            pthread_cond_wait(&p->wake, &p->mu);
        struct work *w = p->first;
        if (!w)
            break;
        p->first = w->next;
        if (!p->first)
            p->last = &p->first;
        p->waiting--;
        pthread_mutex_unlock(&p->mu);
        w->run(w, state);
        pthread_mutex_lock(&p->mu);
    }
    pthread_mutex_unlock(&p->mu);
    if (p->o.thread_close)
        p->o.thread_close(state);
    return NULL;
}

struct pool *pool_new(const struct pool_options *o, struct err *e)
{
    struct pool *p = mem_new(1, sizeof *p);
    p->o = *o;
    p->threads = mem_new(o->threads, sizeof *p->threads);
    p->last = &p->first;
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (size_t i = 0; i < o->threads; i++) {
        char name[16];
        snprintf(name, sizeof name, "%.10s-%zu", o->name, i);
        if (!thread_start(&p->threads[i], name, thread_main, p, e)) {
            pool_free(p);
            return NULL;
        }
        p->started++;
    }
    return p;
}

static void append_locked(struct pool *p, struct work *w)
{
    w->next = NULL;
    *p->last = w;
    p->last = &w->next;
    p->waiting++;
    pthread_cond_signal(&p->wake);
}

bool pool_add(struct pool *p, struct work *const *works, size_t n, struct err *e)
{
    pthread_mutex_lock(&p->mu);
    bool fits = !p->closing && n <= p->o.capacity && p->waiting <= p->o.capacity - n;
    for (size_t i = 0; fits && i < n; i++)
        append_locked(p, works[i]);
    pthread_mutex_unlock(&p->mu);
    return fits || err_set(e, ERR_BUSY, "the server is at capacity; try again");
}

void pool_push(struct pool *p, struct work *w)
{
    pthread_mutex_lock(&p->mu);
    append_locked(p, w);
    pthread_mutex_unlock(&p->mu);
}

size_t pool_waiting(struct pool *p)
{
    pthread_mutex_lock(&p->mu);
    size_t n = p->waiting;
    pthread_mutex_unlock(&p->mu);
    return n;
}

size_t pool_threads(const struct pool *p)
{
    return p->o.threads;
}

/* One call of pool_each(): items are dealt out by a counter, so that one slow item holds up nobody. */
struct deal {
    size_t n;
    void (*each)(size_t i, size_t slot, void *context);
    void *context;
    _Atomic size_t next;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    size_t running; /* guarded by mu */
};

struct dealer {
    struct work work;
    struct deal *deal;
    size_t slot;
};

static void deal_items(struct work *w, void *thread_state)
{
    (void)thread_state;
    struct dealer *own = (struct dealer *)w;
    struct deal *d = own->deal;
    for (size_t i; (i = atomic_fetch_add(&d->next, 1)) < d->n;)
        d->each(i, own->slot, d->context);
    pthread_mutex_lock(&d->mu);
    d->running--;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->mu);
}

static void wait_for_dealers(struct deal *d, void (*tick)(size_t done, size_t n, void *context))
{
    pthread_mutex_lock(&d->mu);
    while (d->running) {
        cond_wait_until(&d->wake, &d->mu, clock_ns() + NS_A_SECOND);
        size_t dealt = atomic_load(&d->next);
        if (tick && d->running)
            tick(dealt < d->n ? dealt : d->n, d->n, d->context);
    }
    pthread_mutex_unlock(&d->mu);
}

void pool_each(struct pool *p, size_t n, void (*each)(size_t i, size_t slot, void *context),
               void (*tick)(size_t done, size_t n, void *context), void *context)
{
    struct deal d = {.n = n, .each = each, .context = context, .running = p ? p->o.threads : 0};
    struct dealer *dealers = mem_new(d.running, sizeof *dealers);
    pthread_mutex_init(&d.mu, NULL);
    cond_init(&d.wake);
    for (size_t i = 0; p && i < p->o.threads; i++) {
        dealers[i] = (struct dealer){{.run = deal_items}, &d, i};
        pool_push(p, &dealers[i].work);
    }
    for (size_t i = 0; !p && i < n; i++)
        each(i, 0, context);
    wait_for_dealers(&d, tick);
    if (tick)
        tick(n, n, context);
    pthread_cond_destroy(&d.wake);
    pthread_mutex_destroy(&d.mu);
    free(dealers);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mu);
    p->closing = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mu);
    for (size_t i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mu);
    free(p->threads);
    free(p);
}
