/* import_ask.c - the requests of an import. */
#include "server/commands/import_ask.h"

#include <stdio.h>
#include <time.h>

#include "base/json_writer.h"
#include "base/percent.h"

enum { TRIES = 60, WAIT_MAX_S = 10 };

struct asker asker_open(struct import_target *t, const char *collection, struct err *e)
{
    return (struct asker){.link = import_link_open(t, e), .collection = collection};
}

void asker_close(struct asker *a)
{
    import_link_close(a->link);
    buf_clear(&a->reply.body);
}

bool asker_is_ok(const struct asker *a)
{
    return a->reply.status >= 200 && a->reply.status < 300;
}

bool asker_told(const struct asker *a, enum err_code code, struct err *e)
{
    const struct http_reply *r = &a->reply;
    struct json *doc = r->body.len ? json_parse(r->body.data, r->body.len, 0, NULL) : NULL;
    const char *text = json_as_text(json_member(json_member(doc, "error"), "message"), NULL);
    if (text)
        err_set(e, code, "%s", text);
    else
        err_set(e, code, "the answer has status %d", r->status);
    json_free(doc);
    return false;
}

/* Asks until the target is not too busy. */
static bool ask_until(struct asker *a, const struct import_ask *q, struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        if (!import_link_ask(a->link, q, &a->reply, e))
            return false;
        if (a->reply.status != 503 && a->reply.status != 429)
            return true;
        int wait_s = a->reply.retry_after;
        const struct timespec pause = {.tv_sec = wait_s < 1 ? 1 : wait_s > WAIT_MAX_S ? WAIT_MAX_S : wait_s};
        nanosleep(&pause, NULL);
    }
    return asker_told(a, ERR_BUSY, e);
}

/* The same; false for an answer that every file would get. */
static bool ask(struct asker *a, const struct import_ask *q, struct err *e)
{
    if (!ask_until(a, q, e))
        return false;
    switch (a->reply.status) {
    case 401:
    case 403:
        return asker_told(a, ERR_FORBIDDEN, e) || err_wrap(e, "name a key that may write (--key-file, or ANCHORD_KEY)");
    case 507: return asker_told(a, ERR_FULL, e);
    default: return a->reply.status < 500 || asker_told(a, ERR_IO, e);
    }
}

/* `id`: NULL for the collection itself. */
static void write_path(const struct asker *a, const char *id, struct buf *out)
{
    buf_text(out, "/v1/collections/");
    percent_encode(a->collection, out);
    if (id) {
        buf_text(out, "/images/");
        percent_encode(id, out);
    }
}

static bool get(struct asker *a, const char *id, struct json **doc, struct err *e)
{
    struct buf path = {0};
    write_path(a, id, &path);
    *doc = NULL;
    bool ok = ask(a, &(struct import_ask){.method = METHOD_GET, .path = path.data}, e);
    if (ok && asker_is_ok(a)) {
        *doc = json_parse(a->reply.body.data, a->reply.body.len, 0, e);
        ok = *doc || err_wrap(e, "the answer about %s", path.data);
    }
    buf_clear(&path);
    return ok;
}

bool asker_collection(struct asker *a, int64_t *images, struct err *e)
{
    struct json *doc;
    *images = 0;
    if (!get(a, NULL, &doc, e))
        return false;
    bool ok = doc != NULL && json_get_int(doc, "images", 0, INT64_MAX, images, e);
    json_free(doc);
    if (!ok && a->reply.status == 404)
        return err_set(e, ERR_NOT_FOUND, "there is no collection %s: make it first with PUT /v1/collections/%s",
                       a->collection, a->collection);
    return ok || asker_told(a, ERR_BAD_INPUT, e);
}

bool asker_look_up(struct asker *a, const char *id, struct known *out, struct err *e)
{
    *out = (struct known){0};
    snprintf(out->id, sizeof out->id, "%s", id);
    if (!get(a, id, &out->doc, e) || !out->doc)
        return !e->code;
    out->sha256 = json_as_text(json_member(out->doc, "sha256"), NULL);
    out->label = json_as_text(json_member(out->doc, "label"), NULL);
    out->metadata = json_member(out->doc, "metadata");
    if (out->metadata)
        out->path = json_as_text(json_member(out->metadata, "path"), NULL);
    return true;
}

void known_clear(struct known *k)
{
    json_free(k->doc);
    *k = (struct known){0};
}

bool asker_is_whole(struct asker *a, const char *id, bool *whole, struct err *e)
{
    struct buf path = {0};
    write_path(a, id, &path);
    buf_text(&path, "/content");
    bool ok = ask_until(a, &(struct import_ask){.method = METHOD_HEAD, .path = path.data}, e);
    *whole = ok && a->reply.status != 500;
    buf_clear(&path);
    return ok;
}

bool asker_put(struct asker *a, const char *id, const char *label, const char *metadata, const void *bytes, size_t len,
               struct err *e)
{
    struct buf path = {0};
    struct import_ask q = {.method = METHOD_PUT, .body = bytes, .len = len, .content_type = "application/octet-stream"};
    if (label)
        q.query[q.n_query++] = (struct pair){"label", label};
    if (metadata)
        q.query[q.n_query++] = (struct pair){"metadata", metadata};
    write_path(a, id, &path);
    q.path = path.data;
    bool ok = ask(a, &q, e);
    buf_clear(&path);
    return ok;
}

bool asker_patch(struct asker *a, const char *id, const char *label, const char *path, struct err *e)
{
    struct buf body = {0}, target = {0};
    struct json_writer w = jw_to(&body);
    jw_object(&w, NULL);
    if (label)
        jw_text(&w, "label", label);
    if (path) {
        jw_object(&w, "metadata");
        jw_text(&w, "path", path);
        jw_end(&w);
    }
    jw_end(&w);
    write_path(a, id, &target);
    bool ok = ask(a,
                  &(struct import_ask){.method = METHOD_PATCH,
                                       .path = target.data,
                                       .content_type = "application/json",
                                       .body = body.data,
                                       .len = body.len},
                  e);
    buf_clear(&body);
    buf_clear(&target);
    return ok;
}
