/* reembed_pass.c - one pass over the images that lack a vector: read, embed, store, in two batches by turns. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/services/reembed_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    BATCH_MIN = 16,
    BATCH_MAX = 256,
    STUBBORN_MAX = 3 /* passes that an image may fail for a passing reason before it counts as unreadable */
};
static const double batch_seconds = 0.5, rate_window_s = 10;

/* ---- one batch ---- */

static void written(struct write *w)
{
    struct batch *b = w->user;
    sem_post(&b->done);
}

/* Waits until the batch is stored, and empties it. */
static enum outcome finish_batch(struct embedder *x, struct batch *b)
{
    enum outcome outcome = WENT_ON;
    if (b->submitted) {
        while (sem_wait(&b->done) != 0)
            ;
        outcome = embedder_outcome(x, &b->write.err);
    }
    b->submitted = false;
    pending_free(b->items, b->n);
    b->items = NULL;
    b->n = 0;
    return outcome;
}

/* The image itself is at fault, or what is stored of it. */
static bool is_hopeless(const struct embedder *x, const struct err *e)
{
    switch (e->code) {
    case ERR_BUSY: /* descriptors, memory: not the image's fault */
    case ERR_FULL: return false;
    case ERR_IO:
    case ERR_INTERNAL: return x->stubborn >= STUBBORN_MAX;
    default: return true;
    }
}

/* What is to be stored of the batch. */
static size_t collect(struct embedder *x, struct batch *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct pending *item = &b->items[i];
        const struct err *e = &b->errors[i];
        struct generation_vector v = {
            .image = item->number, .revision = item->revision, .value = b->vectors + i * x->row.dimensions};
        if (e->code == ERR_NOT_FOUND)
            continue; /* deleted since */
        if (e->code && !is_hopeless(x, e)) {
            x->transient++;
            continue;
        }
        if (e->code) {
            char id[IMAGE_ID_MAX + 3];
            log_warn("image_unreadable", "generation=%lld collection=%s id=%s why=%s", (long long)x->row.number,
                     x->row.collection, log_quote(item->id, id, sizeof id), e->text);
            v.value = NULL;
        }
        b->made[n++] = v;
    }
    return n;
}

static enum outcome submit_batch(struct embedder *x, struct batch *b)
{
    struct write *w = &b->write;
    struct err e = {0};
    *w = (struct write){.kind = WRITE_GENERATION_VECTORS,
                        .row_generation = x->row,
                        .done = written,
                        .user = b,
                        .vectors = b->made,
                        .n_vectors = collect(x, b)};
    b->submitted = store_submit(x->app->store, &w, 1, &e);
    return b->submitted ? WENT_ON : embedder_outcome(x, &e);
}

static void note_rate(struct embedder *x, size_t n)
{
    double now = clock_s(), seconds = fmax(now - x->batch_at, 1e-6);
    double weight = 1 - exp(-seconds / rate_window_s);
    pthread_mutex_lock(&x->lock);
    double *rate = &x->progress.rate;
    *rate = *rate > 0 ? *rate + weight * ((double)n / seconds - *rate) : (double)n / seconds;
    pthread_mutex_unlock(&x->lock);
    x->batch_at = now;
    embedder_set_missing(x, x->missing - (int64_t)n);
}

/* As many as take about half a second, so that little is lost by a crash and the writer has little to do. */
static size_t batch_size(struct embedder *x)
{
    struct embedder_progress p;
    embedder_get_progress(x, &p);
    double n = p.rate * batch_seconds;
    return n < BATCH_MIN ? BATCH_MIN : n > BATCH_MAX ? BATCH_MAX : (size_t)n;
}

static enum outcome embed_batch(struct embedder *x, struct batch *b, bool brisk)
{
    struct crew_batch work = {
        .encoder = x->encoder, .items = b->items, .n = b->n, .vectors = b->vectors, .errors = b->errors};
    crew_embed(x->crew, &work, brisk);
    if (embedder_is_stopping(x))
        return embedder_later(x, "");
    if (work.trouble.code) {
        log_error("generation_waits", "generation=%lld why=%s", (long long)x->row.number, work.trouble.text);
        return embedder_later(x, "the encoder cannot run at the moment");
    }
    embedder_set_note(x, "");
    note_rate(x, b->n);
    return WENT_ON;
}

/* ---- one pass over what is missing ---- */

static enum outcome fetch(struct embedder *x, struct batch *b, int64_t after)
{
    struct err e = {0};
    if (generation_pending(x->app->store, &x->row, x->donor, after, batch_size(x), &b->items, &b->n, &e))
        return WENT_ON;
    log_error("generation_waits", "generation=%lld why=%s", (long long)x->row.number, e.text);
    return embedder_later(x, "the catalogue cannot be read");
}

enum outcome embedder_pass(struct embedder *x, bool brisk)
{
    enum outcome outcome = WENT_ON, ended;
    int64_t after = 0;
    x->transient = 0;
    x->batch_at = clock_s();
    for (size_t i = 0; outcome == WENT_ON; i++) {
        struct batch *b = &x->batches[i % 2], *before = &x->batches[(i + 1) % 2];
        outcome = fetch(x, b, after);
        if (outcome != WENT_ON || b->n == 0)
            break;
        after = b->items[b->n - 1].number;
        outcome = embed_batch(x, b, brisk);
        ended = finish_batch(x, before);
        if (outcome == WENT_ON)
            outcome = ended;
        if (outcome == WENT_ON)
            outcome = submit_batch(x, b);
    }
    for (size_t i = 0; i < 2; i++) {
        ended = finish_batch(x, &x->batches[i]);
        outcome = outcome == WENT_ON ? ended : outcome;
    }
    x->stubborn = x->transient > 0 ? x->stubborn + 1 : 0;
    if (outcome == WENT_ON && x->transient > 0)
        return embedder_later(x, "some image files cannot be read at the moment");
    return outcome;
}

/* ---- room for them ---- */

void embedder_open_batches(struct embedder *x)
{
    for (size_t i = 0; i < 2; i++) {
        struct batch *b = &x->batches[i];
        b->vectors = mem_new(BATCH_MAX * (size_t)x->row.dimensions, sizeof *b->vectors);
        b->errors = mem_new(BATCH_MAX, sizeof *b->errors);
        b->made = mem_new(BATCH_MAX, sizeof *b->made);
        sem_init(&b->done, 0, 0);
    }
}

void embedder_close_batches(struct embedder *x)
{
    for (size_t i = 0; i < 2; i++) {
        struct batch *b = &x->batches[i];
        free(b->vectors);
        free(b->errors);
        free(b->made);
        sem_destroy(&b->done);
        *b = (struct batch){0};
    }
}
