/* trainer.h - a training run from its configuration to its report, for every objective.
 *
 *     read pictures → step 0 judged → { batch → step → now and then: judge, checkpoint } → best model judged → report
 *
 * The run's folder (config.out; one run at a time, by a lock):
 *
 *     config.json            as given
 *     picks.json             the kernels that were picked for its convolutions
 *     log.jsonl              what happened (run_log.h)
 *     checkpoint.safetensors the last one (checkpoint.h)
 *     first.safetensors      the model before the first step
 *     best.safetensors       the one with the best score on the held-out pictures so far; the first one, while none is better
 *     last.safetensors       the one after the last step
 *     sheet.png              queries with their neighbours before and after
 *     report.html            all of it to be read (report.h)
 *
 * The learning rate follows the part of the run that is done: of its steps, or of its `max_minutes` when those go by
 * faster.  So a run that is limited in time ends with a small rate too.  Only runs without such a limit repeat bit for
 * bit.
 *
 * Threads: one run in a process; trainer_run() uses `threads` for its loops and as many again, at lower priority, for views.
 */
#ifndef ANCHORD_ENGINE_TRAINING_TRAINER_H
#define ANCHORD_ENGINE_TRAINING_TRAINER_H

#include "engine/data/manifest.h"
#include "engine/learning/train_config.h"
#include "engine/pictures/image.h"
#include "engine/training/run_log.h"

struct train_progress {
    const char *doing;               /* "reading", "judging", "training" */
    uint64_t done, all;              /* pictures, or steps */
    double loss, rate, seconds_left; /* rate: images a second; while training */
};

struct trainer_options { /* all borrowed */
    const struct train_config *config;
    struct manifest *manifest;   /* sealed; loses its damaged items, and gets its held-out part marked */
    struct manifest *validation; /* judged instead of a held-out part; loses what is trained on too; NULL: none */
    const struct manifest
        *learned; /* what the model that it begins with has learned from, and so is not judged by; NULL: unknown */
    struct image_limits limits;
    bool resume;                 /* go on from the checkpoint; begin when there is none */
    double lock_seconds;         /* waits so long for a folder that another process holds, then ERR_BUSY */
    bool allow_inexact;          /* on other hardware too */
    bool (*stop)(void *context); /* asked between steps; true: save a checkpoint and end.  NULL: never */
    void (*pace)(double seconds,
                 void *context); /* after each step that took so long; may wait, which counts for nothing;
                                                  * NULL: none */
    void (*progress)(const struct train_progress *p, void *context); /* after each step and now and then; NULL: none */
    run_listener *listener;                                          /* each line of the log; NULL: none */
    void *context;                                                   /* of the four */
};

struct train_outcome {
    enum train_end end;
    uint64_t step, best_step;
    double before, after, gain_low; /* score at step 0 and of the best model; lower end of the gain's interval */
    const char *score;              /* "recall@1" or "instance_recall@1"; static */
    char message[256];              /* in words */
};

/* False with the reason when the run could not begin or go on; the checkpoint that was there before is intact then.
 * ERR_CONFLICT: a run is there already (without `resume`), or it is another one (with it).  A run that diverged is an outcome and
 * not a failure: its best model and its report are there. */
MUST_CHECK bool trainer_run(const struct trainer_options *o, struct train_outcome *out, struct err *e);

/* Draws what the network would see in the first batch, without a run (preview.h). */
MUST_CHECK bool trainer_preview(const struct trainer_options *o, const char *path, struct err *e);

#endif
