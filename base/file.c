/* file.c - whole-file reads, crash-safe replacement, folders, the data folder's lock. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

bool file_read_at(int fd, uint64_t offset, void *out, size_t len, struct err *e)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(fd, (char *)out + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? err_sys(e, "read") : err_set(e, ERR_IO, "the file shrank while it was read");
        got += (size_t)n;
    }
    return true;
}

bool file_read(const char *path, size_t max, void **out, size_t *len, struct err *e)
{
    char *data = NULL;
    bool ok = false;
    struct stat st;
    size_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */

    if (fd < 0 && errno == ENOENT) {
        err_set(e, ERR_NOT_FOUND, "no such file");
        goto done;
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_sys(e, "open");
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_IO, "not a regular file");
        goto done;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > max) {
        err_set(e, ERR_TOO_LARGE, "%lld bytes, the limit is %zu", (long long)st.st_size, max);
        goto done;
    }
    size = (size_t)st.st_size;
    data = mem_try(size + 1, 1, e);
    if (!data || !file_read_at(fd, 0, data, size, e))
        goto done;
    *out = data;
    *len = size;
    data = NULL; /* now the caller's */
    ok = true;
done:
    free(data);
    if (fd >= 0)
        close(fd);
    return ok || err_wrap(e, "reading %s", path);
}

bool file_write_all(int fd, const void *data, size_t len, struct err *e)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, "write");
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* The folder part of a path, "." when there is none. */
const char *path_join(char out[PATH_MAX], const char *dir, const char *fmt, ...)
{
    va_list ap;
    int used = snprintf(out, PATH_MAX, "%s/", dir);
    if (used < PATH_MAX) {
        va_start(ap, fmt);
        used += vsnprintf(out + used, (size_t)(PATH_MAX - used), fmt, ap);
        va_end(ap);
    }
    if (used >= PATH_MAX)
        strcpy(out, "/dev/null/the path is too long");
    return out;
}

static void parent_of(const char *path, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s", path);
    char *slash = strrchr(out, '/');
    if (!slash)
        snprintf(out, PATH_MAX, ".");
    else if (slash == out)
        out[1] = 0;
    else
        *slash = 0;
}

bool file_is_temporary(const char *name)
{
    size_t n = strlen(name);
    if (n < 8 || name[n - 7] != '.')
        return false;
    for (size_t i = n - 6; i < n; i++)
        if (!((name[i] >= '0' && name[i] <= '9') || (name[i] >= 'A' && name[i] <= 'Z') ||
              (name[i] >= 'a' && name[i] <= 'z')))
            return false;
    return memchr(name, '.', n - 7) != NULL;
}

bool file_replace(const char *path, const void *data, size_t len, struct err *e)
{
    return file_replace_pieces(path, &(struct file_piece){data, len}, 1, e);
}

bool file_replace_pieces(const char *path, const struct file_piece *pieces, size_t n, struct err *e)
{
    char temp[PATH_MAX], dir[PATH_MAX];
    bool ok = false, made = false;
    int fd = -1;

    if ((size_t)snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= sizeof temp) {
        err_set(e, ERR_BAD_INPUT, "the path is too long");
        goto done;
    }
    fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        err_sys(e, "create");
        goto done;
    }
    made = true;
    for (size_t i = 0; i < n; i++)
        if (!file_write_all(fd, pieces[i].data, pieces[i].len, e))
            goto done;
    if (fsync(fd) != 0) {
        err_sys(e, "fsync");
        goto done;
    }
    if (close(fd) != 0) {
        fd = -1;
        err_sys(e, "close");
        goto done;
    }
    fd = -1;
    if (rename(temp, path) != 0) {
        err_sys(e, "rename");
        goto done;
    }
    made = false;
    parent_of(path, dir);
    ok = file_sync_dir(dir, e);
done:
    if (fd >= 0)
        close(fd);
    if (made)
        unlink(temp);
    return ok || err_wrap(e, "writing %s", path);
}

static bool renew(int fd, struct err *e)
{
    enum { PIECE = 1 << 20 };
    char *piece = mem_new(PIECE, 1);
    bool ok = true;
    off_t at = 0;
    for (ssize_t n = 1; ok && n > 0; at += n) {
        n = pread(fd, piece, PIECE, at);
        for (ssize_t put = 0, m; ok && put < n; put += m) {
            m = pwrite(fd, piece + put, (size_t)(n - put), at + put);
            ok = m > 0;
        }
        ok = ok && n >= 0;
    }
    ok = ok && fsync(fd) == 0;
    if (!ok)
        err_sys(e, "read, write or fsync");
    free(piece);
    return ok;
}

bool file_renew(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true;
    bool ok = fd >= 0 ? renew(fd, e) : err_sys(e, "open");
    if (fd >= 0)
        close(fd);
    return ok || err_wrap(e, "making sure of %s", path);
}

bool file_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 && (unlink(from) == 0 || errno == ENOENT);
}

bool file_sync_dir(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        err_sys(e, "syncing the folder %s", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool file_sync_parent(const char *path, struct err *e)
{
    char dir[PATH_MAX];
    parent_of(path, dir);
    if (access(dir, R_OK) != 0 && errno == EACCES)
        return true;
    return file_sync_dir(dir, e);
}

bool file_make_dirs(const char *path, struct err *e)
{
    char part[PATH_MAX];
    if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part)
        return err_set(e, ERR_BAD_INPUT, "the path is too long");
    for (char *p = part + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char saved = *p;
        *p = 0;
        bool made = mkdir(part, 0700) == 0;
        if (!made && errno != EEXIST)
            return err_sys(e, "making the folder %s", part);
        if (made && !file_sync_parent(part, e))
            return false;
        if (!saved)
            break;
        *p = saved;
    }
    struct stat st;
    if (stat(path, &st) != 0)
        return err_sys(e, "making the folder %s", path);
    return S_ISDIR(st.st_mode) || err_set(e, ERR_IO, "%s is not a folder", path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    UNUSED(st);
    UNUSED(kind);
    UNUSED(at);
    remove(path);
    return 0;
}

void file_remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int file_lock_dir(const char *dir, struct err *e)
{
    char path[PATH_MAX];
    int fd = open(path_join(path, dir, "lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_sys(e, "opening %s", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            err_set(e, ERR_BUSY, "the folder %s is in use by another anchord", dir);
        else
            err_sys(e, "locking %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

bool file_free_space(const char *path, uint64_t *bytes, struct err *e)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0)
        return err_sys(e, "asking for free space on %s", path);
    *bytes = (uint64_t)v.f_bavail * v.f_frsize;
    return true;
}
