/* import_list.c - walking a folder and giving each file its id. */
#include "server/commands/import_list.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/num.h"

enum { DIGITS = 8, DEPTH_MAX = 64 };

static void add_file(struct import_list *l, size_t *room, const char *path, uint64_t bytes)
{
    if (l->n == *room) {
        *room = *room ? *room * 2 : 256;
        l->files = mem_grow(l->files, *room, sizeof *l->files);
    }
    const char *slash = strchr(path, '/');
    struct import_file *f = &l->files[l->n++];
    *f = (struct import_file){.path = mem_text(path), .bytes = bytes};
    f->label_len = slash ? (size_t)(slash - path) : 0;
}

struct walk {
    struct import_list *list;
    size_t room;
    char path[PATH_MAX]; /* of the folder at hand, with the root in front */
    size_t root;         /* how much of it is the root and its slash */
    int depth;
};

static bool walk_folder(struct walk *w, struct err *e);

static bool walk_entry(struct walk *w, const char *name, struct err *e)
{
    size_t len = strlen(w->path);
    struct stat st, target;
    bool ok = true;
    if (name[0] == '.')
        return true;
    if (len + 1 + strlen(name) >= sizeof w->path)
        return err_set(e, ERR_IO, "%.80s...: the path is too long", w->path);
    snprintf(w->path + len, sizeof w->path - len, "/%s", name);
    if (lstat(w->path, &st) != 0)
        ok = errno == ENOENT || err_sys(e, "looking at %s", w->path); /* gone since it was listed */
    else if (S_ISDIR(st.st_mode))
        ok = walk_folder(w, e);
    else if (stat(w->path, &target) == 0 && S_ISREG(target.st_mode))
        add_file(w->list, &w->room, w->path + w->root, (uint64_t)target.st_size);
    w->path[len] = 0;
    return ok;
}

static bool walk_folder(struct walk *w, struct err *e)
{
    bool ok = true;
    if (w->depth == DEPTH_MAX)
        return err_set(e, ERR_IO, "%.80s...: folders are nested deeper than %d", w->path, DEPTH_MAX);
    DIR *dir = opendir(w->path);
    if (!dir)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "there is no folder %s", w->path)
                               : err_sys(e, "reading the folder %s", w->path);
    w->depth++;
    for (struct dirent *entry; ok && (entry = readdir(dir));)
        ok = walk_entry(w, entry->d_name, e);
    w->depth--;
    closedir(dir);
    return ok;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct import_file *)a)->path, ((const struct import_file *)b)->path);
}

static bool fits_id(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/* The path as an id, possibly longer than one may be; gives its full length. */
static size_t plain_id(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    size_t len = dot && dot != path ? (size_t)(dot - path) : strlen(path), n = 0;
    for (; n < len && n + 1 < size; n++)
        out[n] = path[n] == '/' ? '.' : fits_id(path[n]) ? path[n] : '_';
    out[n] = 0;
    return len;
}

static void marked_id(const char *path, char out[ID_MAX + 1])
{
    char hex[HASH_HEX];
    plain_id(path, out, ID_MAX + 1 - DIGITS - 1);
    hash_text(path, strlen(path), hex);
    size_t len = strlen(out);
    snprintf(out + len, ID_MAX + 1 - len, "-%.*s", DIGITS, hex);
}

/* Files in the order of their ids, and those of one id in the order of their paths. */
static int by_id(const void *a, const void *b)
{
    const struct import_file *const *x = a, *const *y = b;
    int order = strcmp((*x)->id, (*y)->id);
    return order ? order : strcmp((*x)->path, (*y)->path);
}

static void give_ids(struct import_list *l)
{
    struct import_file **sorted = mem_new(l->n, sizeof *sorted);
    for (size_t i = 0; i < l->n; i++) {
        struct import_file *f = sorted[i] = &l->files[i];
        if (plain_id(f->path, f->id, sizeof f->id) > ID_MAX)
            marked_id(f->path, f->id);
    }
    qsort(sorted, l->n, sizeof(struct import_file *), by_id);
    for (size_t i = 1, first = 0; i < l->n; i++) {
        if (strcmp(sorted[i]->id, sorted[first]->id) == 0)
            marked_id(sorted[i]->path, sorted[i]->id);
        else
            first = i;
    }
    free(sorted);
}

bool import_list_make(const char *dir, struct import_list *out, struct err *e)
{
    struct walk *w = mem_new(1, sizeof *w);
    size_t len = strlen(dir);
    bool ok;

    *out = (struct import_list){0};
    w->list = out;
    while (len > 1 && dir[len - 1] == '/')
        len--;
    snprintf(w->path, sizeof w->path, "%.*s", to_int(min_size(len, PATH_MAX)), dir);
    w->root = strlen(w->path) + 1;
    ok = walk_folder(w, e);
    free(w);
    if (!ok) {
        import_list_clear(out);
        return false;
    }
    if (out->n > 0) {
        qsort(out->files, out->n, sizeof *out->files, by_path);
        give_ids(out);
    }
    return true;
}

void import_list_clear(struct import_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->files[i].path);
    free(l->files);
    *l = (struct import_list){0};
}
