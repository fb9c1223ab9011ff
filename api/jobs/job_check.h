/* job_check.h - what is impossible is told when a job is asked for, not when it is begun.
 *
 * Each is ERR_BAD_INPUT with the field of POST /v1/fine_tuning/jobs that is at fault.  In this order; jobs_create() does the last.
 */
#ifndef ANCHORD_API_JOBS_JOB_CHECK_H
#define ANCHORD_API_JOBS_JOB_CHECK_H

#include "api/jobs/job.h"

/* There are pictures to train on, and others to judge by where a collection is named for that. */
MUST_CHECK bool job_check_collections(struct store *s, const struct job *draft, struct err *e);
/* There is such a model; none is named: the collection's. */
MUST_CHECK bool job_check_model(struct store *s, struct job *draft, struct err *e);
/* These settings suit these pictures. */
MUST_CHECK bool job_check_plan(struct store *s, const struct job *draft, struct err *e);

#endif
