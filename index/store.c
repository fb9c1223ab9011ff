/* store.c - opening a data folder, putting right what a crash left, and the way to the parts. */
#include "index/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "index/load.h"
#include "index/store_parts.h"
#include "index/writer.h"

enum { DEFAULT_QUEUE = 1024, READ_TRIES = 3 };
static const uint64_t default_min_free = 256 << 20;

void image_row_clear(struct image_row *row)
{
    free(row->label);
    free(row->metadata);
    *row = (struct image_row){0};
}

void model_row_clear(struct model_row *row)
{
    free(row->lineage);
    *row = (struct model_row){0};
}

void write_clear(struct write *w)
{
    image_row_clear(&w->image);
    while (w->n_changed > 0)
        image_row_clear(&w->changed[--w->n_changed]);
    free(w->changed);
    w->changed = NULL;
}

/* ---- opening ---- */

static void sub_path(const struct store *s, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", s->dir, name);
}

static bool make_folders(struct store *s, struct err *e)
{
    static const char *const names[] = {"models", "segments", "backups"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sub_path(s, names[i], path);
        if (!file_make_dirs(path, e))
            return false;
    }
    /* Also what was made before: its sync may have failed. */
    return file_sync_dir(s->dir, e) && file_sync_parent(s->dir, e);
}

struct vindex *store_make_index(struct store *s, const struct collection_row *row, struct err *e)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/segments/%lld", s->dir, (long long)row->generation);
    return vindex_new(&(struct vindex_options){.dimensions = row->dimensions,
                                               .kind = row->index,
                                               .generation = row->generation,
                                               .cache_dir = path,
                                               .hnsw_from = s->options.hnsw_from,
                                               .seal_at = s->options.seal_at,
                                               .background = s->options.background},
                      e);
}

void store_remove_segments(struct store *s, int64_t generation)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/segments/%lld", s->dir, (long long)generation);
    file_remove_tree(path);
}

struct vindex *store_load_index(struct store *s, const struct collection_row *row, struct err *e)
{
    struct vindex *index = store_make_index(s, row, e);
    if (!index)
        return NULL;
    struct loading l = {.store = s, .index = index, .generation = row->generation, .dimensions = row->dimensions};
    if (!load_vectors(&l, catalog_writer(s->catalog), ALL_VECTORS, e)) {
        vindex_release(index);
        err_wrap(e, "loading the collection %s", row->name);
        return NULL;
    }
    vindex_load_cache(index);
    return index;
}

static bool load_collection(struct store *s, const struct collection_row *row, struct err *e)
{
    struct vindex *index = store_load_index(s, row, e);
    if (index)
        shelf_add(s->shelf, row, index);
    return index != NULL;
}

static bool load_collections(struct store *s, struct err *e)
{
    struct collection_row *rows;
    size_t n;
    bool ok = catalog_collections(catalog_writer(s->catalog), &rows, &n, e);
    for (size_t i = 0; ok && i < n; i++)
        ok = load_collection(s, &rows[i], e);
    free(rows);
    return ok;
}

static void check_options(struct store *s, const struct store_options *o)
{
    s->options = *o;
    s->options.dir = s->dir;
    if (s->options.min_free_bytes == 0)
        s->options.min_free_bytes = default_min_free;
    if (s->options.queue == 0)
        s->options.queue = DEFAULT_QUEUE;
}

/* Vectors can be made again: a table of them that is damaged is no reason not to start.  All other tables were checked
 * when the catalogue was opened.  A read that failed once proves nothing, so the table is read once more. */
static bool load_or_remake(struct store *s, struct err *e)
{
    struct err why = {0};
    bool whole = false;
    if (load_collections(s, &why))
        return true;
    if (why.code != ERR_CORRUPT)
        return err_move(e, &why);
    if (!catalog_check_vectors(s->catalog, &whole, e))
        return false;
    if (whole)
        return err_set(e, ERR_IO, "%s", why.text);
    log_error("damaged_vectors", "their table is damaged, all will be made again: %s", why.text);
    shelf_free(s->shelf);
    s->shelf = shelf_new();
    return catalog_remake_vectors(s->catalog, e) && load_collections(s, e);
}

