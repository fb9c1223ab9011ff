/* train_step.h - one step of a run: views through the network and its target, the loss, the way back, the optimiser, the average.
 *
 *     struct train_step *s = train_step_new(config, model, &length, NULL, e);
 *     train_step_run(s, batch, learning_rate, &report, e);
 *     train_step_export(s, model);
 *
 * With config.chunk the rows of a batch go through the network in parts, and the loss still sees all of them at once.
 * First every part goes forward without keeping anything.  Then comes the gradient of the loss.  Then every part goes
 * forward again, and back (GradCache: Gao et al. 2021, arXiv:2101.06983).  That is exact, since no batch norm learns
 * then.
 *
 * With `crops` of several sizes each size is a pass through the encoder (learner.h), neighbouring groups of one size
 * together.  The objective sees the rows of all of them.
 *
 * The target branch (objective.h) is the same network without its predictor, or a second one that begins with the same
 * weights and follows.  After each step target = m target + (1 - m) weights, for all that is learned.  Running
 * statistics are the target's own.  It sees the full crops (crops.h), and no gradient goes into it.
 *
 * The average of the weights (config.ema; Polyak and Juditsky 1992) is over everything that serving uses, running
 * statistics too; it is what is exported.  After k steps it weighs new weights by at least 1 / (k + 1), so that a short run
 * does not end with its first weights.
 */
#ifndef ANCHORD_ENGINE_LEARNING_TRAIN_STEP_H
#define ANCHORD_ENGINE_LEARNING_TRAIN_STEP_H

#include "engine/data/loader.h"
#include "engine/learning/train_config.h"

struct step_report {
    double loss;
    double active;        /* part of the mined triplets with a loss; 1 for infonce */
    size_t anchors;       /* 0: there was nothing to learn from in this batch */
    double gradient_norm; /* before clipping */
    double dimensions;    /* that the outputs of the batch vary in (used_dimensions()) */
    bool looking;         /* the objective only looked: nothing was learned */
    double std; /* per dimension, of the outputs made unit: 1 / sqrt(outputs) when isotropic, 0 when collapsed */
};

struct train_step;

struct run_length {
    uint64_t steps, per_epoch; /* 0: unknown */
    size_t items;              /* pictures: more than any number in batch.items */
    size_t learned;            /* those that batches are made of; 0: all */
    size_t labels;             /* more than any label in batch.groups; 0: unknown */
};

/* The model is copied.  length: NULL: unknown.  picks: as in learner_options.  NULL with the field in e->param when an option is impossible. */
struct train_step *train_step_new(const struct train_config *c, const struct model *m, const struct run_length *length,
                                  const char *picks, struct err *e);
void train_step_free(struct train_step *s); /* NULL is fine */

/* The batch has config.views * config.batch rows, as config.crops lays them out at the model's size. */
MUST_CHECK bool train_step_run(struct train_step *s, const struct batch *b, double learning_rate,
                               struct step_report *out, struct err *e);
/* The weights that the run would be judged by now, into a model of the same architecture; seals it. */
void train_step_export(struct train_step *s, struct model *m);

struct learner *train_step_learner(struct train_step *s);     /* borrowed */
struct optimizer *train_step_optimizer(struct train_step *s); /* borrowed */
struct learner *train_step_target(struct train_step *s);      /* borrowed; NULL: none */
struct loss *train_step_loss(struct train_step *s);           /* borrowed */
size_t train_step_memory(const struct train_step *s);         /* bytes held by the networks */
/* The average of learner_weights()[i], whose count it has; NULL without `ema` and for the head's. */
float *train_step_average(struct train_step *s, size_t i);

#endif
