/* import_list.c - walking a folder. */
#include "server/commands/import_list.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/num.h"
#include "server/commands/import_name.h"

enum { DEPTH_MAX = 64 };

struct folder { /* which one it is, under whatever name */
    dev_t device;
    ino_t number;
};

struct paths {
    char **items;
    size_t n;
};

struct walk {
    struct import_list *list;
    char path[PATH_MAX]; /* of the folder at hand, with the root in front */
    size_t root;         /* how much of it is the root and its slash */
    int depth;
    void *taken;        /* tree of struct folder */
    struct paths links; /* to folders, for later; with the root in front */
};

static void add_file(struct import_list *l, const char *path)
{
    if ((l->n & (l->n - 1)) == 0) /* room doubles */
        l->files = mem_grow(l->files, l->n ? l->n * 2 : 1, sizeof *l->files);
    struct import_file *f = &l->files[l->n++];
    *f = (struct import_file){.path = mem_text(path), .text = import_text(path), .label = import_label(path)};
    import_id(path, f->id);
}

static void skip(struct walk *w, const char *kind)
{
    struct import_list *l = w->list;
    l->skipped = mem_grow(l->skipped, l->n_skipped + 1, sizeof *l->skipped);
    l->skipped[l->n_skipped++] = (struct import_skipped){mem_text(w->path + w->root), kind};
}

static int compare_folders(const void *a, const void *b)
{
    const struct folder *x = a, *y = b;
    return x->device != y->device ? (x->device > y->device) - (x->device < y->device)
                                  : (x->number > y->number) - (x->number < y->number);
}

/* True the first time. */
static bool take_folder(struct walk *w, const struct stat *st)
{
    struct folder *f = mem_new(1, sizeof *f);
    *f = (struct folder){st->st_dev, st->st_ino};
    struct folder **held = tsearch(f, &w->taken, compare_folders);
    if (*held == f)
        return true;
    free(f);
    return false;
}

static bool walk_folder(struct walk *w, struct err *e);

static void walk_link(struct walk *w)
{
    struct stat target;
    if (stat(w->path, &target) != 0) {
        skip(w, "link to nothing");
    } else if (S_ISDIR(target.st_mode)) {
        w->links.items = mem_grow(w->links.items, w->links.n + 1, sizeof *w->links.items);
        w->links.items[w->links.n++] = mem_text(w->path);
    } else if (S_ISREG(target.st_mode)) {
        add_file(w->list, w->path + w->root);
    } else {
        skip(w, "no file");
    }
}

static bool walk_entry(struct walk *w, const char *name, struct err *e)
{
    size_t len = strlen(w->path);
    struct stat st;
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
    else if (S_ISLNK(st.st_mode))
        walk_link(w);
    else if (S_ISREG(st.st_mode))
        add_file(w->list, w->path + w->root);
    else
        skip(w, "no file");
    w->path[len] = 0;
    return ok;
}

static bool walk_folder(struct walk *w, struct err *e)
{
    struct stat st;
    bool ok = true;
    if (w->depth == DEPTH_MAX)
        return err_set(e, ERR_IO, "%.80s...: folders are nested deeper than %d", w->path, DEPTH_MAX);
    DIR *dir = opendir(w->path);
    if (!dir)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "there is no folder %s", w->path)
                               : err_sys(e, "reading the folder %s", w->path);
    w->depth++;
    if (fstat(dirfd(dir), &st) != 0)
        ok = err_sys(e, "reading the folder %s", w->path);
    else if (take_folder(w, &st))
        for (struct dirent *entry; ok && (entry = readdir(dir));)
            ok = walk_entry(w, entry->d_name, e);
    else
        skip(w, "folder that is taken already");
    w->depth--;
    closedir(dir);
    return ok;
}

static int by_text(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* The links found so far in the order of their paths, then those that lie behind them, until there are no more. */
static bool walk_links(struct walk *w, struct err *e)
{
    bool ok = true;
    while (w->links.n > 0) {
        struct paths links = w->links;
        w->links = (struct paths){0};
        qsort(links.items, links.n, sizeof *links.items, by_text);
        for (size_t i = 0; i < links.n; i++) {
            snprintf(w->path, sizeof w->path, "%s", links.items[i]);
            ok = ok && walk_folder(w, e);
            free(links.items[i]);
        }
        free(links.items);
    }
    return ok;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct import_file *)a)->path, ((const struct import_file *)b)->path);
}

bool import_list_make(const char *dir, struct import_list *out, struct err *e)
{
    struct walk *w = mem_new(1, sizeof *w);
    size_t len = strlen(dir);

    *out = (struct import_list){0};
    w->list = out;
    while (len > 1 && dir[len - 1] == '/')
        len--;
    snprintf(w->path, sizeof w->path, "%.*s", to_int(min_size(len, PATH_MAX)), dir);
    w->root = strlen(w->path) + 1;
    bool ok = walk_folder(w, e);
    ok = walk_links(w, e) && ok;
    tdestroy(w->taken, free);
    free(w);
    if (!ok)
        import_list_clear(out);
    else if (out->n > 0)
        qsort(out->files, out->n, sizeof *out->files, by_path);
    return ok;
}

void import_list_clear(struct import_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->files[i].path);
        free(l->files[i].text);
        free(l->files[i].label);
    }
    for (size_t i = 0; i < l->n_skipped; i++)
        free(l->skipped[i].path);
    free(l->files);
    free(l->skipped);
    *l = (struct import_list){0};
}
