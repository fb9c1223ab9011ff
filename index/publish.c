/* publish.c - after the commit: what searches see follows what the catalogue says. */
#include "index/publish.h"

#include <limits.h>
#include <unistd.h>

#include "base/log.h"
#include "index/backup.h"
#include "index/load.h"

static struct entry entry_of(const struct image_row *row)
{
    return (struct entry){.number = row->number, .revision = row->revision, .id = row->id, .label = row->label};
}

static bool add_image(struct store *s, const struct effect *fx, struct err *e)
{
    struct vindex *index = shelf_index(s->shelf, fx->collection);
    struct entry entry = entry_of(&fx->write->image.row);
    if (!index) /* the same group removed the collection afterwards */
        return true;
    if (fx->write->created)
        shelf_count(s->shelf, fx->collection, 1);
    struct vindex *next = shelf_next_of_image(s->shelf, fx->collection, entry.number);
    if (next) /* what it has was made of the picture before */
        vindex_remove(next, entry.number);
    return vindex_add(index, &entry, fx->write->image.put.vector, e);
}

/* An image that has no vector yet is in no index. */
static bool relabel_in(struct vindex *index, const struct entry *entry, struct err *e)
{
    struct err missing = {0};
    return !index || vindex_relabel(index, entry, &missing) || missing.code == ERR_NOT_FOUND || err_move(e, &missing);
}

static bool relabel(struct store *s, const struct effect *fx, const struct image_row *row, struct err *e)
{
    struct entry entry = entry_of(row);
    return relabel_in(shelf_index(s->shelf, fx->collection), &entry, e) &&
           relabel_in(shelf_next_of_image(s->shelf, fx->collection, entry.number), &entry, e);
}

static bool add_collection(struct store *s, const struct effect *fx, struct err *e)
{
    struct vindex *index = store_make_index(s, &fx->write->new_collection, e);
    if (!index)
        return false;
    vindex_load_cache(index); /* nothing to load: building may begin */
    shelf_add(s->shelf, &fx->write->new_collection, index);
    return true;
}

static void remove_from_index(struct store *s, const struct effect *fx)
{
    struct vindex *index = shelf_index(s->shelf, fx->collection),
                  *next = shelf_next_of_image(s->shelf, fx->collection, fx->number);
    if (index) {
        vindex_remove(index, fx->number);
        shelf_count(s->shelf, fx->collection, -1);
    }
    if (next)
        vindex_remove(next, fx->number);
}

/* Unless the same group has another model under the id since. */
static void unlink_model(struct group *g, const struct model_row *gone)
{
    char path[PATH_MAX];
    struct model_row row;
    struct err why = {0};
    if (catalog_model(g->session, gone->id, &row, &why)) {
        model_row_clear(&row);
        return;
    }
    store_model_path(g->store, gone->id, path, sizeof path);
    if (why.code != ERR_NOT_FOUND || (!backup_pin_model(g->store, gone) && unlink(path) != 0))
        log_warn("model_file_left", "id=%s", gone->id);
}

/* ---- the next generation ---- */

enum { LOAD_STEP = 500 }; /* vectors that the writer puts into an index between two groups */

/* An index to be that could not follow is given up and loaded again: nobody searches it yet. */
static void give_up_next(struct group *g, const struct generation_row *row, const struct err *why)
{
    log_error("index_not_loaded", "generation=%lld why=%s", (long long)row->number, why->text);
    shelf_drop_next(g->store->shelf, row->collection_number);
}

/* The image that an effect is about. */
static bool load_one(struct group *g, const struct effect *fx, struct vindex *index, struct err *e)
{
    const struct generation_row *row = &fx->write->generation.row;
    struct loading l = {.store = g->store, .index = index, .generation = row->number, .dimensions = row->dimensions};
    return load_vectors(&l, g->session, (struct vector_range){fx->number, fx->number, 1}, e);
}

/* The catalogue is asked what the vector is by now: whatever else the group has changed is in it already. */
static void add_next_vector(struct group *g, const struct effect *fx)
{
    const struct generation_row *row = &fx->write->generation.row;
    struct vindex *next = shelf_next_of_image(g->store->shelf, fx->collection, fx->number);
    struct err e = {0};
    if (next && next == shelf_next(g->store->shelf, fx->collection, row->number) && !load_one(g, fx, next, &e))
        give_up_next(g, row, &e);
}

