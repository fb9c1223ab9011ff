/* search_request.c - reading one search from a request. */
#include "api/requests/search_request.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/requests/fields.h"
#include "api/requests/form.h"
#include "api/requests/grouping.h"
#include "api/requests/picture.h"
#include "base/num.h"

enum { LIMIT_STANDARD = 10, LIMIT_MAX = 1000, EF_MAX = 10000, EXAMPLES_MAX = 100, VECTOR_MAX = 16384 };

/* ---- settings ---- */

struct settings { /* in the types that the readers give */
    int64_t limit, ef, offset;
    double threshold;
};

static bool settings_from_query(struct call *c, struct search_request *q, struct settings *s)
{
    struct filter *filter = NULL;
    q->model = query_text(c, "model");
    q->group_by = query_text(c, "group_by");
    q->settings.has_threshold = query_text(c, "score_threshold") != NULL;
    if (!query_int(c, "limit", 1, LIMIT_MAX, &s->limit) || !query_int(c, "ef", 1, EF_MAX, &s->ef) ||
        !query_int(c, "offset", 0, LIMIT_MAX, &s->offset) || !query_real(c, "score_threshold", &s->threshold) ||
        !query_bool(c, "exact", &q->settings.exact) || !query_bool(c, "with_vector", &q->settings.with_vector) ||
        !query_filter(c, &filter))
        return false;
    q->settings.filter = filter;
    return true;
}

static bool settings_from_json(struct call *c, const struct json *v, struct search_request *q, struct settings *s)
{
    const struct json *filter = NULL;
    q->settings.has_threshold |= json_member(v, "score_threshold") != NULL;
    if (!json_get_int(v, "limit", 1, LIMIT_MAX, &s->limit, &c->err) ||
        !json_get_int(v, "ef", 1, EF_MAX, &s->ef, &c->err) ||
        !json_get_int(v, "offset", 0, LIMIT_MAX, &s->offset, &c->err) ||
        !json_get_text(v, "group_by", FILTER_TEXT_MAX, &q->group_by, &c->err) ||
        !json_get_real(v, "score_threshold", -1e6, 1e6, &s->threshold, &c->err) ||
        !json_get_bool(v, "exact", &q->settings.exact, &c->err) ||
        !json_get_bool(v, "with_vector", &q->settings.with_vector, &c->err) ||
        !json_get_text(v, "model", ID_MAX, &q->model, &c->err) || !json_get_object(v, "filter", &filter, &c->err))
        return false;
    return !filter || (q->settings.filter = call_own_filter(c, filter_parse(filter, "filter", &c->err)));
}

static bool read_settings(struct call *c, const struct json *v, struct search_request *q)
{
    struct settings s = {.limit = LIMIT_STANDARD};
    if (!settings_from_query(c, q, &s) || (v && !settings_from_json(c, v, q, &s)))
        return false;
    if (s.offset + s.limit > LIMIT_MAX)
        return err_field(&c->err, "offset", "and limit together are more than %d", LIMIT_MAX);
    if (q->group_by && !grouping_is_key(q->group_by))
        return err_field(&c->err, "group_by",
                         "must be label or a key of the metadata, such as shop, a.b or metadata.width");
    q->offset = (size_t)s.offset;
    q->settings.limit = (size_t)(s.limit + s.offset);
    q->settings.ef = (uint32_t)s.ef;
    q->settings.threshold = (float)s.threshold;
    return true;
}

/* ---- what is asked by ---- */

static bool read_id(struct call *c, const struct json *v, const char *param, struct example *x)
{
    x->param = param;
    x->id = json_as_text(v, NULL);
    return x->id ? check_image_id(c, x->id, param) : err_field(&c->err, param, "must be an id");
}

/* In a list of examples a text is an id, unless it is a data URL: an id that begins like one is given as {"id"}. */
static bool read_example(struct call *c, const struct json *v, const char *param, struct example *x)
{
    static const char *const known[] = {"id", "image"};
    const struct json *id = json_member(v, "id");
    const char *text = json_as_text(v, NULL);
    x->param = param;
    if (id &&
        (!json_only(v, arena_print(&c->arena, "%s.", param), known, COUNT(known), &c->err) || json_member(v, "image")))
        return err_field(&c->err, param, "must be an id or a picture, not both");
    if (id || (text && strncmp(text, "data:", 5) != 0))
        return read_id(c, id ? id : v, param, x);
    return read_picture(c, v, param, &x->picture);
}

