/* writer.c - the queue, the thread, and the life of a group.
 *
 * A write passes these stations.  All but the first are on the writer's thread.
 *
 *     writer_submit      any thread: into the queue
 *     queue_take_group   GROUP_MAX writes at most, in their order; a backup is a group of its own
 *     apply_write        one after the other: changes of the catalogue, image files written beside their places
 *     blobs_commit       syncs each image file, names it, syncs each folder once
 *     catalog_commit     one transaction: the group is durable
 *     publish_effects    indexes and counts follow, in the same order
 *     remove_freed       removes image files that no row names any more
 *     finish             done(): the write is its owner's again
 *
 * Groups exist because a sync takes milliseconds and a row microseconds: under load many writes share one sync.  Each
 * write lies between a mark and its undo.  A refused one (a conflict, a precondition) costs the others nothing.
 *
 * The order decides what a crash leaves.  A file gets its name before a row names it, and goes after the commit that
 * freed it.  So a row never names a missing file.  A file without a row is put away at the next start (orphans.h).
 *
 * A full disk stops a group as a whole.  Its writes then run again one by one, so that small ones pass.  Those that free
 * room may use what the catalogue and the reserve hold for them.  Any other failure of the disk degrades the store for
 * good: after a failed sync nobody knows what the disk has.  Only a start can tell, for it writes the log again.
 *
 * Between the commit and its publication the catalogue is newer than the indexes.  Searches notice by the revision of
 * what they found, and are done again (view.c).
 *
 * In a pause of IDLE_MS the thread does what can wait: removals, checksums for old vectors, upkeep of the catalogue.
 */
#include "index/writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "index/apply.h"
#include "index/backup.h"
#include "index/publish.h"
#include "index/queue.h"

enum {
    OWED_ALARM = 256 << 20, /* bytes: upkeep.h */
    REMOVALS_MAX = 512,     /* of files, between two groups */
    CHECK_STEP = 1000,      /* vectors that get a checksum, in one pause */
    IDLE_MS = 500
};

struct writer {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct queue queue; /* guarded by lock, as are the next three */
    size_t capacity;
    bool stopping;
    struct write *backup_done; /* what the backup's thread hands back */

    /* the thread's own */
    struct group group;
    struct backup *backup;   /* under way; NULL: none */
    char (*freed)[HASH_HEX]; /* hashes that perhaps no image names any more */
    size_t n_freed, freed_room;
};

/* ---- results ---- */

static void finish(struct write *w, const struct err *e)
{
    w->err = *e;
    w->next = NULL;
    w->done(w);
}

/* A failure of the group is one of each; else each has its own result. */
static void finish_all(struct write **items, size_t n, const struct err *group)
{
    for (size_t i = 0; i < n; i++)
        finish(items[i], group->code != ERR_NONE ? group : &items[i]->err);
}

/* ---- files that became free ---- */

static void note_freed(struct writer *w, const char *sha256)
{
    if (w->n_freed == w->freed_room) {
        w->freed_room = w->freed_room ? w->freed_room * 2 : 64;
        w->freed = mem_grow(w->freed, w->freed_room, sizeof *w->freed);
    }
    memcpy(w->freed[w->n_freed++], sha256, HASH_HEX);
}

/* Some of them: a collection may leave a million.  A backup that is being made still needs them all; what is
 * left when the program ends is swept at the next start. */
static void remove_freed(struct writer *w)
{
    struct store *s = w->store;
    for (size_t i = 0; i < REMOVALS_MAX && w->n_freed > 0 && !w->backup; i++) {
        const char *sha256 = w->freed[--w->n_freed];
        struct err e = {0};
        bool used = true;
        if (!catalog_hash_used(w->group.session, sha256, &used, &e) || (!used && !blobs_remove(s->blobs, sha256, &e)))
            log_warn("image_file_left", "%s", e.text);
        if (!used)
            file_cache_forget(s->thumbnails, sha256);
    }
}

/* ---- a group ---- */

