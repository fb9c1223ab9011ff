/* publish.c - after the commit: what searches see follows what the catalogue says. */
#include "index/publish.h"

#include <limits.h>
#include <unistd.h>

#include "base/log.h"

static struct entry entry_of(const struct image_row *row)
{
    return (struct entry){.number = row->number, .revision = row->revision, .id = row->id, .label = row->label,
                          .has_metadata = row->metadata != NULL};
}

static bool add_image(struct store *s, const struct effect *fx, struct err *e)
{
    struct vindex *index = shelf_index(s->shelf, fx->collection);
    struct entry entry = entry_of(&fx->write->image);
    if (!index) /* the same group removed the collection afterwards */
        return true;
    if (fx->write->created)
        shelf_count(s->shelf, fx->collection, 1);
    return vindex_add(index, &entry, fx->write->put.vector, e);
}

static bool relabel(struct store *s, const struct effect *fx, struct err *e)
{
    struct vindex *index = shelf_index(s->shelf, fx->collection);
    struct entry entry = entry_of(&fx->write->image);
    struct err missing = {0};
    if (!index || vindex_relabel(index, &entry, &missing) || missing.code == ERR_NOT_FOUND)
        return true; /* an image that has no vector yet is in no index */
    return err_set(e, missing.code, "%s", missing.text);
}

static bool add_collection(struct store *s, const struct effect *fx, struct err *e)
{
    struct vindex *index = store_make_index(s, &fx->write->row_collection, e);
    if (!index)
        return false;
    vindex_load_cache(index); /* nothing to load: building may begin */
    shelf_add(s->shelf, &fx->write->row_collection, index);
    return true;
}

static void remove_from_index(struct store *s, const struct effect *fx)
{
    struct vindex *index = shelf_index(s->shelf, fx->collection);
    if (index) {
        vindex_remove(index, fx->number);
        shelf_count(s->shelf, fx->collection, -1);
    }
}

static void unlink_model(struct store *s, const char *id)
{
    char path[PATH_MAX];
    store_model_path(s, id, path, sizeof path);
    if (unlink(path) != 0)
        log_warn("model_file_left", "id=%s", id);
}

static bool publish_one(struct store *s, const struct effect *fx, struct err *e)
{
    switch (fx->kind) {
    case EFFECT_IMAGE:
        return add_image(s, fx, e);
    case EFFECT_RELABEL:
        return relabel(s, fx, e);
    case EFFECT_IMAGE_GONE:
        remove_from_index(s, fx);
        return true;
    case EFFECT_COLLECTION:
        return add_collection(s, fx, e);
    case EFFECT_COLLECTION_GONE:
        shelf_remove(s->shelf, fx->collection);
        store_remove_segments(s, fx->number);
        return true;
    case EFFECT_MODEL_GONE:
        unlink_model(s, fx->write->id);
        return true;
    case EFFECT_FILE_FREED: /* the writer's */
    default:
        return true;
    }
}

bool publish_effects(struct group *g, struct err *e)
{
    bool ok = true;
    for (size_t i = 0; i < g->n_effects; i++)
        ok = publish_one(g->store, &g->effects[i], e) && ok;
    return ok;
}
