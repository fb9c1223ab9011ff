/* reembed_parts.h - the inside of reembed.h, shared by reembed*.c. */
#ifndef ANCHORD_API_SERVICES_REEMBED_PARTS_H
#define ANCHORD_API_SERVICES_REEMBED_PARTS_H

#include <semaphore.h>

#include "api/services/reembed.h"
#include "api/services/reembed_pool.h"
#include "base/thread.h"

enum reembed_end {
    REEMBED_WENT_ON, /* all well so far */
    REEMBED_GONE,    /* cancelled, deleted or dropped meanwhile */
    REEMBED_LATER,   /* r->progress.note says why */
    REEMBED_FAILED   /* r->failure says why */
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

struct reembed {
    struct app *app;
    struct reembed_pool *pool;
    struct sleeper sleeper;           /* called when there may be something to do */
    struct reembed_progress progress; /* under its lock */

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

bool reembed_is_stopping(struct reembed *r);

/* How a stage ends: with a note and another try later; with a failure in r->failure; as a write's error demands. */
enum reembed_end reembed_later(struct reembed *r, const char *note);
enum reembed_end reembed_failed(struct reembed *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum reembed_end reembed_end_of(struct reembed *r, const struct err *e);
void reembed_set_note(struct reembed *r, const char *note); /* "": it goes on */
void reembed_set_missing(struct reembed *r, int64_t n);

/* Embeds every image that lacks a vector; those that come meanwhile may be missed.  foreground: reembed_pool.h. */
enum reembed_end reembed_pass(struct reembed *r, bool foreground);
void reembed_open_batches(struct reembed *r); /* for r->row */
void reembed_close_batches(struct reembed *r);

#endif
