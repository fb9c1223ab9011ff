/* vindex_slots.c - which slot a number or an id leads to, and how slots come and go. */
#include <string.h>

#include "base/mem.h"
#include "index/vectors/vindex_parts.h"

/* ---- finding; the lock is held ---- */

static size_t position_of_number(const struct vindex *x, int64_t number)
{
    return table_first(&x->by_number, table_mix((uint64_t)number));
}

static size_t position_of_id(const struct vindex *x, const char *id)
{
    uint64_t key = table_hash_text(id, x->seed);
    size_t at = table_first(&x->by_id, key);
    while (at != TABLE_END && strcmp(snapshot_slot(x->snapshot, table_slot(&x->by_id, at))->id, id) != 0)
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
void vindex_bury(struct vindex *x, size_t slot)
{
    const struct slot *s = snapshot_slot(x->snapshot, slot);
    table_remove(&x->by_number, position_of_number(x, s->number));
    table_remove(&x->by_id, position_of_id(x, s->id));
    atomic_store_explicit(snapshot_died(x->snapshot, slot), x->version + 1, memory_order_relaxed);
    snapshot_chunk(x->snapshot, slot)->living--;
    x->living--;
    if (slot < x->snapshot->sealed_end)
        x->sealed_living--;
}

/* Makes number and id lead to `slot`; what they led to before dies. */
static void enlist(struct vindex *x, size_t slot)
{
    const struct slot *s = snapshot_slot(x->snapshot, slot);
    size_t older = vindex_find_number(x, s->number);
    if (older != NO_SLOT)
        vindex_bury(x, older);
    size_t namesake = vindex_find_id(x, s->id); /* made anew, and its old number not removed before */
    if (namesake != NO_SLOT)
        vindex_bury(x, namesake);
    table_add(&x->by_number, table_mix((uint64_t)s->number), slot);
    table_add(&x->by_id, table_hash_text(s->id, x->seed), slot);
    snapshot_chunk(x->snapshot, slot)->living++;
    x->living++;
}

/* Room for one more slot. */
static void make_room(struct vindex *x)
{
    if (x->count < x->snapshot->n_chunks * CHUNK_SLOTS)
        return;
    struct snapshot *old = x->snapshot, *p = snapshot_new(old, 1);
    p->chunks[old->n_chunks] = chunk_new(x->o.dimensions, old->n_chunks == 0);
    x->held += CHUNK_SLOTS;
    x->snapshot = p;
    snapshot_release(old);
}

void vindex_append(struct vindex *x, const struct entry *entry, const float *vector)
{
    make_room(x);
    size_t slot = x->count;
    struct slot *s = snapshot_slot(x->snapshot, slot);
    *s = (struct slot){entry->number, entry->revision, mem_text(entry->id), mem_text(entry->label)};
    memcpy(snapshot_row(x->snapshot, slot), vector, x->o.dimensions * sizeof *vector);
    enlist(x, slot);
    x->count++;
    x->version++;
}
