/* restore.c - a backup becomes a data folder again; every file is checked on its way.
 *
 * All of it is made in a folder of its own within the data folder, and moved into its place at the end, the catalogue
 * last: a restore that failed or was killed leaves nothing that a server would take for a data folder.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/num.h"
#include "index/backup_file.h"
#include "index/blob.h"
#include "index/catalog/catalog.h"
#include "index/store.h"

enum { STAGED_MAX = 64, USERS = 100 };

static const char unfinished[] = "restoring.tmp"; /* within the data folder */

struct restore {
    const char *backup;
    char dir[PATH_MAX]; /* where it is made */
    struct backup_file file;
    struct flaws *skipped;   /* NULL: nothing may be */
    struct session *session; /* of the restored catalogue, in a transaction */
};

/* In the order in which they get their place. */
static const char *const parts[] = {"blobs", "models", CATALOG_FILE};

static bool is_part(const char *name)
{
    return strcmp(name, parts[0]) == 0 || strcmp(name, parts[1]) == 0;
}

/* `begun`: what another restore left when it was killed does not count. */
static bool check_empty(const char *dir, bool begun, struct err *e)
{
    struct dirent *entry;
    bool empty = true;
    DIR *d = opendir(dir);
    if (!d)
        return err_sys(e, "opening %s", dir);
    while ((entry = readdir(d)))
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strcmp(entry->d_name, "lock") == 0 || strcmp(entry->d_name, unfinished) == 0 ||
                          (begun && is_part(entry->d_name)));
    closedir(d);
    return empty || err_set(e, ERR_CONFLICT, "the folder %s is not empty", dir);
}

/* What a restore has made in a folder that was empty. */
static void take_back(const char *dir)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < COUNT(parts); i++) {
        file_remove_tree(path_join(path, dir, "%s", parts[i]));
    }
    file_remove_tree(path_join(path, dir, "%s", unfinished));
}

/* Copies one file whose hash is known. */
static bool restore_file(const char *from, const char *to, const char *expected, struct err *e)
{
    char found[HASH_HEX];
    uint64_t bytes;
    return backup_copy_file(from, to, found, &bytes, e) &&
           (strcmp(found, expected) == 0 || err_set(e, ERR_CORRUPT, "%s is damaged", from));
}

/* ---- models ---- */

/* Into its place; what is not whole does not stay there. */
static bool restore_model(const struct restore *r, const char *id, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    const char *sha256 = NULL;
    for (size_t i = 0; i < r->file.n_models && !sha256; i++)
        if (strcmp(r->file.models[i].id, id) == 0)
            sha256 = r->file.models[i].sha256;
    if (!sha256)
        return err_set(e, ERR_NOT_FOUND, "the model %s is not in the backup: its file was damaged or missing", id);
    path_join(from, r->backup, "models/%s.safetensors", id);
    path_join(to, r->dir, "models/%s.safetensors", id);
    if (access(from, F_OK) != 0)
        return err_set(e, ERR_NOT_FOUND, "%s is missing", from);
    if (restore_file(from, to, sha256, e))
        return true;
    unlink(to);
    return false;
}

/* Without its file nothing can be embedded, so only a model that no generation is of can be left out. */
static bool skip_model(struct restore *r, const char *id, const struct err *why, struct err *e)
{
    struct err used = {0};
    if (!r->skipped || !is_flaw(why))
        return err_move(e, why);
    if (!catalog_model_remove(r->session, id, &used))
        return err_set(e, used.code, "%s; %s", why->text, used.text);
    flaws_add_model(r->skipped, id, why);
    return true;
}

static bool restore_models(struct restore *r, struct err *e)
{
    char dir[PATH_MAX];
    struct model_row *rows;
    size_t n;
    path_join(dir, r->dir, "models");
    if (!file_make_dirs(dir, e) || !catalog_models(r->session, &rows, &n, e))
        return false;
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        struct err why = {0};
        ok = ok && (restore_model(r, rows[i].id, &why) || skip_model(r, rows[i].id, &why, e));
        model_row_clear(&rows[i]);
    }
    free(rows);
    return ok && file_sync_dir(dir, e);
}

/* ---- images ---- */

/* Every image of this file, with all that is stored of it. */
static bool remove_users(struct session *s, const char *sha256, struct err *e)
{
    struct image_user *users;
    size_t n = 1;
    bool ok = true;
    while (ok && n > 0) {
        char same[HASH_HEX];
        if (!catalog_hash_users(s, sha256, USERS, &users, &n, e))
            return false;
        for (size_t i = 0; ok && i < n; i++)
            ok = catalog_image_remove(s, users[i].collection_number, users[i].number, same, e);
        free(users);
    }
    return ok;
}

