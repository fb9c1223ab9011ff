/* blob.c - image files in 256 folders: written beside their place, synced, renamed, folders synced. */
#include "index/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { FOLDERS = 256, BLOB_MAX = 1 << 30, PIECE = 256 << 10 };

struct staged {
    char sha256[HASH_HEX];
    int fd; /* -1: a hard link, whose bytes are on the disk already */
};

struct blobs {
    char *dir;
    struct staged *staged;
    size_t n_staged, room;
    bool touched[FOLDERS]; /* holds a new name that is not synced yet */
};

bool blob_name_is_valid(const char *sha256)
{
    return strspn(sha256, "0123456789abcdef") == HASH_HEX - 1 && sha256[HASH_HEX - 1] == 0;
}

static unsigned folder_of(const char *sha256)
{
    char two[3] = {sha256[0], sha256[1], 0};
    return (unsigned)strtoul(two, NULL, 16);
}

static void path_of(const struct blobs *b, const char *sha256, const char *ending, char out[PATH_MAX])
{
    path_join(out, b->dir, "%.2s/%s%s", sha256, sha256, ending);
}

static bool make_folders(const char *dir, struct err *e)
{
    char path[PATH_MAX];
    bool made = false;
    for (unsigned i = 0; i < FOLDERS; i++) {
        if (mkdir(path_join(path, dir, "%02x", i), 0700) == 0)
            made = true;
        else if (errno != EEXIST)
            return err_sys(e, "making the folder %s", path);
    }
    /* Their names; each folder itself is synced with the first file in it. */
    return !made || file_sync_dir(dir, e);
}

struct blobs *blobs_open(const char *dir, struct err *e)
{
    if (strlen(dir) + HASH_HEX + 16 > PATH_MAX) {
        err_set(e, ERR_BAD_INPUT, "the path of the data folder is too long");
        return NULL;
    }
    if (!file_make_dirs(dir, e) || !make_folders(dir, e))
        return NULL;
    struct blobs *b = mem_new(1, sizeof *b);
    b->dir = mem_text(dir);
    return b;
}

void blobs_close(struct blobs *b)
{
    if (!b)
        return;
    blobs_abandon(b, 0);
    free(b->staged);
    free(b->dir);
    free(b);
}

/* ---- staging ---- */

static bool is_staged(const struct blobs *b, const char *sha256)
{
    for (size_t i = 0; i < b->n_staged; i++)
        if (strcmp(b->staged[i].sha256, sha256) == 0)
            return true;
    return false;
}

static void note_staged(struct blobs *b, const char *sha256, int fd)
{
    if (b->n_staged == b->room) {
        b->room = b->room ? b->room * 2 : 64;
        b->staged = mem_grow(b->staged, b->room, sizeof *b->staged);
    }
    struct staged *s = &b->staged[b->n_staged++];
    memcpy(s->sha256, sha256, HASH_HEX);
    s->fd = fd;
}

bool blobs_stage(struct blobs *b, const char *sha256, const void *bytes, size_t len, struct err *e)
{
    char path[PATH_MAX];
    if (!blob_name_is_valid(sha256))
        return err_set(e, ERR_INTERNAL, "not the hash of a file");
    if (is_staged(b, sha256))
        return true;
    path_of(b, sha256, ".tmp", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST && unlink(path) == 0) /* never written through: it may be a link */
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, "storing an image: create");
    if (!file_write_all(fd, bytes, len, e)) {
        close(fd);
        unlink(path);
        return err_wrap(e, "storing an image");
    }
    /* The disk starts now, so that the syncs of a group, which come one after the other, wait for little. */
    sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    note_staged(b, sha256, fd);
    return true;
}

bool blobs_stage_from(struct blobs *b, const struct blobs *from, const char *sha256, uint64_t *bytes, struct err *e)
{
    char old[PATH_MAX], new[PATH_MAX];
    struct stat st;
    void *copy;
    size_t len;
    if (is_staged(b, sha256))
        return true;
    path_of(from, sha256, "", old);
    path_of(b, sha256, ".tmp", new);
    if (stat(old, &st) == 0 && link(old, new) == 0) {
        *bytes = (uint64_t)st.st_size;
        note_staged(b, sha256, -1);
        return true;
    }
    if (!blobs_read(from, sha256, &copy, &len, e))
        return false;
    *bytes = len;
    bool ok = blobs_stage(b, sha256, copy, len, e);
    free(copy);
    return ok;
}

static bool finish(struct blobs *b, struct staged *s, struct err *e)
{
    char temp[PATH_MAX], path[PATH_MAX];
    int fd = s->fd;
    if (fd >= 0 && fsync(fd) != 0)
        return err_sys(e, "storing an image: fsync");
    s->fd = -1;
    if (fd >= 0 && close(fd) != 0)
        return err_sys(e, "storing an image: close");
    path_of(b, s->sha256, ".tmp", temp);
    path_of(b, s->sha256, "", path);
    if (!file_rename(temp, path))
        return err_sys(e, "storing an image: rename");
    b->touched[folder_of(s->sha256)] = true;
    return true;
}

bool blobs_commit(struct blobs *b, struct err *e)
{
    bool ok = true;
    for (size_t i = 0; ok && i < b->n_staged; i++)
        ok = finish(b, &b->staged[i], e);
    for (unsigned i = 0; ok && i < FOLDERS; i++) {
        char path[PATH_MAX];
        if (!b->touched[i])
            continue;
        path_join(path, b->dir, "%02x", i);
        ok = file_sync_dir(path, e);
        if (ok)
            b->touched[i] = false;
    }
    if (ok)
        b->n_staged = 0;
    else
        blobs_abandon(b, 0);
    return ok;
}

