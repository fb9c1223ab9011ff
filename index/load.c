/* load.c - see load.h. */
#include "index/load.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

static void note_damaged(struct loading *l, int64_t image)
{
    if ((l->n_damaged & (l->n_damaged - 1)) == 0)
        l->damaged = mem_grow(l->damaged, l->n_damaged ? l->n_damaged * 2 : 1, sizeof *l->damaged);
    l->damaged[l->n_damaged++] = image;
}

static bool take(void *arg, const struct catalog_vector *v, struct err *e)
{
    struct loading *l = arg;
    struct entry entry = {.number = v->number, .revision = v->revision, .id = v->id, .label = v->label};
    l->n++;
    l->last = v->number;
    if (v->checksum == VECTOR_DAMAGED || !vindex_check_vector(v->value, l->dimensions, NULL)) {
        note_damaged(l, v->number);
        return true;
    }
    if (v->checksum == VECTOR_UNCHECKED)
        l->store->unchecked = true;
    return vindex_add(l->index, &entry, v->value, e);
}

static bool drop_all(const struct loading *l, struct session *s, struct err *e)
{
    bool ok = catalog_begin(s, e);
    for (size_t i = 0; ok && i < l->n_damaged; i++)
        ok = catalog_vector_drop(s, l->generation, l->damaged[i], e);
    ok = ok && catalog_commit(s, e);
    if (!ok)
        catalog_rollback(s);
    return ok;
}

/* What cannot be removed stays, unsearched: the next load tries again. */
static void drop_damaged(const struct loading *l, struct session *s)
{
    struct err e = {0};
    if (l->n_damaged == 0)
        return;
    metric_add(METRIC_store_damaged_vectors_total, (double)l->n_damaged, NULL, NULL);
    log_error("damaged_vectors", "generation=%lld vectors=%zu image=%lld they are not searched and will be made again",
              (long long)l->generation, l->n_damaged, (long long)l->damaged[0]);
    if (!drop_all(l, s, &e))
        log_warn("damaged_vectors_left", "generation=%lld why=%s", (long long)l->generation, e.text);
}

bool load_vectors(struct loading *l, struct session *s, struct vector_range range, struct err *e)
{
    bool ok = catalog_vectors(s, l->generation, l->dimensions, range, take, l, e);
    drop_damaged(l, s);
    free(l->damaged);
    l->damaged = NULL;
    l->n_damaged = 0;
    return ok;
}

struct vindex *load_index(struct store *s, const struct collection_row *row, struct err *e)
{
    struct vindex *index = store_make_index(s, row, e);
    if (!index)
        return NULL;
    struct loading l = {.store = s, .index = index, .generation = row->generation, .dimensions = row->dimensions};
    if (!load_vectors(&l, catalog_writer(s->catalog), ALL_VECTORS, e)) {
        vindex_release(index);
        err_wrap(e, "loading the collection %s", row->name);
        return NULL;
    }
    vindex_load_cache(index);
    return index;
}
