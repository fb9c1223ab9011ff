/* fine_tuning.h - what the files of /v1/fine_tuning share. */
#ifndef ANCHORD_API_REQUESTS_FINE_TUNING_H
#define ANCHORD_API_REQUESTS_FINE_TUNING_H

#include "api/jobs/job.h"
#include "api/requests/stage.h"
#include "base/json_writer.h"

#define EVENT_STREAM "text/event-stream"

enum { JOBS_PAGE = 20, JOBS_PAGE_MOST = 100 }; /* of jobs and of events */

/* ERR_NOT_IMPLEMENTED where no jobs are run. */
MUST_CHECK bool has_jobs(struct call *c);
/* A job in OpenAI's shape. */
void write_job(struct json_writer *w, const struct job *j);

/* A first stage: the events of job c->params[0] as a stream (the HTML standard's server-sent events), oldest first, until the job
 * is over.  Each has its id, so that Last-Event-ID, or `after`, goes on where a reader was; the last one is `event: done` with
 * the job.  When nothing happens a comment is sent every 15 seconds. */
bool job_events_stream(struct call *c);

#endif
