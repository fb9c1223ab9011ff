/* train_display.h - what a person sees of a training run on a terminal: a bar, and a line for each judgement.
 *
 * Elsewhere the run's log is printed as it is, one JSON object a line, on standard output.
 */
#ifndef ANCHORD_SERVER_COMMANDS_TRAIN_DISPLAY_H
#define ANCHORD_SERVER_COMMANDS_TRAIN_DISPLAY_H

#include "engine/training/trainer.h"

struct train_display {
    bool terminal;
    double shown; /* clock_s() */
};

struct train_display train_display_start(bool json); /* json: as if this were no terminal */
void train_display_progress(struct train_display *d, const struct train_progress *p);
void train_display_line(struct train_display *d, const char *line); /* of the log */
void train_display_end(struct train_display *d);

#endif
