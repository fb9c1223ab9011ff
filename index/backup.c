/* backup.c - making backups. */
#include "index/backup.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "index/backup_file.h"

enum { STAGED_MAX = 64 };

struct backup {
    struct store *store;
    struct write *write;
    void (*done)(void *arg, struct write *write);
    void *arg;
    pthread_t thread;
    char dir[PATH_MAX]; /* under its temporary name */
    struct backup_file file;
    char *pinned; /* owned; the store's `pinned` while it is made */
};

/* "20261124T101530Z-1a2b": sorts by time, and is new even within one second. */
static void random_name(char *out, size_t size)
{
    unsigned char random[2];
    time_t now = (time_t)clock_unix();
    struct tm utc;
    gmtime_r(&now, &utc);
    hash_random(random, sizeof random);
    size_t n = strftime(out, size, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(out + n, size - n, "-%02x%02x", random[0], random[1]);
}

static void make_name(const struct store *s, char *out, size_t size)
{
    char path[PATH_MAX];
    do {
        random_name(out, size);
        path_join(path, s->dir, "backups/%s", out);
    } while (access(path, F_OK) == 0);
}

static bool copy_catalog(struct backup *b, const char *path, struct err *e)
{
    uint64_t bytes;
    struct session *s = catalog_reader(b->store->catalog, e);
    bool ok = s && catalog_copy(s, path, e);
    catalog_reader_done(b->store->catalog, s);
    ok = ok && backup_sync_file(path, e) && backup_hash_file(path, b->file.catalog_sha256, &bytes, e);
    if (ok)
        b->file.bytes += (int64_t)bytes;
    return ok;
}

/* Links one image file whose content has its hash; any other is noted and left out. */
static bool copy_image(struct backup *b, struct session *copy, struct blobs *to, const char *sha256, struct err *e)
{
    struct err why = {0};
    uint64_t bytes = 0;
    if (!blobs_check(b->store->blobs, sha256, &why))
        return is_flaw(&why) ? flaws_add_file(&b->file.left_out, copy, sha256, &why, e) : err_move(e, &why);
    bool ok = blobs_stage_from(to, b->store->blobs, sha256, &bytes, e);
    b->file.bytes += (int64_t)bytes;
    return ok && (blobs_staged(to) < STAGED_MAX || blobs_commit(to, e));
}

static bool copy_images(struct backup *b, struct session *copy, struct err *e)
{
    char path[PATH_MAX];
    struct blobs *to = blobs_open(path_join(path, b->dir, "blobs"), e);
    bool ok = to != NULL;
    for (unsigned folder = 0; ok && folder < 256; folder++) {
        char two[3], (*hashes)[HASH_HEX] = NULL;
        size_t n = 0;
        snprintf(two, sizeof two, "%02x", folder);
        ok = catalog_hashes(copy, two, &hashes, &n, e);
        for (size_t i = 0; ok && i < n; i++)
            ok = copy_image(b, copy, to, hashes[i], e);
        ok = ok && blobs_commit(to, e);
        free(hashes);
    }
    blobs_close(to);
    return ok;
}

/* ---- models ---- */

/* By what it is: an id may be another model's tomorrow. */
static void pinned_path(const char *folder, const struct model_row *row, char out[PATH_MAX])
{
    path_join(out, folder, "%s", row->fingerprint[0] ? row->fingerprint : row->id);
}

/* On the writer's thread, as every deletion of a model. */
bool backup_pin_model(const struct store *s, const struct model_row *row)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (!s->pinned)
        return false;
    store_model_path(s, row->id, from, sizeof from);
    pinned_path(s->pinned, row, to);
    return rename(from, to) == 0;
}

static void find_model(const struct backup *b, const struct model_row *row, char out[PATH_MAX])
{
    pinned_path(b->pinned, row, out);
    if (access(out, F_OK) != 0)
        store_model_path(b->store, row->id, out, PATH_MAX);
}

/* Once more when it has been deleted, and thereby pinned, between the look for it and its reading. */
static bool check_and_copy(struct backup *b, const struct model_row *row, const char *to, char sha256[HASH_HEX],
                           uint64_t *bytes, struct err *why)
{
    char from[PATH_MAX], again[PATH_MAX];
    find_model(b, row, from);
    if (store_check_model(b->store, row, from, why) && backup_copy_file(from, to, sha256, bytes, why))
        return true;
    unlink(to);
    find_model(b, row, again);
    if (strcmp(from, again) == 0)
        return false;
    *why = (struct err){0};
    return store_check_model(b->store, row, again, why) && backup_copy_file(again, to, sha256, bytes, why);
}