void blobs_abandon(struct blobs *b, size_t keep)
{
    while (b->n_staged > keep) {
        const struct staged *s = &b->staged[--b->n_staged];
        char path[PATH_MAX];
        path_of(b, s->sha256, ".tmp", path);
        if (s->fd >= 0)
            close(s->fd);
        unlink(path);
    }
}

size_t blobs_staged(const struct blobs *b)
{
    return b->n_staged;
}

/* ---- reading and removing ---- */

bool blobs_present(const struct blobs *b, const char *sha256, uint64_t len)
{
    char path[PATH_MAX];
    struct stat st;
    path_of(b, sha256, "", path);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == len;
}

/* The next piece of a file; 0 at its end, -1 with errno. */
static ssize_t read_piece(int fd, void *piece)
{
    ssize_t n;
    do
        n = read(fd, piece, PIECE);
    while (n < 0 && errno == EINTR);
    return n;
}

bool blobs_hold(const struct blobs *b, const char *sha256, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    struct stat st;
    ssize_t n = 0;
    size_t at = 0;
    path_of(b, sha256, "", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char *piece = mem_new(1, PIECE);
    bool same = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == len;
    while (same && (n = read_piece(fd, piece)) > 0) {
        same = (size_t)n <= len - at && memcmp((const char *)bytes + at, piece, (size_t)n) == 0;
        at += (size_t)n;
    }
    free(piece);
    close(fd);
    return same && n == 0 && at == len;
}

static bool damaged(const char *sha256, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "the stored image %s is damaged", sha256);
}

/* Reads the open file to its end. */
static bool check_open(int fd, const char *sha256, uint64_t *len, struct err *e)
{
    char found[HASH_HEX];
    unsigned char digest[HASH_SIZE];
    char *piece = mem_new(1, PIECE);
    struct hash *h = hash_begin();
    ssize_t n;
    for (*len = 0; (n = read_piece(fd, piece)) > 0; *len += (uint64_t)n)
        hash_add(h, piece, (size_t)n);
    bool ok = n == 0 || err_sys(e, "reading the image file %s", sha256);
    hash_end(h, digest);
    hash_hex(digest, found);
    free(piece);
    return ok && (strcmp(found, sha256) == 0 || damaged(sha256, e));
}

int blobs_open_checked(const struct blobs *b, const char *sha256, uint64_t *len, struct err *e)
{
    char path[PATH_MAX];
    path_of(b, sha256, "", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        err_set(e, ERR_NOT_FOUND, "the image file %s is missing", sha256);
    else if (fd < 0)
        err_sys(e, "opening the image file %s", sha256);
    if (fd < 0 || check_open(fd, sha256, len, e))
        return fd;
    close(fd);
    return -1;
}

bool blobs_check(const struct blobs *b, const char *sha256, struct err *e)
{
    uint64_t len;
    int fd = blobs_open_checked(b, sha256, &len, e);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool blobs_read(const struct blobs *b, const char *sha256, void **out, size_t *len, struct err *e)
{
    char path[PATH_MAX], found[HASH_HEX];
    path_of(b, sha256, "", path);
    if (!file_read(path, BLOB_MAX, out, len, e))
        return false;
    hash_text(*out, *len, found);
    if (strcmp(found, sha256) == 0)
        return true;
    free(*out);
    *out = NULL;
    return damaged(sha256, e);
}

void blobs_path(const struct blobs *b, const char *sha256, char *out)
{
    path_of(b, sha256, "", out);
}

bool blobs_remove(struct blobs *b, const char *sha256, struct err *e)
{
    char path[PATH_MAX];
    path_of(b, sha256, "", path);
    return unlink(path) == 0 || errno == ENOENT || err_sys(e, "removing the image %s", sha256);
}

static int compare_names(const void *a, const void *b)
{
    return memcmp(a, b, HASH_HEX);
}

/* Keeps the names of finished files and removes temporary ones; what is not ours is left alone. */
static void take_name(int dir, const char *name, char (**names)[HASH_HEX], size_t *n, size_t *room)
{
    if (strlen(name) == HASH_HEX + 3 && strcmp(name + HASH_HEX - 1, ".tmp") == 0)
        unlinkat(dir, name, 0);
    if (!blob_name_is_valid(name))
        return;
    if (*n == *room) {
        *room = *room ? *room * 2 : 64;
        *names = mem_grow(*names, *room, sizeof **names);
    }
    memcpy((*names)[(*n)++], name, HASH_HEX);
}

bool blobs_list(struct blobs *b, unsigned folder, char (**out)[HASH_HEX], size_t *n, struct err *e)
{
    char path[PATH_MAX];
    char(*names)[HASH_HEX] = NULL;
    size_t room = 0;
    struct dirent *entry;
    DIR *d = opendir(path_join(path, b->dir, "%02x", folder));
    if (!d)
        return err_sys(e, "listing the image files");
    *n = 0;
    while ((entry = readdir(d)))
        take_name(dirfd(d), entry->d_name, &names, n, &room);
    closedir(d);
    if (*n > 0)
        qsort(names, *n, sizeof *names, compare_names);
    *out = names;
    return true;
}
