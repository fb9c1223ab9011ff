/* generations.h - changing the model of a collection, for handlers and for jobs. */
#ifndef ANCHORD_API_REQUESTS_GENERATIONS_H
#define ANCHORD_API_REQUESTS_GENERATIONS_H

#include "api/services/app.h"
#include "index/generation.h"

/* Begins the change of `collection` to `model` and returns at once: reembed.h completes the generation and switches
 * (generation_list() tells how it fares).  *out is the generation, also when the same change was under way already.
 * ERR_NOT_FOUND: no such collection or model; ERR_CONFLICT: the model is active already, or another generation is being
 * completed; ERR_CORRUPT: the model's file is damaged.  Loads the model: not from a light thread. */
MUST_CHECK bool generation_start(struct app *app, const char *collection, const char *model, bool skip_unreadable,
                                 struct generation_row *out, struct err *e);

#endif
