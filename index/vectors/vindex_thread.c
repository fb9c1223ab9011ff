/* vindex_thread.c - the builder's thread: there while there is work, at the lowest priority. */
#include "base/log.h"
#include "index/vectors/segment.h"
#include "index/vectors/vindex_parts.h"

enum { NICE = 19, QUIET_MS = 1000, RETRY_MS = 10000 };

/* Does all that is due.  The file follows when the graph has doubled since; else when it is quiet. */
static bool build_all(struct vindex *x)
{
    struct builder *b = &x->builder;
    struct err e = {0};
    while (!sleeper_is_stopped(&b->sleeper) && vindex_build_step(x, &e))
        vindex_save(x, true);
    if (e.code && !sleeper_is_stopped(&b->sleeper))
        log_error("index_build", "generation=%lld error=\"%s\"", (long long)x->o.generation, e.text);
    return e.code == ERR_NONE;
}

/* Ends the thread's life unless work has come up meanwhile. */
static bool may_end(struct vindex *x)
{
    struct builder *b = &x->builder;
    pthread_mutex_lock(&b->sleeper.lock);
    bool end = sleeper_is_stopped(&b->sleeper) || !vindex_build_due(x);
    b->running = !end;
    pthread_mutex_unlock(&b->sleeper.lock);
    return end;
}

static void *builder_main(void *arg)
{
    struct vindex *x = arg;
    struct sleeper *s = &x->builder.sleeper;
    thread_nice(NICE);
    for (;;) {
        while (!build_all(x) && !sleeper_is_stopped(s))
            sleeper_pause(s, RETRY_MS);
        if (sleeper_sleep(s, QUIET_MS))
            continue;
        if (!sleeper_is_stopped(s))
            vindex_save(x, false);
        if (may_end(x))
            return NULL;
    }
}

void builder_call(struct vindex *x)
{
    struct builder *b = &x->builder;
    struct err e = {0};
    if (!x->o.background || !vindex_build_due(x))
        return;
    pthread_mutex_lock(&b->sleeper.lock);
    bool running = b->running;
    if (!running) /* the thread before it has said that it ends */
        b->running = sleeper_start(&b->sleeper, "index", builder_main, x, &e);
    pthread_mutex_unlock(&b->sleeper.lock);
    if (running)
        sleeper_call(&b->sleeper);
    if (e.code)
        log_error("index_build", "%s", e.text);
}

void builder_close(struct vindex *x)
{
    sleeper_stop(&x->builder.sleeper);
    sleeper_close(&x->builder.sleeper);
}
