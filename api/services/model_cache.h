/* model_cache.h - the models in memory: id -> encoder, loaded when first asked for.
 *
 * A model file is read, checked against its catalogue row (fingerprint) and its goldens, made into an
 * encoder and dropped again: only the encoder and one golden stay.  Encoders are shared; whoever gets one releases it.
 *
 * Threads: any.  Two threads that ask for the same model at once load it once.
 */
#ifndef ANCHORD_API_SERVICES_MODEL_CACHE_H
#define ANCHORD_API_SERVICES_MODEL_CACHE_H

#include <limits.h>

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
/* Whether a file is the model of this fingerprint: store_options' check_model. */
MUST_CHECK bool model_check_file(const char *path, const char *fingerprint, struct err *e);
/* True when model_cache_get() would not have to load anything. */
bool model_cache_has(struct model_cache *c, const char *id, enum precision precision);
/* The first golden of a loaded model, to prove now and then that it still embeds: borrowed until the model
 * is forgotten.  False when it is not loaded. */
bool model_cache_golden(struct model_cache *c, const char *id, struct golden *out);
/* After a model was deleted. */
void model_cache_forget(struct model_cache *c, const char *id);

/* What the catalogue keeps of a model; `bytes` is the size of its file.  row->lineage is the row's own. */
void model_describe(const struct model *m, const char *id, int64_t bytes, struct model_row *row);
/* Whether its network was made for small pictures: its stem does not halve them twice. */
bool model_is_small(const struct model_row *row);
/* What a new collection takes over from its encoder: model, fingerprint, precision, dimensions. */
void collection_describe(const struct encoder *enc, const char *name, const char *model, struct collection_row *row);
/* What a new generation of a collection takes over from its encoder. */
void generation_describe(const struct encoder *enc, const char *model, struct generation_row *row);
/* Gives a model what it needs to be kept: goldens where it has none, and proof that it embeds them.
 * ERR_BAD_INPUT when it does not. */
MUST_CHECK bool model_prove(struct model *m, const struct encoder_options *o, struct err *e);

/* Writes a model's file, durably, under a name of its own, and fills what WRITE_MODEL_ADD needs: the caller submits the write
 * and then removes `file`, whose name it holds, and clears w->model.row. */
MUST_CHECK bool model_draft(struct store *s, const struct model *m, const char *id, char file[PATH_MAX],
                            struct write *w, struct err *e);
/* Proves a model and keeps it under an id; fine when it is kept there already.  `needed`: to serve at all, so that
 * a nearly full disk is no reason.  ERR_CONFLICT when another one is. */
MUST_CHECK bool model_keep(struct store *s, struct model *m, const char *id, const struct encoder_options *o,
                           bool needed, struct err *e);

const char *precision_name(enum precision p);  /* "fp32", "bf16", "auto"; static */
enum precision precision_parse(const char *s); /* AUTO for anything else */

#endif
