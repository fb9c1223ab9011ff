/* apply_image.c - what the writes of one image mean: put, patch, delete. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "index/apply.h"

/* ---- checks ---- */

static bool check_image_id(const char *id, const char *what, struct err *e)
{
    return image_id_is_valid(id) ||
           err_field(e, what, "must be 1 to %d bytes of UTF-8 without control characters", IMAGE_ID_MAX);
}

/* "" is no label. */
static const char *label_of(const char *text)
{
    return text && text[0] ? text : NULL;
}

static bool check_texts(const char *label, const char *metadata, struct err *e)
{
    if (label && strlen(label) > LABEL_MAX)
        return err_field(e, "label", "longer than %d bytes", LABEL_MAX);
    if (metadata && strlen(metadata) > METADATA_MAX)
        return err_field(e, "metadata", "longer than %d bytes", METADATA_MAX);
    return true;
}

/* `old` is the image as it is, or NULL. */
static bool check_precondition(const struct precondition *p, const struct image_row *old, struct err *e)
{
    if (p->must_be_new && old)
        return err_set(e, ERR_PRECONDITION, "the image exists already");
    if ((p->must_exist || p->match_revision > 0 || p->match_sha256) && !old)
        return err_set(e, ERR_PRECONDITION, "there is no such image");
    if ((p->match_revision > 0 && p->match_revision != old->revision) ||
        (p->match_sha256 && strcmp(p->match_sha256, old->sha256) != 0))
        return err_set(e, ERR_PRECONDITION, "the image has changed");
    return true;
}

/* ---- images ---- */

bool apply_find(struct group *g, const struct write *w, const char *id, struct collection_row *c, struct image_row *old,
                struct err *e)
{
    struct err missing = {0};
    *old = (struct image_row){0};
    if (!catalog_collection(g->session, w->collection, c, e))
        return false;
    if (catalog_image(g->session, c->number, id, old, &missing) || missing.code == ERR_NOT_FOUND)
        return true;
    return err_move(e, &missing);
}

/* Puts the file beside its place unless it is stored already.  One that is damaged is replaced, for all images that
 * share it: the bytes at hand are what its name promises. */
static bool stage_file(struct group *g, const struct image_put *put, struct err *e)
{
    bool used;
    if (!catalog_hash_used(g->session, put->sha256, &used, e))
        return false;
    if (used && blobs_hold(g->store->blobs, put->sha256, put->bytes, put->len))
        return true;
    if (put->len > g->spare)
        return err_set(e, ERR_FULL, "the disk is nearly full");
    g->spare -= put->len;
    return blobs_stage(g->store->blobs, put->sha256, put->bytes, put->len, e);
}

static bool check_put(const struct image_put *put, const struct collection_row *c, struct err *e)
{
    if (put->generation != c->generation)
        return err_set(e, ERR_STALE, "the collection %s has changed its model meanwhile", c->name);
    return check_texts(put->label, put->metadata, e) && vindex_check_vector(put->vector, c->dimensions, e);
}

bool apply_put(struct group *g, struct write *w, struct err *e)
{
    const struct image_put *put = &w->image.put;
    struct collection_row c;
    struct image_row found;
    w->image.put.label = label_of(w->image.put.label);
    if (!check_image_id(put->id, "id", e) || !apply_find(g, w, put->id, &c, &found, e))
        return false;
    const struct image_row *old = found.number ? &found : NULL;
    image_row_clear(&w->image.row); /* of an attempt before */
    /* The file first: the row that is about to be written must not count as a user of it. */
    bool ok = check_precondition(&w->image.pre, old, e) && check_put(put, &c, e) && stage_file(g, put, e) &&
              catalog_image_put(g->session, &c, put, old, &w->image.row, e);
    if (ok) {
        w->created = !old;
        add_effect(g, EFFECT_IMAGE, w)->collection = c.number;
        if (old && strcmp(old->sha256, put->sha256) != 0)
            add_freed_file(g, old->sha256);
    }
    image_row_clear(&found);
    return ok;
}

static bool patch_metadata(struct image_row *row, const struct json *patch, struct err *e)
{
    struct buf merged = {0};
    if (json_kind(patch) != JSON_KIND_OBJECT)
        return err_field(e, "metadata", "must be an object or null");
    bool ok = json_merge_patch(row->metadata, patch, &merged, e) && check_texts(NULL, merged.data, e);
    if (ok) {
        free(row->metadata);
        row->metadata = buf_take(&merged, NULL);
    }
    buf_clear(&merged);
    return ok;
}

bool apply_patch_row(struct image_row *row, const struct image_patch *p, struct err *e)
{
    if (p->set_label) {
        if (!check_texts(p->label, NULL, e))
            return false;
        free(row->label);
        row->label = mem_text(label_of(p->label));
    }
    if (p->clear_metadata || json_kind(p->metadata) == JSON_KIND_NULL) {
        free(row->metadata);
        row->metadata = NULL;
    }
    return !p->metadata || json_kind(p->metadata) == JSON_KIND_NULL || patch_metadata(row, p->metadata, e);
}

bool apply_patch(struct group *g, struct write *w, struct err *e)
{
    struct collection_row c;
    image_row_clear(&w->image.row);
    if (!check_image_id(w->image.id, "id", e) || !apply_find(g, w, w->image.id, &c, &w->image.row, e))
        return false;
    if (!w->image.row.number)
        return err_set(e, ERR_NOT_FOUND, "no image %s", w->image.id);
    if (!check_precondition(&w->image.pre, &w->image.row, e) || !apply_patch_row(&w->image.row, &w->image.patch, e) ||
        !catalog_image_update(g->session, c.number, &w->image.row, e))
        return false;
    add_effect(g, EFFECT_RELABEL, w)->collection = c.number;
    return true;
}

bool apply_removal(struct group *g, struct write *w, int64_t collection, int64_t number, struct err *e)
{
    char sha256[HASH_HEX];
    if (!catalog_image_remove(g->session, collection, number, sha256, e))
        return false;
    struct effect *fx = add_effect(g, EFFECT_IMAGE_GONE, w);
    fx->collection = collection;
    fx->number = number;
    add_freed_file(g, sha256);
    w->count++;
    return true;
}

bool apply_delete(struct group *g, struct write *w, struct err *e)
{
    struct collection_row c;
    struct image_row found;
    if (!check_image_id(w->image.id, "id", e) || !apply_find(g, w, w->image.id, &c, &found, e))
        return false;
    bool ok = (found.number || err_set(e, ERR_NOT_FOUND, "no image %s", w->image.id)) &&
              check_precondition(&w->image.pre, &found, e) && apply_removal(g, w, c.number, found.number, e);
    image_row_clear(&found);
    return ok;
}
