/* reembed.c - the thread that completes generations and switches.
 *
 * One thread looks for work, and a pool of its own embeds (reembed_pool.h).  For each generation that is being built:
 *
 *     load_encoder      the model of the generation, which must be the one that it was begun with
 *     load_index        the vectors that it has already, into the index to be; the writer does it, a piece at a time
 *     reembed_pass      all images that lack a vector: fetched, embedded and stored batch by batch
 *     verify_model      the file is still whole, for the next start will need it
 *     try_switch        one write, which demands that nothing is missing
 *
 * Uploads go on meanwhile, and each may add an image that lacks a vector of this generation.  So the switch can say how many are
 * missing; then there is another pass, and another try.  When few are missing the pass runs in the foreground, and the writer
 * holds puts of the collection for a moment: otherwise a steady stream of uploads would keep the switch from ever happening.
 *
 * Nothing is remembered between two passes.  What is missing is read from the catalogue each time, so a crash, a restart or a
 * cancelled change needs no cleaning up here; a crash costs the batches that were not stored.
 *
 * Each step ends in an enum reembed_end.  GONE: the generation was switched, cancelled or deleted, and there is nothing to do.
 * LATER: trouble that may pass, such as a full disk; progress.note says it to people, and the next round tries again.  FAILED:
 * trouble that will not pass by itself; the reason is written to the generation, which then is over.
 *
 * The same passes mend the active generation where vectors were found damaged (mend_all), and old vectors of dropped generations
 * are swept in small writes, so that those of requests come between (sweep). */
#include "api/services/reembed.h"

#include <stdlib.h>
#include <string.h>

#include "api/services/models.h"
#include "api/services/reembed_parts.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum {
    FOREGROUND_BELOW = 256, /* so few missing images are caught up with at the priority of requests */
    LATER_S = 5,            /* until the next try after trouble that may pass */
    IDLE_S = 60,            /* until the next look when nobody calls */
    SWEEP_PAUSE_MS = 20,    /* writes of others come between */
    OWN_NICE = 10           /* as the heavy threads: it loads and checks models */
};

/* A write about the generation at hand; waits for it. */
static bool write_about(struct reembed *r, enum write_kind kind, struct write *w, struct err *e)
{
    *w = (struct write){.kind = kind, .generation.row = r->row};
    memcpy(w->generation.row.error, r->failure, sizeof r->failure);
    return store_write(r->app->store, w, e);
}

/* ---- the encoder ---- */

/* A file that is damaged or gone will not come back by itself; anything else may. */
static enum reembed_end bad_model(struct reembed *r, const struct err *e)
{
    log_error("generation_model", "generation=%lld model=%s why=%s", (long long)r->row.number, r->row.model, e->text);
    if (e->code == ERR_BUSY || e->code == ERR_FULL)
        return reembed_later(r, "the model cannot be loaded at the moment");
    return reembed_failed(r, "the file of the model %s is damaged or missing", r->row.model);
}

static enum reembed_end load_encoder(struct reembed *r)
{
    struct err e = {0};
    r->encoder = model_cache_get(r->app->models, r->row.model, precision_parse(r->row.precision), &e);
    if (!r->encoder)
        return bad_model(r, &e);
    if (strcmp(encoder_fingerprint(r->encoder), r->row.fingerprint) != 0 ||
        encoder_dimensions(r->encoder) != r->row.dimensions)
        return reembed_failed(r, "the model %s is another by now", r->row.model);
    return REEMBED_WENT_ON;
}

/* After a switch the next start needs the file; so it had better be whole. */
static enum reembed_end verify_model(struct reembed *r)
{
    struct err e = {0};
    return model_cache_verify(r->app->models, r->row.model, &e) ? REEMBED_WENT_ON : bad_model(r, &e);
}

/* ---- the index to be ---- */

static enum reembed_end load_index(struct reembed *r)
{
    struct write w;
    struct err e = {0};
    do {
        if (!write_about(r, WRITE_GENERATION_LOAD, &w, &e))
            return reembed_end_of(r, &e);
        if (reembed_is_stopping(r))
            return reembed_later(r, "");
        if (w.count < 0)
            return reembed_later(r, "the index cannot be loaded");
    } while (w.count > 0);
    generation_load_graph(r->app->store, &r->row);
    return REEMBED_WENT_ON;
}

