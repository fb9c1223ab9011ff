/* powercut.c - takes back what a killed process had written and not synced. */
#include "tests/lib/powercut.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "tests/faults/journal.h"

enum { PATH_SIZE = 1400, JOURNAL_MAX = 1 << 30 };

struct step { /* one record, and what follows it */
    struct journal_record r;
    const char *bytes;
    bool lost; /* its sync failed: no later one brings it back */
};

/* How many records of one file, or of the names in one folder, survive: those with a number below `keep`. */
struct bound {
    uint64_t synced, keep;
};

struct name { /* what a path means after the loss */
    const char *path;
    uint64_t inode;
};

struct slot {     /* of a hash table with open addressing */
    uint64_t key; /* 0: free */
    union {
        struct bound bound;
        struct name name;
    } is;
};

struct table {
    struct slot *slots;
    size_t size; /* a power of two, over twice what will be put in */
};

struct cut {
    const char *folder;
    struct step *steps;
    size_t n;
    struct table bounds, names;
    struct powercut *out;
};

/* FNV-1a, 64 bits; never 0. */
static uint64_t text_key(const char *s, size_t len)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return h | 1;
}

/* The slot of that key, found or taken; *fresh tells. */
static struct slot *table_at(struct table *t, uint64_t key, bool *fresh)
{
    size_t i = (size_t)(key * 11400714819323198485u >> 20) & (t->size - 1);
    while (t->slots[i].key && t->slots[i].key != key)
        i = (i + 1) & (t->size - 1);
    *fresh = t->slots[i].key == 0;
    t->slots[i].key = key;
    return &t->slots[i];
}

/* The journal in pieces; a last record that is cut off was never acted on. */
static void split(struct cut *c, const char *bytes, size_t len)
{
    size_t room = 0;
    for (size_t at = 0; len - at >= sizeof(struct journal_record); c->n++) {
        if (c->n == room) {
            room = room ? room * 2 : 1024;
            c->steps = mem_grow(c->steps, room, sizeof *c->steps);
        }
        struct step *s = &c->steps[c->n];
        *s = (struct step){.bytes = NULL};
        memcpy(&s->r, bytes + at, sizeof s->r);
        s->bytes = bytes + at + sizeof s->r;
        if (len - at - sizeof s->r < s->r.len)
            return;
        at += sizeof s->r + s->r.len;
    }
}

/* ---- how much of each file and folder survives ---- */

static struct bound *bound_of_dir(struct cut *c, const char *path, size_t len)
{
    bool fresh;
    return &table_at(&c->bounds, text_key(path, len), &fresh)->is.bound;
}

/* The folder that `path` lies in. */
static struct bound *bound_of_parent(struct cut *c, const char *path)
{
    return bound_of_dir(c, path, (size_t)(strrchr(path, '/') - path));
}

static const char *rename_target(const struct step *s)
{
    return s->bytes + strlen(s->bytes) + 1;
}

static struct bound *bound_of(struct cut *c, const struct step *s)
{
    bool fresh;
    if (s->r.kind == JOURNAL_DATA || s->r.kind == JOURNAL_SYNC || s->r.kind == JOURNAL_SYNC_FAILED)
        return &table_at(&c->bounds, s->r.file * 2, &fresh)->is.bound; /* even: folders have odd keys */
    if (s->r.kind == JOURNAL_SYNC_DIR)
        return bound_of_dir(c, s->bytes, strlen(s->bytes));
    return bound_of_parent(c, s->r.kind == JOURNAL_RENAME ? rename_target(s) : s->bytes);
}

/* A sync of a file failed: what it would have covered is lost, or, with `rng`, each write of it by the toss of a coin. */
static void lose(struct cut *c, const struct step *failed, uint64_t synced, struct rng *rng)
{
    for (uint64_t i = synced; i < failed->r.upto; i++)
        if (c->steps[i].r.kind == JOURNAL_DATA && c->steps[i].r.file == failed->r.file)
            c->steps[i].lost = !rng || rng_below(rng, 2) == 0;
}

