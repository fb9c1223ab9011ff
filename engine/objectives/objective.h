/* objective.h - what every training objective is: one file, one row in the table.
 *
 *     const struct objective *o = objective_find("byol");
 *     struct objective_settings set = o->defaults;
 *     struct loss *loss = loss_new(o, &set, &(struct loss_shape){.n = n, .d = d, .views = 2}, e);
 *     struct loss_batch b = {.z = z, .target = target, .groups = groups, .n = n, .d = d, .step = step};
 *     struct loss_report r = loss_run(loss, &b, grad);
 *     ... back through the network, optimiser ...
 *     loss_after_step(loss, &b);
 *     loss_free(loss);
 *
 * z are the raw outputs of the online branch, one row for each view: all first views, then all second ones.  Objectives
 * with `multicrop` take more than two views.  The first ones are full crops (shape.full): targets are made of these
 * alone, and all views predict them.  `target` are the outputs of the target branch for the rows of the full crops.
 * That branch has the same weights without the predictor (TARGET_SELF), or is a copy that follows them slowly
 * (TARGET_MOMENTUM).  `groups` tells which rows are positives of each other: the number of the source image (positives
 * from views) or its label (positives from labels).
 *
 * The gradient is with respect to z; the target never gets one.  An objective may have tensors of its own: prototypes that the
 * optimiser learns, queues and centres that loss_after_step() moves.  They are all that it remembers from step to step:
 * whoever keeps and restores them goes on with the same bits.
 *
 * All workspace is made by loss_new(); a run allocates nothing.  Losses are means over the anchors that have a
 * positive.  Published learning rates that assume another scale (sum of two directions, tau / 0.07) do not transfer
 * unchanged.
 */
#ifndef ANCHORD_ENGINE_OBJECTIVES_OBJECTIVE_H
#define ANCHORD_ENGINE_OBJECTIVES_OBJECTIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/setting.h"
#include "engine/objectives/head.h"

enum positives { POSITIVES_VIEWS, POSITIVES_LABELS };
enum contrast_form { CONTRAST_FORM_OUT, CONTRAST_FORM_IN };
enum mining { MINING_BATCH_HARD, MINING_SEMI_HARD, MINING_FACENET, MINING_BATCH_ALL };

struct objective_settings {
    enum positives positives;
    double temperature;      /* of the softmax; 0.0005 to 10 */
    enum contrast_form form; /* infonce: SupCon's L_out or L_in; the same with one positive */
    /* triplet */
    double margin; /* 0 to 2; ignored when soft */
    bool soft;     /* log(1 + exp(d_ap - d_an)) instead of the hinge */
    bool unit;     /* distances between unit vectors (default) or raw ones */
    enum mining mining;
    bool all_mean; /* batch-all: mean over all triplets instead of the active ones */
    /* a target that follows the weights */
    double momentum,
        momentum_end; /* target = m target + (1 - m) online; from the first step to the last, by a cosine */
    /* queues */
    double queue;       /* rows; whole */
    double queue_after; /* swav: part of the run before it is used */
    /* decorrelation */
    double epsilon;                          /* added to a variance before its root is taken */
    double off_diagonal;                     /* barlow: weight of the redundancy */
    double invariance, variance, covariance; /* vicreg: weights of the three terms */
    /* prototypes */
    double prototypes;                           /* whole */
    double freeze_prototypes;                    /* part of the run in which they stay */
    double sharpness;                            /* swav: Sinkhorn's epsilon */
    double iterations;                           /* of Sinkhorn (0: nothing is balanced), or of k-means; whole */
    double heads;                                /* deepcluster: clusterings side by side; whole */
    double recluster;                            /* deepcluster: every so many epochs */
    double teacher_temperature, centre_momentum; /* dino */
};

struct loss_shape {            /* what a run's batches look like */
    size_t n, d, views;        /* rows of a batch at most, columns of z; views: 0 is 2 */
    size_t full;               /* views that targets are made of, the first ones; 0: two, or all when there are fewer */
    size_t items;              /* pictures, by whose numbers batches name theirs; 0: unknown */
    size_t learned;            /* those of them that batches are made of; 0: all */
    size_t labels;             /* groups of positives from labels are less than this; 0: unknown */
    uint64_t steps, per_epoch; /* of the run, of an epoch; 0: unknown */
    uint64_t seed;             /* of the first prototypes and queues */
};

