/* preload.c - a library to be preloaded: keeps a journal of unsynced changes (journal.h), takes fsync away, and makes
 * chosen calls fail.
 *
 *     FAULTS_DIR      the folder that is watched; all else is passed through
 *     FAULTS_JOURNAL  folder for the journal; none is kept without it
 *     FAULTS_NOSYNC   which syncs only pretend: any of "file", "dir", "db", separated by commas
 *     FAULTS_FAIL     a file; while it is there, holding "CALL ERRNO PART TIMES", calls of that name on paths that
 *                     contain PART (end with it, when it ends with "$") fail with ERRNO; after TIMES failures the file
 *                     is removed (0: never)
 *
 * It calls the kernel directly and uses no memory of libc, so that it works below a sanitizer's runtime too.
 * Not seen: mmap (SQLite's -shm, which needs no durability) and what stdio writes (used for no file that matters).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/faults/journal.h"

enum { MAX_FD = 4096, MAX_PATH = 1024, PIECE = 1 << 16 };

static struct {
    bool on;
    char root[MAX_PATH], folder[MAX_PATH];
    size_t root_len;
    const char *nosync, *fail;
    int journal; /* -1: none */
    uint64_t records;
    char path[MAX_FD][256]; /* of the watched files that are open; empty: not watched */
    uint64_t inode[MAX_FD];
    int twin[MAX_FD]; /* the same file, open for reading */
} faults = {.journal = -1};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- which calls are watched ---- */

/* What processes before this one have noted. */
static void count_records(void)
{
    struct journal_record r;
    for (off_t at = 0; syscall(SYS_pread64, faults.journal, &r, sizeof r, at) == (long)sizeof r; faults.records++)
        at += (off_t)(sizeof r + r.len);
}

static void begin(void)
{
    const char *root = getenv("FAULTS_DIR"), *folder = getenv("FAULTS_JOURNAL");
    if (faults.on || !root)
        return;
    faults.on = true;
    snprintf(faults.root, sizeof faults.root, "%s/", root);
    faults.root_len = strlen(faults.root);
    faults.nosync = getenv("FAULTS_NOSYNC");
    faults.fail = getenv("FAULTS_FAIL");
    if (!folder)
        return;
    char path[MAX_PATH + 16];
    snprintf(faults.folder, sizeof faults.folder, "%s", folder);
    snprintf(path, sizeof path, "%s/journal", folder);
    faults.journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    count_records();
}

__attribute__((constructor)) static void at_load(void)
{
    begin();
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool watched(const char *path)
{
    begin();
    return faults.on && strncmp(path, faults.root, faults.root_len) == 0 && strlen(path) < 256 &&
           !ends_with(path, "-shm") && !ends_with(path, "/lock");
}

/* The absolute path of `path` below `dirfd` in out; false when it is not watched. */
static bool resolve(int dirfd, const char *path, char out[MAX_PATH])
{
    size_t n = 0;
    if (path[0] != '/') {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
        ssize_t got = syscall(SYS_readlink, dirfd == AT_FDCWD ? "/proc/self/cwd" : link, out, (size_t)MAX_PATH - 2);
        if (got <= 0)
            return false;
        n = (size_t)got;
        out[n++] = '/';
    }
    snprintf(out + n, MAX_PATH - n, "%s", path);
    return watched(out);
}

static bool watched_fd(int fd)
{
    return fd >= 0 && fd < MAX_FD && faults.path[fd][0];
}

/* ---- failing on demand ---- */

static bool matches(const char *path, char *part)
{
    size_t n = strlen(part);
    if (n == 0 || part[n - 1] != '$')
        return strstr(path, part) != NULL;
    part[n - 1] = 0;
    bool found = ends_with(path, part);
    part[n - 1] = '$';
    return found;
}

/* True, with errno set, when this call shall fail now. */
static bool fails(const char *call, const char *path)
{
    char text[300] = "", name[32], part[200];
    int number = 0, times = 0;
    if (!faults.fail)
        return false;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, faults.fail, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    ssize_t got = syscall(SYS_pread64, fd, text, sizeof text - 1, 0);
    bool hit = got > 0 && sscanf(text, "%31s %d %199s %d", name, &number, part, &times) == 4 &&
               strcmp(name, call) == 0 && matches(path, part);
    if (hit && times == 1)
        syscall(SYS_unlinkat, AT_FDCWD, faults.fail, 0);
    if (hit && times > 1) {
        int n = snprintf(text, sizeof text, "%s %d %s %d\n", name, number, part, times - 1);
        syscall(SYS_ftruncate, fd, 0);
        syscall(SYS_pwrite64, fd, text, (size_t)n, 0);
    }
    syscall(SYS_close, fd);
    if (hit)
        errno = number;
    return hit;
}

static bool pretends(const char *what)
{
    return faults.nosync && strstr(faults.nosync, what);
}

/* ---- the journal; all of it with the lock held ---- */

static void note(struct journal_record r, const void *bytes, const void *more, size_t more_len)
{
    size_t len = r.len;
    r.len += (uint32_t)more_len;
    struct iovec parts[3] = {{&r, sizeof r}, {(void *)(uintptr_t)bytes, len}, {(void *)(uintptr_t)more, more_len}};
    syscall(SYS_writev, faults.journal, parts, 3);
    faults.records++;
}

static uint64_t inode_at(const char *path)
{
    struct stat st;
    return fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
}

/* Keeps the file alive under f<inode>. */
static void keep(const char *path, uint64_t inode)
{
    char to[MAX_PATH + 32];
    snprintf(to, sizeof to, "%s/f%llu", faults.folder, (unsigned long long)inode);
    syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0);
}

