/* models.h - the models of a store: proved, kept, deleted, described.
 *
 * A draft fills a write for whoever submits it; model_keep() submits its own and waits.
 */
#ifndef ANCHORD_API_SERVICES_MODELS_H
#define ANCHORD_API_SERVICES_MODELS_H

#include <limits.h>

#include "engine/encoder.h"
#include "index/store.h"

struct app;

/* Whether a file is the model of this fingerprint: store_options' check_model. */
MUST_CHECK bool model_check_file(const char *path, const char *fingerprint, struct err *e);
/* Whether its network was made for small pictures: its stem does not halve them twice. */
bool model_is_small(const struct model_row *row);
/* Gives a model what it needs to be kept: goldens where it has none, and proof that it embeds them.
 * ERR_BAD_INPUT when it does not. */
MUST_CHECK bool model_prove(struct model *m, const struct encoder_options *o, struct err *e);

struct model_terms {                       /* on which a model is kept */
    const struct encoder_options *encoder; /* that must embed its goldens */
    bool needed;                           /* to serve at all, so that a nearly full disk is no reason ... */
    uint64_t bytes;                        /* ... else there must be room for so many */
};
/* Proves a model, writes its file under a name of its own, and fills *w.  The caller submits *w, then removes `file`, which holds
 * that name, and clears w->model.row. */
MUST_CHECK bool model_draft(struct store *s, struct model *m, const char *id, const struct model_terms *terms,
                            char file[PATH_MAX], struct write *w, struct err *e);
/* Keeps it under an id; fine when it is kept there already.  ERR_CONFLICT when another one is. */
MUST_CHECK bool model_keep(struct store *s, struct model *m, const char *id, const struct model_terms *terms,
                           struct err *e);
/* ERR_CONFLICT for the default model.  jobs_spare_model() before, model_cache_forget() after the write. */
MUST_CHECK bool model_delete_draft(const struct app *app, const char *id, struct write *w, struct err *e);

/* A new collection takes this over from its encoder: model, fingerprint, precision, dimensions. */
void collection_describe(const struct encoder *enc, const char *name, const char *model, struct collection_row *row);

const char *precision_name(enum precision p);  /* "fp32", "bf16", "auto"; static */
enum precision precision_parse(const char *s); /* AUTO for anything else */

#endif
