/* backup.c - making backups. */
#include "index/backup.h"

#include <fcntl.h>
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
#include "index/backup_file.h"

struct backup {
    struct store *store;
    struct write *write;
    void (*done)(void *arg, struct write *write);
    void *arg;
    pthread_t thread;
    char dir[PATH_MAX]; /* under its temporary name */
    struct backup_file file;
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
        snprintf(path, sizeof path, "%s/backups/%s", s->dir, out);
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

static bool copy_images(struct backup *b, struct session *copy, struct err *e)
{
    char path[PATH_MAX + 16];
    bool ok = true;
    snprintf(path, sizeof path, "%s/blobs", b->dir);
    struct blobs *to = blobs_open(path, e);
    for (unsigned folder = 0; to && ok && folder < 256; folder++) {
        char two[3], (*hashes)[HASH_HEX];
        size_t n;
        snprintf(two, sizeof two, "%02x", folder);
        if (!catalog_hashes(copy, two, &hashes, &n, e))
            break;
        for (size_t i = 0; ok && i < n; i++) {
            uint64_t bytes = 0;
            ok = blobs_stage_from(to, b->store->blobs, hashes[i], &bytes, e);
            b->file.bytes += (int64_t)bytes;
            if (blobs_staged(to) == 64)
                ok = ok && blobs_commit(to, e);
        }
        ok = ok && blobs_commit(to, e);
        free(hashes);
    }
    blobs_close(to);
    return to && ok && (!e || e->code == ERR_NONE);
}

static bool copy_models(struct backup *b, struct session *copy, struct err *e)
{
    char dir[PATH_MAX + 16], from[PATH_MAX], to[PATH_MAX + 160];
    struct model_row *rows;
    size_t n;
    snprintf(dir, sizeof dir, "%s/models", b->dir);
    if (!file_make_dirs(dir, e) || !catalog_models(copy, &rows, &n, e))
        return false;
    bool ok = true;
    b->file.models = mem_new(n, sizeof *b->file.models);
    for (size_t i = 0; i < n; i++) {
        struct backup_model *m = &b->file.models[b->file.n_models];
        uint64_t bytes = 0;
        store_model_path(b->store, rows[i].id, from, sizeof from);
        snprintf(to, sizeof to, "%s/%s.safetensors", dir, rows[i].id);
        snprintf(m->id, sizeof m->id, "%s", rows[i].id);
        ok = ok && backup_copy_file(from, to, m->sha256, &bytes, e);
        b->file.bytes += (int64_t)bytes;
        b->file.n_models++;
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
    char backups[PATH_MAX], path[PATH_MAX + 32], final[PATH_MAX];
    b->file.created_at = clock_unix();
    snprintf(backups, sizeof backups, "%s/backups", b->store->dir);
    snprintf(final, sizeof final, "%s/%s", backups, b->write->name);
    snprintf(path, sizeof path, "%s/anchord.db", b->dir);
    if (!file_make_dirs(b->dir, e) || !copy_catalog(b, path, e) || !copy_files(b, path, e) ||
        !backup_file_write(&b->file, b->dir, e) || !file_sync_dir(b->dir, e))
        return false;
    if (rename(b->dir, final) != 0)
        return err_sys(e, "naming the backup");
    return file_sync_dir(backups, e);
}

static void *run(void *arg)
{
    struct backup *b = arg;
    struct err e = {0};
    if (!make(b, &e)) {
        file_remove_tree(b->dir);
        log_error("backup_failed", "%s", e.text);
    } else {
        log_info("backup", "name=%s images=%lld bytes=%lld", b->write->name, (long long)b->file.images,
                 (long long)b->file.bytes);
    }
    backup_file_clear(&b->file);
    b->write->err = e;
    b->done(b->arg, b->write);
    return NULL;
}

struct backup *backup_start(struct store *s, struct write *write, void (*done)(void *arg, struct write *write),
                            void *arg, struct err *e)
{
    struct backup *b = mem_new(1, sizeof *b);
    *b = (struct backup){.store = s, .write = write, .done = done, .arg = arg};
    make_name(s, write->name, sizeof write->name);
    snprintf(b->dir, sizeof b->dir, "%s/backups/%s.tmp", s->dir, write->name);
    if (pthread_create(&b->thread, NULL, run, b) == 0)
        return b;
    err_set(e, ERR_BUSY, "no thread for the backup");
    free(b);
    return NULL;
}

void backup_join(struct backup *b)
{
    pthread_join(b->thread, NULL);
    free(b);
}
