/* models.c - /v1/models: listing, importing and deleting encoders. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/jobs/jobs.h"
#include "api/requests/fields.h"
#include "api/services/models.h"
#include "base/log.h"

/* `metrics` out of the lineage, which says how the model came to be. */
static void write_lineage(struct json_writer *w, const char *lineage)
{
    struct json *v = lineage ? json_parse(lineage, strlen(lineage), 0, NULL) : NULL;
    const struct json *metrics = v ? json_member(v, "metrics") : NULL;
    struct buf text = {0};
    if (metrics)
        json_dump(metrics, &text);
    jw_raw(w, "metrics", text.data);
    jw_raw(w, "lineage", lineage);
    buf_clear(&text);
    json_free(v);
}

static void write_model(struct json_writer *w, const struct app *app, const struct model_row *row)
{
    jw_object(w, NULL);
    jw_text(w, "id", row->id);
    jw_text(w, "object", "model");
    jw_int(w, "created", row->created_at);
    jw_text(w, "owned_by", "anchord");
    jw_bool(w, "default", strcmp(row->id, app->default_model) == 0);
    jw_text(w, "arch", row->arch);
    jw_int(w, "dimensions", row->dimensions);
    jw_int(w, "size", row->size);
    jw_int(w, "bytes", row->bytes);
    jw_bool(w, "trained", row->trained);
    jw_text(w, "fingerprint", row->fingerprint);
    jw_text(w, "parent", row->parent[0] ? row->parent : NULL);
    write_lineage(w, row->lineage);
    jw_end(w);
}

static bool answer_model(struct call *c, int status, const struct model_row *row)
{
    struct json_writer w = answer_json(&c->response, status);
    write_model(&w, c->app, row);
    return call_done(c);
}

bool models_list(struct call *c)
{
    struct model_row *rows;
    size_t n;
    if (!store_models(c->app->store, &rows, &n, &c->err))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++) {
        write_model(&w, c->app, &rows[i]);
        model_row_clear(&rows[i]);
    }
    answer_list_end(&w, false);
    free(rows);
    return call_done(c);
}

bool model_get(struct call *c)
{
    struct model_row row;
    if (!store_model(c->app->store, c->params[0], &row, &c->err))
        return false;
    answer_model(c, 200, &row);
    model_row_clear(&row);
    return true;
}

/* ---- import ---- */

/* One at a time: each holds a model several times over. */
static void release_import(void *p)
{
    atomic_store((atomic_bool *)p, false);
}

static void release_model(void *p)
{
    model_free(p);
}

static void release_row(void *p)
{
    model_row_clear(p);
}

static void release_file(void *p)
{
    unlink(p);
}

static bool import_done(struct call *c)
{
    const struct write *w = c->writes[0];
    if (!call_wrote(c))
        return false;
    if (w->created)
        log_info("model_added", "id=%s fingerprint=%.12s", w->model.row.id, w->model.row.fingerprint);
    return answer_model(c, w->created ? 201 : 200, &w->model.row);
}

static bool keep_model(struct call *c, struct model *m, const char *id)
{
    const struct model_terms terms = {.encoder = &c->app->options.encoder, .bytes = c->request->body_len};
    struct write *w = call_new_draft(c);
    char *file = call_new(c, PATH_MAX, 1);
    if (!model_draft(c->app->store, m, id, &terms, file, w, &c->err))
        return false;
    call_own(c, file, release_file);
    call_own(c, &w->model.row, release_row);
    return call_write(c, import_done);
}

/* One that is kept already needs no proof: *known.  The write decides. */
static bool answer_known(struct call *c, const struct model *m, const char *id, bool *known)
{
    struct model_row row;
    struct err why = {0};
    *known = store_model(c->app->store, id, &row, &why) && strcmp(m->fingerprint, row.fingerprint) == 0;
    if (!why.code) {
        if (*known)
            answer_model(c, 200, &row);
        model_row_clear(&row);
    }
    return !why.code || why.code == ERR_NOT_FOUND || call_fail(c, &why);
}

static bool import_model(struct call *c)
{
    const struct request *r = c->request;
    const char *id = query_text(c, "id");
    bool foreign, known;
    if (atomic_exchange(&c->app->importing, true))
        return err_set(&c->err, ERR_BUSY, "another model is being imported");
    call_own(c, &c->app->importing, release_import);
    struct model *m = call_own(c, model_parse(r->body, r->body_len, &foreign, &c->err), release_model);
    if (!m)
        return false;
    id = id ? id : arena_print(&c->arena, "%s-%.8s", arch_name(&m->arch), m->fingerprint);
    return answer_known(c, m, id, &known) && (known || keep_model(c, m, id));
}

bool model_import(struct call *c)
{
    const char *id = query_text(c, "id");
    return (!id || check_id(c, id, "id")) && call_next_heavy(c, import_model);
}

/* ---- delete ---- */

static bool delete_done(struct call *c)
{
    if (!call_wrote(c))
        return false;
    model_cache_forget(c->app->models, c->params[0]);
    struct json_writer w = answer_json(&c->response, 200);
    jw_object(&w, NULL);
    jw_text(&w, "id", c->params[0]);
    jw_text(&w, "object", "model");
    jw_bool(&w, "deleted", true);
    jw_end(&w);
    return call_done(c);
}

static void release_spare(void *p)
{
    jobs_spared(p);
}

bool model_delete(struct call *c)
{
    struct write *w = call_new_draft(c);
    if (!model_delete_draft(c->app, c->params[0], w, &c->err))
        return false;
    if (c->app->jobs && !call_own(c, jobs_spare_model(c->app->jobs, c->params[0], &c->err), release_spare))
        return false;
    return call_write(c, delete_done);
}