/* `len` bytes from `offset` on are replaced; with `cut` all that is behind `offset` goes. */
static void note_data(int fd, uint64_t offset, uint64_t len, bool cut)
{
    static char old[PIECE];
    struct stat st;
    if (fstat(faults.twin[fd], &st) != 0)
        return;
    uint64_t size = (uint64_t)st.st_size, left = !cut ? len : size > offset ? size - offset : 0;
    for (bool last = false; !last;) {
        size_t n = left < PIECE ? (size_t)left : PIECE, there = 0;
        if (offset < size && n > 0)
            there = size - offset < n ? (size_t)(size - offset) : n;
        if (there && syscall(SYS_pread64, faults.twin[fd], old, there, offset) != (long)there)
            abort();
        last = left == n || offset + n >= size;
        note((struct journal_record){.kind = JOURNAL_DATA,
                                     .len = (uint32_t)there,
                                     .file = faults.inode[fd],
                                     .offset = offset,
                                     .end = cut    ? UINT64_MAX
                                            : last ? offset + left
                                                   : offset + n,
                                     .old_size = size},
             old, NULL, 0);
        offset += n;
        left -= n;
    }
}

static void note_name(const char *path, uint64_t before, uint64_t after)
{
    note(
        (struct journal_record){
            .kind = JOURNAL_NAME, .len = (uint32_t)strlen(path) + 1, .file = after, .before = before},
        path, NULL, 0);
}

/* ---- opening and closing ---- */

