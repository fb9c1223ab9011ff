/* objective.h - what every training objective is: one file, one row in the table.
 *
 *     const struct objective *o = objective_find("infonce");
 *     struct objective_settings set = objective_defaults(o);
 *     struct loss *loss = loss_new(o, &set, n, d, e);
 *     struct loss_report r = loss_run(loss, &(struct loss_batch){.z = z, .groups = labels, .n = n, .d = d}, grad);
 *     loss_free(loss);
 *
 * z are the raw outputs of the head, one row for each view; `groups` tells which rows are positives of each
 * other: the number of the source image (positives from views) or its label (positives from labels).
 * The gradient is with respect to z.  All workspace is made by loss_new(); a run allocates nothing.
 *
 * Losses are means over the anchors that have a positive; published learning rates that assume another
 * scale (sum of two directions, tau / 0.07) do not transfer unchanged.
 */
#ifndef ANCHORD_ENGINE_OBJECTIVES_OBJECTIVE_H
#define ANCHORD_ENGINE_OBJECTIVES_OBJECTIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum positives { POSITIVES_VIEWS, POSITIVES_LABELS };
enum contrast_form { CONTRAST_FORM_OUT, CONTRAST_FORM_IN };
enum mining { MINING_BATCH_HARD, MINING_SEMI_HARD, MINING_FACENET, MINING_BATCH_ALL };

struct objective_settings {
    enum positives positives;
    /* infonce */
    double temperature;       /* 0.0005 to 10 */
    enum contrast_form form;  /* SupCon's L_out or L_in; the same with one positive */
    /* triplet */
    double margin;            /* 0 to 2; ignored when soft */
    bool soft;                /* log(1 + exp(d_ap - d_an)) instead of the hinge */
    bool unit;                /* distances between unit vectors (default) or raw ones */
    enum mining mining;
    bool all_mean;            /* batch-all: mean over all triplets instead of the active ones */
};

enum setting_kind { SETTING_REAL, SETTING_FLAG, SETTING_CHOICE };

struct setting { /* one of an objective's hyper-parameters, as configurations and requests name it */
    const char *name;
    enum setting_kind kind;
    size_t offset;              /* in struct objective_settings: of a double, a bool, or an enum */
    double lo, hi;              /* REAL */
    const char *const *choices; /* CHOICE: by the enum's value, NULL at the end */
    const char *help;
};
/* The settings that several objectives have. */
#define SETTING_POSITIVES \
    {"positives", SETTING_CHOICE, offsetof(struct objective_settings, positives), 0, 0, positives_names, \
     "what is alike: views of one picture, or pictures with one label"}
extern const char *const positives_names[];

struct loss_batch {
    const float *z;           /* [n, d] */
    const int32_t *groups;    /* [n] */
    size_t n, d;
};

struct loss_report {
    double loss;
    size_t anchors;           /* anchors, or mined triplets; 0: nothing to learn from in this batch */
    double active;            /* fraction of the mined triplets with a loss; 1 for infonce */
};

struct objective {
    const char *name, *paper, *help;
    struct objective_settings defaults;
    const struct setting *settings; /* those of struct objective_settings that it has */
    size_t n_settings;
    bool (*check)(const struct objective_settings *s, struct err *e);
    size_t (*workspace)(size_t n, size_t d); /* floats */
    struct loss_report (*run)(const struct objective_settings *s, const struct loss_batch *b, float *work,
                              float *grad);
    /* The loss when all embeddings are one point: what a collapsed run shows. */
    double (*collapsed)(const struct objective_settings *s, size_t n);
};

extern const struct objective objective_infonce, objective_triplet;

const struct objective *objective_find(const char *name); /* NULL when there is none */
const struct objective *const *objective_list(size_t *n);

struct loss;
/* For batches of at most n rows of d.  NULL with the field's name in e->param when a setting is impossible. */
struct loss *loss_new(const struct objective *o, const struct objective_settings *s, size_t n, size_t d,
                      struct err *e);
void loss_free(struct loss *l); /* NULL is fine */
/* grad [n, d] is overwritten. */
struct loss_report loss_run(struct loss *l, const struct loss_batch *b, float *grad);

#endif