struct loss_batch {
    const float *z;        /* [n, d] */
    const float *target;   /* [n / views * full, d]; NULL for objectives with TARGET_NONE */
    const int32_t *groups; /* [n] */
    const size_t *items;   /* [n / views]: which picture; NULL where no objective asks */
    size_t n, d;
    uint64_t step;
};

struct loss_report {
    double loss;
    size_t anchors; /* anchors, or mined triplets; 0: nothing to learn from in this batch */
    double active;  /* fraction of the mined triplets with a loss; 1 for the others */
    bool looking;   /* the batch was only looked at: no step is to be made, but loss_after_step() */
};

struct loss_tensor {  /* something that an objective remembers or learns */
    const char *name; /* static */
    float *data;      /* [count] */
    float *gradient;  /* [count]: the optimiser learns it; NULL: it does not */
    size_t count;
};

struct loss;

enum objective_target { TARGET_NONE, TARGET_SELF, TARGET_MOMENTUM };

/* The purpose of training: large pictures from random weights, small ones, or a model that knows something already. */
enum use { USE_SCRATCH, USE_SMALL, USE_FINETUNE, USES };

/* Part of a run in which the learning rate rises, where nothing speaks for another. */
#define USUAL_WARMUP 0.05

struct objective_profile { /* what goes with an objective where a configuration says nothing */
    struct objective_settings settings;
    struct head_layers head;
    const char *recipe;    /* of augment.h */
    const char *optimizer; /* "sgd", "lars", "adamw" */
    double learning_rate, weight_decay;
    double head_rate; /* times the learning rate, for the head */
    double warmup;    /* part of the run */
};

struct objective {
    const char *name, *paper, *help;
    struct objective_settings defaults;
    const struct objective_profile *profiles; /* [USES]; NULL: `defaults`, and what is standard in configurations */
    const struct setting *settings; /* those of struct objective_settings that it has, as requests name them */
    size_t n_settings;
    enum objective_target target;
    size_t least_batch; /* pictures of a batch at least: of fewer its statistics say nothing; 0: any batch will do */
    /* Makes a profile suit a run on so many pictures in batches of so many; NULL: it suits any. */
    void (*fit)(struct objective_profile *p, size_t pictures, size_t batch);
    /* Is there anything to be learned from so many pictures with these settings?  NULL: always. */
    bool (*check_run)(const struct objective_settings *s, size_t pictures, struct err *e);
    bool multicrop; /* takes more than two views */
    /* Positives are always labels, and each row is compared with labels instead of rows.  So one view will do, and no
     * batch needs two pictures of a label. */
    bool needs_labels;
    bool (*check)(const struct objective_settings *s, struct err *e);
    /* Adds the tensors with their first values (loss_add()); NULL: none. */
    bool (*open)(struct loss *l, struct err *e);
    size_t (*workspace)(const struct loss *l); /* floats */
    struct loss_report (*run)(struct loss *l, const struct loss_batch *b, float *grad);
    void (*after_step)(struct loss *l, const struct loss_batch *b); /* NULL: nothing to do */
    /* The loss when all embeddings are one point: what a collapsed run shows. */
    double (*collapsed)(const struct objective_settings *s, const struct loss_shape *shape);
};

#define OBJECTIVE(name) extern const struct objective objective_##name;
#include "engine/objectives/objectives.def"
#undef OBJECTIVE

const struct objective *objective_find(const char *name); /* NULL when there is none */
const struct objective *const *objective_list(size_t *n);
/* The target's momentum at a step of a run of so many; its first value when the number of steps is not known. */
double objective_momentum(const struct objective_settings *s, uint64_t step, uint64_t steps);

/* NULL with the field's name in e->param when a setting is impossible. */
struct loss *loss_new(const struct objective *o, const struct objective_settings *s, const struct loss_shape *shape,
                      struct err *e);
void loss_free(struct loss *l);                            /* NULL is fine */
const struct loss_shape *loss_shape(const struct loss *l); /* with the defaults filled in; borrowed */
/* grad [n, d] and the gradients of the learned tensors are overwritten; nothing else changes. */
struct loss_report loss_run(struct loss *l, const struct loss_batch *b, float *grad);
/* Once the optimiser has made its step, with the batch of the run before it. */
void loss_after_step(struct loss *l, const struct loss_batch *b);
/* In a fixed order; borrowed; may be written between steps. */
const struct loss_tensor *loss_tensors(const struct loss *l, size_t *n);

#endif
