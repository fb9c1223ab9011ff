/* train_config_parts.h - what the files of the configuration share: train_config.c (the whole), train_config_fields.c (objects
 * by tables), train_config_views.c (augmentation and crops).
 */
#ifndef ANCHORD_ENGINE_LEARNING_TRAIN_CONFIG_PARTS_H
#define ANCHORD_ENGINE_LEARNING_TRAIN_CONFIG_PARTS_H

#include "engine/learning/train_config.h"

/* One table for each object: a field, its bounds, where its value goes. */
enum field_kind { FIELD_REAL, FIELD_COUNT, FIELD_FLAG, FIELD_CHOICE, FIELD_PATH, FIELD_OTHER };

struct field {
    const char *name;
    enum field_kind kind;
    void *to; /* double, uint64_t, bool, int (index into choices), char *; OTHER: not read here */
    double lo, hi;
    const char *const *choices; /* NULL-terminated */
};

/* Reads an object whose path is `where`; a field that is not in the table is refused.  Null is as good as not given. */
MUST_CHECK bool config_fields(const struct json *object, const char *where, const struct field *fields, size_t n,
                              struct err *e);
MUST_CHECK bool config_choice(const struct json *v, const struct field *f, const char *path, struct err *e);
void config_path(char out[64], const char *where, const char *name);
/* False, with the reason of a check that knows its own fields alone: they lie below `where`. */
bool config_refuse(const struct err *why, const char *where, struct err *e);

/* A recipe's name, or an object that changes some of its parameters in both views. */
MUST_CHECK bool config_augmentation(struct train_config *c, const struct json *v, struct err *e);
/* [{"count": 2, "size": 64, "crop_min": 0.3, ...}, {"count": 6, ...}], what is not said as in the augmentation. */
MUST_CHECK bool config_crops(struct train_config *c, const struct json *list, struct err *e);
/* Whether the objective and the batch go with them; one group of the views where none were given. */
MUST_CHECK bool config_check_crops(struct train_config *c, struct err *e);

#endif
