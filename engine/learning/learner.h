/* learner.h - a network that learns: encoder and projection head, forward and backward, for one batch size.
 *
 * The encoder is the network of the model's family (arch.h); behind its output comes the head that only training uses.
 * Weights, running statistics, gradients and the head's arithmetic are fp32; the activations of the encoder are bf16
 * where the precision says so.
 *
 *     struct learner *l = learner_new(model, &options, e);
 *     learner_forward(l, pixels, z, e);          z [batch, learner_outputs()], not normalised
 *     ... loss and its gradient dz ...
 *     learner_backward(l, dz, e);                fills every parameter's gradient
 *     optimizer_step(...);
 *     learner_export(l, model);
 *
 * Weights are read where they lie at each step: whoever changes them (the optimiser, a checkpoint, an average) just
 * writes.
 *
 * Crops of several sizes are several passes.  The rows of one size go through the encoder together.  Its batch norms go
 * by those rows, and its running statistics move once for each pass.  The head sees the rows of all passes at once (as
 * in SwAV and DINO).
 *
 * Convolutions are kept [out, height, width, in] here, as the kernels want them, and [out, in, height, width]
 * in models.
 *
 * Memory is laid out once; a step allocates nothing.  Inside a step the loops over tensors are static OpenMP loops with
 * a fixed order of reduction.  So the same threads, precision and picks give the same bits.
 */
#ifndef ANCHORD_ENGINE_LEARNING_LEARNER_H
#define ANCHORD_ENGINE_LEARNING_LEARNER_H

#include "engine/encoder.h"
#include "engine/learning/optimizer.h"
#include "engine/objectives/head.h"

enum { LEARNER_PASSES_MAX = 4 };
struct learner_pass {
    size_t rows;
    uint32_t size; /* side of the pictures */
};

struct learner_options {
    enum precision precision;
    enum backend backend;
    size_t batch; /* rows of a step; a batch norm that learns needs at least 3.  Not read with `passes` */
    struct learner_pass passes[LEARNER_PASSES_MAX]; /* in the order of the rows */
    size_t n_passes;                                /* 0: one, all `batch` rows at the model's size */
    struct head_layer head[HEAD_LAYERS_MAX];
    size_t n_head; /* 0: z is the encoder's output itself */
    struct head_layer
        predictor[HEAD_LAYERS_MAX]; /* behind the head; the last layer has as many outputs as the head, or says 0 */
    size_t n_predictor;
    bool forward_only;      /* nothing learns; batch norms still go by the batch where they would with learning */
    bool freeze_norm;       /* batch norm of the encoder uses its running statistics, scale and shift fixed */
    uint32_t freeze_stages; /* 0: none; 1: the stem; 2: and layer1; ... 5: the whole encoder; their batch norms too */
    double head_rate;       /* times the learning rate, for the head; 0: the same */
    uint64_t seed;          /* of the head's first weights */
    const char
        *picks; /* what learner_picks() gave before: the same kernels again; NULL: measure.  Those of a learner with
                               * more passes serve one that has its first ones */
};

struct learner;

/* The model is copied.  ERR_BAD_INPUT with the option in e->param; ERR_CONFLICT when `picks` names a kernel that this
 * machine does not have.  NULL on failure. */
struct learner *learner_new(const struct model *m, const struct learner_options *o, struct err *e);
void learner_free(struct learner *l); /* NULL is fine */

uint32_t learner_outputs(const struct learner *l); /* columns of z */

/* pixels [batch, size, size, 3] (those of each pass one behind the other) -> z [batch, outputs]; batch norms that learn
 * update their running statistics. */
MUST_CHECK bool learner_forward(struct learner *l, const float *pixels, float *z, struct err *e);
/* The head's output to the predictor in the last forward: [batch, outputs]; z without a predictor; borrowed until
 * backward. */
const float *learner_projection(const struct learner *l);
/* dz [batch, outputs] -> the gradients of all parameters (overwritten, or added to when `accumulate`).  Once for each
 * forward, whose activations it uses up. */
MUST_CHECK bool learner_backward(struct learner *l, const float *dz, bool accumulate, struct err *e);

/* The tensors to be learned: frozen ones are not among them.  *n of them, in a fixed order; borrowed. */
const struct parameter *learner_parameters(const struct learner *l, size_t *n);

/* All tensors that a checkpoint of the network needs; borrowed.  Their order is fixed: the encoder's weights and
 * statistics, then the head's, then the predictor's.  Their data may be written between steps. */
const struct weight *learner_weights(const struct learner *l, size_t *n);

/* Copies the encoder's weights and running statistics into a model of the same architecture, which is no compact one
 * any more; seals it. */
void learner_export(const struct learner *l, struct model *m);

/* The kernels that were picked, as a JSON text; borrowed. */
const char *learner_picks(const struct learner *l);
size_t learner_memory(const struct learner *l); /* bytes held */

/* Where the time of all steps so far went: of one operation (op.h), or of all with NULL. */
double learner_seconds(const struct learner *l, const struct op *op, bool backward);

#endif