static bool skip_image(struct restore *r, const char *sha256, const struct err *why, struct err *e)
{
    if (!r->skipped || !is_flaw(why))
        return err_move(e, why);
    return flaws_add_file(r->skipped, r->session, sha256, why, e) && remove_users(r->session, sha256, e);
}

static bool restore_image(struct restore *r, const struct blobs *from, struct blobs *to, const char *sha256,
                          struct err *e)
{
    void *bytes;
    size_t len;
    struct err why = {0};
    if (!blobs_read(from, sha256, &bytes, &len, &why))
        return skip_image(r, sha256, &why, e);
    bool ok = blobs_stage(to, sha256, bytes, len, e);
    free(bytes);
    return ok && (blobs_staged(to) < STAGED_MAX || blobs_commit(to, e));
}

/* The image files whose hashes begin with these two digits. */
static bool restore_folder(struct restore *r, const struct blobs *from, struct blobs *to, const char *two,
                           struct err *e)
{
    char(*hashes)[HASH_HEX];
    size_t n;
    bool ok = true;
    if (!catalog_hashes(r->session, two, &hashes, &n, e))
        return false;
    for (size_t i = 0; ok && i < n; i++)
        ok = restore_image(r, from, to, hashes[i], e);
    free(hashes);
    return ok && blobs_commit(to, e);
}

static bool restore_images(struct restore *r, struct err *e)
{
    char path[PATH_MAX], two[3];
    struct blobs *from = blobs_open(path_join(path, r->backup, "blobs"), e);
    path_join(path, r->dir, "blobs");
    struct blobs *to = from ? blobs_open(path, e) : NULL;
    bool ok = to != NULL;
    for (unsigned i = 0; ok && i < 256; i++) {
        snprintf(two, sizeof two, "%02x", i);
        ok = restore_folder(r, from, to, two, e);
    }
    blobs_close(to);
    blobs_close(from);
    return ok;
}

/* ---- all of it ---- */

static bool check_catalog(const struct backup_file *f, struct session *s, struct err *e)
{
    int64_t images;
    return catalog_verify(s, e) && catalog_total_images(s, &images, e) &&
           (images == f->images || err_set(e, ERR_CORRUPT, "the catalogue holds %lld images, backup.json says %lld",
                                           (long long)images, (long long)f->images));
}

static bool restore_files(struct restore *r, struct err *e)
{
    if (!check_catalog(&r->file, r->session, e) || !catalog_begin(r->session, e))
        return false;
    if (restore_images(r, e) && restore_models(r, e) && catalog_commit(r->session, e))
        return true;
    catalog_rollback(r->session);
    return false;
}

static bool make_all(struct restore *r, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    path_join(from, r->backup, CATALOG_FILE);
    path_join(to, r->dir, CATALOG_FILE);
    if (!file_make_dirs(r->dir, e) || !restore_file(from, to, r->file.catalog_sha256, e))
        return false;
    struct catalog *c = catalog_open(to, e); /* which brings one of an older anchord up to date */
    r->session = c ? catalog_writer(c) : NULL;
    bool ok = c && restore_files(r, e);
    catalog_close(c, false);
    return ok && file_sync_dir(r->dir, e);
}

/* The catalogue comes last: a data folder without it holds nothing. */
static bool move_into_place(const struct restore *r, const char *dir, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    for (size_t i = 0; i < COUNT(parts); i++) {
        if (i + 1 == COUNT(parts) && !file_sync_dir(dir, e))
            return false;
        path_join(from, r->dir, "%s", parts[i]);
        path_join(to, dir, "%s", parts[i]);
        if (rename(from, to) != 0)
            return err_sys(e, "moving %s", from);
    }
    return file_sync_dir(dir, e);
}

static bool restore_into(struct restore *r, const char *dir, struct err *e)
{
    path_join(r->dir, dir, "%s", unfinished);
    if (!check_empty(dir, access(r->dir, F_OK) == 0, e))
        return false;
    take_back(dir);
    bool ok = make_all(r, e) && move_into_place(r, dir, e);
    if (ok)
        file_remove_tree(r->dir);
    else
        take_back(dir);
    return ok;
}

bool store_restore(const char *backup, const char *dir, struct flaws *skipped, struct err *e)
{
    struct restore r = {.backup = backup, .skipped = skipped};
    if (strlen(dir) >= PATH_MAX || strlen(backup) >= PATH_MAX)
        return err_set(e, ERR_BAD_INPUT, "the path is too long");
    if (!backup_file_read(&r.file, backup, e))
        return err_wrap(e, "%s is not a backup", backup);
    int lock = file_make_dirs(dir, e) ? file_lock_dir(dir, e) : -1;
    bool ok = lock >= 0 && restore_into(&r, dir, e);
    if (lock >= 0)
        close(lock);
    backup_file_clear(&r.file);
    return ok || err_wrap(e, "restoring %s", backup);
}
