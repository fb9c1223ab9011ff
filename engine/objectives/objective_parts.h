/* objective_parts.h - what the files of the objectives share (loss.c): the loss that runs, and settings that several have. */
#ifndef ANCHORD_ENGINE_OBJECTIVES_OBJECTIVE_PARTS_H
#define ANCHORD_ENGINE_OBJECTIVES_OBJECTIVE_PARTS_H

#include <math.h>
#include <string.h>

#include "base/num.h"
#include "engine/objectives/objective.h"

enum { LOSS_TENSORS_MAX = 8 };

struct loss {
    const struct objective *objective;
    struct objective_settings settings;
    struct loss_shape shape;
    float *work; /* workspace() of them */
    struct loss_tensor tensors[LOSS_TENSORS_MAX];
    size_t n_tensors;
};

/* A tensor of zeros that the loss owns. */
float *loss_add(struct loss *l, const char *name, size_t count, bool learned);

/* Is the step in the first `part` of the run?  A run of unknown length has none. */
static inline bool loss_early(const struct loss *l, uint64_t step, double part)
{
    return (double)step < part * (double)l->shape.steps;
}

/* The other view of row i, in batches of two views. */
static inline size_t other_view(size_t i, size_t n)
{
    return i < n / 2 ? i + n / 2 : i - n / 2;
}

/* The parts of check() functions: ERR_BAD_INPUT with the field's name unless x is from lo to hi. */
bool setting_in_range(const char *name, double x, double lo, double hi, struct err *e);
bool setting_is_count(const char *name, double x, double lo, double hi, struct err *e);

/* For check_run(): x rows of something, of which there cannot be more than pictures. */
bool setting_has_pictures(const char *name, double x, size_t pictures, struct err *e);
/* For fit(): no layer has more outputs than `most`; wider ones are halved until they fit. */
void head_narrow(struct head_layers *head, size_t most);

/* For profiles: how a run from random weights on small pictures goes, from the recipe on.  Most such runs are short,
 * and then a long warm-up and mild crops decide (bench/objectives.py).  With SMALL_RUN, heads whose rows are made unit
 * end in a batch norm.  Without one all rows begin in one narrow cone, and a short run ends before they are out of
 * it. */
#define SMALL_WARMUP 0.15
#define SMALL_RUN                                                                                                      \
    .recipe = "small", .optimizer = "adamw", .learning_rate = 1e-3, .weight_decay = 1e-4, .head_rate = 1,              \
    .warmup = SMALL_WARMUP
#define FINETUNE_RUN                                                                                                   \
    .recipe = "finetune-views", .optimizer = "adamw", .learning_rate = 1e-5, .weight_decay = 1e-4, .head_rate = 10,    \
    .warmup = USUAL_WARMUP

/* For least_batch: batch norms in the head over two views. */
enum { BATCH_NORM_PICTURES = 8 };
/* For fit(): columns for each picture of a batch, where the loss compares columns: noise alone correlates them by 1 / pictures. */
enum { COLUMNS_A_PICTURE = 16 };

extern const char *const positives_names[];

#define SETTING_NUMBER(field, least, most, text)                                                                       \
    {                                                                                                                  \
#field, SETTING_REAL, AT(struct objective_settings, field), .lo = least, .hi = most, .help = text              \
    }
#define SETTING_POSITIVES                                                                                              \
    {                                                                                                                  \
        "positives", SETTING_CHOICE, AT(struct objective_settings, positives),                                         \
            .choices = positives_names, .help = "what is alike: views of one picture, or pictures with one label"      \
    }
#define SETTING_TEMPERATURE                                                                                            \
    SETTING_NUMBER(temperature, 0.0005, 10,                                                                            \
                   "similarities are divided by it: small ones look at the hardest negatives only")
#define SETTING_MOMENTUM                                                                                               \
    SETTING_NUMBER(momentum, 0, 1,                                                                                     \
                   "how slowly the target follows, at the beginning: target = m target + (1 - m) weights"),            \
        SETTING_NUMBER(momentum_end, 0, 1, "the same at the end of the run")
#define SETTING_PROTOTYPES SETTING_NUMBER(prototypes, 2, 65536, "how many; a whole number")
#define SETTING_FREEZE_PROTOTYPES                                                                                      \
    SETTING_NUMBER(freeze_prototypes, 0, 1, "part of the run in which the prototypes stay as they began")

#endif
