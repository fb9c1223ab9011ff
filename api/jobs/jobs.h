/* jobs.h - all fine-tuning jobs of a data folder: a bounded queue, of which one runs at a time.
 *
 *     app->jobs = jobs_open(app, "data/jobs", &options, e); those of before are there; what ran goes on from its checkpoint
 *     jobs_create(app->jobs, &draft, &made, e);
 *     jobs_close(app->jobs);                              the running one is stopped, and goes on at the next start
 *
 * Threads: any.  All that is handed out is a copy.
 */
#ifndef ANCHORD_API_JOBS_JOBS_H
#define ANCHORD_API_JOBS_JOBS_H

#include <limits.h>

#include "api/jobs/job_events.h"
#include "api/services/app.h"

struct jobs_options {
    const char *program; /* the worker's; NULL: this program */
    size_t queue;        /* most that wait; 0: 16 */
    uint64_t memory;     /* bytes that a worker may have; 0: half of the machine's */
    size_t threads;      /* of a worker; 0: all cores */
    unsigned max_p99_us; /* a worker gives way while requests take longer (demand.h); 0: it does not look */
    double max_minutes;  /* of training, where a job says nothing; 0: 1440 */
};

struct jobs;
struct jobs *jobs_open(struct app *app, const char *dir, const struct jobs_options *o, struct err *e);
void jobs_close(struct jobs *x); /* NULL is fine */

/* Takes over draft's settings, which job_check.h has let pass but for the plan: id, status and times are given here.  ERR_BUSY when the queue is full, or its
 * model is just being deleted; ERR_BAD_INPUT ("model") when that is gone.  Durable when true. */
MUST_CHECK bool jobs_create(struct jobs *x, const struct job *draft, struct job *out, struct err *e);
/* ERR_NOT_FOUND. */
MUST_CHECK bool jobs_get(struct jobs *x, const char *id, struct job *out, struct err *e);
/* Newest first, after the job `after` (NULL: from the first): an array of copies to be cleared and freed. */
MUST_CHECK bool jobs_list(struct jobs *x, const char *after, size_t limit, struct job **out, size_t *n, bool *more,
                          struct err *e);
/* One that waits is cancelled at once, one that runs within two seconds.  ERR_CONFLICT when it is over. */
MUST_CHECK bool jobs_cancel(struct jobs *x, const char *id, struct job *out, struct err *e);
MUST_CHECK bool jobs_events(struct jobs *x, const char *id, struct job_events *out, struct err *e);
/* Before a model is deleted: from now on until jobs_spared() no job can be made that begins with it.  NULL and ERR_CONFLICT when one
 * that is not over does. */
struct jobs_spare;
struct jobs_spare *jobs_spare_model(struct jobs *x, const char *model, struct err *e);
void jobs_spared(struct jobs_spare *s); /* NULL is fine */
/* Forgets one that is over, with its folder; the model that it made stays.  ERR_CONFLICT while it is not over. */
MUST_CHECK bool jobs_delete(struct jobs *x, const char *id, struct err *e);
/* Grows with each event of any job: a reader that saw all of one version has nothing to look for while it stays.  Takes
 * no lock. */
uint64_t jobs_version(const struct jobs *x);
/* Where a job's events are, for job_events_follow(). */
MUST_CHECK bool jobs_events_folder(struct jobs *x, const char *id, char out[PATH_MAX], struct err *e);

#endif
