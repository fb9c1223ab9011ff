/* vindex.c - the life of a vindex and every change of it: add, replace, remove, relabel. */
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
    x->picture = picture_new(NULL, 0);
    builder_open(&x->builder);
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
    picture_release(x->picture);
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
        struct slot *s = picture_slot(x->picture, slot);
        char *old = s->label;
        s->label = label;
        s->revision = entry->revision;
        s->has_metadata = entry->has_metadata;
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
        memcpy(out, picture_row(x->picture, slot), x->o.dimensions * sizeof *out);
    pthread_rwlock_unlock(&x->lock);
    return slot != NO_SLOT || err_set(e, ERR_NOT_FOUND, "no image with the id %s", id);
}

static uint64_t bytes_of(const struct vindex *x)
{
    uint64_t slot = sizeof(struct chunk) / CHUNK_SLOTS + x->o.dimensions * sizeof(float);
    return x->held * slot + (x->picture->sealed ? segment_bytes(x->picture->sealed) : 0);
}

void vindex_get_stats(struct vindex *x, struct vindex_stats *out)
{
    pthread_rwlock_rdlock(&x->lock);
    size_t empty = x->picture->n_chunks * CHUNK_SLOTS - x->count; /* at the end of the last chunk */
    *out = (struct vindex_stats){
        .living = x->living,
        .dead = x->held - empty - x->living,
        .fresh = x->living - x->sealed_living,
        .segments = x->picture->sealed != NULL,
        .bytes = bytes_of(x),
    };
    pthread_rwlock_unlock(&x->lock);
    pthread_mutex_lock(&x->builder.lock);
    out->building = x->builder.running;
    pthread_mutex_unlock(&x->builder.lock);
}
