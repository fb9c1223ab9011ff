/* damage.c - see damage.h. */
#include "tests/lib/damage.h"

#include <fcntl.h>
#include <ftw.h>

#include "base/file.h"
#include "base/hash.h"
#include "tests/t.h"

void damage_bit(const char *path, size_t at)
{
    unsigned char byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pread(fd, &byte, 1, (off_t)at) != 1)
        fail_msg("cannot read %s", path);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static char found[400];

static int take_blob(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    if (kind == FTW_F && strspn(path + at->base, "0123456789abcdef") == HASH_HEX - 1)
        snprintf(found, sizeof found, "%s", path);
    return 0;
}

void damage_find_blob(const char *dir, char out[400])
{
    char blobs[400];
    snprintf(blobs, sizeof blobs, "%s/blobs", dir);
    found[0] = 0;
    nftw(blobs, take_blob, 16, FTW_PHYS);
    assert_true(found[0]);
    memcpy(out, found, sizeof found);
}

int damage_blob_is_whole(const char *path)
{
    char hash[HASH_HEX];
    void *bytes;
    size_t len;
    struct err e = {0};
    assert_ok(file_read(path, 1 << 30, &bytes, &len, &e), e);
    hash_text(bytes, len, hash);
    free(bytes);
    return strcmp(strrchr(path, '/') + 1, hash) == 0;
}
