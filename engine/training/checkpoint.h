/* checkpoint.h - a run's whole state in one file, so that what goes on from it is the very same run.
 *
 * It is a safetensors file:
 *
 *     network.<name>               each tensor of the network
 *     average.<name>               its average
 *     target.<name>                the target branch
 *     objective.<name>             what the objective remembers
 *     optimizer.<i>                the optimiser's state
 *     __metadata__["checkpoint"]   a JSON text with everything else
 *
 * The JSON text has the step, the configuration as it was given, the pictures' digest, the kernels that were picked,
 * threads, precision and processor.  Batches need no state: they depend on (seed, step) alone (loader.h).
 *
 * The file is written durably (file.h): a full disk or a power cut leaves the previous checkpoint as it was.
 */
#ifndef ANCHORD_ENGINE_TRAINING_CHECKPOINT_H
#define ANCHORD_ENGINE_TRAINING_CHECKPOINT_H

#include "base/hash.h"
#include "base/processor.h"
#include "engine/learning/train_step.h"

/* Where a run is. */
struct run_state {
    uint64_t step;  /* steps done */
    double seconds; /* spent in them, over all parts of the run */
    uint64_t best_step;
    double best_score;
};

/* All that decides the bits of a run beside its configuration. */
struct run_ground {
    size_t threads;
    char precision[8], backend[8];
    char processor[PROCESSOR_TEXT];
    char pictures[HASH_HEX]; /* manifest_digest() */
};

struct checkpoint; /* an open file whose metadata were read */

/* ERR_NOT_FOUND when there is no such file; ERR_CORRUPT when it is not a checkpoint of ours. */
struct checkpoint *checkpoint_open(const char *path, struct err *e);
void checkpoint_close(struct checkpoint *c); /* NULL is fine */
const struct run_state *checkpoint_state(const struct checkpoint *c);
const char *checkpoint_picks(const struct checkpoint *c); /* for train_step_new(); borrowed */

/* ERR_CONFLICT, saying what differs, unless the configuration and the ground are those of the checkpoint.  `inexact` lets another
 * number of threads, precision, backend or processor pass; never another configuration or other pictures. */
MUST_CHECK bool checkpoint_matches(const struct checkpoint *c, const struct train_config *config,
                                   const struct run_ground *ground, bool inexact, struct err *e);
/* Fills the weights, averages and optimiser of a step that was made for the same configuration. */
MUST_CHECK bool checkpoint_load(const struct checkpoint *c, struct train_step *s, struct err *e);

MUST_CHECK bool checkpoint_save(const char *path, const struct run_state *state, const struct train_config *config,
                                const struct run_ground *ground, struct train_step *s, struct err *e);

#endif
