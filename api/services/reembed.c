/* reembed.c - the thread that completes generations and switches. */
#include "api/services/reembed.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "api/services/reembed_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/num.h"

enum {
    BRISK_BELOW = 256,   /* so few missing images are caught up with at the priority of requests */
    LATER_S = 5,         /* until the next try after trouble that may pass */
    IDLE_S = 60,         /* until the next look when nobody calls */
    SWEEP_PAUSE_MS = 20, /* writes of others come between */
    OWN_NICE = 10        /* as the heavy threads: it loads and checks models */
};

/* ---- waiting and telling ---- */

bool embedder_is_stopping(struct embedder *x)
{
    pthread_mutex_lock(&x->lock);
    bool stop = x->stop || atomic_load(&x->app->draining);
    pthread_mutex_unlock(&x->lock);
    return stop;
}

/* Until told to stop, nudged (when that is heeded), or `ms` have gone. */
static void pause_for(struct embedder *x, int64_t ms, bool heed)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&x->lock);
    while (!x->stop && !(heed && x->nudged) && pthread_cond_timedwait(&x->wake, &x->lock, &until) == 0)
        ;
    if (heed)
        x->nudged = false;
    pthread_mutex_unlock(&x->lock);
}

void embedder_get_progress(struct embedder *x, struct embedder_progress *out)
{
    *out = (struct embedder_progress){0};
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    *out = x->progress;
    pthread_mutex_unlock(&x->lock);
}

void embedder_set_note(struct embedder *x, const char *note)
{
    pthread_mutex_lock(&x->lock);
    bool news = strcmp(x->progress.note, note) != 0;
    snprintf(x->progress.note, sizeof x->progress.note, "%s", note);
    pthread_mutex_unlock(&x->lock);
    if (news && *note)
        log_warn("generation_waits", "generation=%lld why=\"%s\"", (long long)x->row.number, note);
}

enum outcome embedder_later(struct embedder *x, const char *note)
{
    embedder_set_note(x, note);
    return LATER;
}

enum outcome embedder_failed(struct embedder *x, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(x->failure, sizeof x->failure, fmt, ap);
    va_end(ap);
    return FAILED;
}

void embedder_set_missing(struct embedder *x, int64_t n)
{
    x->missing = n > 0 ? n : 0;
    metric_set(METRIC_generation_images_missing, (double)x->missing, NULL, NULL);
}

/* What a write's error means for the generation. */
enum outcome embedder_outcome(struct embedder *x, const struct err *e)
{
    switch (e->code) {
    case ERR_NONE: return WENT_ON;
    case ERR_NOT_FOUND: return GONE;
    case ERR_FULL: return embedder_later(x, "the disk is nearly full");
    case ERR_IO:
    case ERR_CORRUPT: return embedder_later(x, "the store does not write any more after a failure of the disk");
    case ERR_BUSY: return embedder_later(x, "too many writes are waiting");
    default: return embedder_failed(x, "%s", e->text);
    }
}

/* A write about the generation at hand; waits for it. */
static bool write_about(struct embedder *x, enum write_kind kind, struct write *w, struct err *e)
{
    *w = (struct write){.kind = kind, .row_generation = x->row};
    memcpy(w->row_generation.error, x->failure, sizeof x->failure);
    return store_write(x->app->store, w, e);
}

/* ---- the encoder ---- */

/* A file that is damaged or gone will not come back by itself; anything else may. */
static enum outcome bad_model(struct embedder *x, const struct err *e)
{
    log_error("generation_model", "generation=%lld model=%s why=%s", (long long)x->row.number, x->row.model, e->text);
    if (e->code == ERR_BUSY || e->code == ERR_FULL)
        return embedder_later(x, "the model cannot be loaded at the moment");
    return embedder_failed(x, "the file of the model %s is damaged or missing", x->row.model);
}

static enum outcome load_encoder(struct embedder *x)
{
    struct err e = {0};
    x->encoder = registry_get(x->app->models, x->row.model, precision_parse(x->row.precision), &e);
    if (!x->encoder)
        return bad_model(x, &e);
    if (strcmp(encoder_fingerprint(x->encoder), x->row.fingerprint) != 0 ||
        encoder_dimensions(x->encoder) != x->row.dimensions)
        return embedder_failed(x, "the model %s is another by now", x->row.model);
    return WENT_ON;
}

/* After a switch the next start needs the file; so it had better be whole. */
static enum outcome verify_model(struct embedder *x)
{
    struct err e = {0};
    return registry_verify(x->app->models, x->row.model, &e) ? WENT_ON : bad_model(x, &e);
}