static bool open_parts(struct store *s, struct err *e)
{
    char path[PATH_MAX];
    sub_path(s, "anchord.db", path);
    s->catalog = catalog_open(path, e);
    if (s->catalog)
        catalog_keep_log(s->catalog);
    sub_path(s, "thumbnails", path);
    s->thumbnails = file_cache_new(path, s->options.thumbnail_cache_bytes);
    sub_path(s, "blobs", path);
    s->blobs = s->catalog ? blobs_open(path, e) : NULL;
    /* the folders hold the names of the catalogue, of its log, and of the folders of the image files */
    return s->blobs && file_sync_dir(path, e) && file_sync_dir(s->dir, e) && store_sweep(s, e) && load_or_remake(s, e);
}

static void close_parts(struct store *s)
{
    shelf_free(s->shelf);
    blobs_close(s->blobs);
    file_cache_free(s->thumbnails);
    catalog_close(s->catalog, atomic_load(&s->degraded));
    s->thumbnails = NULL;
    s->shelf = NULL;
    s->blobs = NULL;
    s->catalog = NULL;
}

/* A full disk must not keep a server from starting: who else should delete?  The reserve makes room. */
static bool open_with_reserve(struct store *s, struct err *e)
{
    struct err why = {0};
    s->reserve = reserve_open(s->dir, s->options.min_free_bytes);
    bool ok = make_folders(s, &why) && open_parts(s, &why);
    while (!ok && why.code == ERR_FULL && reserve_release(s->reserve)) {
        close_parts(s);
        s->shelf = shelf_new();
        why = (struct err){0};
        ok = make_folders(s, &why) && open_parts(s, &why);
    }
    return ok || err_move(e, &why);
}

struct store *store_open(const struct store_options *o, struct err *e)
{
    if (strlen(o->dir) + 256 > PATH_MAX) {
        err_set(e, ERR_BAD_INPUT, "the path of the data folder is too long");
        return NULL;
    }
    struct store *s = mem_new(1, sizeof *s);
    s->dir = mem_text(o->dir);
    s->shelf = shelf_new();
    s->refused = refused_new();
    check_options(s, o);
    s->lock_fd = file_make_dirs(s->dir, e) ? file_lock_dir(s->dir, e) : -1;
    if (s->lock_fd >= 0 && open_with_reserve(s, e))
        s->writer = writer_start(s, s->options.queue, e);
    if (s->writer)
        return s;
    store_close(s);
    err_wrap(e, "opening the data folder");
    return NULL;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    bool served = s->writer != NULL;
    writer_stop(s->writer);
    struct err e = {0};
    if (served && !atomic_load(&s->degraded) && reserve_spare(s->reserve) > 0 &&
        !catalog_checkpoint(catalog_writer(s->catalog), true, &e)) /* its file stays: catalog_keep_log() */
        log_warn("checkpoint", "%s", e.text);
    close_parts(s);
    reserve_close(s->reserve);
    refused_free(s->refused);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->dir);
    free(s);
}

bool store_is_writable(struct store *s)
{
    return !atomic_load(&s->degraded);
}

bool store_has_room(struct store *s, uint64_t bytes, struct err *e)
{
    uint64_t spare = reserve_spare(s->reserve);
    return (spare > 0 && bytes <= spare) || err_set(e, ERR_FULL, "the disk is nearly full");
}

bool store_make_room(struct store *s)
{
    return reserve_release(s->reserve);
}

void store_degrade(struct store *s, const struct err *why)
{
    if (!atomic_exchange(&s->degraded, true))
        log_error("store_degraded", "%s", why->text);
}

/* ---- writing ---- */

bool store_submit(struct store *s, struct write *const *writes, size_t n, struct err *e)
{
    return writer_submit(s->writer, writes, n, e);
}

struct waiting {
    sem_t done;
    void *user;
};

static void wake(struct write *w)
{
    struct waiting *waiting = w->user;
    sem_post(&waiting->done);
}

bool store_write(struct store *s, struct write *w, struct err *e)
{
    struct waiting waiting;
    void (*done)(struct write *) = w->done;
    void *user = w->user;
    sem_init(&waiting.done, 0, 0);
    w->done = wake;
    w->user = &waiting;
    bool ok = store_submit(s, &w, 1, e);
    while (ok && sem_wait(&waiting.done) != 0)
        ;
    sem_destroy(&waiting.done);
    w->done = done;
    w->user = user;
    return ok && (w->err.code == ERR_NONE || err_move(e, &w->err));
}

/* ---- reading ---- */

bool store_collection(struct store *s, const char *name, struct collection_row *out, struct err *e)
{
    return shelf_find(s->shelf, name, out, NULL, e);
}

bool store_collections(struct store *s, struct collection_row **out, size_t *n, struct err *e)
{
    (void)e;
    shelf_rows(s->shelf, out, n);
    return true;
}

