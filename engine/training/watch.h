/* watch.h - looks at each step for a run that has gone wrong: diverged, collapsed, or learning nothing.
 *
 * Diverged: the loss or the gradient is no number any more.  Collapsed to one point: the standard deviation of the
 * outputs is a tenth of what isotropic ones have, for 20 steps in a row.  Collapsed to one line, where positives are
 * views: the outputs vary in less than 1.2 dimensions, for 20 steps in a row.  That counts from one window after the
 * warm-up.  Learning nothing: over a window after the warm-up the loss is that of a collapsed network
 * (objective.collapsed), although the outputs differ: as good as guessing.  A run that diverged cannot go on; the other
 * two are told once each time they begin.
 *
 * The finding of a step depends on the steps since the watch was made.  So a resumed run may tell a collapse again.
 */
#ifndef ANCHORD_ENGINE_TRAINING_WATCH_H
#define ANCHORD_ENGINE_TRAINING_WATCH_H

#include "engine/learning/train_step.h"

enum watch_finding { WATCH_FINE, WATCH_COLLAPSED, WATCH_IDLE, WATCH_DIVERGED };

struct watch {
    const struct objective *objective; /* borrowed */
    struct objective_settings settings;
    struct loss_shape shape;
    uint64_t warmup, window; /* steps */
    /* so far */
    uint64_t flat_steps; /* in a row with one point */
    uint64_t thin_steps; /* in a row with one line */
    double loss_sum;     /* of the window that is being filled */
    uint64_t in_window;
    enum watch_finding told;
    char message[256]; /* what the last finding means and what to do */
};

/* shape: rows of a batch, columns of z, labels; total: steps of the run. */
struct watch watch_new(const struct train_config *c, const struct loss_shape *shape, uint64_t warmup, uint64_t total);
/* WATCH_FINE, or what has just begun, explained in w->message. */
enum watch_finding watch_step(struct watch *w, uint64_t step, const struct step_report *r);
const char *watch_code(enum watch_finding f); /* "collapse"; static */

#endif
