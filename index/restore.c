/* restore.c - a backup becomes a data folder again; every file is checked on its way. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "index/backup_file.h"
#include "index/blob.h"
#include "index/catalog/catalog.h"

enum { PATHS = PATH_MAX + 160, STAGED_MAX = 64 };

static bool check_empty(const char *dir, struct err *e)
{
    struct dirent *entry;
    bool empty = true;
    DIR *d = opendir(dir);
    if (!d)
        return err_sys(e, "opening %s", dir);
    while ((entry = readdir(d)))
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strcmp(entry->d_name, "lock") == 0);
    closedir(d);
    return empty || err_set(e, ERR_CONFLICT, "the folder %s is not empty", dir);
}

/* Copies one file whose hash is known. */
static bool restore_file(const char *from, const char *to, const char *expected, struct err *e)
{
    char found[HASH_HEX];
    uint64_t bytes;
    return backup_copy_file(from, to, found, &bytes, e) &&
           (strcmp(found, expected) == 0 || err_set(e, ERR_CORRUPT, "%s is damaged", from));
}

static bool restore_models(const struct backup_file *f, const char *backup, const char *dir, struct err *e)
{
    char from[PATHS], to[PATHS];
    snprintf(to, sizeof to, "%s/models", dir);
    if (!file_make_dirs(to, e))
        return false;
    for (size_t i = 0; i < f->n_models; i++) {
        snprintf(from, sizeof from, "%s/models/%s.safetensors", backup, f->models[i].id);
        snprintf(to, sizeof to, "%s/models/%s.safetensors", dir, f->models[i].id);
        if (!restore_file(from, to, f->models[i].sha256, e))
            return false;
    }
    snprintf(to, sizeof to, "%s/models", dir);
    return file_sync_dir(to, e);
}

/* The image files whose hashes begin with these two digits. */
static bool restore_folder(struct session *s, const struct blobs *from, struct blobs *to, const char *two,
                           struct err *e)
{
    char(*hashes)[HASH_HEX];
    size_t n;
    bool ok = true;
    if (!catalog_hashes(s, two, &hashes, &n, e))
        return false;
    for (size_t i = 0; ok && i < n; i++) {
        void *bytes;
        size_t len;
        ok = blobs_read(from, hashes[i], &bytes, &len, e);
        if (ok) {
            ok = blobs_stage(to, hashes[i], bytes, len, e);
            free(bytes);
        }
        if (ok && blobs_staged(to) == STAGED_MAX)
            ok = blobs_commit(to, e);
    }
    free(hashes);
    return ok && blobs_commit(to, e);
}

static bool restore_images(struct session *s, const char *backup, const char *dir, struct err *e)
{
    char path[PATHS], two[3];
    snprintf(path, sizeof path, "%s/blobs", backup);
    struct blobs *from = blobs_open(path, e);
    snprintf(path, sizeof path, "%s/blobs", dir);
    struct blobs *to = from ? blobs_open(path, e) : NULL;
    bool ok = to != NULL;
    for (unsigned i = 0; ok && i < 256; i++) {
        snprintf(two, sizeof two, "%02x", i);
        ok = restore_folder(s, from, to, two, e);
    }
    blobs_close(to);
    blobs_close(from);
    return ok;
}

static bool check_catalog(const struct backup_file *f, struct session *s, struct err *e)
{
    int64_t images;
    return catalog_verify(s, e) && catalog_total_images(s, &images, e) &&
           (images == f->images || err_set(e, ERR_CORRUPT, "the catalogue holds %lld images, backup.json says %lld",
                                           (long long)images, (long long)f->images));
}

/* The catalogue comes last: a data folder without it holds nothing. */
static bool restore_all(const struct backup_file *f, const char *backup, const char *dir, struct err *e)
{
    char copy[PATHS], path[PATHS];
    snprintf(path, sizeof path, "%s/anchord.db", backup);
    snprintf(copy, sizeof copy, "%s/anchord.db.tmp", dir);
    if (!restore_file(path, copy, f->catalog_sha256, e))
        return false;
    struct catalog *c = catalog_open(copy, e); /* which brings one of an older anchord up to date */
    struct session *s = c ? catalog_writer(c) : NULL;
    bool ok = s && check_catalog(f, s, e) && restore_images(s, backup, dir, e) &&
              restore_models(f, backup, dir, e);
    catalog_close(c, false);
    snprintf(path, sizeof path, "%s/anchord.db", dir);
    if (ok && rename(copy, path) != 0)
        ok = err_sys(e, "naming the catalogue");
    return ok && file_sync_dir(dir, e);
}

bool store_restore(const char *backup, const char *dir, struct err *e)
{
    struct backup_file f;
    if (strlen(dir) >= PATH_MAX || strlen(backup) >= PATH_MAX)
        return err_set(e, ERR_BAD_INPUT, "the path is too long");
    if (!backup_file_read(&f, backup, e))
        return err_wrap(e, "%s is not a backup", backup);
    bool ok = false;
    int lock = file_make_dirs(dir, e) ? file_lock_dir(dir, e) : -1;
    if (lock >= 0) {
        ok = check_empty(dir, e) && restore_all(&f, backup, dir, e);
        close(lock);
    }
    backup_file_clear(&f);
    return ok || err_wrap(e, "restoring %s", backup);
}
