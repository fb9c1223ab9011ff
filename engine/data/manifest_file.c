/* manifest_file.c - a manifest as a file: one JSON object a line, {"path", "sha256", "label"}. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "engine/data/manifest.h"

enum { MANIFEST_MAX = 1 << 30 };

bool manifest_write(const struct manifest *m, const char *path, struct err *e)
{
    struct buf out = {0};
    for (size_t i = 0; i < m->n; i++) {
        const struct manifest_item *it = &m->items[i];
        struct json_writer w = jw_to(&out);
        jw_object(&w, NULL);
        jw_text(&w, "path", it->path);
        jw_text(&w, "sha256", it->sha256);
        jw_text(&w, "label", it->label == NO_LABEL ? NULL : m->labels[it->label]);
        jw_end(&w);
        buf_char(&out, '\n');
    }
    bool ok = file_replace(path, out.data ? out.data : "", out.len, e);
    buf_clear(&out);
    return ok;
}

/* Paths are relative to the manifest's own folder, so that it can be moved with its files. */
static void resolve(const char *manifest, const char *path, char out[PATH_MAX])
{
    const char *slash = path[0] == '/' ? NULL : strrchr(manifest, '/');
    snprintf(out, PATH_MAX, "%.*s%s", slash ? (int)(slash - manifest) + 1 : 0, manifest, path);
}

static bool add_line(struct manifest *m, const char *manifest, const char *line, size_t len, struct err *e)
{
    char path[PATH_MAX];
    struct json *v = json_parse(line, len, 0, e);
    const char *file = json_as_text(json_member(v, "path"), NULL),
               *sha256 = json_as_text(json_member(v, "sha256"), NULL);
    bool ok = v && ((file && sha256 && strlen(sha256) == HASH_HEX - 1) ||
                    err_set(e, ERR_BAD_INPUT, "a line needs `path` and `sha256`"));
    if (ok) {
        resolve(manifest, file, path);
        manifest_add(m, path, sha256, json_as_text(json_member(v, "label"), NULL));
    }
    json_free(v);
    return ok;
}

bool manifest_read(struct manifest *m, const char *path, struct err *e)
{
    void *text;
    size_t len, number = 0;
    bool ok = file_read(path, MANIFEST_MAX, &text, &len, e);
    if (!ok)
        return false;
    for (const char *at = text, *end = at + len, *next; ok && at < end; at = next) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        next = newline ? newline + 1 : end;
        number++;
        ok = add_line(m, path, at, (size_t)((newline ? newline : end) - at), e) ||
             err_wrap(e, "line %zu of %s", number, path);
    }
    free(text);
    if (ok && !m->n)
        return err_set(e, ERR_NOT_FOUND, "there is no image in %s", path);
    manifest_seal(m);
    return ok;
}