static void adopt(int fd, const char *path, bool existed)
{
    struct stat st;
    char self[64];
    if (fd < 0 || fd >= MAX_FD || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    snprintf(faults.path[fd], sizeof faults.path[fd], "%s", path);
    faults.inode[fd] = st.st_ino;
    faults.twin[fd] = -1;
    if (faults.journal < 0)
        return;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    faults.twin[fd] = (int)syscall(SYS_openat, AT_FDCWD, self, O_RDONLY | O_CLOEXEC, 0);
    keep(path, st.st_ino);
    if (!existed)
        note_name(path, 0, st.st_ino);
}

static int do_open(int dirfd, const char *name, int flags, mode_t mode)
{
    char path[MAX_PATH];
    bool writes = (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
    if (!writes || !resolve(dirfd, name, path))
        return (int)syscall(SYS_openat, dirfd, name, flags, mode);
    if (fails("open", path))
        return -1;
    pthread_mutex_lock(&lock);
    bool existed = inode_at(path) != 0;
    int fd = (int)syscall(SYS_openat, dirfd, name, flags & ~O_TRUNC, mode), saved = errno;
    adopt(fd, path, existed);
    if (fd >= 0 && (flags & O_TRUNC)) {
        if (faults.journal >= 0 && existed)
            note_data(fd, 0, 0, true);
        syscall(SYS_ftruncate, fd, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define OPEN(name, ...)                                                                                                \
    int name(__VA_ARGS__, int flags, ...);                                                                             \
    int name(__VA_ARGS__, int flags, ...)
#define MODE_OF(flags)                                                                                                 \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list ap;                                                                                                    \
        va_start(ap, flags);                                                                                           \
        mode = va_arg(ap, mode_t);                                                                                     \
        va_end(ap);                                                                                                    \
    }

OPEN(open, const char *path)
{
    MODE_OF(flags) return do_open(AT_FDCWD, path, flags, mode);
}
OPEN(open64, const char *path)
{
    MODE_OF(flags) return do_open(AT_FDCWD, path, flags, mode);
}
OPEN(openat, int dir, const char *path)
{
    MODE_OF(flags) return do_open(dir, path, flags, mode);
}
OPEN(openat64, int dir, const char *path)
{
    MODE_OF(flags) return do_open(dir, path, flags, mode);
}
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}

int close(int fd)
{
    if (watched_fd(fd)) {
        pthread_mutex_lock(&lock);
        faults.path[fd][0] = 0;
        if (faults.twin[fd] >= 0)
            syscall(SYS_close, faults.twin[fd]);
        pthread_mutex_unlock(&lock);
    }
    return (int)syscall(SYS_close, fd);
}

/* ---- content ---- */

static ssize_t do_pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    if (!watched_fd(fd))
        return syscall(SYS_pwrite64, fd, bytes, n, offset);
    if (fails("write", faults.path[fd]))
        return -1;
    pthread_mutex_lock(&lock);
    if (faults.journal >= 0)
        note_data(fd, (uint64_t)offset, n, false);
    ssize_t got = syscall(SYS_pwrite64, fd, bytes, n, offset);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return got;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    return do_pwrite(fd, bytes, n, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset)
{
    return do_pwrite(fd, bytes, n, offset);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    if (!watched_fd(fd))
        return syscall(SYS_write, fd, bytes, n);
    if (fails("write", faults.path[fd]))
        return -1;
    pthread_mutex_lock(&lock);
    if (faults.journal >= 0)
        note_data(fd, (uint64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR), n, false);
    ssize_t got = syscall(SYS_write, fd, bytes, n);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return got;
}

static int do_truncate(int fd, off_t size)
{
    struct stat st;
    if (!watched_fd(fd))
        return (int)syscall(SYS_ftruncate, fd, size);
    if (fails("ftruncate", faults.path[fd]))
        return -1;
    pthread_mutex_lock(&lock);
    if (faults.journal >= 0 && fstat(fd, &st) == 0)
        note_data(fd, (uint64_t)size, 0, true);
    int rc = (int)syscall(SYS_ftruncate, fd, size), saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return rc;
}

int ftruncate(int fd, off_t size)
{
    return do_truncate(fd, size);
}
int ftruncate64(int fd, off64_t size)
{
    return do_truncate(fd, size);
}

/* ---- names ---- */

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    char a[MAX_PATH], b[MAX_PATH];
    if (!resolve(from_dir, from, a) || !resolve(to_dir, to, b))
        return (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
    if (fails("rename", b))
        return -1;
    pthread_mutex_lock(&lock);
    uint64_t file = inode_at(a), before = inode_at(b);
    if (faults.journal >= 0 && file) {
        keep(a, file);
        keep(b, before);
        note(
            (struct journal_record){
                .kind = JOURNAL_RENAME, .len = (uint32_t)strlen(a) + 1, .file = file, .before = before},
            a, b, strlen(b) + 1);
    }
    int rc = (int)syscall(SYS_renameat, from_dir, from, to_dir, to), saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return rc;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int dirfd, const char *name, int flags)
{
    char path[MAX_PATH];
    if (!resolve(dirfd, name, path))
        return (int)syscall(SYS_unlinkat, dirfd, name, flags);
    if (fails("unlink", path))
        return -1;
    pthread_mutex_lock(&lock);
    uint64_t file = inode_at(path);
    if (faults.journal >= 0 && file && !(flags & AT_REMOVEDIR)) {
        keep(path, file);
        note_name(path, file, 0);
    }
    int rc = (int)syscall(SYS_unlinkat, dirfd, name, flags), saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return rc;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
    char path[MAX_PATH];
    if (!resolve(dirfd, name, path))
        return (int)syscall(SYS_mkdirat, dirfd, name, mode);
    if (fails("mkdir", path))
        return -1;
    pthread_mutex_lock(&lock);
    int rc = (int)syscall(SYS_mkdirat, dirfd, name, mode), saved = errno;
    if (rc == 0 && faults.journal >= 0)
        note_name(path, 0, inode_at(path));
    pthread_mutex_unlock(&lock);
    errno = saved;
    return rc;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* ---- syncing: with a journal it is only noted, since the page cache outlives the kill ---- */

static int sync_dir(const char *path)
{
    if (fails("fsync", path))
        return -1;
    if (faults.journal >= 0 && !pretends("dir")) {
        pthread_mutex_lock(&lock);
        note((struct journal_record){.kind = JOURNAL_SYNC_DIR,
                                     .len = (uint32_t)strlen(path) + 1,
                                     .upto = faults.records},
             path, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

static int sync_file(const char *path, uint64_t inode, const char *call)
{
    if (fails(call, path)) {
        int saved = errno;
        pthread_mutex_lock(&lock);
        if (faults.journal >= 0)
            note((struct journal_record){.kind = JOURNAL_SYNC_FAILED, .file = inode, .upto = faults.records}, NULL,
                 NULL, 0);
        pthread_mutex_unlock(&lock);
        errno = saved;
        return -1;
    }
    if (faults.journal >= 0 && !pretends(strstr(path, ".db") ? "db" : "file")) {
        pthread_mutex_lock(&lock);
        note((struct journal_record){.kind = JOURNAL_SYNC, .file = inode, .upto = faults.records}, NULL, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

static int do_sync(int fd, const char *call, long number)
{
    char self[64], path[MAX_PATH] = "";
    struct stat st;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlink, self, path, sizeof path - 1);
    bool inside = n > 0 && faults.on && strncmp(path, faults.root, faults.root_len - 1) == 0;
    if (!inside || fstat(fd, &st) != 0)
        return (int)syscall(number, fd);
    int rc = S_ISDIR(st.st_mode) ? sync_dir(path) : sync_file(path, st.st_ino, call);
    return rc != 0 || faults.journal >= 0 ? rc : (int)syscall(number, fd);
}

int fsync(int fd)
{
    return do_sync(fd, "fsync", SYS_fsync);
}
int fdatasync(int fd)
{
    return do_sync(fd, "fdatasync", SYS_fdatasync);
}
