/* fuzz_file.h - a folder of the target's own, for parsers that read files. */
#ifndef ANCHORD_TESTS_FUZZ_FILE_H
#define ANCHORD_TESTS_FUZZ_FILE_H

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static char fuzz_folder[64];

static inline void fuzz_remove_folder(void)
{
    char command[80];
    snprintf(command, sizeof command, "rm -rf '%s'", fuzz_folder);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", fuzz_folder);
}

/* Makes the folder, once. */
static inline void fuzz_open_folder(void)
{
    if (fuzz_folder[0])
        return;
    snprintf(fuzz_folder, sizeof fuzz_folder, "/tmp/anchord-fuzz-XXXXXX");
    FUZZ_CHECK(mkdtemp(fuzz_folder));
    atexit(fuzz_remove_folder);
}

/* Puts the bytes into its file `name`, over what was there; gives the path, until the next call. */
static inline const char *fuzz_file(const char *name, const void *data, size_t size)
{
    static char path[PATH_MAX];
    fuzz_open_folder();
    snprintf(path, sizeof path, "%s/%s", fuzz_folder, name);
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f && (size == 0 || fwrite(data, size, 1, f) == 1) && fclose(f) == 0);
    return path;
}

#endif
