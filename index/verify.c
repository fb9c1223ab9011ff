/* verify.c - see verify.h. */
#include "index/verify.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "index/backup_file.h"
#include "index/flaw.h"
#include "index/store_parts.h"
#include "index/vectors/segment_file.h"

enum { USERS = 3 };

struct verify {
    const struct verify_options *o;
    struct verify_result *result;
    struct store store; /* no more of it than the folder, the catalogue and the image files */
    struct session *session;
    struct backup_row *backups; /* by time */
    size_t n_backups;
};

static void tell(struct verify *v, enum verify_outcome outcome, const char *what, const char *name, const char *fmt,
                 ...) PRINTF_LIKE(5, 6);

static void tell(struct verify *v, enum verify_outcome outcome, const char *what, const char *name, const char *fmt,
                 ...)
{
    char remark[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(remark, sizeof remark, fmt, ap);
    va_end(ap);
    v->result->findings++;
    v->result->repaired += outcome == VERIFY_REPAIRED;
    v->o->tell(v->o->arg, &(struct verify_finding){what, name, remark, outcome});
}

/* ---- files that no row names ---- */

static void handle_stray(struct verify *v, const char *folder, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX], dir[PATH_MAX];
    path_join(from, v->store.dir, "%s/%s", folder, name);
    path_join(dir, v->store.dir, "strays");
    path_join(to, dir, "%s", name);
    if (!v->o->repair)
        tell(v, VERIFY_TOLD, "file without a row", from, "%s", "");
    else if (file_make_dirs(dir, NULL) && file_rename(from, to))
        tell(v, VERIFY_REPAIRED, "file without a row", from, "moved to %s", to);
    else
        tell(v, VERIFY_LOST, "file without a row", from, "it cannot be moved: %s", strerror(errno));
}

/* ---- image files ---- */

/* Newest first: the first backup that has the right bytes. */
static bool take_from_backup(struct verify *v, const char *sha256, const char **backup)
{
    char path[PATH_MAX];
    bool taken = false;
    for (size_t i = v->n_backups; i > 0 && !taken; i--) {
        void *bytes;
        size_t len;
        struct err ignored = {0};
        struct blobs *from =
            access(path_join(path, v->store.dir, "backups/%s/blobs", v->backups[i - 1].name), F_OK) == 0
                ? blobs_open(path, &ignored)
                : NULL;
        if (from && blobs_read(from, sha256, &bytes, &len, &ignored)) {
            taken = blobs_stage(v->store.blobs, sha256, bytes, len, &ignored) && blobs_commit(v->store.blobs, &ignored);
            free(bytes);
        }
        blobs_close(from);
        *backup = v->backups[i - 1].name;
    }
    return taken;
}

/* "garden/cat, garden/dog and more" */
static void name_users(struct verify *v, const char *sha256, char *out, size_t size)
{
    struct image_user *users;
    size_t n, used = 0;
    out[0] = 0;
    if (!catalog_hash_users(v->session, sha256, USERS + 1, &users, &n, NULL))
        return;
    for (size_t i = 0; i < n && i < USERS && used < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s/%.100s", i ? ", " : "", users[i].collection, users[i].id);
    if (n > USERS && used < size)
        snprintf(out + used, size - used, " and more");
    free(users);
}

static void handle_image(struct verify *v, const char *sha256, const struct err *why)
{
    char users[600];
    const char *backup = NULL;
    const char *what = why->code == ERR_NOT_FOUND ? "image file missing" : "image file damaged";
    name_users(v, sha256, users, sizeof users);
    if (!v->o->repair)
        tell(v, VERIFY_TOLD, what, sha256, "of %s", users);
    else if (take_from_backup(v, sha256, &backup))
        tell(v, VERIFY_REPAIRED, what, sha256, "of %s: taken from the backup %s", users, backup);
    else
        tell(v, VERIFY_LOST, what, sha256, "of %s: no backup has it; put the picture again, or delete it", users);
}

static void check_image(struct verify *v, const char *sha256)
{
    struct err why = {0};
    v->result->image_files++;
    if (!blobs_check(v->store.blobs, sha256, &why))
        handle_image(v, sha256, &why);
}

/* Both lists ascend. */
static void compare_files(struct verify *v, unsigned folder, char (*files)[HASH_HEX], size_t n_files,
                          char (*rows)[HASH_HEX], size_t n_rows)
{
    char dir[16];
    snprintf(dir, sizeof dir, "blobs/%02x", folder);
    for (size_t f = 0, r = 0; f < n_files || r < n_rows;) {
        int order = f == n_files ? 1 : r == n_rows ? -1 : strcmp(files[f], rows[r]);
        if (order < 0)
            handle_stray(v, dir, files[f++]);
        else
            check_image(v, rows[r++]);
        f += order == 0;
    }
}

static bool check_images(struct verify *v, struct err *e)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < 256; i++) {
        char(*files)[HASH_HEX] = NULL, (*rows)[HASH_HEX] = NULL, two[3];
        size_t n_files, n_rows;
        snprintf(two, sizeof two, "%02x", i);
        ok = blobs_list(v->store.blobs, i, &files, &n_files, e) && catalog_hashes(v->session, two, &rows, &n_rows, e);
        if (ok)
            compare_files(v, i, files, n_files, rows, n_rows);
        free(files);
        free(rows);
    }
    return ok;
}