static bool is_fatal(enum err_code code)
{
    return code == ERR_IO || code == ERR_CORRUPT;
}

/* One write between its marks.  False when the whole group is lost. */
static bool apply_one(struct group *g, struct write *w, struct err *e)
{
    struct blobs *blobs = g->store->blobs;
    size_t staged = blobs_staged(blobs), effects = g->n_effects;
    w->err = (struct err){0};
    if (!catalog_mark(g->session, e))
        return false;
    if (apply_write(g, w, &w->err))
        return catalog_keep(g->session, e);
    blobs_abandon(blobs, staged);
    g->n_effects = effects;
    if (catalog_undo(g->session) && !is_fatal(w->err.code))
        return true;
    err_set(e, w->err.code, "%s", w->err.text);
    w->err = (struct err){0};
    return false;
}

/* What the catalogue has committed and still has to put into its place. */
static int64_t owed(struct session *s)
{
    int64_t bytes = 0;
    return catalog_upkeep(s, UPKEEP_LOOK, &bytes, NULL) ? bytes : 0;
}

/* What may be stored, less what is owed to the catalogue, which may have to grow for it: else a disk that is full in the
 * end could not even be left by deletes, for want of room to commit them.
 *
 * A group that only frees room leaves the reserve to itself: what it gave up must not be taken back meanwhile. */
static uint64_t spare_of(const struct group *g, struct write *const *items, size_t n)
{
    bool grows = false;
    for (size_t i = 0; i < n; i++)
        grows |= apply_need(items[i]->kind) == WRITE_GROWS;
    if (!grows)
        return 0;
    uint64_t spare = reserve_spare(g->store->reserve), less = (uint64_t)owed(g->session);
    return spare > less ? spare - less : 0;
}

/* Everything up to and with the commit.  False: nothing of it is stored. */
static bool commit_group(struct group *g, struct write **items, size_t n, struct err *e)
{
    struct blobs *blobs = g->store->blobs;
    bool ok;
    g->n_effects = 0;
    g->spare = spare_of(g, items, n);
    if (!catalog_begin(g->session, e))
        return false;
    ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = apply_one(g, items[i], e);
    size_t files = blobs_staged(blobs);
    ok = ok && blobs_commit(blobs, e) && catalog_commit(g->session, e);
    if (ok) {
        atomic_fetch_add(&g->store->blobs_written, (long long)files);
        return true;
    }
    blobs_abandon(blobs, 0);
    catalog_rollback(g->session);
    g->n_effects = 0;
    return false;
}

