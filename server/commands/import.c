/* import.c - the threads of an import, and what each does with a file. */
#include "server/commands/import.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/percent.h"
#include "base/pool.h"
#include "server/commands/import_progress.h"

enum { TRIES = 60, WAIT_MAX_S = 10 };

struct import {
    struct import_target *target;
    const struct import_options *options;
    const struct import_list *list;
    pthread_mutex_t mu;   /* guards what follows, and standard error */
    size_t taken, done;
    struct import_counts counts;
    struct import_progress progress;
    struct err err;       /* the first failure that ends the import */
};

struct member { /* one thread's part */
    struct work work;
    struct import *import;
    struct import_link *link;
    struct http_reply reply;
};

struct kept { /* what the collection has of an image; texts are borrowed from the document */
    struct json *doc;
    const char *sha256, *label;
    struct buf metadata; /* empty: none */
};

/* ---- asking ---- */

/* Moves the message of an error answer into e. */
static bool told(const struct http_reply *r, enum err_code code, struct err *e)
{
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
static bool ask(struct member *m, const struct import_ask *q, struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        if (!import_link_ask(m->link, q, &m->reply, e))
            return false;
        if (m->reply.status != 503 && m->reply.status != 429)
            return true;
        int wait_s = m->reply.retry_after;
        const struct timespec pause = {.tv_sec = wait_s < 1 ? 1 : wait_s > WAIT_MAX_S ? WAIT_MAX_S : wait_s};
        nanosleep(&pause, NULL);
    }
    return told(&m->reply, ERR_BUSY, e);
}

static bool is_ok(const struct http_reply *r)
{
    return r->status >= 200 && r->status < 300;
}

/* What an answer to a write or a look-up means for the whole import: true when it may go on. */
static bool may_go_on(const struct http_reply *r, struct err *e)
{
    switch (r->status) {
    case 401:
    case 403: return told(r, ERR_FORBIDDEN, e) || err_wrap(e, "name a file with a key that may write (--key-file)");
    case 507: return told(r, ERR_FULL, e);
    default: return r->status < 500 || told(r, ERR_IO, e);
    }
}

static void path_of(const struct import *im, const struct import_file *f, struct buf *out)
{
    buf_text(out, "/v1/collections/");
    percent_encode(im->options->collection, out);
    if (f)
        buf_print(out, "/images/%s", f->id); /* an id needs no escapes */
}

/* ---- one file ---- */

static void kept_clear(struct kept *k)
{
    json_free(k->doc);
    buf_clear(&k->metadata);
}

static bool look_up(struct member *m, const char *path, struct kept *out, struct err *e)
{
    if (!ask(m, &(struct import_ask){.method = METHOD_GET, .path = path}, e) || !may_go_on(&m->reply, e))
        return false;
    if (!is_ok(&m->reply))
        return true; /* not there */
    out->doc = json_parse(m->reply.body.data, m->reply.body.len, 0, e);
    if (!out->doc)
        return err_wrap(e, "the answer about an image");
    out->sha256 = json_as_text(json_member(out->doc, "sha256"), NULL);
    out->label = json_as_text(json_member(out->doc, "label"), NULL);
    if (json_member(out->doc, "metadata"))
        json_dump(json_member(out->doc, "metadata"), &out->metadata);
    return true;
}

/* Whether the file behind the image can be read: the server holds it against its hash. */
static bool is_whole(struct member *m, const char *path, bool *whole, struct err *e)
{
    struct buf content = {0};
    buf_print(&content, "%s/content", path);
    bool ok = ask(m, &(struct import_ask){.method = METHOD_HEAD, .path = content.data}, e);
    *whole = ok && m->reply.status != 500;
    buf_clear(&content);
    return ok;
}

static bool put(struct member *m, const char *path, const char *label, const struct kept *k, const void *bytes,
                size_t len, struct err *e)
{
    enum image_format format = image_sniff(bytes, len);
    struct import_ask q = {.method = METHOD_PUT, .path = path, .body = bytes, .len = len,
                           .content_type = image_media_type(format ? format : IMAGE_JPEG)};
    if (label[0])
        q.query[q.n_query++] = (struct pair){"label", label};
    if (k->metadata.len)
        q.query[q.n_query++] = (struct pair){"metadata", k->metadata.data};
    return ask(m, &q, e);
}

static bool correct_label(struct member *m, const char *path, const char *label, struct err *e)
{
    struct buf body = {0};
    struct json_writer w = jw_to(&body);
    jw_object(&w, NULL);
    jw_text(&w, "label", label[0] ? label : NULL);
    jw_end(&w);
    bool ok = ask(m, &(struct import_ask){.method = METHOD_PATCH, .path = path, .content_type = "application/json",
                                          .body = body.data, .len = body.len}, e);
    buf_clear(&body);
    return ok;
}

static void count(struct member *m, size_t *which)
{
    pthread_mutex_lock(&m->import->mu);
    ++*which;
    pthread_mutex_unlock(&m->import->mu);
}

static void count_refused(struct member *m, const struct import_file *f, const char *why)
{
    struct buf line = {0};
    struct import *im = m->import;
    buf_print(&line, "refused: %s: %s", f->path, why);
    pthread_mutex_lock(&im->mu);
    im->counts.refused++;
    import_progress_say(&im->progress, line.data);
    pthread_mutex_unlock(&im->mu);
    buf_clear(&line);
}

