/* embeddings.c - POST /v1/embeddings: pictures to unit vectors, in OpenAI's shapes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/requests/fields.h"
#include "api/requests/form.h"
#include "api/requests/picture.h"
#include "base/num.h"

struct embed_request {
    const char *model;
    int64_t dimensions; /* of the answer; 0: all */
    bool base64;
    bool per_item;     /* a bad picture fails its item, not the request */
    const char *param; /* the field that names a picture: "input" or "file"; "" for a raw body */
    bool listed;       /* ... with its place in brackets */
    const struct json *input;
    struct form form;
    size_t n;
};

static bool pick(struct call *c, const char *param, const char *text, const char *no, const char *yes, bool *out)
{
    if (text && strcmp(text, no) != 0 && strcmp(text, yes) != 0)
        return err_field(&c->err, param, "must be \"%s\" or \"%s\"", no, yes);
    *out = text && strcmp(text, yes) == 0;
    return true;
}

static bool read_options(struct call *c, struct embed_request *q, const char *encoding, const char *on_error)
{
    q->model = q->model ? q->model : c->app->default_model;
    return check_id(c, q->model, "model") && pick(c, "encoding_format", encoding, "float", "base64", &q->base64) &&
           pick(c, "on_error", on_error, "request", "item", &q->per_item);
}

static bool read_query(struct call *c, struct embed_request *q)
{
    q->model = query_text(c, "model");
    return query_int(c, "dimensions", 1, INT32_MAX, &q->dimensions) &&
           read_options(c, q, query_text(c, "encoding_format"), query_text(c, "on_error"));
}

static bool read_json(struct call *c, struct embed_request *q)
{
    static const char *const known[] = {"model", "input", "encoding_format", "dimensions", "on_error", "user"};
    const char *encoding = query_text(c, "encoding_format"), *on_error = query_text(c, "on_error"), *user;
    q->model = query_text(c, "model");
    if (!json_only(c->json, "", known, COUNT(known), &c->err) ||
        !json_get_text(c->json, "model", ID_MAX, &q->model, &c->err) ||
        !json_get_text(c->json, "encoding_format", 16, &encoding, &c->err) ||
        !json_get_text(c->json, "on_error", 16, &on_error, &c->err) ||
        !json_get_text(c->json, "user", 1024, &user, &c->err) ||
        !query_int(c, "dimensions", 1, INT32_MAX, &q->dimensions) ||
        !json_get_int(c->json, "dimensions", 1, INT32_MAX, &q->dimensions, &c->err) ||
        !read_options(c, q, encoding, on_error))
        return false;
    q->input = json_member(c->json, "input");
    q->param = "input";
    q->listed = json_kind(q->input) == JSON_KIND_LIST;
    q->n = q->listed ? json_count(q->input) : 1;
    if (!q->input || q->n == 0)
        return err_field(&c->err, "input", "needs at least one picture");
    return q->n <= c->app->options.items_max ||
           err_set(&c->err, ERR_TOO_LARGE, "input has %zu pictures, the limit is %zu", q->n, c->app->options.items_max);
}

/* ---- the answer ---- */

/* "input[3]", "input", or nothing for a raw body. */
static void name_item(const struct embed_request *q, size_t i, char *out, size_t size)
{
    if (q->listed)
        snprintf(out, size, "%s[%zu]", q->param, i);
    else
        snprintf(out, size, "%s", q->param);
}

/* Cuts a vector to its first n components and makes it a unit vector again. */
static void truncate_vector(float *v, size_t n, struct err *e)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    if (!(sum > 1e-24))
        err_set(e, ERR_UNDECODABLE, "the picture has no direction in the first %zu dimensions", n);
    for (size_t i = 0; i < n && !e->code; i++)
        v[i] = (float)((double)v[i] / sqrt(sum));
}

/* The embed's error in the words of the request; true when the item went well. */
static bool take_result(const struct embed_request *q, struct embed_item *embed, size_t i)
{
    size_t all = encoder_dimensions(embed->encoder);
    if (!embed->err.code && q->dimensions && (size_t)q->dimensions < all)
        truncate_vector(embed->vector, (size_t)q->dimensions, &embed->err);
    if (embed->err.code && !embed->err.param[0])
        name_item(q, i, embed->err.param, sizeof embed->err.param);
    return !embed->err.code;
}

static void write_item(struct json_writer *w, const struct embed_request *q, const struct embed_item *embed, size_t i)
{
    size_t n = q->dimensions ? (size_t)q->dimensions : encoder_dimensions(embed->encoder);
    jw_object(w, NULL);
    jw_text(w, "object", "embedding");
    jw_int(w, "index", (int64_t)i);
    if (embed->err.code)
        write_error(w, "error", &embed->err);
    else if (q->base64)
        write_vector_base64(w, "embedding", embed->vector, n);
    else
        write_vector(w, "embedding", embed->vector, n);
    jw_end(w);
}

static bool is_clients_fault(enum err_code code)
{
    return err_status(code) < 500;
}

static bool embeddings_render(struct call *c)
{
    const struct embed_request *q = c->scratch;
    for (size_t i = 0; i < c->n_images; i++)
        if (!take_result(q, &c->images[i], i) && !(q->per_item && is_clients_fault(c->images[i].err.code)))
            return fail_picture(c, &c->images[i].err, "", c->images[i].err.param);
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < c->n_images; i++)
        write_item(&w, q, &c->images[i], i);
    jw_end(&w);
    jw_text(&w, "model", q->model);
    jw_object(&w, "usage");
    jw_int(&w, "prompt_tokens", 0);
    jw_int(&w, "total_tokens", 0);
    jw_int(&w, "images", (int64_t)c->n_images);
    jw_end(&w);
    jw_end(&w);
    return call_done(c);
}

/* ---- the pictures ---- */

static bool read_item(struct call *c, const struct embed_request *q, size_t i)
{
    struct upload_picture *out = &c->images[i].picture;
    char param[64];
    if (q->form.n)
        *out = (struct upload_picture){.bytes = q->form.files[i].data, .len = q->form.files[i].len};
    else if (!q->input)
        *out = (struct upload_picture){.bytes = c->request->body, .len = c->request->body_len};
    else
        name_item(q, i, param, sizeof param);
    return !q->input || read_picture(c, q->listed ? json_item(q->input, i) : q->input, param, out);
}

static bool embeddings_embed(struct call *c)
{
    struct embed_request *q = c->scratch;
    uint32_t all = encoder_dimensions(c->encoder);
    if (q->dimensions > all)
        return err_field(&c->err, "dimensions", "must be from 1 to %u, the model's own", all);
    call_new_images(c, q->n);
    for (size_t i = 0; i < q->n; i++) {
        if (read_item(c, q, i))
            continue;
        if (!q->per_item)
            return false;
        c->images[i].err = c->err; /* the embed fails before it begins */
        c->err = (struct err){0};
    }
    return call_embed(c, embeddings_render);
}

bool embeddings_create(struct call *c)
{
    struct embed_request *q = c->scratch = call_new(c, 1, sizeof *q);
    bool ok;
    q->param = "";
    q->n = 1;
    if (c->json) {
        ok = read_json(c, q);
    } else if (content_of(c) == TAKES_MULTIPART) {
        q->param = "file";
        q->listed = true;
        ok = form_read(c, "", &q->form) && read_query(c, q);
        q->n = q->form.n;
    } else {
        ok = read_query(c, q);
    }
    return ok && call_load(c, q->model, PRECISION_AUTO, embeddings_embed);
}