static void set_bounds(struct cut *c, struct rng *rng)
{
    for (size_t i = 0; i < c->n; i++) {
        struct bound *b = bound_of(c, &c->steps[i]);
        if (c->steps[i].r.kind == JOURNAL_SYNC_FAILED)
            lose(c, &c->steps[i], b->synced, rng);
        bool sync = c->steps[i].r.kind == JOURNAL_SYNC || c->steps[i].r.kind == JOURNAL_SYNC_DIR;
        if (sync && c->steps[i].r.upto > b->synced)
            b->synced = c->steps[i].r.upto;
    }
    for (size_t i = 0; i < c->bounds.size; i++) {
        struct bound *b = &c->bounds.slots[i].is.bound;
        b->keep = b->synced + (rng ? rng_below(rng, c->n - b->synced + 1) : 0);
    }
}

/* ---- content ---- */

/* Marks in `kept` which bytes of [offset, offset + n) later writes that survive have made.  True when there are such
 * writes to the file at all. */
static bool mark_kept(struct cut *c, size_t i, unsigned char *kept, uint64_t n)
{
    const struct journal_record *r = &c->steps[i].r;
    uint64_t keep = bound_of(c, &c->steps[i])->keep;
    bool any = false;
    for (size_t j = i + 1; j < c->n && j < keep; j++) {
        const struct journal_record *later = &c->steps[j].r;
        if (later->kind != JOURNAL_DATA || later->file != r->file || c->steps[j].lost)
            continue;
        any = true;
        for (uint64_t at = later->offset > r->offset ? later->offset - r->offset : 0;
             at < n && r->offset + at < later->end; at++)
            kept[at] = 1;
    }
    return any;
}

/* Puts back what was there before the write, but for what later ones have made of it. */
static bool take_back_bytes(struct cut *c, size_t i, int fd)
{
    const struct step *s = &c->steps[i];
    uint64_t n = s->r.end == UINT64_MAX ? s->r.len : s->r.end - s->r.offset;
    unsigned char *kept = mem_new(n + 1, 1), *old = mem_new(n + 1, 1);
    bool any = mark_kept(c, i, kept, n), ok = true;
    memcpy(old, s->bytes, s->r.len);
    for (uint64_t at = 0, run; ok && at < n; at += run) {
        for (run = 1; at + run < n && kept[at + run] == kept[at]; run++)
            ;
        ok = kept[at] || pwrite(fd, old + at, run, (off_t)(s->r.offset + at)) == (ssize_t)run;
    }
    free(kept);
    free(old);
    return ok && (any || ftruncate(fd, (off_t)s->r.old_size) == 0);
}

static bool take_back_data(struct cut *c, size_t i, struct err *e)
{
    const struct step *s = &c->steps[i];
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/f%llu", c->folder, (unsigned long long)s->r.file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "opening %s", path);
    bool last = i >= bound_of(c, s)->keep; /* nothing behind it survives */
    bool ok = last ? pwrite(fd, s->bytes, s->r.len, (off_t)s->r.offset) == (ssize_t)s->r.len &&
                         ftruncate(fd, (off_t)s->r.old_size) == 0
                   : take_back_bytes(c, i, fd);
    close(fd);
    c->out->data_lost++;
    return ok || err_sys(e, "restoring %s", path);
}

/* ---- names ---- */

static struct name *name_of(struct cut *c, const char *path, uint64_t before)
{
    bool fresh;
    struct name *n = &table_at(&c->names, text_key(path, strlen(path)), &fresh)->is.name;
    if (fresh)
        *n = (struct name){path, before};
    return n;
}

