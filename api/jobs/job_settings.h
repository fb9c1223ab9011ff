/* job_settings.h - the hyper-parameters of a job: what may be asked for, and the run that it comes to.
 *
 * Common to all objectives are n_epochs, batch_size, optimizer, learning_rate, max_minutes, augmentation and freeze, to
 * those with multi-crop small_crops; each objective adds its own (objective.h).  Every one of them may be "auto" or be
 * left out.  The meaning of auto depends on the pictures and the model, so it is settled when the job is begun.
 */
#ifndef ANCHORD_API_JOBS_JOB_SETTINGS_H
#define ANCHORD_API_JOBS_JOB_SETTINGS_H

#include "api/jobs/job.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "engine/learning/train_auto.h"

/* ERR_BAD_INPUT with the field below `where` in e->param ("method.infonce.hyperparameters"). */
MUST_CHECK bool job_settings_check(const struct objective *o, const struct json *values, const char *where,
                                   struct err *e);
/* An object of hyper-parameters as it was given, numbers as a person would write them. */
void job_settings_copy(const struct json *values, struct buf *out);
/* What it asks for; borrows from it. */
void job_settings_read(const struct json *values, struct train_asked *out);
/* All of an objective, with default, range and one line of help: an array of objects. */
void job_settings_write(struct json_writer *w, const char *key, const struct objective *o);

/* The configuration of the run (train_config.h) and the hyper-parameters with values in the place of auto; both are appended, and may be
 * NULL.  ERR_BAD_INPUT where the pictures do not allow it, with the hyper-parameter's name in e->param when one is at fault. */
MUST_CHECK bool job_plan(const struct job *j, const struct train_ground *g, struct buf *config, struct buf *settled,
                         struct err *e);

#endif
