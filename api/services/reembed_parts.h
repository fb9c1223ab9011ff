/* reembed_parts.h - the inside of the embedder, shared by embedder*.c. */
#ifndef ANCHORD_API_SERVICES_REEMBED_PARTS_H
#define ANCHORD_API_SERVICES_REEMBED_PARTS_H

#include <pthread.h>
#include <semaphore.h>

#include "api/services/crew.h"
#include "api/services/reembed.h"

enum outcome {
    WENT_ON, /* all well so far */
    GONE,    /* cancelled, deleted or dropped meanwhile */
    LATER,   /* x->progress.note says why */
    FAILED   /* x->failure says why */
};

struct batch { /* two: while one is being written, the next is embedded */
    struct pending *items;
    size_t n;
    float *vectors;
    struct err *errors;
    struct generation_vector *made;
    struct write write;
    sem_t done;
    bool submitted;
};

struct embedder {
    struct app *app;
    struct crew *crew;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under this lock */
    bool stop, nudged;
    struct embedder_progress progress;

    /* the thread's own: the generation at hand */
    struct generation_row row;
    struct encoder *encoder;
    int64_t donor;
    struct batch batches[2];
    int64_t missing;  /* about as many images lack a vector */
    size_t transient; /* images of this pass that may go well next time */
    int stubborn;     /* passes in a row that had such */
    char failure[GENERATION_ERROR_MAX];
    double batch_at; /* when the last batch was done */
};

bool embedder_is_stopping(struct embedder *x);

/* How a stage ends: with a note and another try later; with a failure in x->failure; as a write's error demands. */
enum outcome embedder_later(struct embedder *x, const char *note);
enum outcome embedder_failed(struct embedder *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum outcome embedder_outcome(struct embedder *x, const struct err *e);
void embedder_set_note(struct embedder *x, const char *note); /* "": it goes on */
void embedder_set_missing(struct embedder *x, int64_t n);

/* Embeds every image that lacks a vector; those that come meanwhile may be missed.  brisk: crew.h. */
enum outcome embedder_pass(struct embedder *x, bool brisk);
void embedder_open_batches(struct embedder *x); /* for x->row */
void embedder_close_batches(struct embedder *x);

#endif
