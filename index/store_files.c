/* store_files.c - the files of a data folder that no row vouches for: leftovers of a crash, backups. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "index/backup_file.h"
#include "index/orphans.h"
#include "index/store_parts.h"

/* ---- after a crash ---- */

struct sweep {
    size_t moved, returned, missing;
};

/* No row names it. */
static bool put_away(struct store *s, const char *sha256, struct sweep *sweep, struct err *e)
{
    char path[PATH_MAX];
    blobs_path(s->blobs, sha256, path);
    file_cache_forget(s->thumbnails, sha256);
    sweep->moved++;
    return orphans_keep(s->dir, path, sha256, e);
}

/* A row names it, and it is not there. */
static bool fetch_back(struct store *s, const char *sha256, struct sweep *sweep, struct err *e)
{
    char path[PATH_MAX];
    struct err why = {0};
    blobs_path(s->blobs, sha256, path);
    if (orphans_return(s->dir, sha256, path, &why)) {
        sweep->returned++;
        return true;
    }
    if (why.code != ERR_NOT_FOUND)
        return err_move(e, &why);
    log_error("image_file_missing", "sha256=%s", sha256);
    sweep->missing++;
    return true;
}

/* Both lists ascend. */
static bool reconcile(struct store *s, char (*files)[HASH_HEX], size_t n_files, char (*rows)[HASH_HEX], size_t n_rows,
                      struct sweep *sweep, struct err *e)
{
    bool ok = true;
    for (size_t f = 0, r = 0; ok && (f < n_files || r < n_rows);) {
        int order = f == n_files ? 1 : r == n_rows ? -1 : strcmp(files[f], rows[r]);
        if (order < 0)
            ok = put_away(s, files[f], sweep, e);
        else if (order > 0)
            ok = fetch_back(s, rows[r], sweep, e);
        f += order <= 0;
        r += order >= 0;
    }
    return ok;
}

static bool sweep_folder(struct store *s, unsigned folder, struct sweep *sweep, struct err *e)
{
    char(*files)[HASH_HEX] = NULL, (*rows)[HASH_HEX] = NULL, two[3];
    size_t n_files, n_rows;
    snprintf(two, sizeof two, "%02x", folder);
    bool ok = blobs_list(s->blobs, folder, &files, &n_files, e) &&
              catalog_hashes(catalog_writer(s->catalog), two, &rows, &n_rows, e) &&
              reconcile(s, files, n_files, rows, n_rows, sweep, e);
    free(files);
    free(rows);
    return ok;
}

/* Calls `each` with the path of every entry of DIR/<name>. */
static void for_each_entry(struct store *s, const char *name,
                           void (*each)(struct store *s, const char *path, const char *name, void *arg), void *arg)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *d = opendir(path_join(path, s->dir, "%s", name));
    while (d && (entry = readdir(d)))
        if (entry->d_name[0] != '.')
            each(s, path_join(path, s->dir, "%s/%s", name, entry->d_name), entry->d_name, arg);
    if (d)
        closedir(d);
}

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

static void drop_unfinished(struct store *s, const char *path, const char *name, void *arg)
{
    (void)s;
    (void)arg;
    if (ends_with(name, ".tmp"))
        file_remove_tree(path);
}

/* A model's file that was not yet one, as file_replace() ("x.safetensors.AbCdEf") or its maker left it; a model may be
 * called draft-... too. */
static void drop_draft(struct store *s, const char *path, const char *name, void *arg)
{
    (void)s;
    (void)arg;
    bool draft = strncmp(name, "draft-", 6) == 0 && strstr(name, ".tmp");
    if (!ends_with(name, ".safetensors") && (draft || file_is_temporary(name)))
        file_remove_tree(path);
}

/* Somebody may have put it there: it is moved, not removed. */
static void set_model_aside(struct store *s, const char *path, const char *name, void *arg)
{
    char id[NAME_MAX + 1], to[PATH_MAX];
    struct model_row row;
    struct err why = {0};
    (void)arg;
    if (!ends_with(name, ".safetensors"))
        return;
    snprintf(id, sizeof id, "%.*s", (int)(strlen(name) - strlen(".safetensors")), name);
    if (store_model(s, id, &row, &why)) {
        model_row_clear(&row);
        return;
    }
    path_join(to, s->dir, "strays");
    bool moved = why.code == ERR_NOT_FOUND && file_make_dirs(to, NULL);
    path_join(to, s->dir, "strays/%s", name);
    if (moved && file_rename(path, to))
        log_warn("stray_model", "%s has no row: moved to %s", path, to);
}

void store_set_models_aside(struct store *s)
{
    for_each_entry(s, "models", set_model_aside, NULL);
}

static void drop_old_segments(struct store *s, const char *path, const char *name, void *arg)
{
    struct generation_row row;
    struct err e = {0};
    (void)arg;
    if (!catalog_generation(catalog_writer(s->catalog), strtoll(name, NULL, 10), &row, &e) && e.code == ERR_NOT_FOUND)
        file_remove_tree(path);
}

