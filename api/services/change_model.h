/* change_model.h - another model for a collection.
 *
 * A draft fills a write for whoever submits it; reembed_nudge() follows.  change_model() submits its own and waits for it, not for
 * the change: reembed.h completes the generation and switches, and generation_list() tells how it fares.
 */
#ifndef ANCHORD_API_SERVICES_CHANGE_MODEL_H
#define ANCHORD_API_SERVICES_CHANGE_MODEL_H

#include "api/services/app.h"
#include "index/generation.h"

/* `enc` is the model's; names are borrowed until the write is done. */
void change_model_draft(struct write *w, const char *collection, const struct encoder *enc, const char *model,
                        bool skip_unreadable);
/* Back to a retired generation; 0: the one retired last. */
void change_back_draft(struct write *w, const char *collection, int64_t generation, bool skip_unreadable);
void change_cancel_draft(struct write *w, const char *collection); /* gives up what is under way */

/* *out is the generation, also when the same change was under way already.
 * ERR_NOT_FOUND: no such collection or model; ERR_CONFLICT: the model is active already, or another generation is being
 * completed; ERR_CORRUPT: the model's file is damaged.  Loads the model: not from a light thread. */
MUST_CHECK bool change_model(struct app *app, const char *collection, const char *model, bool skip_unreadable,
                             struct generation_row *out, struct err *e);

#endif
