/* thread.h - named threads, and one that sleeps until it is called, until a time has come, or until it is to stop.
 *
 *     sleeper_open(&s);
 *     if (!sleeper_start(&s, "deadline", run, arg, e)) ...
 *         while (!sleeper_is_stopped(&s)) { work(); sleeper_sleep(&s, 200); }      (in the thread)
 *     sleeper_call(&s);                                                           (from any thread)
 *     sleeper_stop(&s);
 *     sleeper_close(&s);
 *
 * Times are those of clock_ns().
 */
#ifndef ANCHORD_BASE_THREAD_H
#define ANCHORD_BASE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

/* Starts a thread that is to be joined (or detached).  The name has 15 characters at most.  ERR_BUSY: there is none. */
MUST_CHECK bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg, struct err *e);
/* Makes the calling thread give way as `nice` says, or leaves it at more: root's could go up again. */
void thread_nice(int nice);

/* A condition that can be waited for up to a time. */
void cond_init(pthread_cond_t *c);
/* As pthread_cond_wait(); false: the time has come. */
bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until);

struct sleeper {
    pthread_mutex_t lock; /* its owner may guard with it what the thread shares with others */
    pthread_cond_t wake;
    pthread_t thread;
    bool started;        /* the thread is to be joined */
    bool called;         /* under the lock */
    atomic_bool stopped; /* set under the lock */
};
void sleeper_open(struct sleeper *s);
/* Where an earlier thread has ended by itself, it is joined first. */
MUST_CHECK bool sleeper_start(struct sleeper *s, const char *name, void *(*run)(void *arg), void *arg, struct err *e);
void sleeper_call(struct sleeper *s);
void sleeper_stop(struct sleeper *s); /* waits until the thread has ended */
void sleeper_close(struct sleeper *s);

/* For the thread.  Returns when it is to stop, when `ms` have passed, or when it was called since it last slept: true. */
bool sleeper_sleep(struct sleeper *s, int64_t ms);
/* The same, but calls wait until the next sleep. */
void sleeper_pause(struct sleeper *s, int64_t ms);
static inline bool sleeper_is_stopped(struct sleeper *s)
{
    return atomic_load(&s->stopped);
}

#endif
