/* vindex.c - the life of a vindex and every change of it: add, replace, remove, relabel.
 *
 * A slot is a vector with its entry.  Slots lie in chunks of CHUNK_SLOTS and are never used again.  Two tables lead from
 * a number and from an id to the living slot (vindex_slots.c).
 *
 *     slots    0 ............ sealed_end ............ count
 *              members of the      fresh: searched
 *              graph, or dead      row by row
 *
 * Nothing changes in place.  A new image is a new slot.  A replacement is a new slot and the death of the old one, both
 * at the next version.  A removal is a death alone.  A search notes version and count under the lock when it begins, and
 * counts a slot as there if it was published by then and had not died.  Hence it sees a replacement whole or not at all,
 * without a lock while it searches.  Label and revision of a slot do change, so the answer is copied under the lock.
 *
 * What a search reads is a snapshot: a counted list of chunks and at most one graph (snapshot.h).  A new chunk or a new
 * graph is a new snapshot, published by pointer.  Chunks and graph stay until the last search that holds them ends.
 *
 * The builder is a thread that lives while there is work (vindex_thread.c).  When the fresh are many it adds them to a
 * copy of the graph.  When the dead are many it moves the living together and builds a graph of them alone
 * (vindex_build.c).  It publishes the result like any other change.  The graph's file is a cache: it is written when the
 * graph has doubled or nothing happens, and checked against the catalogue's vectors when it is loaded (vindex_cache.c).
 *
 * `lock` guards pointers, counts, tables and entries for short whiles, never over a scan, a build or a file.  The writer
 * and the builder are the only two that change anything.
 */
#include "index/vectors/vindex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "index/vectors/segment.h"
#include "index/vectors/vindex_parts.h"

struct vindex *vindex_new(const struct vindex_options *o, struct err *e)
{
    if (o->dimensions == 0) {
        err_set(e, ERR_BAD_INPUT, "an index needs at least one dimension");
        return NULL;
    }
    struct vindex *x = mem_new(1, sizeof *x);
    x->refs = 1;
    x->o = *o;
    x->cache_dir = mem_text(o->cache_dir);
    x->o.hnsw_from = o->hnsw_from ? o->hnsw_from : HNSW_FROM;
    x->o.seal_at = o->seal_at ? o->seal_at : SEAL_AT;
    x->ready = !o->cache_dir;
    hash_random(&x->seed, sizeof x->seed);
    pthread_rwlock_init(&x->lock, NULL);
    x->snapshot = snapshot_new(NULL, 0);
    sleeper_open(&x->builder.sleeper);
    return x;
}

struct vindex *vindex_share(struct vindex *x)
{
    atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
    return x;
}

void vindex_release(struct vindex *x)
{
    if (!x || atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) != 1)
        return;
    builder_close(x);
    snapshot_release(x->snapshot);
    table_clear(&x->by_number);
    table_clear(&x->by_id);
    pthread_rwlock_destroy(&x->lock);
    free(x->cache_dir);
    free(x);
}

/* ---- changing ---- */

bool vindex_check_vector(const float *vector, size_t dimensions, struct err *e)
{
    double sum = 0;
    for (size_t i = 0; i < dimensions; i++)
        sum += (double)vector[i] * (double)vector[i];
    return fabs(sum - 1) <= 1e-2 || err_set(e, ERR_INTERNAL, "the vector is not of unit length");
}

static bool all_finite(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

bool vindex_add(struct vindex *x, const struct entry *entry, const float *vector, struct err *e)
{
    if (!all_finite(vector, x->o.dimensions))
        return err_field(e, "vector", "not all values are finite numbers");
    pthread_rwlock_wrlock(&x->lock);
    vindex_append(x, entry, vector);
    pthread_rwlock_unlock(&x->lock);
    builder_call(x);
    return true;
}

void vindex_remove(struct vindex *x, int64_t number)
{
    pthread_rwlock_wrlock(&x->lock);
    size_t slot = vindex_find_number(x, number);
    if (slot != NO_SLOT) {
        vindex_bury(x, slot);
        x->version++;
    }
    pthread_rwlock_unlock(&x->lock);
    builder_call(x);
}

bool vindex_relabel(struct vindex *x, const struct entry *entry, struct err *e)
{
    char *label = mem_text(entry->label);
    pthread_rwlock_wrlock(&x->lock);
    size_t slot = vindex_find_number(x, entry->number);
    if (slot != NO_SLOT) {
        struct slot *s = snapshot_slot(x->snapshot, slot);
        char *old = s->label;
        s->label = label;
        s->revision = entry->revision;
        label = old;
    }
    pthread_rwlock_unlock(&x->lock);
    free(label);
    return slot != NO_SLOT ||
           err_set(e, ERR_NOT_FOUND, "no image with the number %lld is in the index", (long long)entry->number);
}

void vindex_load_cache(struct vindex *x)
{
    if (vindex_use_cache(x))
        builder_call(x);
}

/* ---- asking ---- */

size_t vindex_living(struct vindex *x)
{
    pthread_rwlock_rdlock(&x->lock);
    size_t n = x->living;
    pthread_rwlock_unlock(&x->lock);
    return n;
}

bool vindex_vector(struct vindex *x, const char *id, float *out, struct err *e)
{
    pthread_rwlock_rdlock(&x->lock);
    size_t slot = vindex_find_id(x, id);
    if (slot != NO_SLOT)
        memcpy(out, snapshot_row(x->snapshot, slot), x->o.dimensions * sizeof *out);
    pthread_rwlock_unlock(&x->lock);
    return slot != NO_SLOT || err_set(e, ERR_NOT_FOUND, "no image with the id %s", id);
}

static uint64_t bytes_of(const struct vindex *x)
{
    uint64_t slot = sizeof(struct chunk) / CHUNK_SLOTS + x->o.dimensions * sizeof(float);
    return x->held * slot + (x->snapshot->sealed ? segment_bytes(x->snapshot->sealed) : 0);
}

void vindex_get_stats(struct vindex *x, struct vindex_stats *out)
{
    pthread_rwlock_rdlock(&x->lock);
    size_t empty = x->snapshot->n_chunks * CHUNK_SLOTS - x->count; /* at the end of the last chunk */
    *out = (struct vindex_stats){
        .living = x->living,
        .dead = x->held - empty - x->living,
        .fresh = x->living - x->sealed_living,
        .segments = x->snapshot->sealed != NULL,
        .bytes = bytes_of(x),
    };
    pthread_rwlock_unlock(&x->lock);
    pthread_mutex_lock(&x->builder.sleeper.lock);
    out->building = x->builder.running;
    pthread_mutex_unlock(&x->builder.sleeper.lock);
}
