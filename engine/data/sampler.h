/* sampler.h - which images make up a batch.
 *
 * Plain: every epoch is a fresh permutation, cut into batches; the last incomplete one is dropped.  P x K: each batch
 * holds exactly P labels with exactly K images each; labels with fewer images repeat some.  All labels with at least
 * two images take their turns (Hermans et al. 2017).
 *
 * The content of batch b of epoch e depends on (seed, e, b) alone: a checkpoint needs only the step number.
 */
#ifndef ANCHORD_ENGINE_DATA_SAMPLER_H
#define ANCHORD_ENGINE_DATA_SAMPLER_H

#include "engine/data/manifest.h"

struct sampler;

/* Over the items `indices` of m (both borrowed for the call).  per_label 0: plain; otherwise batch must be a
 * multiple of per_label, and there must be enough labels with two images.  NULL with the field in e->param. */
struct sampler *sampler_new(const struct manifest *m, const size_t *indices, size_t n, size_t batch, size_t per_label,
                            uint64_t seed, struct err *e);
void sampler_free(struct sampler *s);            /* NULL is fine */
size_t sampler_batches(const struct sampler *s); /* in an epoch; at least 1 */
/* Item indices into the manifest: out [batch]. */
void sampler_batch(struct sampler *s, uint64_t step, size_t *out);

#endif
