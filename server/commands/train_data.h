/* train_data.h - the pictures that a training run is told to learn from, whatever they are: a folder, a list, a collection. */
#ifndef ANCHORD_SERVER_COMMANDS_TRAIN_DATA_H
#define ANCHORD_SERVER_COMMANDS_TRAIN_DATA_H

#include "engine/data/manifest.h"
#include "engine/learning/train_config.h"

/* A collection's files are pinned in OUT/pictures and listed in OUT/manifest.jsonl first.  So its data folder can be
 * served again while the run goes on.  A run that resumes keeps to that list.  ERR_BUSY while the data folder is being
 * served. */
MUST_CHECK bool train_data_read(const struct train_config *c, bool resume, struct manifest *m, struct err *e);

#endif
