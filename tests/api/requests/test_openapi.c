/* test_openapi.c - every route that /openapi.json lists is called, and answers as it says. */
#include "tests/t.h"

#include "api/requests/route.h"
#include "tests/lib/rig.h"

static struct outcome doc;

static int set_up(void **state)
{
    rig_set_up(state);
    doc = rig_expect(rig, 200, "GET /openapi.json", &(struct extra){.admin = true});
    rig_add_model(rig, "spare", 2);
    for (unsigned i = 0; i < 6; i++)
        rig_put(rig, (const char *[]){"a", "b", "c", "d", "e", "f"}[i], i, i, "label");
    return 0;
}

static int tear_down(void **state)
{
    outcome_clear(&doc);
    return rig_tear_down(state);
}

/* ---- as much of JSON Schema as our schemas use ---- */

static bool fits(const struct json *v, const struct json *schema, char *why, size_t size);

static const struct json *resolve(const struct json *schema)
{
    const char *ref = json_as_text(json_member(schema, "$ref"), NULL);
    if (!ref)
        return schema;
    const struct json *at = doc.json;
    char path[128], *save = NULL;
    snprintf(path, sizeof path, "%s", ref + 2);
    for (char *step = strtok_r(path, "/", &save); step; step = strtok_r(NULL, "/", &save))
        at = json_member(at, step);
    if (!at)
        fail_msg("%s leads nowhere", ref);
    return at;
}

static bool is_type(const struct json *v, const char *type)
{
    enum json_kind k = json_kind(v);
    return (!strcmp(type, "object") && k == JSON_KIND_OBJECT) || (!strcmp(type, "array") && k == JSON_KIND_LIST) ||
           (!strcmp(type, "string") && k == JSON_KIND_TEXT) || (!strcmp(type, "integer") && k == JSON_KIND_INT) ||
           (!strcmp(type, "number") && (k == JSON_KIND_INT || k == JSON_KIND_REAL)) ||
           (!strcmp(type, "boolean") && k == JSON_KIND_BOOL) || (!strcmp(type, "null") && k == JSON_KIND_NULL);
}

static bool same(const struct json *a, const struct json *b)
{
    struct buf x = {0}, y = {0};
    json_dump(a, &x);
    json_dump(b, &y);
    bool equal = strcmp(x.data, y.data) == 0;
    buf_clear(&x);
    buf_clear(&y);
    return equal;
}

static bool type_fits(const struct json *v, const struct json *type)
{
    if (json_kind(type) == JSON_KIND_TEXT)
        return is_type(v, json_as_text(type, NULL));
    for (size_t i = 0; i < json_count(type); i++)
        if (is_type(v, json_as_text(json_item(type, i), NULL)))
            return true;
    return false;
}

static bool members_fit(const struct json *v, const struct json *schema, char *why, size_t size)
{
    const struct json *required = json_member(schema, "required"), *properties = json_member(schema, "properties"),
                      *value;
    const char *key;
    for (size_t i = 0; i < json_count(required); i++) {
        const char *name = json_as_text(json_item(required, i), NULL);
        bool found = false;
        for (void *it = NULL; (it = json_next(v, it, &key, &value));)
            found |= strcmp(key, name) == 0;
        if (!found)
            return snprintf(why, size, "%s is missing", name), false;
    }
    for (void *it = NULL; properties && (it = json_next(v, it, &key, &value));) {
        const struct json *of = json_member(properties, key);
        if (of && !fits(value, of, why, size))
            return false;
    }
    return true;
}

static bool any_fits(const struct json *v, const struct json *list, bool all, char *why, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < json_count(list); i++)
        n += fits(v, json_item(list, i), why, size);
    return all ? n == json_count(list) : n > 0;
}

