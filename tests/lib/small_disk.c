/* small_disk.c - stand-ins that keep the account of a disk. */
#undef _FORTIFY_SOURCE /* its inline functions have the names of ours */
#include "tests/lib/small_disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static struct {
    const char *_Atomic dir; /* NULL: not played */
    _Atomic int64_t bytes, inodes;
    atomic_bool broken;
} disk;

void small_disk_set(const char *dir, int64_t bytes, int64_t inodes)
{
    atomic_store(&disk.bytes, bytes);
    atomic_store(&disk.inodes, inodes);
    atomic_store(&disk.dir, dir);
}

void small_disk_off(void)
{
    atomic_store(&disk.dir, NULL);
}

void small_disk_break(bool broken)
{
    atomic_store(&disk.broken, broken);
}

/* The function behind ours; `real` is a pointer to it. */
static void find(void *real, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(real, &symbol, sizeof symbol);
}

static bool inside(const char *path)
{
    const char *dir = atomic_load(&disk.dir);
    return dir && strncmp(path, dir, strlen(dir)) == 0;
}

static bool inside_fd(int fd, struct stat *st)
{
    char self[64], path[PATH_MAX];
    if (!atomic_load(&disk.dir))
        return false;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(self, path, sizeof path - 1);
    if (n <= 0)
        return false;
    path[n] = 0;
    return inside(path) && fstat(fd, st) == 0 && S_ISREG(st->st_mode);
}

/* Takes up to `wanted`; gives how much there was. */
static int64_t take(_Atomic int64_t *what, int64_t wanted)
{
    int64_t left = atomic_load(what), got;
    do
        got = left < wanted ? (left > 0 ? left : 0) : wanted;
    while (!atomic_compare_exchange_weak(what, &left, left - got));
    return got;
}

/* How many of the bytes that are to be written at `at` fit. */
static size_t fitting(int fd, size_t len, int64_t at)
{
    struct stat st;
    if (!inside_fd(fd, &st))
        return len;
    int64_t grows = at + (int64_t)len - st.st_size;
    return grows <= 0 ? len : len - (size_t)(grows - take(&disk.bytes, grows));
}

static bool full(void)
{
    errno = ENOSPC;
    return true;
}

static bool broken(int fd)
{
    struct stat st;
    if (!atomic_load(&disk.broken) || !inside_fd(fd, &st))
        return false;
    errno = EIO;
    return true;
}

ssize_t write(int fd, const void *data, size_t len)
{
    ssize_t (*real)(int, const void *, size_t);
    struct stat st;
    find(&real, "write");
    if (!inside_fd(fd, &st))
        return real(fd, data, len);
    if (broken(fd))
        return -1;
    bool append = fcntl(fd, F_GETFL) & O_APPEND;
    size_t fits = fitting(fd, len, append ? st.st_size : lseek(fd, 0, SEEK_CUR));
    return fits == 0 && len > 0 && full() ? -1 : real(fd, data, fits);
}

static ssize_t put_at(const char *name, int fd, const void *data, size_t len, int64_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t);
    find(&real, name);
    if (broken(fd))
        return -1;
    size_t fits = fitting(fd, len, at);
    return fits == 0 && len > 0 && full() ? -1 : real(fd, data, fits, at);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return put_at("pwrite", fd, data, len, at);
}
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return put_at("pwrite64", fd, data, len, at);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    int (*real)(int, off_t, off_t);
    struct stat st;
    find(&real, "posix_fallocate");
    if (!inside_fd(fd, &st) || at + len <= st.st_size)
        return real(fd, at, len);
    int64_t wanted = at + len - st.st_size, got = take(&disk.bytes, wanted);
    if (got == wanted)
        return real(fd, at, len);
    atomic_fetch_add(&disk.bytes, got);
    return ENOSPC;
}

static int cut(const char *name, int fd, int64_t len)
{
    int (*real)(int, off_t);
    struct stat st;
    find(&real, name);
    if (inside_fd(fd, &st) && st.st_size > len)
        atomic_fetch_add(&disk.bytes, st.st_size - len);
    return real(fd, len);
}

int ftruncate(int fd, off_t len)
{
    return cut("ftruncate", fd, len);
}
int ftruncate64(int fd, off64_t len)
{
    return cut("ftruncate64", fd, len);
}

/* False, with errno set, when a new name finds no inode. */
static bool has_inode(const char *path, bool creates)
{
    struct stat st;
    if (!creates || !inside(path) || lstat(path, &st) == 0)
        return true;
    return take(&disk.inodes, 1) == 1 || !full();
}

static int open_any(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...);
    find(&real, name);
    return has_inode(path, flags & O_CREAT) ? real(path, flags, mode) : -1;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        va_start(ap, flags);                                                                                           \
        mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;                                                        \
        va_end(ap);                                                                                                    \
        return open_any(#name, path, flags, mode);                                                                     \
    }
OPEN(open)
OPEN(open64)

int mkostemp(char *pattern, int flags)
{
    int (*real)(char *, int);
    find(&real, "mkostemp");
    return has_inode(pattern, true) ? real(pattern, flags) : -1;
}

int mkdir(const char *path, mode_t mode)
{
    int (*real)(const char *, mode_t);
    find(&real, "mkdir");
    return has_inode(path, true) ? real(path, mode) : -1;
}

static void give_back(const char *path)
{
    struct stat st;
    if (!inside(path) || lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1)
        return;
    atomic_fetch_add(&disk.bytes, st.st_size);
    atomic_fetch_add(&disk.inodes, 1);
}

int unlink(const char *path)
{
    int (*real)(const char *);
    find(&real, "unlink");
    give_back(path);
    return real(path);
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *);
    find(&real, "rename");
    give_back(to);
    return real(from, to);
}

int statvfs(const char *path, struct statvfs *out)
{
    int (*real)(const char *, struct statvfs *);
    find(&real, "statvfs");
    int rc = real(path, out);
    if (rc == 0 && inside(path)) {
        int64_t bytes = atomic_load(&disk.bytes), inodes = atomic_load(&disk.inodes);
        out->f_bavail = (fsblkcnt_t)(bytes > 0 ? bytes : 0) / out->f_frsize;
        out->f_favail = (fsfilcnt_t)(inodes > 0 ? inodes : 0);
    }
    return rc;
}