/* A catalogue without a single collection beside image files is not theirs: it was lost or emptied, and
 * sweeping would finish what the loss began. */
static bool check_catalogue_is_theirs(struct store *s, struct err *e)
{
    struct collection_row *rows;
    size_t n, n_files = 0;
    if (!catalog_collections(catalog_writer(s->catalog), &rows, &n, e))
        return false;
    free(rows);
    for (unsigned i = 0; i < 256 && n == 0 && n_files == 0; i++) {
        char(*files)[HASH_HEX] = NULL;
        if (!blobs_list(s->blobs, i, &files, &n_files, e))
            return false;
        free(files);
    }
    return n > 0 || n_files == 0 ||
           err_set(e, ERR_CORRUPT,
                   "the catalogue is empty and there are image files: restore a backup, or move "
                   "the folder blobs away");
}

bool store_sweep(struct store *s, struct err *e)
{
    struct sweep sweep = {0};
    if (!check_catalogue_is_theirs(s, e))
        return false;
    for (unsigned i = 0; i < 256; i++)
        if (!sweep_folder(s, i, &sweep, e))
            return false;
    if (sweep.moved + sweep.returned + sweep.missing > 0)
        log_info("sweep", "moved=%zu returned=%zu missing=%zu image files", sweep.moved, sweep.returned, sweep.missing);
    orphans_expire(s->dir);
    for_each_entry(s, "backups", drop_unfinished, NULL);
    for_each_entry(s, "models", drop_draft, NULL);
    for_each_entry(s, "segments", drop_old_segments, NULL);
    return true;
}

/* ---- backups ---- */

struct found {
    struct backup_row *rows;
    size_t n, room;
};

/* The backup below `path`; true when there is one. */
static bool read_row(struct backup_row *row, const char *path, const char *name, struct err *e)
{
    struct backup_file f;
    if (!backup_file_read(&f, path, e))
        return false;
    *row =
        (struct backup_row){.created_at = f.created_at, .bytes = f.bytes, .images = f.images, .left_out = f.left_out};
    snprintf(row->name, sizeof row->name, "%s", name);
    f.left_out = (struct flaws){0}; /* the row's now */
    backup_file_clear(&f);
    return true;
}

void backup_row_clear(struct backup_row *row)
{
    flaws_clear(&row->left_out);
}

static void take_backup(struct store *s, const char *path, const char *name, void *arg)
{
    struct found *found = arg;
    struct backup_row row;
    (void)s;
    if (ends_with(name, ".tmp") || strlen(name) >= sizeof row.name || !read_row(&row, path, name, NULL))
        return;
    if (found->n == found->room) {
        found->room = found->room ? found->room * 2 : 8;
        found->rows = mem_grow(found->rows, found->room, sizeof *found->rows);
    }
    found->rows[found->n++] = row;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct backup_row *)a)->name, ((const struct backup_row *)b)->name);
}

bool store_backups(struct store *s, struct backup_row **out, size_t *n, struct err *e)
{
    struct found found = {0};
    (void)e;
    for_each_entry(s, "backups", take_backup, &found);
    if (found.n > 0)
        qsort(found.rows, found.n, sizeof *found.rows, by_name);
    *out = found.rows;
    *n = found.n;
    return true;
}

enum { BACKUP_NAME_MAX = sizeof((struct backup_row *)0)->name - 1 };

/* Its folder.  The server makes the names: anything else cannot be one, and is no path either. */
static bool backup_path(const struct store *s, const char *name, char out[PATH_MAX], struct err *e)
{
    size_t n = strspn(name, "0123456789abcdefTZ-");
    path_join(out, s->dir, "backups/%s", name);
    return (n > 0 && n <= BACKUP_NAME_MAX && !name[n]) || err_set(e, ERR_NOT_FOUND, "no backup %s", name);
}

bool store_backup(struct store *s, const char *name, struct backup_row *out, struct err *e)
{
    char path[PATH_MAX];
    if (!backup_path(s, name, path, e))
        return false;
    if (access(path, F_OK) != 0)
        return err_set(e, ERR_NOT_FOUND, "no backup %s", name);
    return read_row(out, path, name, e);
}

/* First it gets the ending of what is unfinished: after a crash the next start goes on. */
bool store_backup_delete(struct store *s, const char *name, struct err *e)
{
    char path[PATH_MAX], gone[PATH_MAX + 8], backups[PATH_MAX];
    if (!backup_path(s, name, path, e))
        return false;
    snprintf(gone, sizeof gone, "%s.tmp", path);
    path_join(backups, s->dir, "backups");
    if (rename(path, gone) != 0)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "no backup %s", name)
                               : err_sys(e, "removing the backup %s", name);
    bool ok = file_sync_dir(backups, e);
    file_remove_tree(gone);
    return ok;
}