static bool fits(const struct json *v, const struct json *schema, char *why, size_t size)
{
    schema = resolve(schema);
    const struct json *type = json_member(schema, "type"), *items = json_member(schema, "items"),
                      *any = json_member(schema, "anyOf"), *all = json_member(schema, "allOf"),
                      *is = json_member(schema, "const"), *list = json_member(schema, "enum");
    snprintf(why, size, "type");
    if (type && !type_fits(v, type))
        return false;
    if ((is && !same(v, is)) || (any && !any_fits(v, any, false, why, size)) ||
        (all && !any_fits(v, all, true, why, size)))
        return false;
    bool listed = !list;
    for (size_t i = 0; i < json_count(list); i++)
        listed |= same(v, json_item(list, i));
    for (size_t i = 0; items && json_kind(v) == JSON_KIND_LIST && i < json_count(v); i++)
        if (!fits(json_item(v, i), items, why, size))
            return false;
    return listed && (json_kind(v) != JSON_KIND_OBJECT || members_fit(v, schema, why, size));
}

/* Nothing is answered that the schema does not name. */
static bool is_named(const struct json *schema, const char *key)
{
    schema = resolve(schema);
    const struct json *properties = json_member(schema, "properties"), *all = json_member(schema, "allOf");
    if (properties && json_member(properties, key))
        return true;
    for (size_t i = 0; i < json_count(all); i++)
        if (is_named(json_item(all, i), key))
            return true;
    return false;
}

/* ---- a call of each ---- */

static struct buf form, raw, search_json, embed_json, images_json;

