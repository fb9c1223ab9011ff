/* folder.c - reads a folder. */
#include "bench/lib/folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

bool folder_read(const char *dir, struct folder *out, struct err *e)
{
    struct dirent *entry;
    DIR *d = opendir(dir);

    *out = (struct folder){0};
    if (!d)
        return err_sys(e, "opening %s", dir);
    while ((entry = readdir(d))) {
        struct file f;
        snprintf(f.path, sizeof f.path, "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] == '.' || !file_read(f.path, 64 << 20, &f.bytes, &f.len, NULL))
            continue;
        out->files = mem_grow(out->files, out->n + 1, sizeof *out->files);
        out->files[out->n++] = f;
    }
    closedir(d);
    if (out->n == 0)
        return err_set(e, ERR_NOT_FOUND, "%s has no files", dir);
    qsort(out->files, out->n, sizeof *out->files, by_path);
    return true;
}

void folder_clear(struct folder *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->files[i].bytes);
    free(f->files);
    *f = (struct folder){0};
}