/* Sends what differs.  False: the import ends. */
static bool send_file(struct member *m, const struct import_file *f, const void *bytes, size_t len, struct err *e)
{
    struct import_counts *counts = &m->import->counts;
    struct kept k = {0};
    struct buf path = {0};
    char sha256[HASH_HEX], label[NAME_MAX + 1];
    bool ok = false;

    path_of(m->import, f, &path);
    snprintf(label, sizeof label, "%.*s", to_int(f->label_len), f->path);
    hash_text(bytes, len, sha256);
    if (!look_up(m, path.data, &k, e))
        goto done;
    bool same = k.sha256 && strcmp(k.sha256, sha256) == 0;
    if (same && !is_whole(m, path.data, &same, e))
        goto done;
    if (same && strcmp(k.label ? k.label : "", label) == 0) {
        count(m, &counts->unchanged);
        ok = true;
        goto done;
    }
    if (!(same ? correct_label(m, path.data, label, e) : put(m, path.data, label, &k, bytes, len, e)) ||
        !may_go_on(&m->reply, e))
        goto done;
    if (is_ok(&m->reply)) {
        count(m, same ? &counts->labelled : m->reply.status == 201 ? &counts->added : &counts->replaced);
    } else {
        struct err why = {0};
        told(&m->reply, ERR_UNDECODABLE, &why);
        count_refused(m, f, why.text);
    }
    ok = true;
done:
    kept_clear(&k);
    buf_clear(&path);
    return ok;
}

static bool named_like_a_picture(const char *path)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < COUNT(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

/* The first bytes, for a file that may be a film and shall not be read whole. */
static enum image_format sniff_file(const char *path)
{
    unsigned char head[64];
    FILE *f = fopen(path, "rbe");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f)
        fclose(f);
    return image_sniff(head, n);
}

static bool import_file(struct member *m, const struct import_file *f, struct err *e)
{
    char path[PATH_MAX];
    void *bytes = NULL;
    size_t len = 0;
    struct err why = {0};
    snprintf(path, sizeof path, "%s/%s", m->import->options->dir, f->path);
    if (sniff_file(path) == IMAGE_UNKNOWN && !named_like_a_picture(f->path)) {
        count(m, &m->import->counts.passed_over);
        return true;
    }
    if (!file_read(path, m->import->options->max_bytes, &bytes, &len, &why)) {
        count_refused(m, f, why.text);
        return true;
    }
    bool ok = send_file(m, f, bytes, len, e);
    free(bytes);
    return ok;
}

/* ---- the threads ---- */

static const struct import_file *next_file(struct import *im, const struct err *failed, bool first)
{
    const struct import_file *f = NULL;
    pthread_mutex_lock(&im->mu);
    if (failed->code && !im->err.code)
        im->err = *failed;
    if (!first)
        import_progress_show(&im->progress, ++im->done);
    if (!im->err.code && im->taken < im->list->n)
        f = &im->list->files[im->taken++];
    pthread_mutex_unlock(&im->mu);
    return f;
}

static void run_member(struct work *w, void *thread_state)
{
    struct member *m = (struct member *)w;
    struct err e = {0};
    const struct import_file *f;
    UNUSED(thread_state);
    m->link = import_link_open(m->import->target, &e);
    for (bool first = true; (f = next_file(m->import, &e, first)); first = false)
        if (!import_file(m, f, &e))
            err_wrap(&e, "%s", f->path);
    import_link_close(m->link);
    buf_clear(&m->reply.body);
}

static bool run_threads(struct import *im, struct err *e)
{
    size_t n = min_size(import_target_threads(im->target), im->list->n);
    struct member *members = mem_new(n, sizeof *members);
    struct pool *pool = pool_new(&(struct pool_options){.name = "import", .threads = n, .capacity = n}, e);
    bool ok = pool != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        members[i] = (struct member){.work = {.run = run_member}, .import = im};
        ok = pool_add(pool, &(struct work *){&members[i].work}, 1, e);
    }
    pool_free(pool); /* waits */
    free(members);
    return ok;
}

static bool check_collection(struct import *im, struct err *e)
{
    struct member m = {.import = im, .link = import_link_open(im->target, e)};
    struct buf path = {0};
    path_of(im, NULL, &path);
    bool ok = m.link && ask(&m, &(struct import_ask){.method = METHOD_GET, .path = path.data}, e) &&
              may_go_on(&m.reply, e);
    if (ok && m.reply.status == 404)
        ok = err_set(e, ERR_NOT_FOUND, "there is no collection %s: make it first with PUT %s", im->options->collection,
                     path.data);
    else if (ok && !is_ok(&m.reply))
        ok = told(&m.reply, ERR_BAD_INPUT, e);
    buf_clear(&path);
    buf_clear(&m.reply.body);
    import_link_close(m.link);
    return ok;
}

bool import_run(struct import_target *t, const struct import_options *o, const struct import_list *list,
                struct import_counts *out, struct err *e)
{
    struct import im = {.target = t, .options = o, .list = list, .mu = PTHREAD_MUTEX_INITIALIZER};
    if (!check_collection(&im, e))
        return false;
    im.progress = import_progress_start(list->n);
    bool ok = list->n == 0 || run_threads(&im, e);
    import_progress_end(&im.progress);
    *out = im.counts;
    if (ok && im.err.code)
        *e = im.err;
    return ok && !im.err.code;
}
