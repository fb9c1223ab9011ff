/* deadline.c - a list under a mutex, and the thread that walks it. */
#include "server/http/deadline.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"

enum {
    TICK_NS = 200 * 1000 * 1000,
    NS = 1000 * 1000 * 1000,
    GRACE_NS = NS /* from the last word to a client until it is cut */
};

struct deadlines {
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t wake; /* on the monotonic clock */
    struct deadlines_options o;
    /* guarded by mu */
    struct deadline *first;
    int64_t end; /* 0: none */
    bool closing;
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
    c->cut_at = now + GRACE_NS;
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
    struct timespec until;
    pthread_mutex_lock(&d->mu);
    while (!d->closing) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_NS;
        until.tv_sec += until.tv_nsec / NS;
        until.tv_nsec %= NS;
        pthread_cond_timedwait(&d->wake, &d->mu, &until);
        cut_late_locked(d);
        pthread_mutex_unlock(&d->mu);
        if (d->o.tick)
            d->o.tick(d->o.context);
        pthread_mutex_lock(&d->mu);
    }
    pthread_mutex_unlock(&d->mu);
    return NULL;
}

struct deadlines *deadlines_new(const struct deadlines_options *o, struct err *e)
{
    struct deadlines *d = mem_new(1, sizeof *d);
    pthread_condattr_t attr;
    d->o = *o;
    pthread_mutex_init(&d->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&d->thread, NULL, watch, d) != 0) {
        err_set(e, ERR_INTERNAL, "cannot start the thread that cuts slow clients");
        free(d);
        return NULL;
    }
    pthread_setname_np(d->thread, "deadline");
    return d;
}

void deadlines_free(struct deadlines *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->mu);
    d->closing = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->mu);
    pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->mu);
    free(d);
}

void deadlines_end(struct deadlines *d, int64_t at)
{
    pthread_mutex_lock(&d->mu);
    d->end = at > 1 ? at : 1;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->mu);
}

void deadline_watch(struct deadlines *d, struct deadline *c, int fd, int64_t due)
{
    c->fd = fd;
    c->cut_at = 0;
    atomic_store(&c->due, due & ~(int64_t)1);
    pthread_mutex_lock(&d->mu);
    c->prev = NULL;
    c->next = d->first;
    if (d->first)
        d->first->prev = c;
    d->first = c;
    pthread_mutex_unlock(&d->mu);
}

void deadline_forget(struct deadlines *d, struct deadline *c)
{
    pthread_mutex_lock(&d->mu);
    if (c->prev)
        c->prev->next = c->next;
    else
        d->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&d->mu);
}

void deadlines_settle(struct deadlines *d)
{
    pthread_mutex_lock(&d->mu); /* which is held as long as anybody is told */
    pthread_mutex_unlock(&d->mu);
}

int64_t deadline_of_transfer(int64_t start, int64_t floor_s, uint64_t bytes, int64_t rate)
{
    double seconds = (double)bytes / (double)rate;
    double least = (double)floor_s;
    return start + (int64_t)((seconds > least ? seconds : least) * 1e9);
}
