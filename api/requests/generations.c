/* generations.c - another model for a collection: POST and DELETE .../model, GET .../generations, POST .../rollback. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/requests/fields.h"
#include "api/services/change_model.h"
#include "api/services/reembed.h"
#include "base/num.h"

/* ---- showing ---- */

static void write_progress(struct json_writer *w, const struct generation_row *row, const struct reembed_progress *p)
{
    bool at_work = row->state == GENERATION_BUILDING && p->generation == row->number;
    if (at_work && p->rate > 0) {
        jw_real(w, "rate", p->rate);
        jw_int(w, "seconds_left", (int64_t)ceil((double)(row->total - row->done) / p->rate));
    } else {
        jw_text(w, "rate", NULL);
        jw_text(w, "seconds_left", NULL);
    }
    jw_text(w, "note", at_work && p->note[0] ? p->note : NULL);
    jw_text(w, "error", row->error[0] ? row->error : NULL);
}

static void write_generation(struct json_writer *w, const struct generation_row *row, const struct reembed_progress *p)
{
    jw_object(w, NULL);
    jw_text(w, "object", "generation");
    jw_int(w, "generation", row->number);
    jw_text(w, "collection", row->collection);
    jw_text(w, "model", row->model);
    jw_text(w, "state", generation_state_name(row->state));
    jw_int(w, "done", row->done);
    jw_int(w, "total", row->total);
    jw_int(w, "unreadable", row->unreadable);
    write_progress(w, row, p);
    jw_text(w, "fingerprint", row->fingerprint);
    jw_text(w, "precision", row->precision);
    jw_int(w, "dimensions", row->dimensions);
    jw_bool(w, "skip_unreadable", row->skip_unreadable);
    jw_int(w, "created_at", row->created_at);
    write_time(w, "activated_at", row->activated_at);
    write_time(w, "retired_at", row->retired_at);
    jw_end(w);
}

bool generations_list(struct call *c)
{
    struct generation_row *rows;
    struct reembed_progress progress;
    size_t n;
    if (!generation_list(c->app->store, c->params[0], &rows, &n, &c->err))
        return false;
    reembed_get_progress(c->app->reembed, &progress);
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++)
        write_generation(&w, &rows[i], &progress);
    answer_list_end(&w, false);
    free(rows);
    return call_done(c);
}

/* ---- POST .../model and .../rollback ---- */

struct change {
    const char *model;
    bool skip_unreadable;
    int64_t generation; /* to go back to; 0: the previous one */
};

/* The generation as it is by now; should it be gone already, as it was begun. */
static bool show_generation(struct call *c)
{
    struct write *w = c->writes[0];
    struct generation_row *rows, *row = &w->generation.row;
    struct reembed_progress progress;
    size_t n;
    if (!generation_list(c->app->store, c->params[0], &rows, &n, &c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        if (rows[i].number == row->number)
            *row = rows[i];
    free(rows);
    reembed_get_progress(c->app->reembed, &progress);
    struct json_writer out = answer_json(&c->response, w->created ? 202 : 200);
    write_generation(&out, row, &progress);
    return call_done(c);
}

static bool begun(struct call *c)
{
    reembed_nudge(c->app->reembed);
    return call_wrote(c) && call_next(c, show_generation);
}

static bool load_model(struct call *c);

static bool started(struct call *c)
{
    const struct write *w = c->writes[0];
    return w->err.code ? call_look_again(c, &w->err, load_model) : begun(c);
}

static bool draft_change(struct call *c)
{
    const struct change *q = c->scratch;
    change_model_draft(call_new_draft(c), c->params[0], c->encoder, q->model, q->skip_unreadable);
    return call_write(c, started);
}

static bool load_model(struct call *c)
{
    const struct change *q = c->scratch;
    return call_load(c, q->model, PRECISION_AUTO, draft_change);
}

bool collection_model_post(struct call *c)
{
    static const char *const known[] = {"model", "skip_unreadable"};
    struct change *q = c->scratch = call_new(c, 1, sizeof *q);
    struct collection_row row;
    if (!json_only(c->json, "", known, COUNT(known), &c->err) ||
        !json_get_text(c->json, "model", ID_MAX, &q->model, &c->err) ||
        !json_get_bool(c->json, "skip_unreadable", &q->skip_unreadable, &c->err))
        return false;
    if (!q->model)
        return err_field(&c->err, "model", "is needed: the id of the model to change to");
    return check_id(c, q->model, "model") && store_collection(c->app->store, c->params[0], &row, &c->err) &&
           load_model(c);
}

bool collection_rollback(struct call *c)
{
    static const char *const known[] = {"generation", "skip_unreadable"};
    struct change q = {0};
    if (c->json && (!json_only(c->json, "", known, COUNT(known), &c->err) ||
                    !json_get_int(c->json, "generation", 1, INT64_MAX, &q.generation, &c->err) ||
                    !json_get_bool(c->json, "skip_unreadable", &q.skip_unreadable, &c->err)))
        return false;
    change_back_draft(call_new_draft(c), c->params[0], q.generation, q.skip_unreadable);
    return call_write(c, begun);
}

/* ---- DELETE .../model ---- */

static bool cancelled(struct call *c)
{
    reembed_nudge(c->app->reembed);
    return call_no_content(c);
}

bool collection_model_delete(struct call *c)
{
    change_cancel_draft(call_new_draft(c), c->params[0]);
    return call_write(c, cancelled);
}
