/* search.c - POST /v1/collections/{collection}/search: one search or many, of one view.
 *
 * A search by id or vector takes one stage; only those with pictures go through the encoder first.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/requests/fields.h"
#include "api/requests/grouping.h"
#include "api/requests/picture.h"
#include "api/requests/search_request.h"
#include "api/services/models.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/num.h"
#include "base/work_limit.h"

enum {
    SEARCHES_MAX = 100,
    SEARCHES_LIGHT = 8,
    ROWS_LIGHT = 200000,
    VALUE_TEXT = 12 /* bytes of a number of a vector, about */
};

struct searches {
    struct view *view;
    struct search_request *items;
    size_t n;
    bool batch; /* the body has `searches` */
};

/* ---- the query vector ---- */

/* The vector of an example; `room` [dimensions] takes that of a stored image. */
static const float *example_vector(struct call *c, const struct search_request *q, const struct example *x, float *room)
{
    const struct searches *r = c->scratch;
    struct err e = {0};
    if (!x->id)
        return x->embed->vector;
    if (view_vector(r->view, x->id, room, &e))
        return room;
    fail_picture(c, &e, q->where, x->param);
    return NULL;
}

/* Adds weight x the mean of n examples to sum [d]. */
static bool add_mean(struct call *c, const struct search_request *q, const struct example *x, size_t n, double weight,
                     double *sum, float *room, size_t d)
{
    for (size_t i = 0; i < n; i++) {
        const float *v = example_vector(c, q, &x[i], room);
        if (!v)
            return false;
        for (size_t k = 0; k < d; k++)
            sum[k] += (double)v[k] * weight / (double)n;
    }
    return true;
}

/* normalise(2 mean(positive) - mean(negative)); without negative ones the mean of the positive ones, which
 * points the same way as twice it. */
static bool average(struct call *c, const struct search_request *q, float *out, size_t d)
{
    double *sum = call_new(c, d, sizeof *sum), norm = 0;
    if (!add_mean(c, q, q->examples, q->n_positive, 2, sum, out, d) ||
        !add_mean(c, q, q->examples + q->n_positive, q->n_negative, -1, sum, out, d))
        return false;
    for (size_t k = 0; k < d; k++)
        norm += sum[k] * sum[k];
    if (!(norm > 1e-12)) {
        err_field(&c->err, "positive", "the examples cancel those of negative out");
        return err_prefix(&c->err, q->where);
    }
    for (size_t k = 0; k < d; k++)
        out[k] = (float)(sum[k] / sqrt(norm));
    return true;
}

static const float *query_vector(struct call *c, const struct search_request *q)
{
    const struct searches *r = c->scratch;
    size_t d = view_dimensions(r->view);
    if (q->vector && q->n_vector != d) {
        err_field(&c->err, "vector", "has %zu components, the model's have %zu", q->n_vector, d);
        err_prefix(&c->err, q->where);
        return NULL;
    }
    if (q->vector)
        return q->vector;
    float *v = call_new(c, d, sizeof *v);
    if (q->n_positive + q->n_negative == 1)
        return example_vector(c, q, q->examples, v);
    return average(c, q, v, d) ? v : NULL;
}

/* ---- the answer ---- */

/* `g->values` NULL: the hits are not grouped. */
static void write_hits(struct json_writer *w, const struct grouped *g, size_t offset, size_t d)
{
    jw_array(w, "data");
    for (size_t i = offset; i < g->hits.n; i++) {
        const struct hit *h = &g->hits.items[i];
        jw_object(w, NULL);
        jw_text(w, "id", h->id);
        jw_float(w, "score", h->score);
        jw_text(w, "label", h->label);
        jw_raw(w, "metadata", h->metadata);
        if (h->vector)
            write_vector(w, "vector", h->vector, d);
        if (g->values)
            jw_raw(w, "group", g->values[i]);
        jw_end(w);
    }
    jw_end(w);
}

/* Answers one search into the writer. */
static bool ask(struct call *c, const struct search_request *q, struct json_writer *w)
{
    const struct searches *r = c->scratch;
    struct search s = q->settings;
    struct grouped found = {0};
    size_t n = q->n_positive + q->n_negative;
    const char **ids = n ? call_new(c, n, sizeof *ids) : NULL;
    s.vector = query_vector(c, q);
    if (!s.vector)
        return false;
    for (size_t i = 0; i < n; i++)
        if (q->examples[i].id)
            ids[s.n_exclude++] = q->examples[i].id;
    s.exclude = ids;
    int64_t start = clock_ns();
    bool ok = q->group_by ? grouping_search(r->view, &s, q->group_by, &found, &c->err)
                          : view_search(r->view, &s, &found.hits, &c->err);
    metric_observe(METRIC_search_duration_seconds, (double)(clock_ns() - start) * 1e-9, NULL);
    if (ok)
        write_hits(w, &found, q->offset, view_dimensions(r->view));
    else if (c->err.param[0])
        err_prefix(&c->err, q->where);
    grouped_clear(&found);
    return ok;
}

static bool answer(struct call *c)
{
    const struct searches *r = c->scratch;
    struct json_writer w = answer_json(&c->response, 200);
    jw_object(&w, NULL);
    jw_text(&w, "object", "list");
    if (r->batch)
        jw_array(&w, "data");
    for (size_t i = 0; i < r->n; i++) {
        if (r->batch) {
            jw_object(&w, NULL);
            jw_text(&w, "object", "list");
        }
        if (!work_limit_holds()) /* between two of them, where no statement runs */
            return work_limit_err(&c->err);
        if (!ask(c, &r->items[i], &w))
            return false;
        if (r->batch)
            jw_end(&w);
    }
    if (r->batch)
        jw_end(&w);
    jw_text(&w, "model", view_model(r->view));
    jw_int(&w, "generation", view_generation(r->view));
    jw_end(&w);
    return call_done(c);
}