static void wait_for_graph(struct reembed *r)
{
    while (generation_is_indexing(r->app->store, &r->row) && !reembed_is_stopping(r))
        sleeper_pause(&r->sleeper, 100);
}

/* ---- the switch ---- */

static enum reembed_end unreadable(struct reembed *r, int64_t n)
{
    char id[IMAGE_ID_MAX + 1];
    struct err e = {0};
    if (!generation_unreadable(r->app->store, &r->row, id, &e))
        return reembed_later(r, "the catalogue cannot be read");
    return reembed_failed(r,
                          "%lld stored images cannot be read, such as %s: delete or upload them again, or allow "
                          "skip_unreadable",
                          (long long)n, id);
}

/* *missing: images without a vector, when that is why it went on without a switch. */
static enum reembed_end try_switch(struct reembed *r, int64_t *missing)
{
    struct write w;
    struct err e = {0};
    bool back = r->row.activated_at > 0;
    *missing = 0;
    reembed_set_missing(r, 0);
    if (write_about(r, WRITE_GENERATION_SWITCH, &w, &e)) {
        log_info("generation_active", "collection=%s generation=%lld model=%s images=%lld roll_back=%d",
                 r->row.collection, (long long)r->row.number, r->row.model, (long long)w.generation.row.total, back);
        metric_add(METRIC_generation_switches_total, 1, back ? "rollback" : "new", NULL);
        return REEMBED_GONE;
    }
    *missing = w.count;
    reembed_set_missing(r, w.count);
    if (e.code == ERR_BUSY && w.count > 0)
        return REEMBED_WENT_ON;
    if (e.code == ERR_UNDECODABLE)
        return unreadable(r, w.generation.row.unreadable);
    return e.code == ERR_CONFLICT ? reembed_later(r, "the index is loaded again") : reembed_end_of(r, &e);
}

static enum reembed_end complete_loaded(struct reembed *r)
{
    int64_t missing = INT64_MAX, before;
    bool foreground = false;
    enum reembed_end end = reembed_pass(r, false);
    if (end == REEMBED_WENT_ON)
        end = verify_model(r);
    while (end == REEMBED_WENT_ON) {
        wait_for_graph(r);
        before = missing;
        end = try_switch(r, &missing);
        if (end != REEMBED_WENT_ON)
            break;
        foreground = missing <= FOREGROUND_BELOW || missing > before / 2; /* few, or it does not get ahead */
        end = reembed_pass(r, foreground);
    }
    return end;
}

static void count_missing(struct reembed *r)
{
    struct generation_row *rows;
    struct err e = {0};
    size_t n;
    if (!generation_list(r->app->store, r->row.collection, &rows, &n, &e))
        return; /* a figure for people; what is wrong will show elsewhere */
    for (size_t i = 0; i < n; i++)
        if (rows[i].number == r->row.number)
            reembed_set_missing(r, rows[i].total - rows[i].done);
    free(rows);
}

static enum reembed_end complete(struct reembed *r)
{
    struct err e = {0};
    enum reembed_end end = load_encoder(r);
    if (end == REEMBED_WENT_ON && !generation_donor(r->app->store, &r->row, &r->donor, &e))
        return reembed_later(r, "the catalogue cannot be read");
    if (end == REEMBED_WENT_ON)
        end = load_index(r);
    if (end == REEMBED_WENT_ON)
        count_missing(r);
    return end == REEMBED_WENT_ON ? complete_loaded(r) : end;
}

/* ---- one generation after the other ---- */

static void set_generation(struct reembed *r, int64_t number)
{
    pthread_mutex_lock(&r->sleeper.lock);
    if (r->progress.generation != number)
        r->progress = (struct reembed_progress){.generation = number};
    pthread_mutex_unlock(&r->sleeper.lock);
}

/* True when it should be tried again later. */
static bool work_on(struct reembed *r, const struct generation_row *row)
{
    struct write w;
    struct err e = {0};
    r->row = *row;
    r->failure[0] = 0;
    set_generation(r, row->number);
    reembed_open_batches(r);
    enum reembed_end end = complete(r);
    reembed_close_batches(r);
    encoder_release(r->encoder);
    r->encoder = NULL;
    if (end == REEMBED_FAILED) {
        log_error("generation_failed", "collection=%s generation=%lld model=%s why=\"%s\"", row->collection,
                  (long long)row->number, row->model, r->failure);
        if (!write_about(r, WRITE_GENERATION_FAIL, &w, &e))
            end = reembed_end_of(r, &e);
    }
    return end == REEMBED_LATER;
}