static const struct fixture {
    const char *operation, *line, *type;
    const struct buf *body;
    const char *json;
} fixtures[] = {
    {"home_get", "GET /", NULL, NULL, NULL},
    {"health_get", "GET /healthz", NULL, NULL, NULL},
    {"ready_get", "GET /readyz", NULL, NULL, NULL},
    {"metrics_get", "GET /metrics", NULL, NULL, NULL},
    {"openapi_get", "GET /openapi.json", NULL, NULL, NULL},
    {"models_list", "GET /v1/models", NULL, NULL, NULL},
    {"model_get", "GET /v1/models/anchord-base", NULL, NULL, NULL},
    {"embeddings_create", "POST /v1/embeddings?dimensions=8", "image/jpeg", &raw, NULL},
    {"embeddings_create", "POST /v1/embeddings", "multipart/form-data; boundary=xyz", &form, NULL},
    {"embeddings_create", "POST /v1/embeddings", "application/json", &embed_json, NULL},
    {"collections_list", "GET /v1/collections", NULL, NULL, NULL},
    {"collection_put", "PUT /v1/collections/other", "application/json", NULL, "{\"index\":\"flat\"}"},
    {"collection_put", "PUT /v1/collections/other", NULL, NULL, NULL},
    {"collection_get", "GET /v1/collections/other", NULL, NULL, NULL},
    {"collection_model_post", "POST /v1/collections/other/model", "application/json", NULL, "{\"model\":\"spare\"}"},
    {"generations_list", "GET /v1/collections/default/generations", NULL, NULL, NULL},
    {"collection_delete", "DELETE /v1/collections/other", NULL, NULL, NULL},
    /* nothing is under way, and nothing to go back to */
    {"collection_model_delete", "DELETE /v1/collections/default/model", NULL, NULL, NULL},
    {"collection_rollback", "POST /v1/collections/default/rollback", NULL, NULL, NULL},
    {"images_list", "GET /v1/collections/default/images?limit=2&after=a", NULL, NULL, NULL},
    {"images_put", "POST /v1/collections/default/images", "multipart/form-data; boundary=xyz", &form, NULL},
    {"images_put", "POST /v1/collections/default/images", "application/json", &images_json, NULL},
    {"images_list", "GET /v1/collections/default/images?limit=1&order=-updated_at&with_vector=true", NULL, NULL, NULL},
    {"images_get", "POST /v1/collections/default/images/get", "application/json", NULL,
     "{\"ids\":[\"d\",\"nowhere\"],\"with_vector\":true,\"encoding_format\":\"base64\"}"},
    {"images_metadata", "POST /v1/collections/default/images/metadata", "application/json", NULL,
     "{\"ids\":[\"d\"],\"merge\":{\"seen\":true}}"},
    {"labels_list", "GET /v1/collections/default/labels", NULL, NULL, NULL},
    {"export_get", "GET /v1/collections/default/export", NULL, NULL, NULL},
    {"images_count", "POST /v1/collections/default/images/count", NULL, NULL, NULL},
    {"images_delete", "POST /v1/collections/default/images/delete", "application/json", NULL, "{\"ids\":[\"d\"]}"},
    {"image_put", "PUT /v1/collections/default/images/new?label=x", "image/jpeg", &raw, NULL},
    {"image_put", "PUT /v1/collections/default/images/new", NULL, &raw, NULL},
    {"image_get", "GET /v1/collections/default/images/a", NULL, NULL, NULL},
    {"image_patch", "PATCH /v1/collections/default/images/a", "application/merge-patch+json", NULL,
     "{\"metadata\":{\"n\":1}}"},
    {"image_content", "GET /v1/collections/default/images/a/content?size=32", NULL, NULL, NULL},
    {"search_run", "POST /v1/collections/default/search?limit=2", "image/jpeg", &raw, NULL},
    {"search_run", "POST /v1/collections/default/search", "application/json", NULL,
     "{\"id\":\"a\",\"with_vector\":true}"},
    {"search_run", "POST /v1/collections/default/search", "application/json", &search_json, NULL},
    {"image_delete", "DELETE /v1/collections/default/images/a", NULL, NULL, NULL},
    {"key_create", "POST /v1/keys", "application/json", NULL, "{\"role\":\"admin\",\"name\":\"n\"}"},
    {"keys_list", "GET /v1/keys", NULL, NULL, NULL},
    {"key_delete", "DELETE /v1/keys/{made}", NULL, NULL, NULL},
    {"objectives_get", "GET /v1/fine_tuning/objectives", NULL, NULL, NULL},
    {"job_create", "POST /v1/fine_tuning/jobs", "application/json", NULL, "{\"training_file\":\"default\"}"},
    {"jobs_list_get", "GET /v1/fine_tuning/jobs?limit=2", NULL, NULL, NULL},
    {"job_get", "GET /v1/fine_tuning/jobs/{made}", NULL, NULL, NULL},
    {"job_events_get", "GET /v1/fine_tuning/jobs/{made}/events", NULL, NULL, NULL},
    {"job_checkpoints_get", "GET /v1/fine_tuning/jobs/{made}/checkpoints", NULL, NULL, NULL},
    {"job_cancel", "POST /v1/fine_tuning/jobs/{made}/cancel", NULL, NULL, NULL},
    {"job_delete", "DELETE /v1/fine_tuning/jobs/{made}", NULL, NULL, NULL},
    {"backup_create", "POST /v1/backups", NULL, NULL, NULL},
    {"backups_list", "GET /v1/backups", NULL, NULL, NULL},
    {"backup_get", "GET /v1/backups/{made}", NULL, NULL, NULL},
    {"backup_delete", "DELETE /v1/backups/{made}", NULL, NULL, NULL},
    {"model_import", "POST /v1/models?id=second", "application/octet-stream", NULL, "this is no model"},
    {"model_delete", "DELETE /v1/models/second", NULL, NULL, NULL},
};

static void make_bodies(void)
{
    struct buf text = rig_base64(1, 1);
    raw = rig_picture(2, 2);
    buf_text(&form, "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.jpg\"\r\n\r\n");
    buf_add(&form, raw.data, raw.len);
    buf_text(&form, "\r\n--xyz--\r\n");
    buf_print(&embed_json, "{\"input\":[\"%s\",\"aGk=\"],\"on_error\":\"item\",\"encoding_format\":\"base64\"}",
              text.data);
    buf_print(&images_json,
              "{\"images\":[{\"id\":\"j\",\"image\":\"%s\",\"label\":\"l\",\"metadata\":{\"a\":1}},{\"id\":"
              "\"k\",\"image\":\"aGk=\"}]}",
              text.data);
    buf_print(&search_json,
              "{\"searches\":[{\"id\":\"b\"},{\"positive\":[\"b\",{\"image\":\"%s\"}],\"negative\":[\"c\"]}]}",
              text.data);
    buf_clear(&text);
}