/* After a group that was not stored: its image files may have their names already. */
static void give_up(struct writer *w, struct write **items, size_t n, const struct err *why)
{
    if (is_fatal(why->code)) {
        store_degrade(w->store, why);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (items[i]->kind == WRITE_IMAGE_PUT && blob_name_is_valid(items[i]->image.put.sha256))
            note_freed(w, items[i]->image.put.sha256);
    remove_freed(w);
}

static bool run_group(struct writer *w, struct write **items, size_t n, struct err *e)
{
    struct store *s = w->store;
    int64_t start = clock_ns();
    if (atomic_load(&s->degraded))
        return err_set(e, ERR_IO, "the store does not write any more after a failure of the disk");
    if (!commit_group(&w->group, items, n, e)) {
        give_up(w, items, n, e);
        return false;
    }
    struct err lost = {0};
    if (!publish_effects(&w->group, &lost))
        store_degrade(s, &lost); /* the catalogue could not be read: stored, but not found until a restart */
    for (size_t i = 0; i < w->group.n_effects; i++)
        if (w->group.effects[i].kind == EFFECT_FILE_FREED)
            note_freed(w, w->group.effects[i].sha256);
    remove_freed(w);
    atomic_store(&s->commit_ns, clock_ns() - start);
    atomic_fetch_add(&s->groups, 1);
    atomic_fetch_add(&s->writes, (long long)n);
    return true;
}

/* ---- a full disk ---- */

/* The room that commits have taken is used again, once all that is owed has its place. */
static bool settle(struct session *s)
{
    int64_t left = owed(s);
    return left > 0 && catalog_upkeep(s, UPKEEP_SETTLE, &left, NULL) && left == 0;
}

/* False: there is none to be had. */
static bool make_room(struct writer *w)
{
    return settle(w->group.session) || reserve_release(w->store->reserve);
}

static bool met_full_disk(const struct write *item, const struct err *group)
{
    return group->code == ERR_FULL || (group->code == ERR_NONE && item->err.code == ERR_FULL);
}

/* Once more, alone; what frees room with all the room that there is. */
static void run_again(struct writer *w, struct write *item)
{
    enum { TRIES = 3 }; /* with the room of the log, and with that of the reserve */
    struct err e = {0};
    run_group(w, &item, 1, &e);
    for (int i = 1; i < TRIES && met_full_disk(item, &e) && apply_need(item->kind) == WRITE_FREES && make_room(w);
         i++) {
        e = (struct err){0};
        run_group(w, &item, 1, &e);
    }
    finish_all(&item, 1, &e);
}

/* Runs the group.  One that a full disk stopped is tried again write by write, so that the small ones pass. */
static void run_and_finish(struct writer *w, struct write **items, size_t n)
{
    struct err e = {0};
    run_group(w, items, n, &e);
    bool apart = e.code == ERR_FULL && n > 1;
    for (size_t i = 0; i < n; i++)
        if (met_full_disk(items[i], &e) && (apart || apply_need(items[i]->kind) == WRITE_FREES))
            run_again(w, items[i]);
        else
            finish_all(&items[i], 1, &e);
}

/* ---- upkeep ---- */

/* Gives what is owed afterwards. */
static int64_t upkeep(struct writer *w, enum upkeep what)
{
    int64_t left = 0;
    struct err e = {0};
    if (catalog_upkeep(w->group.session, atomic_load(&w->store->degraded) ? UPKEEP_LOOK : what, &left, &e))
        return left;
    if (is_fatal(e.code))
        store_degrade(w->store, &e);
    else
        log_warn("checkpoint", "%s", e.text);
    return left;
}

static void after_group(struct writer *w)
{
    int64_t left = upkeep(w, UPKEEP_COMMIT);
    if (left >= OWED_ALARM)
        log_warn("long_log", "bytes=%lld a reader keeps the catalogue's log from being emptied", (long long)left);
}

/* Vectors of a time before checksums get theirs, some in each pause. */
static bool check_vectors(struct writer *w)
{
    struct store *s = w->store;
    struct err e = {0};
    bool left = false;
    if (!s->unchecked || atomic_load(&s->degraded) || reserve_spare(s->reserve) == 0)
        return false;
    if (!catalog_vectors_check(w->group.session, &s->unchecked_row, CHECK_STEP, &left, &e)) {
        log_warn("vectors_not_checked", "%s", e.text);
        if (is_fatal(e.code)) /* a commit like any other: nothing may follow one whose sync failed */
            store_degrade(s, &e);
    }
    s->unchecked = left;
    return left;
}

/* Nothing waits.  True when there is more to do in the next pause. */
static bool idle(struct writer *w)
{
    if (w->n_freed > 0 && !w->backup) {
        remove_freed(w);
        return w->n_freed > 0;
    }
    if (check_vectors(w))
        return true;
    uint64_t spare = reserve_spare(w->store->reserve); /* which takes the ballast back */
    if (owed(w->group.session) > 0)
        upkeep(w, spare > 0 ? UPKEEP_SHRINK : UPKEEP_SETTLE);
    return false;
}

/* ---- the queue ---- */

bool writer_submit(struct writer *w, struct write *const *writes, size_t n, struct err *e)
{
    if (atomic_load(&w->store->degraded))
        return err_set(e, ERR_IO, "the store does not write any more after a failure of the disk");
    pthread_mutex_lock(&w->lock);
    bool fits = !w->stopping && (queue_waiting(&w->queue) == 0 || queue_waiting(&w->queue) + n <= w->capacity);
    for (size_t i = 0; fits && i < n; i++)
        queue_push(&w->queue, writes[i]);
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return fits || err_set(e, ERR_BUSY, "too many writes are waiting");
}

size_t writer_waiting(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    size_t n = queue_waiting(&w->queue);
    pthread_mutex_unlock(&w->lock);
    return n;
}

/* Waits for work, at most for a pause when `upkeep` is due.  False when the pause passed.  The lock is held. */
static bool wait_for_work(struct writer *w, bool upkeep)
{
    const int64_t until = clock_ns() + IDLE_MS * INT64_C(1000000);
    while (!w->queue.list.first && !w->backup_done && !(w->stopping && !w->backup))
        if (!upkeep)
            pthread_cond_wait(&w->changed, &w->lock);
        else if (!cond_wait_until(&w->changed, &w->lock, until))
            return false;
    return true;
}

/* ---- backups: copied by a thread of their own, so that writing goes on ---- */

static void backup_is_done(void *arg, struct write *write)
{
    struct writer *w = arg;
    pthread_mutex_lock(&w->lock);
    w->backup_done = write;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* The image files are links. */
static bool has_room_for_copy(struct store *s, struct err *e)
{
    int64_t file, beside;
    catalog_sizes(s->catalog, &file, &beside);
    return store_has_room(s, (uint64_t)file, e);
}

static void begin_backup(struct writer *w, struct write *write)
{
    struct err e = {0};
    if (atomic_load(&w->store->degraded))
        err_set(&e, ERR_IO, "the store does not write any more after a failure of the disk");
    else if (w->backup)
        err_set(&e, ERR_BUSY, "another backup is being made");
    else if (!has_room_for_copy(w->store, &e))
        ;
    else
        w->backup = backup_start(w->store, write, backup_is_done, w, &e);
    if (e.code != ERR_NONE)
        finish(write, &e);
}

static void end_backup(struct writer *w, struct write *write)
{
    backup_join(w->backup);
    w->backup = NULL;
    struct err e = write->err;
    finish(write, &e);
}

/* ---- the thread ---- */

static bool has_switch(struct write *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (items[i]->kind == WRITE_GENERATION_SWITCH)
            return true;
    return false;
}

static void work(struct writer *w, struct write **items, size_t n)
{
    if (items[0]->kind == WRITE_BACKUP) {
        begin_backup(w, items[0]);
        return;
    }
    bool switching = has_switch(items, n);
    w->group.hold = 0;
    run_and_finish(w, items, n); /* the items are their owners' again */
    after_group(w);
    if (switching) {
        pthread_mutex_lock(&w->lock);
        queue_hold(&w->queue, w->group.hold, w->group.hold_name);
        pthread_mutex_unlock(&w->lock);
    }
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    struct write *items[GROUP_MAX];
    bool upkeep = true;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        bool woken = wait_for_work(w, upkeep || w->queue.held_collection);
        queue_check_hold(&w->queue, w->stopping);
        struct write *backup = w->backup_done;
        w->backup_done = NULL;
        size_t n = queue_take_group(&w->queue, items);
        bool over = w->stopping && n == 0 && !backup && !w->backup && queue_waiting(&w->queue) == 0;
        pthread_mutex_unlock(&w->lock);
        if (over)
            return NULL;
        if (backup)
            end_backup(w, backup);
        if (n > 0)
            work(w, items, n);
        upkeep = woken || idle(w);
        pthread_mutex_lock(&w->lock);
    }
}

struct writer *writer_start(struct store *s, size_t capacity, struct err *e)
{
    struct writer *w = mem_new(1, sizeof *w);
    *w = (struct writer){.store = s, .capacity = capacity};
    queue_init(&w->queue);
    w->group = (struct group){.store = s, .session = catalog_writer(s->catalog)};
    pthread_mutex_init(&w->lock, NULL);
    cond_init(&w->changed);
    if (thread_start(&w->thread, "writer", writer_main, w, e))
        return w;
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return NULL;
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w->group.effects);
    free(w->freed);
    free(w);
}