/* A vector of the active generation that was damaged, made again. */
static void add_vector(struct group *g, const struct effect *fx)
{
    const struct generation_row *row = &fx->write->generation.row;
    struct collection_row c;
    struct vindex *index;
    struct err e = {0};
    if (!shelf_find(g->store->shelf, row->collection, &c, &index, &e))
        return;
    if (c.generation == row->number && !load_one(g, fx, index, &e))
        log_error("vector_not_loaded", "generation=%lld image=%lld why=%s", (long long)row->number,
                  (long long)fx->number, e.text);
    vindex_release(index);
}

static struct vindex *begin_next(struct store *s, const struct generation_row *row, struct err *e)
{
    struct vindex *next = shelf_next(s->shelf, row->collection_number, row->number);
    struct collection_row c;
    if (next || !shelf_find(s->shelf, row->collection, &c, NULL, e))
        return next;
    c.generation = row->number;
    c.dimensions = row->dimensions;
    next = store_make_index(s, &c, e);
    return next && shelf_begin_next(s->shelf, row->collection_number, row->number, next) ? next : NULL;
}

static void load_next(struct group *g, const struct effect *fx)
{
    const struct generation_row *row = &fx->write->generation.row;
    struct shelf *shelf = g->store->shelf;
    struct err e = {0};
    struct loading l = {.store = g->store,
                        .index = begin_next(g->store, row, &e),
                        .generation = row->number,
                        .dimensions = row->dimensions};
    int64_t loaded = shelf_loaded(shelf, row->collection_number);
    fx->write->count = l.index ? 0 : -1;
    if (!l.index || loaded == INT64_MAX)
        return;
    struct vector_range range = {loaded + 1, INT64_MAX, LOAD_STEP};
    if (load_vectors(&l, g->session, range, &e)) {
        fx->write->count = l.n;
        shelf_set_loaded(shelf, row->collection_number, l.n < LOAD_STEP ? INT64_MAX : l.last);
    } else {
        fx->write->count = -1;
        give_up_next(g, row, &e);
    }
}

/* What the same group did before may have cost the index to be.  The switch is committed, so it is loaded now. */
static bool switch_index(struct group *g, const struct effect *fx, struct err *e)
{
    const struct collection_row *row = &fx->write->generation.active;
    struct shelf *shelf = g->store->shelf;
    if (!shelf_index(shelf, row->number)) /* the same group removed the collection afterwards */
        return true;
    if (!shelf_next(shelf, row->number, row->generation)) {
        struct vindex *index = load_index(g->store, row, e);
        if (!index || !shelf_begin_next(shelf, row->number, row->generation, index))
            return false;
    }
    return shelf_switch(shelf, row) || err_set(e, ERR_INTERNAL, "the collection %s has no index", row->name);
}

static bool publish_one(struct group *g, const struct effect *fx, struct err *e)
{
    struct store *s = g->store;
    switch (fx->kind) {
    case EFFECT_IMAGE: return add_image(s, fx, e);
    case EFFECT_RELABEL: return relabel(s, fx, &fx->write->image.row, e);
    case EFFECT_RELABEL_MANY: return relabel(s, fx, &fx->write->images.changed[fx->number], e);
    case EFFECT_IMAGE_GONE: remove_from_index(s, fx); return true;
    case EFFECT_COLLECTION: return add_collection(s, fx, e);
    case EFFECT_COLLECTION_GONE: shelf_remove(s->shelf, fx->collection); return true;
    case EFFECT_GENERATION_GONE: store_remove_segments(s, fx->number); return true;
    case EFFECT_NEXT_BEGUN: shelf_set_building(s->shelf, fx->collection, true); return true;
    case EFFECT_NEXT_LOAD: load_next(g, fx); return true;
    case EFFECT_NEXT_VECTOR: add_next_vector(g, fx); return true;
    case EFFECT_VECTOR: add_vector(g, fx); return true;
    case EFFECT_NEXT_GONE:
        shelf_drop_next(s->shelf, fx->collection);
        shelf_set_building(s->shelf, fx->collection, false);
        return true;
    case EFFECT_SWITCH: return switch_index(g, fx, e);
    case EFFECT_MODEL_GONE: unlink_model(g, &fx->write->model.row); return true;
    case EFFECT_FILE_FREED: /* the writer's */
    default: return true;
    }
}

bool publish_effects(struct group *g, struct err *e)
{
    bool ok = true;
    for (size_t i = 0; i < g->n_effects; i++)
        ok = publish_one(g, &g->effects[i], e) && ok;
    return ok;
}
