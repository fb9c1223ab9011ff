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

/* ---- opening ---- */

static void sub_path(const struct store *s, const char *name, char out[PATH_MAX])
{
    path_join(out, s->dir, "%s", name);
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

static bool load_collection(struct store *s, const struct collection_row *row, struct err *e)
{
    struct vindex *index = load_index(s, row, e);
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
    sub_path(s, CATALOG_FILE, path);
    s->catalog = catalog_open(path, e);
    if (s->catalog && !catalog_upkeep(catalog_writer(s->catalog), UPKEEP_RESERVE, NULL, e))
        return false;
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
        !catalog_upkeep(catalog_writer(s->catalog), UPKEEP_SHRINK, NULL, &e))
        log_warn("checkpoint", "%s", e.text);
    close_parts(s);
    reserve_close(s->reserve);
    refused_free(s->refused);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->dir);
    free(s);
}

/* ---- writing ---- */

bool store_submit(struct store *s, struct write *const *writes, size_t n, struct err *e)
{
    return writer_submit(s->writer, writes, n, e);
}

static void wake(struct write *w)
{
    sem_post(w->user);
}

bool store_write_all(struct store *s, struct write *const *writes, size_t n, struct err *e)
{
    sem_t done;
    sem_init(&done, 0, 0);
    for (size_t i = 0; i < n; i++) {
        writes[i]->done = wake;
        writes[i]->user = &done;
    }
    bool ok = store_submit(s, writes, n, e);
    for (size_t i = 0; ok && i < n; i++)
        while (sem_wait(&done) != 0)
            ;
    sem_destroy(&done);
    return ok;
}

bool store_write(struct store *s, struct write *w, struct err *e)
{
    return store_write_all(s, &w, 1, e) && (w->err.code == ERR_NONE || err_move(e, &w->err));
}

void store_get_stats(struct store *s, struct store_stats *out)
{
    int64_t file;
    *out = (struct store_stats){.blobs_written = atomic_load(&s->blobs_written),
                                .groups = atomic_load(&s->groups),
                                .writes = atomic_load(&s->writes),
                                .waiting = (int64_t)writer_waiting(s->writer),
                                .last_commit_s = (double)atomic_load(&s->commit_ns) * 1e-9};
    shelf_totals(s->shelf, out);
    catalog_sizes(s->catalog, &file, &out->wal_bytes);
    if (!file_free_space(s->dir, &out->free_bytes, NULL))
        out->free_bytes = 0;
}
