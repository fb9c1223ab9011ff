/* vindex_thread.c - the builder's thread: there while there is work, at the lowest priority. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "index/vectors/segment.h"
#include "index/vectors/vindex_parts.h"

enum { NICE = 19, QUIET_S = 1, RETRY_S = 10 };

void builder_open(struct builder *b)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&b->lock, NULL);
}

/* Does all that is due.  The file follows when the graph has doubled since; else when it is quiet. */
static bool build_all(struct vindex *x)
{
    struct builder *b = &x->builder;
    struct err e = {0};
    while (!atomic_load(&b->stop) && vindex_build_step(x, &e))
        vindex_save(x, true);
    if (e.code && !atomic_load(&b->stop))
        log_error("index_build", "generation=%lld error=\"%s\"", (long long)x->o.generation, e.text);
    return e.code == ERR_NONE;
}

/* Waits until called (when calls are heeded), told to stop, or `seconds` have gone.  True when called. */
static bool wait_for_call(struct builder *b, int seconds, bool heed_calls)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&b->lock);
    while (!(heed_calls && b->called) && !atomic_load(&b->stop) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&b->wake, &b->lock, &until);
    bool called = b->called;
    b->called = false;
    pthread_mutex_unlock(&b->lock);
    return called;
}

/* Ends the thread's life unless work has come up meanwhile. */
static bool may_end(struct vindex *x)
{
    struct builder *b = &x->builder;
    pthread_mutex_lock(&b->lock);
    bool end = atomic_load(&b->stop) || !vindex_build_due(x);
    b->running = !end;
    pthread_mutex_unlock(&b->lock);
    return end;
}

static void *builder_main(void *arg)
{
    struct vindex *x = arg;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    for (;;) {
        while (!build_all(x) && !atomic_load(&x->builder.stop))
            wait_for_call(&x->builder, RETRY_S, false);
        if (wait_for_call(&x->builder, QUIET_S, true))
            continue;
        if (!atomic_load(&x->builder.stop))
            vindex_save(x, false);
        if (may_end(x))
            return NULL;
    }
}

/* The builder's lock is held; no thread runs. */
static void start(struct vindex *x)
{
    struct builder *b = &x->builder;
    if (b->started)
        pthread_join(b->thread, NULL); /* it has said that it ends */
    b->started = b->running = pthread_create(&b->thread, NULL, builder_main, x) == 0;
    if (!b->started)
        log_error("index_build", "cannot start a thread");
}

void builder_call(struct vindex *x)
{
    struct builder *b = &x->builder;
    if (!x->o.background || !vindex_build_due(x))
        return;
    pthread_mutex_lock(&b->lock);
    if (b->running) {
        b->called = true;
        pthread_cond_signal(&b->wake);
    } else {
        start(x);
    }
    pthread_mutex_unlock(&b->lock);
}

void builder_close(struct vindex *x)
{
    struct builder *b = &x->builder;
    pthread_mutex_lock(&b->lock);
    atomic_store(&b->stop, true);
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    if (b->started)
        pthread_join(b->thread, NULL);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->wake);
}
