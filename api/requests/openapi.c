/* openapi.c - /openapi.json: OpenAPI 3.1, made of the route table, so that it cannot say what is not served. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/requests/fields.h"
#include "base/num.h"
#include "base/version.h"

struct schema {
    const char *name, *json;
};

struct parameter {
    const char *name, *help, *json;
};

static const struct schema schemas[] = {
#define SCHEMA(name, ...) {#name, #__VA_ARGS__},
#define PARAMETER(name, help, ...)
#include "api/requests/openapi_schemas.def"
#undef SCHEMA
#undef PARAMETER
};

static const struct parameter parameters[] = {
#define SCHEMA(name, ...)
#define PARAMETER(name, help, ...) {#name, help, #__VA_ARGS__},
#include "api/requests/openapi_schemas.def"
#undef SCHEMA
#undef PARAMETER
};

static void write_ref(struct json_writer *w, const char *key, const char *kind, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "#/components/%s/%s", kind, name);
    jw_object(w, key);
    jw_text(w, "$ref", path);
    jw_end(w);
}

/* ---- parameters ---- */

static void write_parameter(struct json_writer *w, const char *name, const char *in, const char *help,
                            const char *schema)
{
    jw_object(w, NULL);
    jw_text(w, "name", name);
    jw_text(w, "in", in);
    jw_bool(w, "required", strcmp(in, "path") == 0);
    if (help)
        jw_text(w, "description", help);
    jw_raw(w, "schema", schema);
    jw_end(w);
}

static const struct parameter *find_parameter(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT(parameters); i++)
        if (strncmp(parameters[i].name, name, len) == 0 && parameters[i].name[len] == 0)
            return &parameters[i];
    return NULL;
}

static bool is_about_image(const struct route *r)
{
    return strncmp(r->name, "image_", 6) == 0;
}

static bool is_search(const struct route *r)
{
    return strcmp(r->name, "search_run") == 0;
}

static void write_parameters(struct json_writer *w, const struct route *r)
{
    static const char id[] = "{\"$ref\":\"#/components/schemas/Id\"}",
                      image[] = "{\"$ref\":\"#/components/schemas/ImageId\"}", text[] = "{\"type\":\"string\"}";
    char name[32];
    jw_array(w, "parameters");
    for (size_t i = 0; route_param_name(r, i, name, sizeof name), name[0]; i++)
        write_parameter(w, name, "path", NULL, strcmp(name, "id") == 0 ? image : id);
    for (const char *p = r->query; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        const struct parameter *found = find_parameter(p, len);
        if (found)
            write_parameter(w, found->name, "query", found->help, found->json);
        p += len;
    }
    if (is_about_image(r) && r->role == ROLE_WRITE)
        write_parameter(w, "if-match", "header", "an image's ETag, or *: 412 when it is another by now, or none", text);
    if (is_about_image(r) && r->method != METHOD_PATCH && r->method != METHOD_DELETE)
        write_parameter(w, "if-none-match", "header",
                        r->method == METHOD_PUT ? "*: 412 when the image is there already"
                                                : "an image's ETag: 304 when it is still this",
                        text);
    if (is_search(r))
        write_parameter(w, "anchord-generation", "header", "412 when another generation answers by now",
                        "{\"type\":\"integer\"}");
    jw_end(w);
}

/* ---- bodies ---- */

static void write_content(struct json_writer *w, const char *type, const char *schema)
{
    jw_object(w, type);
    if (schema[0])
        write_ref(w, "schema", "schemas", schema);
    else
        jw_raw(w, "schema", "{\"type\":\"string\",\"format\":\"binary\"}");
    jw_end(w);
}

static void write_request(struct json_writer *w, const struct route *r)
{
    if (r->takes == TAKES_NOTHING)
        return;
    jw_object(w, "requestBody");
    jw_bool(w, "required", !(r->takes & TAKES_NOTHING));
    jw_object(w, "content");
    if (r->takes & TAKES_IMAGE)
        write_content(w, "image/*", "");
    if (r->takes & TAKES_BYTES)
        write_content(w, "application/octet-stream", "");
    if (r->takes & TAKES_MULTIPART)
        write_content(w, "multipart/form-data", r->form);
    if (r->takes & TAKES_JSON)
        write_content(w, r->method == METHOD_PATCH ? "application/merge-patch+json" : "application/json", r->json);
    if (r->method == METHOD_PATCH)
        write_content(w, "application/json", r->json);
    jw_end(w);
    jw_end(w);
}

/* ---- answers ---- */

static bool has_params(const struct route *r)
{
    return strchr(r->pattern, '{') != NULL;
}

/* Which errors a route can answer follows from what it takes. */
static bool may_answer(const struct route *r, int status)
{
    bool body = r->takes != TAKES_NOTHING, pictures = r->takes & (TAKES_IMAGE | TAKES_MULTIPART);
    switch (status) {
    case 400: return body || has_params(r) || r->query[0];
    case 401: return r->role != ROLE_NONE;
    case 403: return r->role != ROLE_NONE; /* also to a page of another site */
    case 404:
        return has_params(r) || pictures || strcmp(r->name, "jobs_list_get") == 0; /* the job that `after` names */
    case 409: return is_search(r) || (r->role >= ROLE_WRITE && r->method != METHOD_GET && !is_about_image(r));
    case 412: return is_search(r) || (is_about_image(r) && r->role == ROLE_WRITE);
    case 413: return body || (r->method == METHOD_GET && r->role != ROLE_NONE);
    case 415: return body;
    case 422: return pictures || strcmp(r->name, "image_content") == 0;
    case 429: return true;
    case 500: return r->role != ROLE_NONE;
    case 503: return true;
    case 507: return r->role >= ROLE_WRITE && body;
    default: return false;
    }
}

