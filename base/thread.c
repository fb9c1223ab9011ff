/* thread.c - pthreads, with names, and with conditions on the monotonic clock. */
#include "base/thread.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg, struct err *e)
{
    if (pthread_create(thread, NULL, run, arg) != 0)
        return err_set(e, ERR_BUSY, "the system has no thread for: %s", name);
    pthread_setname_np(*thread, name);
    return true;
}

void thread_nice(int nice)
{
    if (nice > getpriority(PRIO_PROCESS, 0)) /* this thread's */
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
}

void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(c, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until)
{
    return pthread_cond_timedwait(c, lock, &(struct timespec){until / NS_A_SECOND, until % NS_A_SECOND}) == 0;
}

void sleeper_open(struct sleeper *s)
{
    *s = (struct sleeper){0};
    pthread_mutex_init(&s->lock, NULL);
    cond_init(&s->wake);
}

bool sleeper_start(struct sleeper *s, const char *name, void *(*run)(void *arg), void *arg, struct err *e)
{
    if (s->started)
        pthread_join(s->thread, NULL);
    return s->started = thread_start(&s->thread, name, run, arg, e);
}

void sleeper_call(struct sleeper *s)
{
    pthread_mutex_lock(&s->lock);
    s->called = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void sleeper_stop(struct sleeper *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->stopped, true);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->started)
        pthread_join(s->thread, NULL);
    s->started = false;
}

void sleeper_close(struct sleeper *s)
{
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
}

static bool wait_for_call(struct sleeper *s, int64_t ms, bool heed)
{
    int64_t until = clock_ns() + ms * 1000000;
    pthread_mutex_lock(&s->lock);
    while (!s->stopped && !(heed && s->called) && cond_wait_until(&s->wake, &s->lock, until))
        ;
    bool called = heed && s->called;
    if (heed)
        s->called = false;
    pthread_mutex_unlock(&s->lock);
    return called;
}

bool sleeper_sleep(struct sleeper *s, int64_t ms)
{
    return wait_for_call(s, ms, true);
}

void sleeper_pause(struct sleeper *s, int64_t ms)
{
    wait_for_call(s, ms, false);
}