/* ---- vectors ---- */

struct checked {
    struct verify *v;
    const struct generation_row *row;
    int64_t *damaged;
    size_t n;
};

static bool check_one_vector(void *arg, const struct catalog_vector *found, struct err *e)
{
    struct checked *x = arg;
    (void)e;
    x->v->result->vectors++;
    if (found->checksum != VECTOR_DAMAGED && vindex_check_vector(found->value, x->row->dimensions, NULL))
        return true;
    if ((x->n & (x->n - 1)) == 0)
        x->damaged = mem_grow(x->damaged, x->n ? x->n * 2 : 1, sizeof *x->damaged);
    x->damaged[x->n++] = found->number;
    return true;
}

static bool drop_vectors(struct checked *x, struct err *e)
{
    struct session *s = x->v->session;
    bool ok = catalog_begin(s, e);
    for (size_t i = 0; ok && i < x->n; i++)
        ok = catalog_vector_drop(s, x->row->number, x->damaged[i], e);
    ok = ok && catalog_commit(s, e);
    if (!ok)
        catalog_rollback(s);
    return ok;
}

static void check_generation(struct verify *v, const struct generation_row *row)
{
    struct checked x = {.v = v, .row = row};
    struct err e = {0}, dropped = {0};
    char name[ID_MAX + 60];
    snprintf(name, sizeof name, "%s, generation %lld", row->collection, (long long)row->number);
    if (!catalog_vectors(v->session, row->number, row->dimensions, ALL_VECTORS, check_one_vector, &x, &e))
        tell(v, v->o->repair ? VERIFY_LOST : VERIFY_TOLD, "vectors unreadable", name, "%s: restore a backup", e.text);
    if (x.n > 0 && !v->o->repair)
        tell(v, VERIFY_TOLD, "vectors damaged", name, "%zu of them", x.n);
    else if (x.n > 0 && drop_vectors(&x, &dropped))
        tell(v, VERIFY_REPAIRED, "vectors damaged", name, "%zu of them: the next server makes them again", x.n);
    else if (x.n > 0)
        tell(v, VERIFY_LOST, "vectors damaged", name, "%zu of them: %s", x.n, dropped.text);
    free(x.damaged);
}

static bool check_vectors(struct verify *v, struct err *e)
{
    for (enum generation_state state = GENERATION_BUILDING; state <= GENERATION_FAILED; state++) {
        struct generation_row *rows;
        size_t n;
        if (!catalog_generations_in(v->session, state, &rows, &n, e))
            return false;
        for (size_t i = 0; i < n; i++)
            check_generation(v, &rows[i]);
        free(rows);
    }
    return true;
}

/* ---- models ---- */

static bool copy_model(struct verify *v, const struct model_row *row, const char **backup)
{
    char from[PATH_MAX], to[PATH_MAX], temp[PATH_MAX], sha256[HASH_HEX];
    uint64_t bytes;
    store_model_path(&v->store, row->id, to, sizeof to);
    snprintf(temp, sizeof temp, "%s.repair", to);
    for (size_t i = v->n_backups; i > 0; i--) {
        struct err ignored = {0};
        *backup = v->backups[i - 1].name;
        path_join(from, v->store.dir, "backups/%s/models/%s.safetensors", *backup, row->id);
        if (!store_check_model(&v->store, row, from, &ignored))
            continue;
        unlink(temp);
        if (backup_copy_file(from, temp, sha256, &bytes, &ignored) && file_rename(temp, to))
            return true;
        unlink(temp);
    }
    return false;
}

static void check_model_file(struct verify *v, const struct model_row *row)
{
    char path[PATH_MAX];
    struct err why = {0};
    const char *backup = NULL;
    v->result->models++;
    store_model_path(&v->store, row->id, path, sizeof path);
    if (store_check_model(&v->store, row, path, &why))
        return;
    const char *what = why.code == ERR_NOT_FOUND ? "model missing" : "model damaged";
    if (!v->o->repair)
        tell(v, VERIFY_TOLD, what, row->id, "%s", why.text);
    else if (copy_model(v, row, &backup))
        tell(v, VERIFY_REPAIRED, what, row->id, "taken from the backup %s", backup);
    else
        tell(v, VERIFY_LOST, what, row->id, "no backup has it; import the model again under another id");
}

