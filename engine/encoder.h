/* encoder.h - a model made ready to serve: pictures in, unit vectors out.
 *
 * An encoder is shared, immutable and reference-counted.  It holds the weights as its kernels want them (batch norm
 * folded in, bf16 where the processor has it), and not the model that they came from.  A lane is one thread's plan and
 * scratch for one encoder; it is used by one thread at a time.
 *
 *     struct encoder *enc = encoder_new(model, &(struct encoder_options){0}, e);
 *     struct lane *lane = lane_new(enc, 1, e);
 *     lane_embed(lane, bytes, len, &limits, vector, &info, e);
 */
#ifndef ANCHORD_ENGINE_ENCODER_H
#define ANCHORD_ENGINE_ENCODER_H

#include "engine/kernels/backend.h"
#include "engine/model.h"

struct encoder_options {
    enum precision precision;
    enum backend backend;
};

struct encoder;
struct lane;

/* ERR_BAD_INPUT when the wanted precision or backend is not to be had here.  NULL on failure. */
struct encoder *encoder_new(const struct model *m, const struct encoder_options *o, struct err *e);
struct encoder *encoder_share(struct encoder *enc); /* one more reference */
void encoder_release(struct encoder *enc);          /* NULL is fine */
uint32_t encoder_dimensions(const struct encoder *enc);
const char *encoder_fingerprint(const struct encoder *enc);
const struct preprocess *encoder_preprocess(const struct encoder *enc);
enum precision encoder_precision(const struct encoder *enc); /* FP32 or BF16: what it really uses */

/* `batch`: most images in one forward pass. */
struct lane *lane_new(struct encoder *enc, size_t batch, struct err *e);
void lane_free(struct lane *lane);                     /* NULL is fine; drops its reference to the encoder */
struct encoder *lane_encoder(const struct lane *lane); /* borrowed */

/* pixels [n, size, size, 3] normalised -> vectors [n, dimensions], each of unit length.  A zero or
 * non-finite result is ERR_UNDECODABLE ("the picture has no direction"). */
MUST_CHECK bool lane_forward(struct lane *lane, const float *pixels, size_t n, float *vectors, struct err *e);
/* One encoded picture to one vector: probe, decode, preprocess, forward.  info may be NULL. */
MUST_CHECK bool lane_embed(struct lane *lane, const void *bytes, size_t len, const struct image_limits *limits,
                           float *vector, struct image_info *info, struct err *e);

/* Fills the model's goldens: pictures drawn by draw.h, vectors computed in fp32. */
MUST_CHECK bool encoder_make_goldens(struct model *m, struct err *e);
/* Checks the relative embedding error of the goldens: (1 - cos) over the median (1 - cos) between different goldens.
 * It must be <= 1e-3 in fp32 and <= 0.02 in bf16.  A model without goldens fails. */
MUST_CHECK bool encoder_check(struct encoder *enc, const struct model *m, double *worst, struct err *e);

#endif
