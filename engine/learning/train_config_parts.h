/* train_config_parts.h - what the files of the configuration share: train_config.c (the whole), train_config_views.c (augmentation and crops).
 */
#ifndef ANCHORD_ENGINE_LEARNING_TRAIN_CONFIG_PARTS_H
#define ANCHORD_ENGINE_LEARNING_TRAIN_CONFIG_PARTS_H

#include "engine/learning/train_config.h"

/* False, with the reason of a check that knows its own fields alone: they lie below `where`. */
bool config_refuse(const struct err *why, const char *where, struct err *e);

/* A recipe's name, or an object that changes some of its parameters in both views. */
MUST_CHECK bool config_augmentation(struct train_config *c, const struct json *v, struct err *e);
/* [{"count": 2, "size": 64, "crop_min": 0.3, ...}, {"count": 6, ...}], what is not said as in the augmentation. */
MUST_CHECK bool config_crops(struct train_config *c, const struct json *list, struct err *e);
/* Whether the objective and the batch go with them; one group of the views where none were given. */
MUST_CHECK bool config_check_crops(struct train_config *c, struct err *e);

#endif