static void write_answer(struct json_writer *w, const struct route *r, int status, const char *help)
{
    char code[8];
    snprintf(code, sizeof code, "%d", status);
    jw_object(w, code);
    jw_text(w, "description", help);
    if (r->answer[0] && status < 300) {
        jw_object(w, "content");
        if (strchr(r->answer, '/'))
            write_content(w, r->answer, "");
        else
            write_content(w, "application/json", r->answer);
        if (strcmp(r->name, "job_events_get") == 0)
            write_content(w, "text/event-stream", "");
        jw_end(w);
    }
    jw_end(w);
}

static void write_answers(struct json_writer *w, const struct route *r)
{
    jw_object(w, "responses");
    write_answer(w, r, r->status,
                 r->status == 201   ? "created"
                 : r->status == 202 ? "begun"
                 : r->status == 204 ? "done"
                                    : "the answer");
    if (r->status == 202)
        write_answer(w, r, 200, "it is under way already");
    if (r->status == 201 && (r->method == METHOD_PUT || strcmp(r->name, "model_import") == 0))
        write_answer(w, r, 200, "it was there already");
    if (is_about_image(r) && r->method == METHOD_GET)
        write_answer(w, r, 304, "the client has it already");
    for (int status = 400; status < 512; status++) {
        char code[8];
        snprintf(code, sizeof code, "%d", status);
        if (strcmp(r->name, "ready_get") == 0 && status == 503)
            write_answer(w, r, 503, "not able to serve");
        else if (may_answer(r, status))
            write_ref(w, code, "responses", "Error");
    }
    jw_end(w);
}

/* ---- the document ---- */

static void write_operation(struct json_writer *w, const struct route *r)
{
    char method[8];
    snprintf(method, sizeof method, "%s", method_name(r->method));
    for (char *p = method; *p; p++)
        *p = (char)(*p | 0x20);
    jw_object(w, method);
    jw_text(w, "operationId", r->name);
    jw_text(w, "summary", r->help);
    if (r->role == ROLE_NONE)
        jw_raw(w, "security", "[]");
    else
        jw_text(w, "x-role", r->role == ROLE_READ ? "read" : r->role == ROLE_WRITE ? "write" : "admin");
    write_parameters(w, r);
    write_request(w, r);
    write_answers(w, r);
    jw_end(w);
}

static bool is_served(const struct route *r, enum listener l)
{
    return r->listener == LISTENER_PUBLIC || l == LISTENER_ADMIN;
}

static const struct route *first_served(const struct route *routes, const char *pattern, enum listener l)
{
    while (strcmp(routes->pattern, pattern) != 0 || !is_served(routes, l))
        routes++;
    return routes;
}

/* Each path once, with all its methods, where its first row stands. */
static void write_paths(struct json_writer *w, const struct route_table *table, enum listener l)
{
    const struct route *routes = table->rows, *end = routes + table->n;
    jw_object(w, "paths");
    for (size_t i = 0; i < table->n; i++) {
        const struct route *r = &routes[i];
        if (!is_served(r, l) || first_served(routes, r->pattern, l) != r)
            continue;
        jw_object(w, r->pattern);
        for (; r < end; r++)
            if (strcmp(r->pattern, routes[i].pattern) == 0 && is_served(r, l))
                write_operation(w, r);
        jw_end(w);
    }
    jw_end(w);
}

static void write_components(struct json_writer *w)
{
    jw_object(w, "components");
    jw_raw(w, "securitySchemes", "{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"}}");
    jw_object(w, "responses");
    jw_object(w, "Error");
    jw_text(w, "description", "what went wrong");
    jw_raw(w, "content", "{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}");
    jw_end(w);
    jw_end(w);
    jw_object(w, "schemas");
    for (size_t i = 0; i < COUNT(schemas); i++)
        jw_raw(w, schemas[i].name, schemas[i].json);
    jw_end(w);
    jw_end(w);
}

bool openapi_get(struct call *c)
{
    struct json_writer w = answer_json(&c->response, 200);
    jw_object(&w, NULL);
    jw_text(&w, "openapi", "3.1.0");
    jw_object(&w, "info");
    jw_text(&w, "title", "anchord");
    jw_text(&w, "version", ANCHORD_VERSION);
    jw_text(&w, "description",
            "Images in, likeness search out. Errors are one object everywhere; times are Unix seconds.");
    jw_raw(&w, "license", "{\"name\":\"MIT\",\"identifier\":\"MIT\"}");
    jw_end(&w);
    jw_raw(&w, "security", "[{\"key\":[]}]");
    write_paths(&w, c->app->options.routes, c->request->listener);
    write_components(&w);
    jw_end(&w);
    return call_done(c);
}
