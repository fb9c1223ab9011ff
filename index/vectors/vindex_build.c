/* vindex_build.c - what is sealed, rebuilt and let go, and when.
 *
 * Two kinds of work.  EXTEND: the fresh have become many; a copy of the sealed graph gets them added, so that
 * each vector is inserted once and there is one graph however often this happens.  REBUILD: the dead have
 * become many; the living move out of chunks that are mostly dead, and a graph of the living alone is built.
 * Either way a new snapshot is published at the end; who searches the old one is not disturbed.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "index/vectors/segment.h"
#include "index/vectors/vindex_parts.h"

enum task { NOTHING, EXTEND, REBUILD };

enum { DEAD_MIN = 256 }; /* dead members that are not worth a thought */

/* The lock is held. */
static enum task task_due(const struct vindex *x)
{
    const struct snapshot *p = x->snapshot;
    size_t members = p->sealed ? segment_members(p->sealed)->n : 0, dead = members - x->sealed_living;
    bool graph = x->o.kind == INDEX_HNSW || (x->o.kind == INDEX_AUTO && (p->sealed || x->living >= x->o.hnsw_from));
    if (!x->ready)
        return NOTHING;
    if (dead > DEAD_MIN && dead > members / 4)
        return REBUILD;
    if (x->held > 2 * x->living + 2 * CHUNK_SLOTS) /* more than half of the memory is of the dead */
        return REBUILD;
    if (graph && x->living - x->sealed_living >= x->o.seal_at)
        return EXTEND;
    return NOTHING;
}

bool vindex_build_due(struct vindex *x)
{
    pthread_rwlock_rdlock(&x->lock);
    bool due = task_due(x) != NOTHING;
    pthread_rwlock_unlock(&x->lock);
    return due;
}

/* The living among the slots [from, end), as they are now.  The caller holds the snapshot. */
static struct snapshot *collect(struct vindex *x, bool fresh_only, struct members *out, size_t *end)
{
    pthread_rwlock_rdlock(&x->lock);
    struct snapshot *p = snapshot_share(x->snapshot);
    uint64_t version = x->version;
    *end = x->count;
    pthread_rwlock_unlock(&x->lock);
    for (size_t slot = fresh_only ? p->sealed_end : 0; slot < *end; slot++)
        if (snapshot_alive(p, slot, version))
            members_add(out, slot, snapshot_slot(p, slot)->number, members_digest(snapshot_row(p, slot), out->d),
                        snapshot_row(p, slot));
    return p;
}

/* Lets go of the full chunks without a living slot and without a member: nobody will look at them again. */
static void drop_chunks(struct vindex *x, struct snapshot *p)
{
    bool *has_member = mem_new(p->n_chunks, sizeof *has_member);
    const struct members *m = p->sealed ? segment_members(p->sealed) : &(struct members){0};
    for (size_t i = 0; i < m->n; i++)
        has_member[m->slots[i] / CHUNK_SLOTS] = true;
    for (size_t c = 0; c < x->count / CHUNK_SLOTS; c++) {
        if (!p->chunks[c] || p->chunks[c]->living > 0 || has_member[c])
            continue;
        snapshot_drop_chunk(p, c);
        x->held -= CHUNK_SLOTS;
    }
    free(has_member);
}

/* Takes over `sealed` (NULL: none), whose members are the living below `end`. */
static void publish(struct vindex *x, struct segment *sealed, size_t end)
{
    pthread_rwlock_wrlock(&x->lock);
    struct snapshot *old = x->snapshot, *p = snapshot_new(old, 0);
    snapshot_seal(p, sealed, sealed ? end : 0);
    drop_chunks(x, p);
    x->snapshot = p;
    x->sealed_living = x->living;
    for (size_t slot = p->sealed_end; slot < x->count; slot++)
        x->sealed_living -= snapshot_alive(p, slot, x->version);
    pthread_rwlock_unlock(&x->lock);
    snapshot_release(old);
    x->builder.built++;
}

/* The lock is held for writing. */
static void move(struct vindex *x, size_t slot)
{
    const struct slot *s = snapshot_slot(x->snapshot, slot);
    struct entry entry = {s->number, s->revision, s->id, s->label};
    vindex_append(x, &entry, snapshot_row(x->snapshot, slot));
}

static bool extend(struct vindex *x, struct err *e)
{
    struct members fresh = {.d = x->o.dimensions};
    size_t end;
    struct snapshot *p = collect(x, true, &fresh, &end);
    struct segment *sealed = segment_build(p->sealed, &fresh, &x->builder.sleeper.stopped, e);
    if (sealed)
        publish(x, sealed, end);
    members_clear(&fresh);
    snapshot_release(p);
    return sealed != NULL;
}

/* Moves the living out of full chunks that are at least half dead. */
static void empty_sparse_chunks(struct vindex *x)
{
    pthread_rwlock_rdlock(&x->lock);
    size_t n = x->count / CHUNK_SLOTS;
    pthread_rwlock_unlock(&x->lock);
    for (size_t c = 0; c < n; c++) {
        pthread_rwlock_wrlock(&x->lock);
        const struct chunk *chunk = x->snapshot->chunks[c];
        bool sparse = chunk && chunk->living <= CHUNK_SLOTS / 2;
        for (size_t slot = c * CHUNK_SLOTS; sparse && slot < (c + 1) * CHUNK_SLOTS; slot++)
            if (snapshot_alive(x->snapshot, slot, x->version))
                move(x, slot);
        pthread_rwlock_unlock(&x->lock);
    }
}

static bool rebuild(struct vindex *x, struct err *e)
{
    struct members all = {.d = x->o.dimensions};
    struct segment *sealed = NULL;
    size_t end;
    empty_sparse_chunks(x);
    struct snapshot *p = collect(x, false, &all, &end);
    bool graph = all.n > 0 && p->sealed && (x->o.kind == INDEX_HNSW || all.n >= x->o.hnsw_from / 2);
    if (graph)
        sealed = segment_build(NULL, &all, &x->builder.sleeper.stopped, e);
    bool ok = sealed || !graph;
    if (ok)
        publish(x, sealed, end);
    members_clear(&all);
    snapshot_release(p);
    return ok;
}

bool vindex_build_step(struct vindex *x, struct err *e)
{
    pthread_rwlock_rdlock(&x->lock);
    enum task task = task_due(x);
    pthread_rwlock_unlock(&x->lock);
    return task == EXTEND ? extend(x, e) : task == REBUILD && rebuild(x, e);
}

void vindex_adopt(struct vindex *x, struct segment *sealed)
{
    const struct members *m = segment_members(sealed);
    pthread_rwlock_wrlock(&x->lock);
    size_t end = x->count;
    bool *is_member = mem_new(end, sizeof *is_member);
    for (size_t i = 0; i < m->n; i++)
        is_member[m->slots[i]] = true;
    for (size_t slot = 0; slot < end; slot++)
        if (!is_member[slot] && snapshot_alive(x->snapshot, slot, x->version))
            move(x, slot);
    pthread_rwlock_unlock(&x->lock);
    free(is_member);
    publish(x, sealed, end);
}
