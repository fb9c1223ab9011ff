/* orphans.c - one folder for each day. */
#include "index/orphans.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

enum { DAY_S = 24 * 3600 };

static long long today(void)
{
    return (long long)clock_unix() / DAY_S;
}

/* Calls `each` with every day's folder until it says true; whether one did. */
static bool for_each_day(const char *dir, bool (*each)(const char *folder, long long day, void *arg), void *arg)
{
    char path[PATH_MAX];
    bool done = false;
    struct dirent *entry;
    DIR *d = opendir(path_join(path, dir, "orphans"));
    while (d && !done && (entry = readdir(d))) {
        char *end;
        long long day = strtoll(entry->d_name, &end, 10);
        done = end != entry->d_name && *end == 0 && each(path_join(path, dir, "orphans/%s", entry->d_name), day, arg);
    }
    if (d)
        closedir(d);
    return done;
}

bool orphans_keep(const char *dir, const char *path, const char *name, struct err *e)
{
    char folder[PATH_MAX], to[PATH_MAX];
    struct err why = {0};
    path_join(folder, dir, "orphans/%lld", today());
    path_join(to, folder, "%s", name);
    bool made = file_make_dirs(folder, &why);
    if (made && file_rename(path, to))
        return true;
    if (made)
        err_sys(&why, "moving %s to %s", path, folder);
    if (why.code != ERR_FULL)
        return err_move(e, &why);
    return unlink(path) == 0 || errno == ENOENT || err_sys(e, "removing %s", path);
}

struct search {
    const char *name, *path;
};

static bool move_back(const char *folder, long long day, void *arg)
{
    const struct search *s = arg;
    char from[PATH_MAX];
    (void)day;
    path_join(from, folder, "%s", s->name);
    return file_rename(from, s->path);
}

bool orphans_return(const char *dir, const char *name, const char *path, struct err *e)
{
    struct search s = {name, path};
    return for_each_day(dir, move_back, &s) ? file_sync_parent(path, e)
                                            : err_set(e, ERR_NOT_FOUND, "no orphan %s", name);
}

static bool expire(const char *folder, long long day, void *arg)
{
    (void)arg;
    if (today() - day > ORPHAN_DAYS)
        file_remove_tree(folder);
    return false;
}

void orphans_expire(const char *dir)
{
    (void)for_each_day(dir, expire, NULL);
}

static bool reclaim(const char *folder, long long day, void *arg)
{
    bool *any = arg;
    (void)day;
    file_remove_tree(folder);
    *any = true;
    return false;
}

bool orphans_reclaim(const char *dir)
{
    bool any = false;
    (void)for_each_day(dir, reclaim, &any);
    if (any)
        log_warn("disk_full", "the image files that no row names are removed");
    return any;
}