/* How many rows of vectors are looked at, in the worst case: the index is used unless a search is exact. */
static double rows_of(const struct searches *r)
{
    size_t exact = 0;
    for (size_t i = 0; i < r->n; i++)
        exact += r->items[i].settings.exact;
    return (double)exact * (double)view_images(r->view);
}

/* What is long goes elsewhere, so that single searches pass it. */
static bool answer_in_time(struct call *c)
{
    const struct searches *r = c->scratch;
    bool lengthy = r->n > SEARCHES_LIGHT || (r->n > 1 && rows_of(r) > ROWS_LIGHT);
    return lengthy ? call_next_lengthy(c, answer) : answer(c);
}

/* ---- pictures ---- */

static bool pictures_done(struct call *c)
{
    const struct searches *r = c->scratch;
    for (size_t i = 0; i < r->n; i++) {
        const struct search_request *q = &r->items[i];
        for (size_t k = 0; k < q->n_positive + q->n_negative; k++)
            if (q->examples[k].embed && q->examples[k].embed->err.code)
                return fail_picture(c, &q->examples[k].embed->err, q->where, q->examples[k].param);
    }
    return answer_in_time(c);
}

static bool embed_pictures(struct call *c)
{
    const struct searches *r = c->scratch;
    size_t n = 0, at = 0;
    for (size_t i = 0; i < r->n; i++)
        n += search_request_pictures(&r->items[i]);
    call_new_images(c, n);
    for (size_t i = 0; i < r->n; i++) {
        const struct search_request *q = &r->items[i];
        for (size_t k = 0; k < q->n_positive + q->n_negative; k++)
            if (!q->examples[k].id) {
                c->images[at].picture = q->examples[k].picture;
                q->examples[k].embed = &c->images[at++];
            }
    }
    return call_embed(c, pictures_done);
}

/* ---- the request ---- */

static bool read_searches(struct call *c, struct searches *r)
{
    static const char *const known[] = {"searches", "model"};
    const struct json *list = c->json ? json_member(c->json, "searches") : NULL;
    r->batch = list != NULL;
    r->n = r->batch ? json_count(list) : 1;
    if (r->batch && (!json_only(c->json, "", known, COUNT(known), &c->err)))
        return false;
    if (r->batch && (json_kind(list) != JSON_KIND_LIST || r->n == 0 || r->n > SEARCHES_MAX))
        return err_field(&c->err, "searches", "must be an array of 1 to %d searches", SEARCHES_MAX);
    r->items = call_new(c, r->n, sizeof *r->items);
    for (size_t i = 0; i < r->n; i++) {
        const char *where = r->batch ? arena_print(&c->arena, "searches[%zu].", i) : "";
        if (!search_request_read(c, r->batch ? json_item(list, i) : c->json, where, &r->items[i]))
            return false;
        if (r->batch && !r->items[i].model && !json_get_text(c->json, "model", ID_MAX, &r->items[i].model, &c->err))
            return false;
    }
    return true;
}

/* Vectors of one model mean nothing to another. */
static bool check_model(struct call *c, const struct searches *r, const struct search_request *q, bool pinned)
{
    const char *model = view_model(r->view);
    if (q->model && strcmp(q->model, model) != 0) {
        err_set(&c->err, ERR_CONFLICT, "the collection's model is %s", model);
        snprintf(c->err.param, sizeof c->err.param, "%smodel", q->where);
        return false;
    }
    if (q->vector && !q->model && !pinned) {
        err_field(&c->err, "model", "must say whose vector this is (or the header anchord-generation)");
        return err_prefix(&c->err, q->where);
    }
    return true;
}

/* What cannot be answered is refused before it is worked for. */
static bool check_size(struct call *c, const struct searches *r)
{
    size_t most = c->app->answers.total / 2, values = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct search *s = &r->items[i].settings;
        values += s->with_vector ? min_size(s->limit, view_images(r->view)) * view_dimensions(r->view) : 0;
    }
    if (values <= most / VALUE_TEXT)
        return true;
    err_set(&c->err, ERR_TOO_LARGE,
            "with_vector asks for up to %zu numbers, and an answer may have %zu: ask for fewer hits or "
            "searches at once (setting answer_memory_bytes)",
            values, most / VALUE_TEXT);
    snprintf(c->err.param, sizeof c->err.param, "with_vector");
    return false;
}

bool search_run(struct call *c)
{
    struct searches *r = c->scratch = call_new(c, 1, sizeof *r);
    int64_t pin;
    size_t pictures = 0;
    if (!read_pin(c, &pin) || !read_searches(c, r))
        return false;
    r->view = call_own_view(c, store_view(c->app->store, c->params[0], pin, &c->err));
    if (!r->view)
        return false;
    for (size_t i = 0; i < r->n; i++) {
        if (!check_model(c, r, &r->items[i], pin != 0))
            return false;
        pictures += search_request_pictures(&r->items[i]);
    }
    if (!check_size(c, r))
        return false;
    if (pictures == 0)
        return answer_in_time(c);
    if (pictures > c->app->options.items_max)
        return err_set(&c->err, ERR_TOO_LARGE, "there are %zu pictures, the limit is %zu", pictures,
                       c->app->options.items_max);
    return call_load(c, view_model(r->view), precision_parse(view_precision(r->view)), embed_pictures);
}
