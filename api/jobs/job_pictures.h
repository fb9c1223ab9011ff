/* job_pictures.h - the pictures of a collection for a training run: pinned in the run's folder, and listed there. */
#ifndef ANCHORD_API_JOBS_JOB_PICTURES_H
#define ANCHORD_API_JOBS_JOB_PICTURES_H

#include "base/err.h"

struct store;
/* Pins them in FOLDER/pictures (pin.h) and lists them in FOLDER/list (manifest.h).  ERR_BAD_INPUT: the collection is empty. */
MUST_CHECK bool job_pictures_pin(struct store *s, const char *collection, const char *folder, const char *list,
                                 struct err *e);

#endif
