/* import_target.c - one way to ask, two places to be answered. */
#include "server/commands/import_target.h"

#include <stdlib.h>
#include <string.h>

#include "api/services/app.h"
#include "api/services/plan_cache.h"
#include "base/cores.h"
#include "base/mem.h"
#include "base/percent.h"
#include "server/process/app_settings.h"

struct import_target {
    struct app *app;        /* the folder; NULL when it is a server */
    char *url, *key;        /* the server; owned; key may be NULL */
    struct tls_trust trust; /* texts owned */
    size_t threads;
};

struct import_link {
    struct import_target *target;
    struct plan_cache *plans;   /* of a folder */
    struct http_client *client; /* of a server */
};

struct import_target *import_target_folder(const struct conf *c, struct err *e)
{
    struct import_target *t = mem_new(1, sizeof *t);
    struct app_options o = app_settings(c);
    /* While one thread waits for the disk another one computes. */
    t->threads = (c->heavy_threads ? (size_t)c->heavy_threads : cores_usable()) + 2;
    t->app = app_open(&o, e);
    if (t->app)
        return t;
    import_target_free(t);
    return NULL;
}

struct import_target *import_target_server(const char *url, const char *key, const struct tls_trust *trust,
                                           struct err *e)
{
    struct http_client *probe = http_client_new(url, key, trust, e); /* the address is well-formed */
    if (!probe)
        return NULL;
    http_client_free(probe);
    struct import_target *t = mem_new(1, sizeof *t);
    t->url = mem_text(url);
    t->key = mem_text(key);
    t->trust = (struct tls_trust){mem_text(trust->certificate), mem_text(trust->ca_file)};
    t->threads = cores_usable() * 2 + 2;
    return t;
}

void import_target_free(struct import_target *t)
{
    if (!t)
        return;
    app_close(t->app);
    free(t->url);
    free(t->key);
    free((char *)(uintptr_t)t->trust.certificate);
    free((char *)(uintptr_t)t->trust.ca_file);
    free(t);
}

size_t import_target_threads(const struct import_target *t)
{
    return t->threads;
}

struct import_link *import_link_open(struct import_target *t, struct err *e)
{
    struct import_link *l = mem_new(1, sizeof *l);
    l->target = t;
    if (t->app)
        l->plans = plan_cache_new();
    else
        l->client = http_client_new(t->url, t->key, &t->trust, e);
    if (l->plans || l->client)
        return l;
    import_link_close(l);
    return NULL;
}

void import_link_close(struct import_link *l)
{
    if (!l)
        return;
    plan_cache_free(l->plans);
    http_client_free(l->client);
    free(l);
}

static void ask_folder(struct import_link *l, const struct import_ask *q, struct http_reply *r)
{
    const struct request request = {.method = q->method,
                                    .listener = LISTENER_ADMIN,
                                    .path = q->path,
                                    .query = q->query,
                                    .n_query = q->n_query,
                                    .content_type = q->content_type,
                                    .request_id = "import",
                                    .body = q->body,
                                    .body_len = q->len,
                                    .role = ROLE_ADMIN};
    struct call call;
    call_begin(&call, l->target->app, &request);
    call_run(&call, l->plans);
    r->status = call.response.status;
    r->retry_after = 0;
    r->body.len = 0;
    buf_add(&r->body, call.response.body.data, call.response.body.len);
    call_free(&call);
}

static bool ask_server(struct import_link *l, const struct import_ask *q, struct http_reply *r, struct err *e)
{
    struct buf target = {0};
    buf_text(&target, q->path);
    for (size_t i = 0; i < q->n_query; i++) {
        buf_print(&target, "%c%s=", i ? '&' : '?', q->query[i].name);
        percent_encode(q->query[i].value, &target);
    }
    const struct http_ask ask = {.method = q->method == METHOD_PUT     ? "PUT"
                                           : q->method == METHOD_PATCH ? "PATCH"
                                           : q->method == METHOD_HEAD  ? "HEAD"
                                                                       : "GET",
                                 .target = target.data,
                                 .content_type = q->content_type,
                                 .body = q->body,
                                 .len = q->len};
    bool ok = http_client_ask(l->client, &ask, r, e);
    buf_clear(&target);
    return ok;
}

bool import_link_ask(struct import_link *l, const struct import_ask *q, struct http_reply *r, struct err *e)
{
    if (!l->client) {
        ask_folder(l, q, r);
        return true;
    }
    return ask_server(l, q, r, e);
}