static bool is_file_of(const char *name, const struct model_row *rows, size_t n)
{
    char file[ID_MAX + 20];
    for (size_t i = 0; i < n; i++) {
        snprintf(file, sizeof file, "%s.safetensors", rows[i].id);
        if (strcmp(name, file) == 0)
            return true;
    }
    return false;
}

static void check_model_strays(struct verify *v, const struct model_row *rows, size_t n)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *d = opendir(path_join(path, v->store.dir, "models"));
    while (d && (entry = readdir(d)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !is_file_of(entry->d_name, rows, n))
            handle_stray(v, "models", entry->d_name);
    if (d)
        closedir(d);
}

static bool check_models(struct verify *v, struct err *e)
{
    struct model_row *rows;
    size_t n;
    if (!catalog_models(v->session, &rows, &n, e))
        return false;
    for (size_t i = 0; i < n; i++)
        check_model_file(v, &rows[i]);
    check_model_strays(v, rows, n);
    for (size_t i = 0; i < n; i++)
        model_row_clear(&rows[i]);
    free(rows);
    return true;
}

/* ---- segments ---- */

static void check_segment(struct verify *v, const char *generation)
{
    char path[PATH_MAX];
    struct segment_file file;
    struct err why = {0};
    if (access(path_join(path, v->store.dir, "segments/%s/1.faiss", generation), F_OK) != 0)
        return;
    v->result->segments++;
    if (segment_file_read(path, &file, &why)) {
        segment_file_clear(&file);
        return;
    }
    if (!v->o->repair)
        tell(v, VERIFY_TOLD, "segment damaged", path, "%s", "");
    else if (unlink(path) == 0)
        tell(v, VERIFY_REPAIRED, "segment damaged", path, "removed: the next server builds it again");
    else
        tell(v, VERIFY_LOST, "segment damaged", path, "it cannot be removed: %s", strerror(errno));
}

static void check_segments(struct verify *v)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *d = opendir(path_join(path, v->store.dir, "segments"));
    while (d && (entry = readdir(d)))
        if (entry->d_name[0] != '.')
            check_segment(v, entry->d_name);
    if (d)
        closedir(d);
}

/* ---- all of it ---- */

static void blame_catalogue(struct verify *v, const struct err *why)
{
    tell(v, v->o->repair ? VERIFY_LOST : VERIFY_TOLD, "catalogue damaged", v->store.dir, "%s: restore a backup",
         why->text);
}

static bool check_all(struct verify *v, struct err *e)
{
    char path[PATH_MAX];
    struct err why = {0};
    if (access(path_join(path, v->store.dir, CATALOG_FILE), F_OK) != 0)
        return err_set(e, ERR_NOT_FOUND, "there is no catalogue in %s", v->store.dir);
    v->store.catalog = catalog_open(path, &why);
    if (!v->store.catalog && why.code == ERR_CORRUPT) {
        blame_catalogue(v, &why);
        return true;
    }
    if (!v->store.catalog)
        return err_move(e, &why);
    v->session = catalog_writer(v->store.catalog);
    if (!catalog_verify(v->session, &why))
        blame_catalogue(v, &why);
    path_join(path, v->store.dir, "blobs");
    v->store.blobs = blobs_open(path, e);
    if (!v->store.blobs || !store_backups(&v->store, &v->backups, &v->n_backups, e))
        return false;
    check_segments(v);
    return check_images(v, e) && check_vectors(v, e) && check_models(v, e);
}

bool store_verify(const struct verify_options *o, struct verify_result *out, struct err *e)
{
    struct verify v = {.o = o, .result = out, .store.options.check_model = o->check_model};
    *out = (struct verify_result){0};
    if (strlen(o->dir) + 256 > PATH_MAX)
        return err_set(e, ERR_BAD_INPUT, "the path of the data folder is too long");
    if (access(o->dir, F_OK) != 0)
        return err_set(e, ERR_NOT_FOUND, "there is no folder %s", o->dir);
    int lock = file_lock_dir(o->dir, e);
    if (lock < 0)
        return false;
    v.store.dir = mem_text(o->dir);
    bool ok = check_all(&v, e);
    blobs_close(v.store.blobs);
    catalog_close(v.store.catalog, false);
    for (size_t i = 0; i < v.n_backups; i++)
        backup_row_clear(&v.backups[i]);
    free(v.backups);
    free(v.store.dir);
    close(lock);
    return ok;
}
