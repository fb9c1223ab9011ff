/* backup_file.c - backup.json, and copying with the hash at hand. */
#include "index/backup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"

enum { FORMAT = 1, PIECE = 1 << 20, JSON_MAX = 16 << 20 };

/* ---- backup.json ---- */

static void write_flaws(struct json_writer *w, const struct flaws *f)
{
    jw_int(w, "left_out", f->files);
    jw_array(w, "flaws");
    for (size_t i = 0; i < f->n; i++) {
        const struct flaw *one = &f->items[i];
        jw_object(w, NULL);
        jw_bool(w, "missing", one->missing);
        jw_text(w, "collection", one->collection);
        jw_text(w, "id", one->id);
        jw_text(w, "sha256", one->sha256);
        jw_end(w);
    }
    jw_end(w);
}

bool backup_file_write(const struct backup_file *f, const char *dir, struct err *e)
{
    char path[PATH_MAX];
    struct buf text = {0};
    struct json_writer w = jw_to(&text);
    jw_object(&w, NULL);
    jw_int(&w, "format", FORMAT);
    jw_int(&w, "created_at", f->created_at);
    jw_int(&w, "images", f->images);
    jw_int(&w, "bytes", f->bytes);
    jw_text(&w, "catalog_sha256", f->catalog_sha256);
    jw_array(&w, "models");
    for (size_t i = 0; i < f->n_models; i++) {
        jw_object(&w, NULL);
        jw_text(&w, "id", f->models[i].id);
        jw_text(&w, "sha256", f->models[i].sha256);
        jw_end(&w);
    }
    jw_end(&w);
    write_flaws(&w, &f->left_out);
    jw_end(&w);
    bool ok = file_replace(path_join(path, dir, "backup.json"), text.data, text.len, e);
    buf_clear(&text);
    return ok;
}

/* A text member that must be there and fit. */
static bool take_text(const struct json *o, const char *key, char *out, size_t size, struct err *e)
{
    const char *text = NULL;
    if (!json_get_text(o, key, size - 1, &text, e))
        return false;
    if (!text)
        return err_field(e, key, "is missing");
    snprintf(out, size, "%s", text);
    return true;
}

static bool read_models(struct backup_file *out, const struct json *list, struct err *e)
{
    out->models = mem_new(json_count(list), sizeof *out->models);
    for (size_t i = 0; i < json_count(list); i++) {
        struct backup_model *m = &out->models[i];
        const struct json *o = json_item(list, i);
        if (!take_text(o, "id", m->id, sizeof m->id, e) || !take_text(o, "sha256", m->sha256, sizeof m->sha256, e))
            return false;
        if (!id_is_valid(m->id))
            return err_field(e, "models", "a name that is no model's");
        out->n_models++;
    }
    return true;
}

/* Backups of version 0.1.0 have none. */
static bool read_flaws(struct flaws *out, const struct json *doc, struct err *e)
{
    const struct json *list = NULL;
    if (!json_get_int(doc, "left_out", 0, INT64_MAX, &out->files, e) || !json_get_list(doc, "flaws", &list, e))
        return false;
    for (size_t i = 0; list && i < json_count(list); i++) {
        const struct json *o = json_item(list, i);
        struct flaw one = {0};
        if (!json_get_bool(o, "missing", &one.missing, e) ||
            !take_text(o, "collection", one.collection, sizeof one.collection, e) ||
            !take_text(o, "id", one.id, sizeof one.id, e) || !take_text(o, "sha256", one.sha256, sizeof one.sha256, e))
            return false;
        flaws_add(out, &one);
    }
    return true;
}

bool backup_file_read(struct backup_file *out, const char *dir, struct err *e)
{
    char path[PATH_MAX];
    void *text = NULL;
    size_t len;
    int64_t format = 0;
    const struct json *models = NULL;
    struct json *doc = NULL;
    *out = (struct backup_file){0};
    bool ok = file_read(path_join(path, dir, "backup.json"), JSON_MAX, &text, &len, e) &&
              (doc = json_parse(text, len, 0, e)) && json_get_int(doc, "format", FORMAT, FORMAT, &format, e) &&
              json_get_int(doc, "created_at", 0, INT64_MAX, &out->created_at, e) &&
              json_get_int(doc, "images", 0, INT64_MAX, &out->images, e) &&
              json_get_int(doc, "bytes", 0, INT64_MAX, &out->bytes, e) &&
              take_text(doc, "catalog_sha256", out->catalog_sha256, HASH_HEX, e) &&
              json_get_list(doc, "models", &models, e) && read_models(out, models, e) &&
              read_flaws(&out->left_out, doc, e);
    json_free(doc);
    free(text);
    if (!ok)
        backup_file_clear(out);
    return ok || err_wrap(e, "backup.json");
}

void backup_file_clear(struct backup_file *f)
{
    free(f->models);
    flaws_clear(&f->left_out);
    *f = (struct backup_file){0};
}

/* ---- files ---- */

/* Reads `in` to its end into the hash and, when `out` >= 0, into out. */
static bool pass(int in, int out, struct hash *h, uint64_t *bytes, struct err *e)
{
    char *piece = mem_new(1, PIECE);
    bool ok = true;
    *bytes = 0;
    while (ok) {
        ssize_t n = read(in, piece, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            ok = err_sys(e, "read");
        if (n <= 0)
            break;
        hash_add(h, piece, (size_t)n);
        *bytes += (uint64_t)n;
        ok = out < 0 || file_write_all(out, piece, (size_t)n, e);
    }
    free(piece);
    return ok;
}

static bool hash_and_copy(const char *from, int out, char sha256[HASH_HEX], uint64_t *bytes, struct err *e)
{
    unsigned char digest[HASH_SIZE];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return err_sys(e, "opening %s", from);
    struct hash *h = hash_begin();
    bool ok = pass(in, out, h, bytes, e);
    hash_end(h, digest);
    hash_hex(digest, sha256);
    close(in);
    return ok;
}

bool backup_hash_file(const char *path, char sha256[HASH_HEX], uint64_t *bytes, struct err *e)
{
    return hash_and_copy(path, -1, sha256, bytes, e);
}

bool backup_copy_file(const char *from, const char *to, char sha256[HASH_HEX], uint64_t *bytes, struct err *e)
{
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        return err_sys(e, "creating %s", to);
    bool ok = hash_and_copy(from, out, sha256, bytes, e);
    if (ok && fsync(out) != 0)
        ok = err_sys(e, "fsync");
    if (close(out) != 0 && ok)
        ok = err_sys(e, "close");
    return ok;
}

bool backup_sync_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        err_sys(e, "syncing %s", path);
    if (fd >= 0)
        close(fd);
    return ok;
}