static bool copy_model(struct backup *b, const struct model_row *row, const char *dir, struct err *e)
{
    char to[PATH_MAX];
    struct backup_model *m = &b->file.models[b->file.n_models];
    struct err why = {0};
    uint64_t bytes = 0;
    path_join(to, dir, "%s.safetensors", row->id);
    snprintf(m->id, sizeof m->id, "%s", row->id);
    if (!check_and_copy(b, row, to, m->sha256, &bytes, &why)) {
        unlink(to);
        if (!is_flaw(&why))
            return err_move(e, &why);
        flaws_add_model(&b->file.left_out, row->id, &why);
        return true;
    }
    b->file.bytes += (int64_t)bytes;
    b->file.n_models++;
    return true;
}

static bool copy_models(struct backup *b, struct session *copy, struct err *e)
{
    char dir[PATH_MAX];
    struct model_row *rows;
    size_t n;
    path_join(dir, b->dir, "models");
    if (!file_make_dirs(dir, e) || !catalog_models(copy, &rows, &n, e))
        return false;
    bool ok = true;
    b->file.models = mem_new(n, sizeof *b->file.models);
    for (size_t i = 0; i < n; i++) {
        ok = ok && copy_model(b, &rows[i], dir, e);
        model_row_clear(&rows[i]);
    }
    free(rows);
    return ok && file_sync_dir(dir, e);
}

static bool copy_files(struct backup *b, const char *catalog, struct err *e)
{
    struct catalog *copied = catalog_open_copy(catalog, e);
    if (!copied)
        return false;
    struct session *s = catalog_reader(copied, e);
    bool ok = s && catalog_total_images(s, &b->file.images, e) && copy_images(b, s, e) && copy_models(b, s, e);
    catalog_reader_done(copied, s);
    catalog_close(copied, false);
    return ok;
}

static bool make(struct backup *b, struct err *e)
{
    char backups[PATH_MAX], path[PATH_MAX], final[PATH_MAX];
    b->file.created_at = clock_unix();
    path_join(backups, b->store->dir, "backups");
    path_join(final, backups, "%s", b->write->backup);
    path_join(path, b->dir, CATALOG_FILE);
    if (!file_make_dirs(b->dir, e) || !copy_catalog(b, path, e) || !copy_files(b, path, e) ||
        !backup_file_write(&b->file, b->dir, e) || !file_sync_dir(b->dir, e))
        return false;
    if (rename(b->dir, final) != 0)
        return err_sys(e, "naming the backup");
    if (file_sync_dir(backups, e))
        return true;
    file_remove_tree(final); /* its name may go with the power: it was not made */
    return false;
}

static void *backup_main(void *arg)
{
    struct backup *b = arg;
    struct err e = {0};
    if (!make(b, &e)) {
        file_remove_tree(b->dir);
        log_error("backup_failed", "%s", e.text);
    } else {
        log_info("backup", "name=%s images=%lld bytes=%lld", b->write->backup, (long long)b->file.images,
                 (long long)b->file.bytes);
        if (b->file.left_out.files > 0)
            log_error("backup_incomplete", "name=%s files=%lld are damaged or missing", b->write->backup,
                      (long long)b->file.left_out.files);
    }
    backup_file_clear(&b->file);
    b->write->err = e;
    b->done(b->arg, b->write);
    return NULL;
}

static void backup_free(struct backup *b)
{
    b->store->pinned = NULL;
    if (b->pinned)
        file_remove_tree(b->pinned);
    free(b->pinned);
    free(b);
}

/* From now on a model that is deleted leaves its file where the backup finds it: the copy of the catalogue may name it. */
static bool begin_pins(struct backup *b, struct err *e)
{
    char path[PATH_MAX];
    path_join(path, b->store->dir, "backups/pinned.tmp");
    if (!file_make_dirs(path, e))
        return false;
    b->store->pinned = b->pinned = mem_text(path);
    return true;
}

struct backup *backup_start(struct store *s, struct write *write, void (*done)(void *arg, struct write *write),
                            void *arg, struct err *e)
{
    struct backup *b = mem_new(1, sizeof *b);
    *b = (struct backup){.store = s, .write = write, .done = done, .arg = arg};
    make_name(s, write->backup, sizeof write->backup);
    path_join(b->dir, s->dir, "backups/%s.tmp", write->backup);
    if (begin_pins(b, e) && thread_start(&b->thread, "backup", backup_main, b, e))
        return b;
    backup_free(b);
    return NULL;
}

void backup_join(struct backup *b)
{
    pthread_join(b->thread, NULL);
    backup_free(b);
}
