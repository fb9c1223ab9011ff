/* reserve.c - the ballast: taken, given up, taken back. */
#include "index/reserve.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "index/orphans.h"

struct reserve {
    char *dir;
    uint64_t min_free;
    pthread_mutex_t lock;
    bool held; /* guarded by lock */
};

static void path_of(const struct reserve *r, char out[PATH_MAX])
{
    path_join(out, r->dir, "ballast");
}

struct reserve *reserve_open(const char *dir, uint64_t min_free)
{
    struct reserve *r = mem_new(1, sizeof *r);
    char path[PATH_MAX];
    struct stat st;
    r->dir = mem_text(dir);
    r->min_free = min_free;
    pthread_mutex_init(&r->lock, NULL);
    path_of(r, path);
    r->held = stat(path, &st) == 0 && st.st_size >= RESERVE_BYTES;
    return r;
}

void reserve_close(struct reserve *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r->dir);
    free(r);
}

static bool take(const struct reserve *r)
{
    char path[PATH_MAX];
    path_of(r, path);
    unlink(path); /* half of one */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
    if (fd >= 0)
        close(fd);
    if (!ok)
        unlink(path);
    return ok;
}

/* Free bytes beyond what is to stay free; the lock is held. */
static uint64_t room(const struct reserve *r)
{
    uint64_t bytes;
    return file_free_space(r->dir, &bytes, NULL) && bytes > r->min_free ? bytes - r->min_free : 0;
}

uint64_t reserve_spare(struct reserve *r)
{
    pthread_mutex_lock(&r->lock);
    if (!r->held && room(r) >= RESERVE_BYTES)
        r->held = take(r);
    uint64_t spare = r->held ? room(r) : 0;
    if (r->held && spare == 0 && orphans_reclaim(r->dir))
        spare = room(r);
    pthread_mutex_unlock(&r->lock);
    return spare;
}

bool reserve_release(struct reserve *r)
{
    char path[PATH_MAX];
    path_of(r, path);
    pthread_mutex_lock(&r->lock);
    bool reclaimed = orphans_reclaim(r->dir), released = !reclaimed && unlink(path) == 0;
    r->held = r->held && reclaimed;
    pthread_mutex_unlock(&r->lock);
    if (released)
        log_warn("disk_full", "the ballast of %d MB is given up", RESERVE_BYTES >> 20);
    return reclaimed || released;
}