static bool read_examples(struct call *c, const struct json *list, const char *name, struct example *out)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (!read_example(c, json_item(list, i), arena_print(&c->arena, "%s[%zu]", name, i), &out[i]))
            return false;
    return true;
}

static bool read_positive_and_negative(struct call *c, const struct json *v, struct search_request *q)
{
    const struct json *positive = NULL, *negative = NULL;
    if (!json_get_list(v, "positive", &positive, &c->err) || !json_get_list(v, "negative", &negative, &c->err))
        return false;
    q->n_positive = positive ? json_count(positive) : 0;
    q->n_negative = negative ? json_count(negative) : 0;
    if (q->n_positive == 0)
        return err_field(&c->err, "positive", "needs at least one example");
    if (q->n_positive + q->n_negative > EXAMPLES_MAX)
        return err_field(&c->err, "positive", "with negative it has more than %d examples", EXAMPLES_MAX);
    q->examples = call_new(c, q->n_positive + q->n_negative, sizeof *q->examples);
    return read_examples(c, positive, "positive", q->examples) &&
           read_examples(c, negative, "negative", q->examples + q->n_positive);
}

static bool read_vector(struct call *c, const struct json *list, struct search_request *q)
{
    if (json_kind(list) != JSON_KIND_LIST)
        return err_field(&c->err, "vector", "must be an array of numbers");
    q->n_vector = json_count(list);
    if (q->n_vector == 0 || q->n_vector > VECTOR_MAX)
        return err_field(&c->err, "vector", "has %zu components, as no model's vectors", q->n_vector);
    float *v = call_new(c, q->n_vector, sizeof *v);
    double x = 0, sum = 0;
    for (size_t i = 0; i < q->n_vector; i++) {
        if (!json_as_number(json_item(list, i), &x))
            return err_field(&c->err, "vector", "component %zu is not a number", i);
        v[i] = (float)x;
        sum += (double)v[i] * (double)v[i];
    }
    q->vector = v;
    return (sum > 1e-30 && isfinite(sum)) || err_field(&c->err, "vector", "has no direction: it is zero, or too large");
}

static bool read_one(struct call *c, const struct json *v, struct search_request *q)
{
    const struct json *id = json_member(v, "id"), *image = json_member(v, "image"), *vector = json_member(v, "vector");
    bool examples = json_member(v, "positive") || json_member(v, "negative");
    if (!!id + !!image + !!vector + examples != 1)
        return err_set(&c->err, ERR_BAD_INPUT,
                       "a search needs exactly one of image, vector, id, or positive with negative");
    if (vector)
        return read_vector(c, vector, q);
    if (examples)
        return read_positive_and_negative(c, v, q);
    q->examples = call_new(c, 1, sizeof *q->examples);
    q->n_positive = 1;
    q->examples->param = "image";
    return id ? read_id(c, id, "id", q->examples) : read_picture(c, image, "image", &q->examples->picture);
}

bool search_request_read(struct call *c, const struct json *v, const char *where, struct search_request *q)
{
    static const char *const known[] = {"image",  "vector",          "id",    "positive", "negative",    "limit",
                                        "filter", "score_threshold", "exact", "ef",       "with_vector", "model",
                                        "offset", "group_by"};
    *q = (struct search_request){.where = where};
    if (v && json_only(v, "", known, COUNT(known), &c->err) && read_settings(c, v, q) && read_one(c, v, q))
        return true;
    if (v)
        return err_prefix(&c->err, where);
    q->examples = call_new(c, 1, sizeof *q->examples);
    q->n_positive = 1;
    return body_picture(c, &q->examples->picture, &q->examples->param) && read_settings(c, NULL, q);
}

size_t search_request_pictures(const struct search_request *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_positive + q->n_negative; i++)
        n += !q->examples[i].id;
    return n;
}
