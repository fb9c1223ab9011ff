/* trainer_parts.h - what the files of the trainer share.
 *
 *     trainer.c          the loop
 *     trainer_setup.c    everything it needs
 *     trainer_models.c   judging, checkpoints, model files
 *     trainer_finish.c   how a run ends
 *     trainer_events.c   what is logged
 */
#ifndef ANCHORD_ENGINE_TRAINING_TRAINER_PARTS_H
#define ANCHORD_ENGINE_TRAINING_TRAINER_PARTS_H

#include "base/pool.h"
#include "engine/judging/judge.h"
#include "engine/training/checkpoint.h"
#include "engine/training/trainer.h"
#include "engine/training/watch.h"

#define NO_STEP UINT64_MAX

struct trainer {
    const struct trainer_options *o;
    const struct train_config *c;
    struct run_state state;
    struct run_ground ground;
    uint64_t total, warmup, per_epoch; /* steps */
    uint64_t evaluate_every, checkpoint_every, log_every;

    int lock_fd;
    struct run_log log;
    struct pool *pool;
    struct dataset *dataset, *validation;
    struct sampler *sampler;
    struct loader *loader;
    struct judge *judge;
    struct model *model;     /* what is exported into */
    struct preprocess first; /* of the model that the run began with: what "before" is judged by */
    struct preprocess pre;   /* of the run: another one when the configuration has `fit` */
    struct crops crops;      /* at the model's size */
    struct train_step *step;
    struct watch watch;
    char parent[HASH_HEX]; /* fingerprint of the model that the run began with; empty: random weights */
    size_t labels, held_out, trained_on;
    size_t left_out;                  /* pictures of the validation set that are trained on, and so judged by nobody */
    bool labels_forgotten;            /* no label could spare a picture, so none counts */
    uint64_t judged_step, saved_step; /* the last ones; NO_STEP: none by this process */
};

/* trainer_setup.c: everything up to the first step, or up to the checkpoint's. */
MUST_CHECK bool trainer_open(struct trainer *t, const struct trainer_options *o, struct err *e);
void trainer_close(struct trainer *t);

/* trainer_models.c: judges the weights as they are, keeps them when they are the best so far. */
MUST_CHECK bool trainer_judge(struct trainer *t, struct err *e);
MUST_CHECK bool trainer_save_checkpoint(struct trainer *t, struct err *e);
/* t->model with what it came from, under that name in the run's folder.  j: its figures; NULL: none. */
MUST_CHECK bool trainer_save_model(struct trainer *t, const char *name, const struct judgement *j, struct err *e);

/* trainer_finish.c: out->end is why the steps are over.  The last model's file; first and best judged once more, side
 * by side; the end of the log; the report. */
MUST_CHECK bool trainer_finish(struct trainer *t, struct train_outcome *out, struct err *e);

/* trainer_events.c */
void trainer_log_start(struct trainer *t);
void trainer_log_resume(struct trainer *t);
void trainer_log_step(struct trainer *t, const struct step_report *r, double learning_rate, double rate);
void trainer_log_evaluation(struct trainer *t, const struct judgement *j, bool best);
void trainer_log_checkpoint(struct trainer *t);
void trainer_log_warning(struct trainer *t, const char *code, const char *message);
void trainer_log_end(struct trainer *t, const struct train_outcome *out, const struct judgement *before,
                     const struct judgement *after, const struct interval *gain);

static inline double trainer_epoch(const struct trainer *t)
{
    return (double)t->state.step / (double)t->per_epoch;
}

#endif
