/* collections.c - /v1/collections: making, describing and deleting sets of images. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/requests/fields.h"
#include "api/services/models.h"
#include "base/num.h"

static const char *const index_names[] = {[INDEX_AUTO] = "auto", [INDEX_FLAT] = "flat", [INDEX_HNSW] = "hnsw"};

static void write_collection(struct json_writer *w, const struct collection_row *row)
{
    jw_object(w, NULL);
    jw_text(w, "object", "collection");
    jw_text(w, "name", row->name);
    jw_text(w, "model", row->model);
    jw_int(w, "generation", row->generation);
    jw_text(w, "status", row->building ? "building" : "ready");
    jw_int(w, "images", row->images);
    jw_text(w, "index", index_names[row->index]);
    jw_int(w, "dimensions", row->dimensions);
    jw_text(w, "precision", row->precision);
    jw_int(w, "created_at", row->created_at);
    jw_end(w);
}

static bool answer_collection(struct call *c, int status, const struct collection_row *row)
{
    struct json_writer w = answer_json(&c->response, status);
    write_collection(&w, row);
    return call_done(c);
}

bool collections_list(struct call *c)
{
    struct collection_row *rows;
    size_t n;
    if (!store_collections(c->app->store, &rows, &n, &c->err))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++)
        write_collection(&w, &rows[i]);
    answer_list_end(&w, false);
    free(rows);
    return call_done(c);
}

bool collection_get(struct call *c)
{
    struct collection_row row;
    return store_collection(c->app->store, c->params[0], &row, &c->err) && answer_collection(c, 200, &row);
}

/* ---- PUT ---- */

struct wanted { /* what the request says; NULL where it says nothing */
    const char *model, *index;
};

static bool read_index(struct call *c, const char *name, enum index_kind *out)
{
    for (size_t i = 0; i < COUNT(index_names); i++)
        if (strcmp(name, index_names[i]) == 0) {
            *out = (enum index_kind)i;
            return true;
        }
    return err_field(&c->err, "index", "must be \"auto\", \"flat\" or \"hnsw\"");
}

/* A collection that is there: fine with the same values, or none, a conflict with others. */
static bool compare(struct call *c, const struct wanted *q, const struct collection_row *row)
{
    if (q->model && strcmp(q->model, row->model) != 0)
        return err_set(&c->err, ERR_CONFLICT, "the collection is there already, with the model %s", row->model);
    if (q->index && strcmp(q->index, index_names[row->index]) != 0)
        return err_set(&c->err, ERR_CONFLICT, "the collection is there already, with the index \"%s\"",
                       index_names[row->index]);
    return answer_collection(c, 200, row);
}

static bool look(struct call *c);

/* Somebody else may have been faster: the write says what is there. */
static bool created(struct call *c)
{
    const struct write *w = c->writes[0];
    if (w->err.code)
        return call_look_again(c, &w->err, look);
    return w->created ? answer_collection(c, 201, &w->new_collection) : compare(c, c->scratch, &w->new_collection);
}

static bool create(struct call *c)
{
    const struct wanted *q = c->scratch;
    struct write *w = call_new_write(c, WRITE_COLLECTION_CREATE, c->params[0]);
    collection_describe(c->encoder, c->params[0], q->model ? q->model : c->app->default_model, &w->new_collection);
    return (!q->index || read_index(c, q->index, &w->new_collection.index)) && call_write(c, created);
}

static bool look(struct call *c)
{
    const struct wanted *q = c->scratch;
    struct collection_row row;
    struct err why = {0};
    if (store_collection(c->app->store, c->params[0], &row, &why))
        return compare(c, q, &row);
    if (why.code != ERR_NOT_FOUND)
        return call_fail(c, &why);
    return call_load(c, q->model ? q->model : c->app->default_model, PRECISION_AUTO, create);
}

bool collection_put(struct call *c)
{
    static const char *const known[] = {"model", "index"};
    struct wanted *q = c->scratch = call_new(c, 1, sizeof *q);
    enum index_kind index;
    if (c->json && (!json_only(c->json, "", known, COUNT(known), &c->err) ||
                    !json_get_text(c->json, "model", ID_MAX, &q->model, &c->err) ||
                    !json_get_text(c->json, "index", 16, &q->index, &c->err)))
        return false;
    return (!q->model || check_id(c, q->model, "model")) && (!q->index || read_index(c, q->index, &index)) && look(c);
}

/* ---- DELETE ---- */

bool collection_delete(struct call *c)
{
    call_new_write(c, WRITE_COLLECTION_DELETE, c->params[0]);
    return call_write(c, call_no_content);
}
