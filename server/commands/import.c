/* import.c - the threads of an import, and what each does with a file. */
#include "server/commands/import.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/nfc.h"
#include "base/num.h"
#include "base/pool.h"
#include "server/commands/import_ask.h"
#include "server/commands/import_kind.h"
#include "server/commands/import_name.h"
#include "server/commands/import_progress.h"

struct import {
    struct import_target *target;
    const struct import_options *options;
    const struct import_list *list;
    bool had_images;          /* so there may be some of version 0.1.0 */
    pthread_mutex_t adopting; /* held from the look at an image without a path until it has one */
    pthread_mutex_t mu;       /* guards what follows, and standard error */
    size_t taken, done;
    struct import_counts counts;
    struct import_progress progress;
    struct err err; /* the first failure that ends the import */
};

struct member { /* one thread's part */
    struct work work;
    struct import *import;
    struct asker asker;
};

struct content {
    const void *bytes;
    size_t len;
    char sha256[HASH_HEX];
};

/* ---- counting and telling ---- */

static void count(struct member *m, size_t *which)
{
    pthread_mutex_lock(&m->import->mu);
    ++*which;
    pthread_mutex_unlock(&m->import->mu);
}

/* Under the lock. */
static void say(struct import *im, const char *what, const char *path, const char *why)
{
    struct buf line = {0};
    buf_print(&line, "%s: %s: %s", what, path, why);
    import_progress_say(&im->progress, line.data);
    buf_clear(&line);
}

static void count_refused(struct member *m, const struct import_file *f, const char *why)
{
    struct import *im = m->import;
    pthread_mutex_lock(&im->mu);
    im->counts.refused++;
    say(im, "refused", f->text, why);
    pthread_mutex_unlock(&im->mu);
}

static void count_skipped(struct import *im, const char *path, const char *kind)
{
    struct import_kind_count *k = im->counts.kinds;
    pthread_mutex_lock(&im->mu);
    im->counts.skipped++;
    while (k->kind && strcmp(k->kind, kind) != 0)
        k++;
    k->kind = kind;
    k->n++;
    if (!im->options->quiet)
        say(im, "skipped", path, kind);
    pthread_mutex_unlock(&im->mu);
}

/* ---- which image is a file's ---- */

/* The image was imported from another path, or its path is a note of the user's that says nothing about it. */
static bool is_of_another_path(const struct known *k, const struct import_file *f)
{
    return k->path && strcmp(k->path, f->text) != 0 && import_may_be(k->id, k->path);
}

static bool is_of_this_path(const struct known *k, const struct import_file *f)
{
    return k->path && strcmp(k->path, f->text) == 0;
}

static bool has_content(const struct known *k, const struct content *c)
{
    return k->sha256 && strcmp(k->sha256, c->sha256) == 0;
}

/* Makes the image that was just found this file's by giving it the path, unless another thread was faster. */
static bool adopt(struct member *m, const struct import_file *f, const struct content *c, struct known *k, bool *ours,
                  struct err *e)
{
    char id[IMAGE_ID_MAX + 1];
    memcpy(id, k->id, sizeof id);
    known_clear(k);
    pthread_mutex_lock(&m->import->adopting);
    bool ok = asker_look_up(&m->asker, id, k, e);
    *ours = ok && k->doc && has_content(k, c) && !is_of_another_path(k, f);
    if (*ours && !k->path) {
        ok = asker_patch(&m->asker, id, NULL, f->text, e);
        if (ok && asker_is_ok(&m->asker))
            count(m, &m->import->counts.recognised);
        known_clear(k);
        ok = ok && asker_look_up(&m->asker, id, k, e);
    }
    pthread_mutex_unlock(&m->import->adopting);
    return ok;
}

/* An image of version 0.1.0; *k is empty when there is none. */
static bool find_old(struct member *m, const struct import_file *f, const struct content *c, struct known *k,
                     struct err *e)
{
    bool ours = false;
    for (int i = 0; m->import->had_images && i < IMPORT_OLD_IDS; i++) {
        char id[ID_MAX + 1];
        import_old_id(f->path, i, id);
        if (!id_is_valid(id))
            continue;
        if (!asker_look_up(&m->asker, id, k, e))
            return false;
        ours = k->doc && is_of_this_path(k, f);
        if (k->doc && !ours && has_content(k, c) && !is_of_another_path(k, f) && !adopt(m, f, c, k, &ours, e))
            return false;
        if (ours)
            return true;
        known_clear(k);
    }
    return true;
}

enum found { FAILED, REFUSED, FOUND };

/* *k: the file's image, or with the id that it will have and no document. */
static enum found find_image(struct member *m, const struct import_file *f, const struct content *c, struct known *k,
                             struct err *e)
{
    if (!asker_look_up(&m->asker, f->id, k, e))
        return FAILED;
    if (k->doc && (is_of_this_path(k, f) || (has_content(k, c) && !is_of_another_path(k, f))))
        return FOUND;
    if (k->doc) {
        count_refused(m, f, "an image has this id that was not imported from this path; rename one of them");
        return REFUSED;
    }
    if (!find_old(m, f, c, k, e))
        return FAILED;
    if (!k->doc)
        memcpy(k->id, f->id, sizeof k->id);
    return FOUND;
}