/* ---- the index to be ---- */

static enum outcome load_index(struct embedder *x)
{
    struct write w;
    struct err e = {0};
    do {
        if (!write_about(x, WRITE_GENERATION_LOAD, &w, &e))
            return embedder_outcome(x, &e);
        if (embedder_is_stopping(x))
            return embedder_later(x, "");
        if (w.count < 0)
            return embedder_later(x, "the index cannot be loaded");
    } while (w.count > 0);
    generation_load_graph(x->app->store, &x->row);
    return WENT_ON;
}

static void wait_for_graph(struct embedder *x)
{
    while (generation_is_indexing(x->app->store, &x->row) && !embedder_is_stopping(x))
        pause_for(x, 100, false);
}

/* ---- the switch ---- */

static enum outcome unreadable(struct embedder *x, int64_t n)
{
    char id[IMAGE_ID_MAX + 1];
    struct err e = {0};
    if (!generation_unreadable(x->app->store, &x->row, id, &e))
        return embedder_later(x, "the catalogue cannot be read");
    return embedder_failed(x,
                           "%lld stored images cannot be read, such as %s: delete or upload them again, or allow "
                           "skip_unreadable",
                           (long long)n, id);
}

/* *missing: images without a vector, when that is why it went on without a switch. */
static enum outcome try_switch(struct embedder *x, int64_t *missing)
{
    struct write w;
    struct err e = {0};
    bool back = x->row.activated_at > 0;
    *missing = 0;
    embedder_set_missing(x, 0);
    if (write_about(x, WRITE_GENERATION_SWITCH, &w, &e)) {
        log_info("generation_active", "collection=%s generation=%lld model=%s images=%lld roll_back=%d",
                 x->row.collection, (long long)x->row.number, x->row.model, (long long)w.row_generation.total, back);
        metric_add(METRIC_generation_switches_total, 1, back ? "rollback" : "new", NULL);
        return GONE;
    }
    *missing = w.count;
    embedder_set_missing(x, w.count);
    if (e.code == ERR_BUSY && w.count > 0)
        return WENT_ON;
    if (e.code == ERR_UNDECODABLE)
        return unreadable(x, w.row_generation.unreadable);
    return e.code == ERR_CONFLICT ? embedder_later(x, "the index is loaded again") : embedder_outcome(x, &e);
}

static enum outcome complete_loaded(struct embedder *x)
{
    int64_t missing = INT64_MAX, before;
    bool brisk = false;
    enum outcome outcome = embedder_pass(x, false);
    if (outcome == WENT_ON)
        outcome = verify_model(x);
    while (outcome == WENT_ON) {
        wait_for_graph(x);
        before = missing;
        outcome = try_switch(x, &missing);
        if (outcome != WENT_ON)
            break;
        brisk = missing <= BRISK_BELOW || missing > before / 2; /* few, or it does not get ahead */
        outcome = embedder_pass(x, brisk);
    }
    return outcome;
}

static void count_missing(struct embedder *x)
{
    struct generation_row *rows;
    struct err e = {0};
    size_t n;
    if (!generation_list(x->app->store, x->row.collection, &rows, &n, &e))
        return; /* a figure for people; what is wrong will show elsewhere */
    for (size_t i = 0; i < n; i++)
        if (rows[i].number == x->row.number)
            embedder_set_missing(x, rows[i].total - rows[i].done);
    free(rows);
}

static enum outcome complete(struct embedder *x)
{
    struct err e = {0};
    enum outcome outcome = load_encoder(x);
    if (outcome == WENT_ON && !generation_donor(x->app->store, &x->row, &x->donor, &e))
        return embedder_later(x, "the catalogue cannot be read");
    if (outcome == WENT_ON)
        outcome = load_index(x);
    if (outcome == WENT_ON)
        count_missing(x);
    return outcome == WENT_ON ? complete_loaded(x) : outcome;
}

/* ---- one generation after the other ---- */

static void set_generation(struct embedder *x, int64_t number)
{
    pthread_mutex_lock(&x->lock);
    if (x->progress.generation != number)
        x->progress = (struct embedder_progress){.generation = number};
    pthread_mutex_unlock(&x->lock);
}

/* True when it should be tried again later. */
static bool work_on(struct embedder *x, const struct generation_row *row)
{
    struct write w;
    struct err e = {0};
    x->row = *row;
    x->failure[0] = 0;
    set_generation(x, row->number);
    embedder_open_batches(x);
    enum outcome outcome = complete(x);
    embedder_close_batches(x);
    encoder_release(x->encoder);
    x->encoder = NULL;
    if (outcome == FAILED) {
        log_error("generation_failed", "collection=%s generation=%lld model=%s why=\"%s\"", row->collection,
                  (long long)row->number, row->model, x->failure);
        if (!write_about(x, WRITE_GENERATION_FAIL, &w, &e))
            outcome = embedder_outcome(x, &e);
    }
    return outcome == LATER;
}

