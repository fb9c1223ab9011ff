/* train_auto.h - the settings of a training run that nobody gave: they are chosen here, and nowhere else.
 *
 * An objective with profiles (objective.h) brings its head, recipe of views, optimiser and rates along.  A run that
 * begins with a model that knows something gets those for fine-tuning, any other run those of its size of pictures.
 * Objectives without profiles get the values in train_auto.c.  There is one set for a configuration that is silent, for
 * it says what its author wants.  There is another for a job that leaves the choice to us.
 */
#ifndef ANCHORD_ENGINE_LEARNING_TRAIN_AUTO_H
#define ANCHORD_ENGINE_LEARNING_TRAIN_AUTO_H

#include "engine/learning/train_config.h"

/* The configuration before anything of it is read. */
void train_defaults(struct train_config *c);
/* The values that its objective brings along, in the place of those.  small: the pictures. */
void train_defaults_of(struct train_config *c, const struct objective *o, bool trained, bool small);
/* Of an optimiser that is not the one of the defaults. */
void train_defaults_optimizer(struct train_config *c, enum optimizer_kind kind);

struct train_ground { /* what a run will stand on */
    size_t images;
    size_t kinds, labels; /* all labels, and those with two pictures or more */
    size_t spared;        /* pictures that can be held out, by their labels */
    bool trained;         /* the model that it begins with is more than random weights */
    bool small;           /* and was made for small pictures */
    const char *folder;   /* of the run */
    const char *model;    /* file */
    bool validation;      /* there is a validation.jsonl in the folder */
    size_t threads;       /* 0: all cores */
    double max_minutes;   /* what auto is */
};
/* Fills in what is counted: each [1 + labels], first the pictures without a label, then those of each. */
void train_ground_count(struct train_ground *g, const size_t *each, size_t labels);

/* How much of the encoder stays as it is; the place among the names is 0, or 1 and the number of stages. */
extern const char *const freeze_names[]; /* "none", "norm", "stem", "stage1", ...; NULL at the end */

struct train_asked { /* 0, -1 or NULL: auto */
    int64_t epochs, batch, small_crops;
    double learning_rate, max_minutes;
    int optimizer, freeze, fit; /* places among optimizer_names, freeze_names, fit_names */
    const char *recipe;
    const struct json *own; /* values of the objective's own settings; what is none is auto */
};

/* Fills in all of *c that depends on these, but no paths.  ERR_BAD_INPUT with the name of what was asked in e->param where it is impossible with
 * these pictures; without where nothing would be possible. */
MUST_CHECK bool train_auto(struct train_config *c, const struct objective *o, const struct train_ground *g,
                           const struct train_asked *asked, struct err *e);

#endif
