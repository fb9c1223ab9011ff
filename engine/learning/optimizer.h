/* optimizer.h - one step of SGD, LARS or AdamW over many tensors, and the schedules of learning rates.
 *
 * SGD: v = mu v + (g + wd w), w -= lr v; Nesterov: w -= lr (g + wd w + mu v)  (PyTorch's form).
 * LARS: You et al. 2017 (arXiv:1708.03888), in the form of SimCLR and Barlow Twins: g' = g + wd w,
 *       q = eta |w| / |g'|, then momentum on q g'.  Excluded tensors have q = 1 and no decay.
 * AdamW: Loshchilov and Hutter 2019 (arXiv:1711.05101), decay decoupled.
 *
 * One-dimensional tensors (biases, batch norm) take no weight decay and no trust ratio.  Weights and state
 * are fp32 whatever the network computes in.  The order of all sums is fixed: the same numbers each time.
 */
#ifndef ANCHORD_ENGINE_LEARNING_OPTIMIZER_H
#define ANCHORD_ENGINE_LEARNING_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum optimizer_kind { OPTIMIZER_SGD, OPTIMIZER_LARS, OPTIMIZER_ADAMW };
extern const char *const optimizer_names[]; /* by kind, as configurations and requests have them; NULL at the end */

struct optimizer_settings {
    enum optimizer_kind kind;
    double momentum;              /* SGD and LARS; 0.9 */
    bool nesterov;                /* SGD */
    double eta;                   /* LARS's trust coefficient; 0.001 */
    bool clip;                    /* LARS: the ratio is at most 1 / learning rate (LARC) */
    double beta1, beta2, epsilon; /* AdamW; 0.9, 0.999, 1e-8 */
    double weight_decay;
};
struct optimizer_settings optimizer_defaults(enum optimizer_kind kind);

struct parameter {   /* one tensor to be learned; all borrowed */
    float *value;    /* [count] */
    float *gradient; /* [count] */
    size_t count;
    bool decay;        /* false: no weight decay, no trust ratio */
    double rate_scale; /* multiplies the learning rate: 1, or more for a fresh head */
};

struct optimizer;
/* `parameters` must stay where they are.  NULL with the field in e->param when a setting is impossible. */
struct optimizer *optimizer_new(const struct optimizer_settings *s, const struct parameter *parameters, size_t n,
                                struct err *e);
void optimizer_free(struct optimizer *o); /* NULL is fine */
/* Scales all gradients so that their joint L2 norm is at most `max_norm` (0: leaves them); gives the norm before. */
double optimizer_clip(struct optimizer *o, double max_norm);
void optimizer_step(struct optimizer *o, double learning_rate);

/* For checkpoints: the state tensors, in an order that the settings fix; *step counts optimizer_step(). */
size_t optimizer_state_count(const struct optimizer *o);
float *optimizer_state(struct optimizer *o, size_t i, size_t *count);
uint64_t *optimizer_steps(struct optimizer *o);

/* Linear warm-up over `warmup` steps ((k + 1) / warmup, so that step 0 learns), then a cosine from `peak`
 * to `end` at step `total`. */
double schedule_cosine(uint64_t step, uint64_t warmup, uint64_t total, double peak, double end);

/* target = m target + (1 - m) online. */
void ema_update(float *target, const float *online, size_t count, double m);

#endif