/* Plays one change of names when it survives; either way its paths are known afterwards. */
static void play_name(struct cut *c, size_t i)
{
    const struct step *s = &c->steps[i];
    bool kept = i < bound_of(c, s)->keep;
    struct name *n = name_of(c, s->bytes, s->r.kind == JOURNAL_NAME ? s->r.before : s->r.file);
    c->out->names_lost += !kept;
    if (s->r.kind == JOURNAL_NAME) {
        n->inode = kept ? s->r.file : n->inode;
        return;
    }
    struct name *to = name_of(c, rename_target(s), s->r.before);
    if (kept) {
        to->inode = s->r.file;
        if (i < bound_of_parent(c, s->bytes)->keep)
            n->inode = 0;
    }
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    UNUSED(st);
    UNUSED(kind);
    UNUSED(at);
    return remove(path);
}

/* Makes the path mean what it shall; a folder that is gone takes its names with it. */
static void settle(const struct cut *c, const struct name *n)
{
    struct stat st;
    char kept[PATH_SIZE];
    uint64_t now = lstat(n->path, &st) == 0 ? st.st_ino : 0;
    if (now == n->inode)
        return;
    if (now)
        nftw(n->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    snprintf(kept, sizeof kept, "%s/f%llu", c->folder, (unsigned long long)n->inode);
    if (n->inode && link(kept, n->path) != 0)
        return;
}

/* Free slots last, then by path: a folder comes before what is in it. */
static int by_path(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    if (!x->key || !y->key)
        return (x->key == 0) - (y->key == 0);
    return strcmp(x->is.name.path, y->is.name.path);
}

static bool take_back(struct cut *c, struct rng *rng, struct err *e)
{
    set_bounds(c, rng);
    for (size_t i = c->n; i-- > 0;) {
        const struct step *s = &c->steps[i];
        if (s->r.kind == JOURNAL_DATA && (s->lost || i >= bound_of(c, s)->keep) && !take_back_data(c, i, e))
            return false;
    }
    for (size_t i = 0; i < c->n; i++)
        if (c->steps[i].r.kind == JOURNAL_NAME || c->steps[i].r.kind == JOURNAL_RENAME)
            play_name(c, i);
    qsort(c->names.slots, c->names.size, sizeof *c->names.slots, by_path);
    for (size_t i = 0; i < c->names.size && c->names.slots[i].key; i++)
        settle(c, &c->names.slots[i].is.name);
    return true;
}

void powercut_trim(const char *folder)
{
    char path[PATH_SIZE];
    struct journal_record r;
    struct stat st;
    off_t at = 0, end = 0;
    snprintf(path, sizeof path, "%s/journal", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return; /* nothing was noted yet */
    if (fstat(fd, &st) == 0) {
        while (pread(fd, &r, sizeof r, at) == (ssize_t)sizeof r && (at += (off_t)(sizeof r + r.len)) <= st.st_size)
            end = at;
        if (ftruncate(fd, end) != 0)
            abort();
    }
    close(fd);
}

bool powercut_apply(const char *folder, struct rng *rng, struct powercut *out, struct err *e)
{
    struct cut c = {.folder = folder, .out = out};
    char path[PATH_SIZE];
    void *bytes = NULL;
    size_t len;
    *out = (struct powercut){0};
    snprintf(path, sizeof path, "%s/journal", folder);
    bool ok = file_read(path, JOURNAL_MAX, &bytes, &len, e);
    if (ok) {
        split(&c, bytes, len);
        out->records = c.n;
        while (c.bounds.size < 4 * c.n + 4)
            c.bounds.size = c.bounds.size ? c.bounds.size * 2 : 1;
        c.names.size = c.bounds.size;
        c.bounds.slots = mem_new(c.bounds.size, sizeof *c.bounds.slots);
        c.names.slots = mem_new(c.names.size, sizeof *c.names.slots);
        ok = take_back(&c, rng, e);
    }
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    ok = ok && file_make_dirs(folder, e);
    free(bytes);
    free(c.steps);
    free(c.bounds.slots);
    free(c.names.slots);
    return ok;
}
