/* jobs_parts.h - the inside of the jobs, shared by jobs.c (the list), job_runner.c (its thread), job_finish.c (what comes of one) and job_tell.c (what is told). */
#ifndef ANCHORD_API_JOBS_JOBS_PARTS_H
#define ANCHORD_API_JOBS_JOBS_PARTS_H

#include <limits.h>
#include <pthread.h>

#include "api/jobs/job_process.h"
#include "api/jobs/jobs.h"
#include "engine/training/run_events.h"

struct jobs {
    struct app *app;
    struct jobs_options o;
    char *dir, *program; /* owned */
    size_t cores;        /* that requests can have */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    struct job **items; /* by created_at, oldest first; the structs never move */
    size_t n, room;
    bool stop;
    const struct job *current; /* that the thread has in hand; NULL: none */
    struct jobs_spare *spared; /* models that are being deleted */
    _Atomic uint64_t version;  /* grows with whatever happens; read without the lock */
};

void jobs_folder(const struct jobs *x, const char *id, char out[PATH_MAX]);
/* Under the lock: keeps the job's file, on a full disk with the store's reserve, and tells who waits.  False: it could not be
 * kept, and memory is ahead of the file. */
bool jobs_changed(struct jobs *x, const struct job *j, struct err *e);

/* job_runner.c: the thread's function; x is its argument. */
void *jobs_run(void *x);

struct job_run { /* the job that runs, the thread's own */
    struct jobs *jobs;
    struct job *job; /* in the list: its fields are read and written under the lock */
    char folder[PATH_MAX];
    struct job_process process;
    uint64_t events;             /* number of the next one */
    double first_told_s, told_s; /* clock_s() of the first and the last step event; 0: none yet */
    int64_t busy_until;          /* clock_ns() */
    char *end;                   /* the run's end line; NULL: none yet */
    enum train_end outcome;
    char failure[256], failure_code[32];
};

bool job_is_to_stop(struct job_run *r); /* cancelled, or the server ends */
/* An event, with its data (job_events.h); the same for a message. */
void job_tell_event(struct job_run *r, const char *level, const char *type, const char *message, const char *data);
void job_tell(struct job_run *r, const char *level, const char *fmt, ...) PRINTF_LIKE(3, 4);
void job_fail(struct job_run *r, const char *code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* job_prepare.c: everything the worker needs, in the job's folder; what is there already stays. */
MUST_CHECK bool job_prepare(struct job_run *r, struct err *e);
/* job_finish.c: the run came to its end: the model, the verdict, the promotion. */
void job_finish(struct job_run *r);
/* Removes the files that only a run needs: pins, weights, and those that its worker was writing when it was killed. */
void job_clean(const char *folder);
void job_clean_temporary(const char *folder); /* the last of these alone: for a run that goes on */

#endif
