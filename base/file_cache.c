/* file_cache.c - files under <dir>/<first two characters>/, each a checksum and the content. */
#include "base/file_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

enum { SPREAD = 256, FILE_MAX = 64 << 20, TOUCH_S = 600 };

struct file_cache {
    char *dir;
    uint64_t share;       /* bytes of one folder */
    pthread_mutex_t lock; /* held while a folder changes: two who make room at once would remove twice as much */
};

struct file_cache *file_cache_new(const char *dir, uint64_t max_bytes)
{
    struct file_cache *c = mem_new(1, sizeof *c);
    c->dir = mem_text(dir);
    c->share = max_bytes / SPREAD;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void file_cache_free(struct file_cache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->dir);
    free(c);
}

static void path_of(const struct file_cache *c, const char *name, char out[PATH_MAX])
{
    path_join(out, c->dir, "%.2s/%s", name, name);
}

/* When it was last wanted is its time of change; a few minutes more or less do not matter. */
static void touch(const char *path)
{
    struct stat st;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (stat(path, &st) == 0 && now.tv_sec - st.st_mtim.tv_sec > TOUCH_S)
        (void)utimensat(AT_FDCWD, path, NULL, 0);
}

bool file_cache_get(struct file_cache *c, const char *name, void **out, size_t *len)
{
    char path[PATH_MAX];
    unsigned char hash[HASH_SIZE];
    void *file;
    size_t size;
    path_of(c, name, path);
    if (!file_read(path, FILE_MAX, &file, &size, NULL))
        return false;
    char *bytes = file;
    if (size >= HASH_SIZE)
        hash_bytes(bytes + HASH_SIZE, size - HASH_SIZE, hash);
    if (size < HASH_SIZE || memcmp(hash, bytes, HASH_SIZE) != 0) {
        unlink(path);
        free(file);
        return false;
    }
    touch(path);
    *len = size - HASH_SIZE;
    memmove(bytes, bytes + HASH_SIZE, *len + 1); /* the zero that file_read() adds, too */
    *out = file;
    return true;
}

/* ---- room ---- */

struct entry {
    char name[NAME_MAX + 1];
    struct timespec used;
    uint64_t bytes;
};

static int by_age(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used, *y = &((const struct entry *)b)->used;
    return x->tv_sec != y->tv_sec ? (x->tv_sec > y->tv_sec) - (x->tv_sec < y->tv_sec)
                                  : (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* All files of an open folder with their sum; the caller frees. */
static struct entry *list_folder(DIR *folder, size_t *n, uint64_t *sum)
{
    struct entry *list = NULL;
    const struct dirent *d;
    struct stat st;
    *n = 0;
    *sum = 0;
    while ((d = readdir(folder))) {
        if (fstatat(dirfd(folder), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        list = mem_grow(list, *n + 1, sizeof *list);
        struct entry *e = &list[(*n)++];
        snprintf(e->name, sizeof e->name, "%s", d->d_name);
        e->used = st.st_mtim;
        e->bytes = (uint64_t)st.st_size;
        *sum += e->bytes;
    }
    return list;
}

/* Removes the oldest until `more` bytes fit. */
static void make_room(const struct file_cache *c, const char *path, uint64_t more)
{
    size_t n;
    uint64_t sum;
    DIR *folder = opendir(path);
    if (!folder)
        return;
    struct entry *list = list_folder(folder, &n, &sum);
    if (sum + more > c->share)
        qsort(list, n, sizeof *list, by_age);
    for (size_t i = 0; i < n && sum + more > c->share; i++)
        if (unlinkat(dirfd(folder), list[i].name, 0) == 0)
            sum -= list[i].bytes;
    free(list);
    closedir(folder);
}

static bool write_file(const char *path, const void *data, size_t len)
{
    char temp[PATH_MAX];
    unsigned char hash[HASH_SIZE];
    if ((size_t)snprintf(temp, sizeof temp, "%s.tmp", path) >= sizeof temp)
        return false;
    hash_bytes(data, len, hash);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool ok = file_write_all(fd, hash, sizeof hash, NULL) && file_write_all(fd, data, len, NULL);
    ok = close(fd) == 0 && ok && rename(temp, path) == 0;
    if (!ok)
        unlink(temp);
    return ok;
}

void file_cache_put(struct file_cache *c, const char *name, const void *data, size_t len)
{
    char path[PATH_MAX], folder[PATH_MAX];
    uint64_t bytes = len + HASH_SIZE;
    if (bytes > c->share || len > FILE_MAX - HASH_SIZE)
        return;
    path_of(c, name, path);
    path_join(folder, c->dir, "%.2s", name);
    pthread_mutex_lock(&c->lock);
    make_room(c, folder, bytes);
    if (!write_file(path, data, len) && errno == ENOENT && file_make_dirs(folder, NULL))
        (void)write_file(path, data, len);
    pthread_mutex_unlock(&c->lock);
}

void file_cache_forget(struct file_cache *c, const char *hash)
{
    char path[PATH_MAX];
    const struct dirent *d;
    size_t n = strlen(hash);
    pthread_mutex_lock(&c->lock);
    DIR *folder = opendir(path_join(path, c->dir, "%.2s", hash));
    while (folder && (d = readdir(folder)))
        if (strncmp(d->d_name, hash, n) == 0)
            unlinkat(dirfd(folder), d->d_name, 0);
    if (folder)
        closedir(folder);
    pthread_mutex_unlock(&c->lock);
}
