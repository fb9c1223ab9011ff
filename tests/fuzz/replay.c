/* replay.c - runs a fuzz target over files, without libFuzzer: build/<mode>/tests/fuzz/replay_<name> [FILE|DIR]...
 * Without arguments it takes tests/fuzz/corpus/<name>. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "tests/fuzz/fuzz.h"

enum { LARGEST = 64 << 20 };

static size_t replayed;

static void replay_file(const char *path)
{
    struct err e = {0};
    void *bytes;
    size_t len;
    if (!file_read(path, LARGEST, &bytes, &len, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    /* A copy of exactly that size, so that a sanitizer sees the end. */
    uint8_t *exact = malloc(len ? len : 1);
    memcpy(exact, bytes, len);
    LLVMFuzzerTestOneInput(exact, len);
    replayed++;
    free(exact);
    free(bytes);
}

static void replay(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    if (!dir && errno == ENOTDIR) {
        replay_file(path);
        return;
    }
    while (dir && (entry = readdir(dir))) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            replay_file(inner);
    }
    if (dir)
        closedir(dir);
}

int main(int argc, char **argv)
{
    char corpus[256];
    const char *name = strstr(argv[0], "replay_");
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (argc == 1 && name) {
        snprintf(corpus, sizeof corpus, "tests/fuzz/corpus/%s", name + strlen("replay_"));
        replay(corpus);
    }
    printf("%zu inputs replayed\n", replayed);
    return replayed == 0;
}