static bool hash_is_used(struct store *s, const char *sha256, bool *used, struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_hash_used(r, sha256, used, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

/* What became of a file that could not be read; true: lost, or deleted and stored again since, and then it is there by now. */
static bool may_be_back(struct store *s, const struct image_row *row, const struct err *why, struct err *e)
{
    bool used = false;
    if (why->code == ERR_NOT_FOUND && !hash_is_used(s, row->sha256, &used, e))
        return false;
    return used || err_move(e, why); /* damaged, or deleted since the row was read */
}

static bool is_lost(const struct image_row *row, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "the image file %s is missing", row->sha256);
}

bool store_content(struct store *s, const struct image_row *row, void **bytes, size_t *len, struct err *e)
{
    for (int i = 0; i < READ_TRIES; i++) {
        struct err why = {0};
        if (blobs_read(s->blobs, row->sha256, bytes, len, &why))
            return true;
        if (!may_be_back(s, row, &why, e))
            return false;
    }
    return is_lost(row, e);
}

int store_content_file(struct store *s, const struct image_row *row, uint64_t *len, struct err *e)
{
    for (int i = 0; i < READ_TRIES; i++) {
        struct err why = {0};
        int fd = blobs_open_checked(s->blobs, row->sha256, len, &why);
        if (fd >= 0)
            return fd;
        if (!may_be_back(s, row, &why, e))
            return -1;
    }
    is_lost(row, e);
    return -1;
}

bool store_models(struct store *s, struct model_row **out, size_t *n, struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_models(r, out, n, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_model(struct store *s, const char *id, struct model_row *out, struct err *e)
{
    struct session *r = catalog_reader(s->catalog, e);
    bool ok = r && catalog_model(r, id, out, e);
    catalog_reader_done(s->catalog, r);
    return ok;
}

bool store_check_model(struct store *s, const struct model_row *row, const char *path, struct err *e)
{
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "the file of the model %s is missing", row->id);
    return !s->options.check_model || s->options.check_model(path, row->fingerprint, e) ||
           err_wrap(e, "the model %s", row->id);
}

void store_model_path(const struct store *s, const char *id, char *out, size_t size)
{
    snprintf(out, size, "%s/models/%s.safetensors", s->dir, id);
}

void store_model_draft(struct store *s, char *out, size_t size)
{
    uint64_t random;
    hash_random(&random, sizeof random);
    snprintf(out, size, "%s/models/draft-%016llx.tmp", s->dir, (unsigned long long)random);
}

bool store_keys(struct store *s, struct key_row **out, size_t *n, struct err *e)
{
    struct session *r = catalog_urgent_reader(s->catalog, e);
    bool ok = r && catalog_keys(r, out, n, e);
    catalog_reader_done(s->catalog, r);
    if (ok)
        *n = refused_filter(s->refused, *out, *n);
    return ok;
}

bool store_refuse_key(struct store *s, const char *id, bool admin_elsewhere, struct err *e)
{
    struct key_row *rows;
    size_t n, admins = 0, found = SIZE_MAX;
    if (!store_keys(s, &rows, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        found = strcmp(rows[i].id, id) == 0 ? i : found;
        admins += rows[i].role == ROLE_ADMIN;
    }
    bool last = found != SIZE_MAX && rows[found].role == ROLE_ADMIN && admins == 1 && n > 1 && !admin_elsewhere;
    bool known = found != SIZE_MAX;
    free(rows);
    if (!known)
        return err_set(e, ERR_NOT_FOUND, "no key %s", id);
    if (last)
        return err_set(e, ERR_CONFLICT, "this is the last key with the role admin: revoke the others first");
    refused_add(s->refused, id);
    return true;
}

void store_get_stats(struct store *s, struct store_stats *out)
{
    char path[PATH_MAX];
    struct stat st;
    *out = (struct store_stats){.blobs_written = atomic_load(&s->blobs_written),
                                .groups = atomic_load(&s->groups),
                                .writes = atomic_load(&s->writes),
                                .waiting = (int64_t)writer_waiting(s->writer),
                                .last_commit_s = (double)atomic_load(&s->commit_ns) * 1e-9};
    shelf_totals(s->shelf, out);
    sub_path(s, "anchord.db-wal", path);
    out->wal_bytes = stat(path, &st) == 0 ? st.st_size : 0;
    if (!file_free_space(s->dir, &out->free_bytes, NULL))
        out->free_bytes = 0;
}