/* ---- sending what differs ---- */

/* The label that the image lacks, or has in another of Unicode's forms; NULL: it stays. */
static const char *missing_label(const struct known *k, const struct import_file *f)
{
    char *composed = k->label ? nfc_text(k->label) : NULL;
    bool missing = f->label && (!k->label || (strcmp(k->label, f->label) != 0 && strcmp(composed, f->label) == 0));
    free(composed);
    return missing ? f->label : NULL;
}

/* The metadata of before with the path; NULL without any. */
static char *metadata_of(const struct known *k, const struct import_file *f)
{
    struct buf path = {0}, old = {0}, out = {0};
    struct json_writer w = jw_to(&path);
    jw_object(&w, NULL);
    jw_text(&w, "path", f->text);
    jw_end(&w);
    struct json *patch = json_parse(path.data, path.len, 0, NULL);
    if (k->metadata)
        json_dump(k->metadata, &old);
    bool fits = !k->path && patch && json_merge_patch(old.data, patch, &out, NULL) && out.len <= METADATA_MAX;
    struct buf *chosen = fits ? &out : &old;
    char *text = chosen->len ? buf_take(chosen, NULL) : NULL;
    json_free(patch);
    buf_clear(&path);
    buf_clear(&old);
    buf_clear(&out);
    return text;
}

static bool put(struct member *m, const struct import_file *f, const struct content *c, const struct known *k,
                struct err *e)
{
    const char *label = missing_label(k, f);
    char *metadata = metadata_of(k, f);
    bool ok = asker_put(&m->asker, k->id, label ? label : k->label, metadata, c->bytes, c->len, e);
    free(metadata);
    return ok;
}

/* The content is there already: only label and path may be missing. */
static bool complete(struct member *m, const struct import_file *f, const struct known *k, size_t **which,
                     struct err *e)
{
    struct import_counts *counts = &m->import->counts;
    const char *label = missing_label(k, f);
    char *metadata = metadata_of(k, f);
    bool wants_path = !k->path && metadata && strstr(metadata, "\"path\"");
    free(metadata);
    *which = label ? &counts->labelled : &counts->unchanged;
    m->asker.reply.status = 200;
    return (!label && !wants_path) || asker_patch(&m->asker, k->id, label, wants_path ? f->text : NULL, e);
}

/* False: the import ends. */
static bool send_file(struct member *m, const struct import_file *f, const struct content *c, struct err *e)
{
    struct import_counts *counts = &m->import->counts;
    struct known k = {0};
    size_t *which = NULL;
    enum found found = find_image(m, f, c, &k, e);
    bool ok = found != FAILED, same = found == FOUND && k.doc && has_content(&k, c);
    if (ok && same)
        ok = asker_is_whole(&m->asker, k.id, &same, e);
    if (ok && found == FOUND) {
        ok = same ? complete(m, f, &k, &which, e) : put(m, f, c, &k, e);
        if (!same)
            which = m->asker.reply.status == 201 ? &counts->added : &counts->replaced;
    }
    if (ok && which && asker_is_ok(&m->asker)) {
        count(m, which);
    } else if (ok && which) {
        struct err why = {0};
        asker_told(&m->asker, ERR_UNDECODABLE, &why);
        count_refused(m, f, why.text);
    }
    known_clear(&k);
    return ok;
}

static bool import_file(struct member *m, const struct import_file *f, struct err *e)
{
    char path[PATH_MAX];
    void *bytes = NULL;
    struct content c = {0};
    struct err why = {0};
    path_join(path, m->import->options->dir, "%s", f->path);
    const char *kind = import_kind(path);
    if (kind) {
        count_skipped(m->import, f->text, kind);
        return true;
    }
    if (!file_read(path, m->import->options->max_bytes, &bytes, &c.len, &why)) {
        count_refused(m, f, why.text);
        return true;
    }
    c.bytes = bytes;
    hash_text(bytes, c.len, c.sha256);
    bool ok = send_file(m, f, &c, e);
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
    m->asker = asker_open(m->import->target, m->import->options->collection, &e);
    for (bool first = true; (f = next_file(m->import, &e, first)); first = false)
        if (!import_file(m, f, &e))
            err_wrap(&e, "%s", f->text);
    asker_close(&m->asker);
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
    struct asker a = asker_open(im->target, im->options->collection, e);
    int64_t images = 0;
    bool ok = a.link && asker_collection(&a, &images, e);
    im->had_images = images > 0;
    asker_close(&a);
    return ok;
}

bool import_run(struct import_target *t, const struct import_options *o, const struct import_list *list,
                struct import_counts *out, struct err *e)
{
    struct import im = {.target = t,
                        .options = o,
                        .list = list,
                        .adopting = PTHREAD_MUTEX_INITIALIZER,
                        .mu = PTHREAD_MUTEX_INITIALIZER};
    if (!check_collection(&im, e))
        return false;
    im.progress = import_progress_start(list->n);
    for (size_t i = 0; i < list->n_skipped; i++)
        count_skipped(&im, list->skipped[i].path, list->skipped[i].kind);
    bool ok = list->n == 0 || run_threads(&im, e);
    import_progress_end(&im.progress);
    *out = im.counts;
    return ok && (im.err.code == ERR_NONE || err_move(e, &im.err));
}
