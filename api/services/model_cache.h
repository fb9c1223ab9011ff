/* model_cache.h - the models in memory: id -> encoder, loaded when first asked for.
 *
 * A model file is read and checked against its catalogue row (fingerprint) and its goldens.  It is made into an encoder
 * and dropped again: only the encoder and one golden stay.  Encoders are shared; each caller that gets one releases it.
 *
 * Threads: any.  Two threads that ask for the same model at once load it once.
 */
#ifndef ANCHORD_API_SERVICES_MODEL_CACHE_H
#define ANCHORD_API_SERVICES_MODEL_CACHE_H

#include "engine/encoder.h"
#include "index/store.h"

struct model_cache;
struct model_cache *model_cache_new(struct store *s, const struct encoder_options *o);
void model_cache_free(struct model_cache *c); /* NULL is fine */

/* One more reference to the encoder of model `id`.  `precision` AUTO: the one of the options; BF16 on a
 * machine without it gives FP32, which it approximates.  ERR_NOT_FOUND: no such model; ERR_CORRUPT: the file
 * is not what was stored.  NULL on failure. */
struct encoder *model_cache_get(struct model_cache *c, const char *id, enum precision precision, struct err *e);
/* Whether the file of a model is still what was stored, whatever is in memory.  Errors as model_cache_get(). */
MUST_CHECK bool model_cache_verify(struct model_cache *c, const char *id, struct err *e);
/* True when model_cache_get() would not have to load anything. */
bool model_cache_has(struct model_cache *c, const char *id, enum precision precision);
/* The first golden of a loaded model, to prove now and then that it still embeds: borrowed until the model
 * is forgotten.  False when it is not loaded. */
bool model_cache_golden(struct model_cache *c, const char *id, struct golden *out);
/* After a model was deleted. */
void model_cache_forget(struct model_cache *c, const char *id);

#endif
