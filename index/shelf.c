/* shelf.c - a small sorted table of open collections behind a reader-writer lock. */
#include "index/shelf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct item {
    struct collection_row row;
    struct vindex *index;
    struct vindex *next; /* of the generation that is being completed; NULL: none */
    int64_t next_generation;
    int64_t loaded; /* images up to this number are in `next`, where they have a vector */
};

struct shelf {
    pthread_rwlock_t lock;
    struct item *items; /* by name; guarded by lock */
    size_t n, room;
};

struct shelf *shelf_new(void)
{
    struct shelf *s = mem_new(1, sizeof *s);
    pthread_rwlock_init(&s->lock, NULL);
    return s;
}

void shelf_free(struct shelf *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        vindex_release(s->items[i].index);
        vindex_release(s->items[i].next);
    }
    pthread_rwlock_destroy(&s->lock);
    free(s->items);
    free(s);
}

static int by_name(const void *name, const void *item)
{
    return strcmp(name, ((const struct item *)item)->row.name);
}

bool shelf_find(struct shelf *s, const char *name, struct collection_row *row, struct vindex **index, struct err *e)
{
    pthread_rwlock_rdlock(&s->lock);
    const struct item *found = s->n ? bsearch(name, s->items, s->n, sizeof *s->items, by_name) : NULL;
    if (found) {
        *row = found->row;
        if (index)
            *index = vindex_share(found->index);
    }
    pthread_rwlock_unlock(&s->lock);
    return found || err_set(e, ERR_NOT_FOUND, "no collection %s", name);
}

void shelf_rows(struct shelf *s, struct collection_row **out, size_t *n)
{
    pthread_rwlock_rdlock(&s->lock);
    *n = s->n;
    *out = mem_new(s->n + 1, sizeof **out);
    for (size_t i = 0; i < s->n; i++)
        (*out)[i] = s->items[i].row;
    pthread_rwlock_unlock(&s->lock);
}

void shelf_totals(struct shelf *s, struct store_stats *out)
{
    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->n; i++) {
        struct vindex_stats stats;
        vindex_get_stats(s->items[i].index, &stats);
        out->images += s->items[i].row.images;
        out->vectors += (int64_t)stats.living;
        out->segments_sealed += (int64_t)stats.segments;
    }
    pthread_rwlock_unlock(&s->lock);
}

/* ---- the writer's side: it alone changes the table, so it reads without the lock ---- */

void shelf_add(struct shelf *s, const struct collection_row *row, struct vindex *index)
{
    size_t at = 0;
    pthread_rwlock_wrlock(&s->lock);
    if (s->n == s->room) {
        s->room = s->room ? s->room * 2 : 8;
        s->items = mem_grow(s->items, s->room, sizeof *s->items);
    }
    while (at < s->n && strcmp(s->items[at].row.name, row->name) < 0)
        at++;
    memmove(&s->items[at + 1], &s->items[at], (s->n - at) * sizeof *s->items);
    s->items[at] = (struct item){.row = *row, .index = index};
    s->items[at].row.lacking = (int64_t)vindex_living(index) < row->images;
    s->n++;
    pthread_rwlock_unlock(&s->lock);
}

static struct item *item_of(struct shelf *s, int64_t collection)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].row.number == collection)
            return &s->items[i];
    return NULL;
}

void shelf_remove(struct shelf *s, int64_t collection)
{
    struct item *item = item_of(s, collection);
    if (!item)
        return;
    struct vindex *index = item->index, *next = item->next;
    pthread_rwlock_wrlock(&s->lock);
    s->n--;
    memmove(item, item + 1, (size_t)(&s->items[s->n] - item) * sizeof *item);
    pthread_rwlock_unlock(&s->lock);
    vindex_release(index); /* searches that hold it go on */
    vindex_release(next);
}

void shelf_count(struct shelf *s, int64_t collection, int64_t change)
{
    struct item *item = item_of(s, collection);
    pthread_rwlock_wrlock(&s->lock);
    if (item)
        item->row.images += change;
    pthread_rwlock_unlock(&s->lock);
}

struct vindex *shelf_index(struct shelf *s, int64_t collection)
{
    struct item *item = item_of(s, collection);
    return item ? item->index : NULL;
}

/* ---- the next generation ---- */

bool shelf_begin_next(struct shelf *s, int64_t collection, int64_t generation, struct vindex *index)
{
    struct item *item = item_of(s, collection);
    struct vindex *old = item ? item->next : index;
    pthread_rwlock_wrlock(&s->lock);
    if (item) {
        item->next = index;
        item->next_generation = generation;
        item->loaded = 0;
    }
    pthread_rwlock_unlock(&s->lock);
    vindex_release(old);
    return item != NULL;
}

struct vindex *shelf_next(struct shelf *s, int64_t collection, int64_t generation)
{
    struct item *item = item_of(s, collection);
    return item && item->next_generation == generation ? item->next : NULL;
}

struct vindex *shelf_share_next(struct shelf *s, int64_t collection, int64_t generation)
{
    pthread_rwlock_rdlock(&s->lock);
    struct vindex *next = shelf_next(s, collection, generation);
    if (next)
        vindex_share(next);
    pthread_rwlock_unlock(&s->lock);
    return next;
}

struct vindex *shelf_next_of_image(struct shelf *s, int64_t collection, int64_t number)
{
    struct item *item = item_of(s, collection);
    return item && number <= item->loaded ? item->next : NULL;
}

int64_t shelf_loaded(struct shelf *s, int64_t collection)
{
    struct item *item = item_of(s, collection);
    return item ? item->loaded : 0;
}

void shelf_set_loaded(struct shelf *s, int64_t collection, int64_t to)
{
    struct item *item = item_of(s, collection);
    if (item)
        item->loaded = to;
}

void shelf_set_building(struct shelf *s, int64_t collection, bool building)
{
    struct item *item = item_of(s, collection);
    pthread_rwlock_wrlock(&s->lock);
    if (item)
        item->row.building = building;
    pthread_rwlock_unlock(&s->lock);
}

void shelf_drop_next(struct shelf *s, int64_t collection)
{
    shelf_begin_next(s, collection, 0, NULL);
}

bool shelf_switch(struct shelf *s, const struct collection_row *row)
{
    struct item *item = item_of(s, row->number);
    if (!item || !item->next)
        return false;
    struct vindex *old = item->index;
    pthread_rwlock_wrlock(&s->lock);
    item->row = *row;
    item->index = item->next;
    item->row.lacking = (int64_t)vindex_living(item->index) < row->images;
    item->next = NULL;
    item->next_generation = item->loaded = 0;
    pthread_rwlock_unlock(&s->lock);
    vindex_release(old); /* searches that hold it finish on it */
    return true;
}

void shelf_set_whole(struct shelf *s, int64_t collection, int64_t generation)
{
    pthread_rwlock_wrlock(&s->lock);
    struct item *item = item_of(s, collection);
    if (item && item->row.generation == generation)
        item->row.lacking = false;
    pthread_rwlock_unlock(&s->lock);
}