static enum reembed_end mend(struct reembed *r)
{
    struct err e = {0};
    enum reembed_end end = load_encoder(r);
    if (end == REEMBED_WENT_ON && !generation_donor(r->app->store, &r->row, &r->donor, &e))
        return reembed_later(r, "the catalogue cannot be read");
    return end == REEMBED_WENT_ON ? reembed_pass(r, false) : end;
}

/* Vectors of the active generation that were found damaged are made again in their place.  True: later. */
static bool mend_one(struct reembed *r, const struct generation_row *row)
{
    r->row = *row;
    r->failure[0] = 0;
    reembed_open_batches(r);
    enum reembed_end end = mend(r);
    reembed_close_batches(r);
    encoder_release(r->encoder);
    r->encoder = NULL;
    if (end == REEMBED_FAILED)
        log_error("vectors_not_made", "collection=%s generation=%lld why=\"%s\"", row->collection,
                  (long long)row->number, r->failure);
    if (end != REEMBED_LATER)
        generation_set_whole(r->app->store, row);
    return end == REEMBED_LATER;
}

static bool mend_all(struct reembed *r)
{
    struct generation_row *rows;
    struct err e = {0};
    size_t n;
    bool left = false;
    if (!generation_lacking(r->app->store, &rows, &n, &e))
        return true;
    for (size_t i = 0; i < n && !reembed_is_stopping(r); i++)
        left = mend_one(r, &rows[i]) || left;
    free(rows);
    return left;
}

/* Step by step, so that other writes come between. */
static void sweep(struct reembed *r, const struct generation_row *row)
{
    struct write w;
    struct err e = {0};
    r->row = *row;
    do
        sleeper_pause(&r->sleeper, SWEEP_PAUSE_MS);
    while (!reembed_is_stopping(r) && write_about(r, WRITE_GENERATION_SWEEP, &w, &e) && w.count > 0);
    if (e.code)
        log_warn("generation_left", "generation=%lld why=%s", (long long)row->number, e.text);
}

/* Calls `each` for those in a state.  True when something is left to do. */
static bool for_each_in(struct reembed *r, enum generation_state state,
                        bool (*each)(struct reembed *r, const struct generation_row *row))
{
    struct generation_row *rows;
    struct err e = {0};
    size_t n;
    bool left = false;
    if (!generation_list_in(r->app->store, state, &rows, &n, &e)) {
        log_error("generations", "%s", e.text);
        return true;
    }
    for (size_t i = 0; i < n && !reembed_is_stopping(r); i++)
        left = each(r, &rows[i]) || left;
    free(rows);
    return left;
}

static bool sweep_one(struct reembed *r, const struct generation_row *row)
{
    sweep(r, row);
    return false;
}

static void *reembed_main(void *arg)
{
    struct reembed *r = arg;
    thread_nice(OWN_NICE);
    while (!reembed_is_stopping(r)) {
        bool to_mend = mend_all(r), left = for_each_in(r, GENERATION_BUILDING, work_on);
        if (!left)
            set_generation(r, 0);
        left = for_each_in(r, GENERATION_DROPPED, sweep_one) || left || to_mend;
        sleeper_sleep(&r->sleeper, left ? LATER_S * 1000 : IDLE_S * 1000);
    }
    return NULL;
}

/* ---- from outside ---- */

struct reembed *reembed_start(struct app *app, size_t threads, struct err *e)
{
    struct reembed *r = mem_new(1, sizeof *r);
    r->app = app;
    r->pool = reembed_pool_new(app, threads, e);
    sleeper_open(&r->sleeper);
    if (r->pool && sleeper_start(&r->sleeper, "reembed", reembed_main, r, e))
        return r;
    reembed_stop(r);
    return NULL;
}

void reembed_stop(struct reembed *r)
{
    if (!r)
        return;
    if (r->pool)
        reembed_pool_stop(r->pool);
    sleeper_stop(&r->sleeper);
    sleeper_close(&r->sleeper);
    reembed_pool_free(r->pool);
    free(r);
}

void reembed_nudge(struct reembed *r)
{
    if (r)
        sleeper_call(&r->sleeper);
}
