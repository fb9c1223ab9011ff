/* deadline.c - a list under a mutex, and the thread that walks it. */
#include "server/http/deadline.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"

enum { TICK_MS = 200 };
static const int64_t grace_ns = NS_A_SECOND; /* from the last word to a client until it is cut */

struct deadlines {
    struct sleeper sleeper;
    struct deadlines_options o;
    /* guarded by the sleeper's lock */
    struct deadline *first;
    int64_t end; /* 0: none */
};

/* When the client has to have done its part; the server's own work has no end. */
static int64_t due_locked(const struct deadlines *d, int64_t due)
{
    if (!d->end || due >= DEADLINE_NEVER - 1)
        return due;
    return (due & LATE_ANSWER) ? 0 : due < d->end ? due : d->end;
}

/* Who was told may read that in peace: what it sends meanwhile must not make the kernel reset the connection. */
static void tell_locked(struct deadlines *d, struct deadline *c, int64_t now)
{
    d->o.late(d->o.context, c);
    shutdown(c->fd, SHUT_WR);
    c->cut_at = now + grace_ns;
}

static void cut_late_locked(struct deadlines *d)
{
    int64_t now = clock_ns();
    for (struct deadline *c = d->first; c; c = c->next) {
        int64_t due = atomic_load(&c->due);
        bool answer = (due & LATE_ANSWER) && d->o.late;
        if (due <= DEADLINE_PASSED + 1) { /* given up already */
            if (c->cut_at && c->cut_at <= now) {
                shutdown(c->fd, SHUT_RDWR);
                c->cut_at = 0;
            }
            continue;
        }
        if (due_locked(d, due) > now ||
            !atomic_compare_exchange_strong(&c->due, &due, DEADLINE_PASSED + (answer ? LATE_ANSWER : LATE_CUT)))
            continue; /* in time, or just now in time */
        if (answer)
            tell_locked(d, c, now);
        else
            shutdown(c->fd, SHUT_RDWR);
        metric_add(METRIC_http_connections_cut_total, 1, d->end ? "stopping" : "slow", NULL);
    }
}

static void *watch(void *arg)
{
    struct deadlines *d = arg;
    while (!sleeper_is_stopped(&d->sleeper)) {
        sleeper_sleep(&d->sleeper, TICK_MS);
        pthread_mutex_lock(&d->sleeper.lock);
        cut_late_locked(d);
        pthread_mutex_unlock(&d->sleeper.lock);
        if (d->o.tick)
            d->o.tick(d->o.context);
    }
    return NULL;
}

struct deadlines *deadlines_new(const struct deadlines_options *o, struct err *e)
{
    struct deadlines *d = mem_new(1, sizeof *d);
    d->o = *o;
    sleeper_open(&d->sleeper);
    if (sleeper_start(&d->sleeper, "deadline", watch, d, e))
        return d;
    deadlines_free(d);
    return NULL;
}

void deadlines_free(struct deadlines *d)
{
    if (!d)
        return;
    sleeper_stop(&d->sleeper);
    sleeper_close(&d->sleeper);
    free(d);
}

void deadlines_end(struct deadlines *d, int64_t at)
{
    pthread_mutex_lock(&d->sleeper.lock);
    d->end = at > 1 ? at : 1;
    pthread_mutex_unlock(&d->sleeper.lock);
    sleeper_call(&d->sleeper);
}

void deadline_watch(struct deadlines *d, struct deadline *c, int fd, int64_t due)
{
    c->fd = fd;
    c->cut_at = 0;
    atomic_store(&c->due, due & ~(int64_t)1);
    pthread_mutex_lock(&d->sleeper.lock);
    c->prev = NULL;
    c->next = d->first;
    if (d->first)
        d->first->prev = c;
    d->first = c;
    pthread_mutex_unlock(&d->sleeper.lock);
}

void deadline_forget(struct deadlines *d, struct deadline *c)
{
    pthread_mutex_lock(&d->sleeper.lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        d->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&d->sleeper.lock);
}

void deadlines_settle(struct deadlines *d)
{
    pthread_mutex_lock(&d->sleeper.lock); /* which is held as long as anybody is told */
    pthread_mutex_unlock(&d->sleeper.lock);
}

int64_t deadline_of_transfer(int64_t start, int64_t floor_s, uint64_t bytes, int64_t rate)
{
    double seconds = (double)bytes / (double)rate;
    double least = (double)floor_s;
    return start + (int64_t)((seconds > least ? seconds : least) * 1e9);
}