static void free_bodies(void)
{
    struct buf *const all[] = {&raw, &form, &embed_json, &images_json, &search_json};
    for (size_t i = 0; i < COUNT(all); i++)
        buf_clear(all[i]);
}

/* The path with its method that lists this operation; *operation is its object. */
static const struct json *find_operation(const char *name)
{
    const struct json *methods, *operation;
    const char *path, *method;
    for (void *it = NULL; (it = json_next(json_member(doc.json, "paths"), it, &path, &methods));)
        for (void *at = NULL; (at = json_next(methods, at, &method, &operation));)
            if (strcmp(json_as_text(json_member(operation, "operationId"), NULL), name) == 0)
                return operation;
    return NULL;
}

static void assert_described(const struct fixture *f, const struct json *operation, const struct outcome *o)
{
    char status[8], why[128] = "";
    snprintf(status, sizeof status, "%d", o->status);
    const struct json *answer = json_member(json_member(operation, "responses"), status);
    if (!answer)
        fail_msg("%s answers %s, which is not listed: %.200s", f->line, status, o->body.data);
    const struct json *content = json_member(resolve(answer), "content");
    const struct json *json = json_member(content, "application/json");
    if (!o->json) {
        if (json || (!content && o->body.len))
            fail_msg("%s: the body is not as listed", f->line);
        return;
    }
    const struct json *schema = json_member(json, "schema"), *value;
    const char *key;
    if (!schema || !fits(o->json, schema, why, sizeof why))
        fail_msg("%s: the answer is not as listed (%s): %.300s", f->line, why, o->body.data);
    bool open = strcmp(f->operation, "openapi_get") == 0;
    for (void *it = NULL; !open && (it = json_next(o->json, it, &key, &value));)
        if (!is_named(schema, key))
            fail_msg("%s: %s is in no schema", f->line, key);
}

static struct outcome call_fixture(const struct fixture *f)
{
    static char made[32]; /* the id of what was made last */
    char line[256];
    const char *hole = strstr(f->line, "{made}");
    if (hole)
        snprintf(line, sizeof line, "%.*s%s%s", (int)(hole - f->line), f->line, made, hole + strlen("{made}"));
    else
        snprintf(line, sizeof line, "%s", f->line);
    struct outcome o = rig_ask(rig, line,
                               &(struct extra){.admin = true,
                                               .type = f->type,
                                               .body = f->body ? f->body->data : f->json,
                                               .len = f->body ? f->body->len : 0});
    if (strcmp(f->operation, "key_create") == 0 || strcmp(f->operation, "job_create") == 0)
        snprintf(made, sizeof made, "%s", outcome_text(&o, "id"));
    if (strcmp(f->operation, "backup_create") == 0)
        snprintf(made, sizeof made, "%s", outcome_text(&o, "name"));
    return o;
}

/* Its good answers are the matter of other tests. */
static bool may_be_refused(const char *operation)
{
    return strncmp(operation, "model_", 6) == 0 || strcmp(operation, "collection_model_delete") == 0 ||
           strcmp(operation, "collection_rollback") == 0 ||
           strcmp(operation, "job_delete") == 0; /* its worker may be at work still */
}

