/* change_model.c - what the store is asked for when a collection changes its model. */
#include "api/services/change_model.h"

#include <stdio.h>

#include "api/services/models.h"
#include "api/services/reembed.h"

void change_model_draft(struct write *w, const char *collection, const struct encoder *enc, const char *model,
                        bool skip_unreadable)
{
    struct generation_row *row = &w->generation.row;
    w->kind = WRITE_GENERATION_START;
    w->collection = collection;
    *row = (struct generation_row){.dimensions = encoder_dimensions(enc), .skip_unreadable = skip_unreadable};
    snprintf(row->model, sizeof row->model, "%s", model);
    snprintf(row->fingerprint, sizeof row->fingerprint, "%s", encoder_fingerprint(enc));
    snprintf(row->precision, sizeof row->precision, "%s", precision_name(encoder_precision(enc)));
}

void change_back_draft(struct write *w, const char *collection, int64_t generation, bool skip_unreadable)
{
    w->kind = WRITE_GENERATION_RETURN;
    w->collection = collection;
    w->generation.row = (struct generation_row){.number = generation, .skip_unreadable = skip_unreadable};
}

void change_cancel_draft(struct write *w, const char *collection)
{
    w->kind = WRITE_GENERATION_CANCEL;
    w->collection = collection;
}

bool change_model(struct app *app, const char *collection, const char *model, bool skip_unreadable,
                  struct generation_row *out, struct err *e)
{
    struct write w = {0};
    struct encoder *enc = model_cache_get(app->models, model, PRECISION_AUTO, e);
    if (!enc)
        return false;
    change_model_draft(&w, collection, enc, model, skip_unreadable);
    encoder_release(enc);
    if (!store_write(app->store, &w, e))
        return false;
    *out = w.generation.row;
    reembed_nudge(app->reembed);
    return true;
}
