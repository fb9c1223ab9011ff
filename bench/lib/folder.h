/* folder.h - the files of a folder in memory, for benches over real pictures. */
#ifndef ANCHORD_BENCH_LIB_FOLDER_H
#define ANCHORD_BENCH_LIB_FOLDER_H

#include "base/err.h"

#include <stddef.h>

struct file {
    char path[512];
    void *bytes;
    size_t len;
};

struct folder {
    struct file *files; /* sorted by path */
    size_t n;
};

/* Reads all regular files whose name does not begin with a dot.  ERR_NOT_FOUND when there is none.  Released by
 * folder_clear(). */
MUST_CHECK bool folder_read(const char *dir, struct folder *out, struct err *e);
void folder_clear(struct folder *f);

#endif
