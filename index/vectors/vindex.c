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

/* ---- finding; the lock is held ---- */

static size_t position_of_number(const struct vindex *x, int64_t number)
{
    return table_first(&x->by_number, table_mix((uint64_t)number));
}

static size_t position_of_id(const struct vindex *x, const char *id)
{
    uint64_t key = table_hash_text(id, x->seed);
    size_t at = table_first(&x->by_id, key);
    while (at != TABLE_END && strcmp(picture_slot(x->picture, table_slot(&x->by_id, at))->id, id) != 0)
        at = table_next(&x->by_id, key, at);
    return at;
}

size_t vindex_find_number(const struct vindex *x, int64_t number)
{
    size_t at = position_of_number(x, number);
    return at == TABLE_END ? NO_SLOT : table_slot(&x->by_number, at);
}

size_t vindex_find_id(const struct vindex *x, const char *id)
{
    size_t at = position_of_id(x, id);
    return at == TABLE_END ? NO_SLOT : table_slot(&x->by_id, at);
}

/* ---- changing; the lock is held for writing ---- */

/* The slot dies with the change under way: nothing leads to it any more. */
static void bury(struct vindex *x, size_t slot)
{
    const struct slot *s = picture_slot(x->picture, slot);
    table_remove(&x->by_number, position_of_number(x, s->number));
    table_remove(&x->by_id, position_of_id(x, s->id));
    atomic_store_explicit(picture_died(x->picture, slot), x->version + 1, memory_order_relaxed);
    picture_chunk(x->picture, slot)->living--;
    x->living--;
    if (slot < x->picture->sealed_end)
        x->sealed_living--;
}

/* Makes number and id lead to `slot`; what they led to before dies. */
static void enlist(struct vindex *x, size_t slot)
{
    const struct slot *s = picture_slot(x->picture, slot);
    size_t older = vindex_find_number(x, s->number);
    if (older != NO_SLOT)
        bury(x, older);
    size_t namesake = vindex_find_id(x, s->id); /* made anew, and its old number not removed before */
    if (namesake != NO_SLOT)
        bury(x, namesake);
    table_add(&x->by_number, table_mix((uint64_t)s->number), slot);
    table_add(&x->by_id, table_hash_text(s->id, x->seed), slot);
    picture_chunk(x->picture, slot)->living++;
    x->living++;
}

/* Room for one more slot. */
static void make_room(struct vindex *x)
{
    if (x->count < x->picture->n_chunks * CHUNK_SLOTS)
        return;
    struct picture *old = x->picture, *p = picture_new(old, 1);
    p->chunks[old->n_chunks] = chunk_new(x->o.dimensions, old->n_chunks == 0);
    x->held += CHUNK_SLOTS;
    x->picture = p;
    picture_release(old);
}

void vindex_append(struct vindex *x, const struct entry *entry, const float *vector)
{
    make_room(x);
    size_t slot = x->count;
    struct slot *s = picture_slot(x->picture, slot);
    *s =
        (struct slot){entry->number, entry->revision, mem_text(entry->id), mem_text(entry->label), entry->has_metadata};
    memcpy(picture_row(x->picture, slot), vector, x->o.dimensions * sizeof *vector);
    enlist(x, slot);
    x->count++;
    x->version++;
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
        bury(x, slot);
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
