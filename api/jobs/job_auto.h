/* job_auto.h - what "auto" comes to in a job: its objective's profile (objective.h), made to suit the pictures and the model. */
#ifndef ANCHORD_API_JOBS_JOB_AUTO_H
#define ANCHORD_API_JOBS_JOB_AUTO_H

#include "api/jobs/job_settings.h"

#define JOB_HELD_OUT 0.1 /* of each label, where nothing else is there to judge by */

struct job_choices {
    struct objective_profile profile; /* as the run gets it; its texts are static, or of `values` */
    size_t learned;                   /* pictures that are learned from */
    int64_t epochs, batch, per_label; /* per_label 0: plain batches */
    int64_t small_crops;              /* beside two full ones */
    double minutes;
    const char *freeze; /* of job_settings.c */
    const char *fit;    /* NULL: the model's */
};

/* `values`: as job_settings_check() lets pass; borrowed by the choices.  ERR_BAD_INPUT with the hyper-parameter's name in e->param
 * where a value is impossible with these pictures; without where none would be possible. */
MUST_CHECK bool job_choose(const struct job *j, const struct job_ground *g, const struct json *values,
                           struct job_choices *out, struct err *e);

#endif
