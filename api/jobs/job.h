/* job.h - one fine-tuning job: what was asked for, how far it is, what came of it.
 *
 * A job is a folder, DIR/jobs/<id>/, which is also the folder of its run (trainer.h):
 *
 *     job.json         this struct; replaced durably at each change, so a job that was acknowledged survives
 *     events.jsonl     what its events list gives (job_events.h)
 *     config.json      the run's configuration, once it was begun
 *     manifest.jsonl, validation.jsonl, pictures/   what it trains on and is judged by, pinned (index/pin.h); gone when it ends
 *     report.html, sheet.png, log.jsonl, ...        the run's own
 */
#ifndef ANCHORD_API_JOBS_JOB_H
#define ANCHORD_API_JOBS_JOB_H

#include "engine/objectives/objective.h"
#include "index/store.h"

enum job_status { JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED };
enum job_promote { PROMOTE_NEVER, PROMOTE_IF_BETTER, PROMOTE_ALWAYS };
enum { JOB_ID_SIZE = 24, JOB_SUFFIX_MAX = 64 };

struct job {
    char id[JOB_ID_SIZE]; /* "ftjob-" and 16 hexadecimal digits */
    enum job_status status;
    int64_t created_at, started_at, finished_at; /* 0: not yet */
    char model[ID_MAX + 1];                      /* that it begins with */
    char collection[ID_MAX + 1];                 /* that it trains on, and that promotion changes */
    char validation[ID_MAX + 1];                 /* collection that it is judged by; empty: a part is held out */
    char suffix[JOB_SUFFIX_MAX + 1];             /* empty: none */
    uint64_t seed;
    const struct objective *objective; /* static */
    char *hyperparameters;             /* JSON object; what was "auto" is a value once the job runs; owned */
    enum job_promote promote;
    int crashes;                     /* times its worker died without a word */
    bool cancel;                     /* somebody asked for it */
    char made_model[ID_MAX + 1];     /* empty: none */
    char error_code[32], error[256]; /* when it failed */
    char *result; /* JSON object with the figures of step 0 and of the best step; NULL: none yet; owned */
};

void job_new_id(char out[JOB_ID_SIZE]);
bool job_id_is_valid(const char *id);
bool job_is_over(const struct job *j);
const char *job_status_name(enum job_status s);   /* "queued"; static */
const char *job_promote_name(enum job_promote p); /* "if_better"; static */
MUST_CHECK bool job_promote_parse(const char *name, enum job_promote *out);
/* The id of the model that it makes: "<suffix or collection>-<job id>", the former cut where that would be too long. */
void job_model_id(const struct job *j, char out[ID_MAX + 1]);

/* `folder` is the job's own. */
MUST_CHECK bool job_save(const struct job *j, const char *folder, struct err *e);
/* ERR_NOT_FOUND; ERR_CORRUPT. */
MUST_CHECK bool job_load(struct job *j, const char *folder, struct err *e);
void job_copy(struct job *to, const struct job *from); /* `to` is a fresh one */
void job_clear(struct job *j);

#endif
