/* manifest.c - reading folders into a manifest. */
#include "engine/data/manifest.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

enum { FILE_MAX = 64 << 20, FOLDER_DEPTH = 16 };

static int32_t label_index(struct manifest *m, const char *label)
{
    if (!label || !label[0]) /* "" is no label */
        return NO_LABEL;
    for (size_t i = m->n_labels; i-- > 0;) /* files of a folder come together: the last label is the likely one */
        if (strcmp(m->labels[i], label) == 0)
            return (int32_t)i;
    m->labels = mem_grow(m->labels, m->n_labels + 1, sizeof *m->labels);
    m->labels[m->n_labels] = mem_text(label);
    return (int32_t)m->n_labels++;
}

void manifest_add(struct manifest *m, const char *path, const char sha256[HASH_HEX], const char *label)
{
    if (m->n == m->room) {
        m->room = m->room ? m->room * 2 : 256;
        m->items = mem_grow(m->items, m->room, sizeof *m->items);
    }
    struct manifest_item *item = &m->items[m->n++];
    *item = (struct manifest_item){.path = mem_text(path), .label = label_index(m, label)};
    memcpy(item->sha256, sha256, HASH_HEX);
}

static bool is_image_name(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".webp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < COUNT(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

static void add_file(struct manifest *m, const char *path, const char *label)
{
    struct err e = {0};
    char sha256[HASH_HEX], quoted[200];
    void *bytes;
    size_t len;
    if (!file_read(path, FILE_MAX, &bytes, &len, &e)) {
        log_warn("manifest", "skipped=%s reason=\"%s\"", log_quote(path, quoted, sizeof quoted), e.text);
        return;
    }
    hash_text(bytes, len, sha256);
    free(bytes);
    manifest_add(m, path, sha256, label);
}

/* `label` is NULL above the first sub-folder, whose name it then becomes. */
static bool walk(struct manifest *m, const char *dir, const char *label, int depth, struct err *e)
{
    struct dirent **entries = NULL;
    int n = depth < FOLDER_DEPTH ? scandir(dir, &entries, NULL, alphasort) : 0;
    bool ok = n >= 0 || err_sys(e, "reading the folder %s", dir);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        struct stat st;
        const char *name = entries[i]->d_name;
        if (ok && name[0] != '.' && stat(path_join(path, dir, "%s", name), &st) == 0) {
            if (S_ISDIR(st.st_mode))
                ok = walk(m, path, label ? label : name, depth + 1, e);
            else if (is_image_name(name))
                add_file(m, path, label);
        }
        free(entries[i]);
    }
    free(entries);
    return ok;
}

bool manifest_read_folder(struct manifest *m, const char *dir, struct err *e)
{
    if (!walk(m, dir, NULL, 0, e))
        return false;
    if (!m->n)
        return err_set(e, ERR_NOT_FOUND, "there is no image in %s", dir);
    manifest_seal(m);
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct manifest_item *)a)->path, ((const struct manifest_item *)b)->path);
}

struct named {
    char *name;
    int32_t old;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

void manifest_seal(struct manifest *m)
{
    struct named *order = mem_new(m->n_labels, sizeof *order);
    int32_t *renamed = mem_new(m->n_labels, sizeof *renamed);
    for (size_t i = 0; i < m->n_labels; i++)
        order[i] = (struct named){m->labels[i], (int32_t)i};
    qsort(order, m->n_labels, sizeof *order, by_name);
    for (size_t i = 0; i < m->n_labels; i++) {
        m->labels[i] = order[i].name;
        renamed[order[i].old] = (int32_t)i;
    }
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].label != NO_LABEL)
            m->items[i].label = renamed[m->items[i].label];
    if (m->n) /* an empty one has no items to be given to qsort() */
        qsort(m->items, m->n, sizeof *m->items, by_path);
    free(order);
    free(renamed);
}

void manifest_forget_labels(struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++)
        m->items[i].label = NO_LABEL;
    for (size_t i = 0; i < m->n_labels; i++)
        free(m->labels[i]);
    free(m->labels);
    m->labels = NULL;
    m->n_labels = 0;
}

void manifest_clear(struct manifest *m)
{
    manifest_forget_labels(m);
    for (size_t i = 0; i < m->n; i++)
        free(m->items[i].path);
    free(m->items);
    *m = (struct manifest){0};
}

void manifest_digest(const struct manifest *m, char out[HASH_HEX])
{
    unsigned char digest[HASH_SIZE];
    struct hash *h = hash_begin();
    for (size_t i = 0; i < m->n; i++) {
        const struct manifest_item *it = &m->items[i];
        const char *label = it->label == NO_LABEL ? "" : m->labels[it->label];
        hash_add(h, it->sha256, strlen(it->sha256));
        hash_add(h, it->held_out ? "-" : "+", 1);
        hash_add(h, label, strlen(label) + 1);
    }
    hash_end(h, digest);
    hash_hex(digest, out);
}

size_t *manifest_side(const struct manifest *m, bool held_out, size_t *n)
{
    size_t *out = mem_new(m->n, sizeof *out);
    *n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].held_out == held_out)
            out[(*n)++] = i;
    return out;
}