static enum outcome mend(struct embedder *x)
{
    struct err e = {0};
    enum outcome outcome = load_encoder(x);
    if (outcome == WENT_ON && !generation_donor(x->app->store, &x->row, &x->donor, &e))
        return embedder_later(x, "the catalogue cannot be read");
    return outcome == WENT_ON ? embedder_pass(x, false) : outcome;
}

/* Vectors of the active generation that were found damaged are made again in their place.  True: later. */
static bool mend_one(struct embedder *x, const struct generation_row *row)
{
    x->row = *row;
    x->failure[0] = 0;
    embedder_open_batches(x);
    enum outcome outcome = mend(x);
    embedder_close_batches(x);
    encoder_release(x->encoder);
    x->encoder = NULL;
    if (outcome == FAILED)
        log_error("vectors_not_made", "collection=%s generation=%lld why=\"%s\"", row->collection,
                  (long long)row->number, x->failure);
    if (outcome != LATER)
        generation_set_whole(x->app->store, row);
    return outcome == LATER;
}

static bool mend_all(struct embedder *x)
{
    struct generation_row *rows;
    struct err e = {0};
    size_t n;
    bool left = false;
    if (!generation_lacking(x->app->store, &rows, &n, &e))
        return true;
    for (size_t i = 0; i < n && !embedder_is_stopping(x); i++)
        left = mend_one(x, &rows[i]) || left;
    free(rows);
    return left;
}

/* Step by step, so that other writes come between. */
static void sweep(struct embedder *x, const struct generation_row *row)
{
    struct write w;
    struct err e = {0};
    x->row = *row;
    do
        pause_for(x, SWEEP_PAUSE_MS, false);
    while (!embedder_is_stopping(x) && write_about(x, WRITE_GENERATION_SWEEP, &w, &e) && w.count > 0);
    if (e.code)
        log_warn("generation_left", "generation=%lld why=%s", (long long)row->number, e.text);
}

/* Calls `each` for those in a state.  True when something is left to do. */
static bool for_each_in(struct embedder *x, enum generation_state state,
                        bool (*each)(struct embedder *x, const struct generation_row *row))
{
    struct generation_row *rows;
    struct err e = {0};
    size_t n;
    bool left = false;
    if (!generation_list_in(x->app->store, state, &rows, &n, &e)) {
        log_error("generations", "%s", e.text);
        return true;
    }
    for (size_t i = 0; i < n && !embedder_is_stopping(x); i++)
        left = each(x, &rows[i]) || left;
    free(rows);
    return left;
}

static bool sweep_one(struct embedder *x, const struct generation_row *row)
{
    sweep(x, row);
    return false;
}

static void *run(void *arg)
{
    struct embedder *x = arg;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), OWN_NICE);
    while (!embedder_is_stopping(x)) {
        bool to_mend = mend_all(x), left = for_each_in(x, GENERATION_BUILDING, work_on);
        if (!left)
            set_generation(x, 0);
        left = for_each_in(x, GENERATION_DROPPED, sweep_one) || left || to_mend;
        pause_for(x, left ? LATER_S * 1000 : IDLE_S * 1000, true);
    }
    return NULL;
}

/* ---- from outside ---- */

struct embedder *embedder_start(struct app *app, size_t threads, struct err *e)
{
    struct embedder *x = mem_new(1, sizeof *x);
    pthread_condattr_t attr;
    x->app = app;
    x->crew = crew_new(app, threads, e);
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&x->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (x->crew && pthread_create(&x->thread, NULL, run, x) == 0) {
        pthread_setname_np(x->thread, "embedder");
        return x;
    }
    err_set(e, ERR_INTERNAL, "no thread for the embedder");
    pthread_cond_destroy(&x->wake);
    pthread_mutex_destroy(&x->lock);
    crew_free(x->crew);
    free(x);
    return NULL;
}

void embedder_stop(struct embedder *x)
{
    if (!x)
        return;
    crew_hurry(x->crew);
    pthread_mutex_lock(&x->lock);
    x->stop = true;
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    pthread_join(x->thread, NULL);
    crew_free(x->crew);
    pthread_cond_destroy(&x->wake);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

void embedder_nudge(struct embedder *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    x->nudged = true;
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
}
