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
static enum reembed_end finish_batch(struct reembed *r, struct batch *b)
{
    enum reembed_end end = REEMBED_WENT_ON;
    if (b->submitted) {
        while (sem_wait(&b->done) != 0)
            ;
        end = reembed_end_of(r, &b->write.err);
    }
    b->submitted = false;
    pending_free(b->items, b->n);
    b->items = NULL;
    b->n = 0;
    return end;
}

/* The image itself is at fault, or what is stored of it. */
static bool is_hopeless(const struct reembed *r, const struct err *e)
{
    switch (e->code) {
    case ERR_BUSY: /* descriptors, memory: not the image's fault */
    case ERR_FULL: return false;
    case ERR_IO:
    case ERR_INTERNAL: return r->stubborn >= STUBBORN_MAX;
    default: return true;
    }
}

/* What is to be stored of the batch. */
static size_t collect(struct reembed *r, struct batch *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct pending *item = &b->items[i];
        const struct err *e = &b->errors[i];
        struct generation_vector v = {
            .image = item->number, .revision = item->revision, .value = b->vectors + i * r->row.dimensions};
        if (e->code == ERR_NOT_FOUND)
            continue; /* deleted since */
        if (e->code && !is_hopeless(r, e)) {
            r->transient++;
            continue;
        }
        if (e->code) {
            char id[IMAGE_ID_MAX + 3];
            log_warn("image_unreadable", "generation=%lld collection=%s id=%s why=%s", (long long)r->row.number,
                     r->row.collection, log_quote(item->id, id, sizeof id), e->text);
            v.value = NULL;
        }
        b->made[n++] = v;
    }
    return n;
}

static enum reembed_end submit_batch(struct reembed *r, struct batch *b)
{
    struct write *w = &b->write;
    struct err e = {0};
    *w = (struct write){.kind = WRITE_GENERATION_VECTORS,
                        .generation.row = r->row,
                        .done = written,
                        .user = b,
                        .generation.vectors = b->made,
                        .generation.n_vectors = collect(r, b)};
    b->submitted = store_submit(r->app->store, &w, 1, &e);
    return b->submitted ? REEMBED_WENT_ON : reembed_end_of(r, &e);
}

static void note_rate(struct reembed *r, size_t n)
{
    double now = clock_s(), seconds = fmax(now - r->batch_at, 1e-6);
    double weight = 1 - exp(-seconds / rate_window_s);
    pthread_mutex_lock(&r->sleeper.lock);
    double *rate = &r->progress.rate;
    *rate = *rate > 0 ? *rate + weight * ((double)n / seconds - *rate) : (double)n / seconds;
    pthread_mutex_unlock(&r->sleeper.lock);
    r->batch_at = now;
    reembed_set_missing(r, r->missing - (int64_t)n);
}

/* As many as take about half a second, so that little is lost by a crash and the writer has little to do. */
static size_t batch_size(struct reembed *r)
{
    struct reembed_progress p;
    reembed_get_progress(r, &p);
    double n = p.rate * batch_seconds;
    return n < BATCH_MIN ? BATCH_MIN : n > BATCH_MAX ? BATCH_MAX : (size_t)n;
}

static enum reembed_end embed_batch(struct reembed *r, struct batch *b, bool foreground)
{
    struct reembed_work work = {
        .encoder = r->encoder, .items = b->items, .n = b->n, .vectors = b->vectors, .errors = b->errors};
    reembed_pool_embed(r->pool, &work, foreground);
    if (reembed_is_stopping(r))
        return reembed_later(r, "");
    if (work.trouble.code) {
        log_error("generation_waits", "generation=%lld why=%s", (long long)r->row.number, work.trouble.text);
        return reembed_later(r, "the encoder cannot run at the moment");
    }
    reembed_set_note(r, "");
    note_rate(r, b->n);
    return REEMBED_WENT_ON;
}

/* ---- one pass over what is missing ---- */

static enum reembed_end fetch(struct reembed *r, struct batch *b, int64_t after)
{
    struct err e = {0};
    if (generation_pending(r->app->store, &r->row, r->donor, after, batch_size(r), &b->items, &b->n, &e))
        return REEMBED_WENT_ON;
    log_error("generation_waits", "generation=%lld why=%s", (long long)r->row.number, e.text);
    return reembed_later(r, "the catalogue cannot be read");
}

enum reembed_end reembed_pass(struct reembed *r, bool foreground)
{
    enum reembed_end end = REEMBED_WENT_ON, ended;
    int64_t after = 0;
    r->transient = 0;
    r->batch_at = clock_s();
    for (size_t i = 0; end == REEMBED_WENT_ON; i++) {
        struct batch *b = &r->batches[i % 2], *before = &r->batches[(i + 1) % 2];
        end = fetch(r, b, after);
        if (end != REEMBED_WENT_ON || b->n == 0)
            break;
        after = b->items[b->n - 1].number;
        end = embed_batch(r, b, foreground);
        ended = finish_batch(r, before);
        if (end == REEMBED_WENT_ON)
            end = ended;
        if (end == REEMBED_WENT_ON)
            end = submit_batch(r, b);
    }
    for (size_t i = 0; i < 2; i++) {
        ended = finish_batch(r, &r->batches[i]);
        end = end == REEMBED_WENT_ON ? ended : end;
    }
    r->stubborn = r->transient > 0 ? r->stubborn + 1 : 0;
    if (end == REEMBED_WENT_ON && r->transient > 0)
        return reembed_later(r, "some image files cannot be read at the moment");
    return end;
}

/* ---- room for them ---- */

void reembed_open_batches(struct reembed *r)
{
    for (size_t i = 0; i < 2; i++) {
        struct batch *b = &r->batches[i];
        b->vectors = mem_new(BATCH_MAX * (size_t)r->row.dimensions, sizeof *b->vectors);
        b->errors = mem_new(BATCH_MAX, sizeof *b->errors);
        b->made = mem_new(BATCH_MAX, sizeof *b->made);
        sem_init(&b->done, 0, 0);
    }
}

void reembed_close_batches(struct reembed *r)
{
    for (size_t i = 0; i < 2; i++) {
        struct batch *b = &r->batches[i];
        free(b->vectors);
        free(b->errors);
        free(b->made);
        sem_destroy(&b->done);
        *b = (struct batch){0};
    }
}
