/* vindex_cache.c - the sealed segment's file: written when it is worth it, used again at the next start. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "index/vectors/segment.h"
#include "index/vectors/vindex_parts.h"

static const char file_name[] = "1.faiss";

static void file_path(const struct vindex *x, const char *name, char out[PATH_MAX])
{
    path_join(out, x->cache_dir, "%s", name);
}

void vindex_save(struct vindex *x, bool doubled)
{
    struct builder *b = &x->builder;
    struct err e = {0};
    char path[PATH_MAX];
    if (!x->cache_dir || b->saved == b->built)
        return;
    pthread_rwlock_rdlock(&x->lock);
    struct snapshot *p = doubled && x->sealed_living < 2 * b->saved_members ? NULL : snapshot_share(x->snapshot);
    pthread_rwlock_unlock(&x->lock);
    if (!p)
        return;
    file_path(x, file_name, path);
    b->saved = b->built; /* also when it fails: the next graph is the next try */
    b->saved_members = p->sealed ? segment_members(p->sealed)->n : 0;
    if (!p->sealed)
        unlink(path);
    else if (!file_make_dirs(x->cache_dir, &e) || !segment_save(p->sealed, path, x->o.generation, &e))
        log_warn("segment_not_saved", "generation=%lld error=\"%s\"", (long long)x->o.generation, e.text);
    snapshot_release(p);
}

/* ---- loading ---- */

/* A crash may have left a temporary file; nothing else has any business here. */
static void remove_strangers(const struct vindex *x)
{
    DIR *dir = opendir(x->cache_dir);
    const struct dirent *entry;
    char path[PATH_MAX];
    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, file_name) == 0)
            continue;
        file_path(x, entry->d_name, path);
        unlink(path);
    }
    if (dir)
        closedir(dir);
}

static bool find_row(void *arg, int64_t number, size_t *slot, const float **row)
{
    struct vindex *x = arg;
    pthread_rwlock_rdlock(&x->lock);
    *slot = vindex_find_number(x, number);
    if (*slot != NO_SLOT)
        *row = snapshot_row(x->snapshot, *slot);
    pthread_rwlock_unlock(&x->lock);
    return *slot != NO_SLOT;
}

/* Takes over the file's graph, if it is of these vectors; what is not goes. */
static void load_file(struct vindex *x)
{
    char path[PATH_MAX];
    struct err e = {0};
    file_path(x, file_name, path);
    remove_strangers(x);
    struct segment *s = segment_load(path, x->o.generation, x->o.dimensions, find_row, x, &e);
    if (s) {
        x->builder.saved_members = segment_members(s)->n;
        vindex_adopt(x, s);
        x->builder.saved = x->builder.built;
    } else if (e.code == ERR_STALE) { /* as a rest before a roll-back: images came and went since */
        log_debug("segment_outdated", "generation=%lld %s", (long long)x->o.generation, e.text);
        unlink(path);
    } else if (e.code != ERR_NOT_FOUND) {
        log_warn("segment_refused", "generation=%lld error=\"%s\"", (long long)x->o.generation, e.text);
        unlink(path);
    }
}

bool vindex_use_cache(struct vindex *x)
{
    pthread_rwlock_rdlock(&x->lock);
    bool loaded = x->ready && x->cache_dir;
    pthread_rwlock_unlock(&x->lock);
    if (loaded) /* the builder may be at work on it */
        return false;
    if (x->cache_dir && x->o.kind != INDEX_FLAT)
        load_file(x);
    pthread_rwlock_wrlock(&x->lock);
    x->ready = true;
    pthread_rwlock_unlock(&x->lock);
    return true;
}