/* Refusals are listed, too: one of each kind that is not of every route. */
static void refusals_are_listed(void **state)
{
    UNUSED(state);
    static const struct fixture refused[] = {
        {"jobs_list_get", "GET /v1/fine_tuning/jobs?after=ftjob-nope", NULL, NULL, NULL},
        {"image_get", "GET /v1/collections/default/images/nowhere", NULL, NULL, NULL},
        {"labels_list", "GET /v1/collections/nowhere/labels", NULL, NULL, NULL},
        {"export_get", "GET /v1/collections/default/export?filter=x", NULL, NULL, NULL},
        {"images_metadata", "POST /v1/collections/default/images/metadata", "application/json", NULL, "{\"all\":true}"},
        {"images_get", "POST /v1/collections/default/images/get", "text/plain", NULL, "x"},
    };
    for (size_t k = 0; k < COUNT(refused); k++) {
        struct outcome o = call_fixture(&refused[k]);
        if (o.status < 400)
            fail_msg("%s gave %d", refused[k].line, o.status);
        assert_described(&refused[k], find_operation(refused[k].operation), &o);
        outcome_clear(&o);
    }
}

static void every_route_is_listed_and_answers_as_listed(void **state)
{
    UNUSED(state);
    const struct route *routes = api_routes.rows;
    size_t n = api_routes.n;
    make_bodies();
    for (size_t i = 0; i < n; i++) {
        bool covered = false;
        for (size_t k = 0; k < COUNT(fixtures); k++)
            covered |= strcmp(fixtures[k].operation, routes[i].name) == 0;
        if (!covered || !find_operation(routes[i].name))
            fail_msg("%s is %s", routes[i].name, covered ? "not listed" : "not called by this test");
    }
    for (size_t k = 0; k < COUNT(fixtures); k++) {
        struct outcome o = call_fixture(&fixtures[k]);
        assert_described(&fixtures[k], find_operation(fixtures[k].operation), &o);
        if (!may_be_refused(fixtures[k].operation) && o.status >= 300)
            fail_msg("%s gave %d: %.200s", fixtures[k].line, o.status, o.body.data);
        outcome_clear(&o);
    }
    free_bodies();
}

static void the_public_listener_lists_no_admin_route(void **state)
{
    UNUSED(state);
    struct outcome o = rig_expect(rig, 200, "GET /openapi.json", NULL);
    assert_null(outcome_at(&o, "paths./v1/keys"));
    assert_non_null(outcome_at(&doc, "paths./v1/keys"));
    const struct json *models = json_member(outcome_at(&o, "paths"), "/v1/models");
    assert_non_null(json_member(models, "get"));
    assert_null(json_member(models, "post"));
    outcome_clear(&o);
}

/* Walks the whole document: each $ref must lead somewhere. */
static void check_refs(const struct json *v)
{
    const struct json *value;
    const char *key;
    if (json_kind(v) == JSON_KIND_OBJECT) {
        resolve(v);
        for (void *it = NULL; (it = json_next(v, it, &key, &value));)
            check_refs(value);
    }
    for (size_t i = 0; json_kind(v) == JSON_KIND_LIST && i < json_count(v); i++)
        check_refs(json_item(v, i));
}

static void parameters_and_references_are_complete(void **state)
{
    UNUSED(state);
    const struct route *routes = api_routes.rows;
    size_t n = api_routes.n;
    check_refs(doc.json);
    for (size_t i = 0; i < n; i++) {
        const struct json *list = json_member(find_operation(routes[i].name), "parameters");
        size_t listed = 0, wanted = 0;
        for (size_t k = 0; k < json_count(list); k++) {
            const char *in = json_as_text(json_member(json_item(list, k), "in"), NULL);
            listed += strcmp(in, "query") == 0 || strcmp(in, "path") == 0;
        }
        for (const char *p = routes[i].query; *p; p++)
            wanted += *p != ' ' && (p == routes[i].query || p[-1] == ' ');
        for (const char *p = routes[i].pattern; *p; p++)
            wanted += *p == '{';
        if (listed != wanted)
            fail_msg("%s lists %zu of %zu parameters", routes[i].name, listed, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_public_listener_lists_no_admin_route),
        cmocka_unit_test(parameters_and_references_are_complete),
        cmocka_unit_test(refusals_are_listed),
        cmocka_unit_test(every_route_is_listed_and_answers_as_listed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
