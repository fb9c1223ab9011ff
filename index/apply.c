/* apply.c - what each kind of write means: checks, changes of the catalogue, effects for after the commit. */
#include "index/apply.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/work_limit.h"
#include "index/backup_file.h"

struct effect *add_effect(struct group *g, enum effect_kind kind, struct write *w)
{
    if (g->n_effects == g->room) {
        g->room = g->room ? g->room * 2 : 64;
        g->effects = mem_grow(g->effects, g->room, sizeof *g->effects);
    }
    struct effect *fx = &g->effects[g->n_effects++];
    *fx = (struct effect){.kind = kind, .write = w};
    return fx;
}

static void free_file(struct group *g, const char *sha256)
{
    memcpy(add_effect(g, EFFECT_FILE_FREED, NULL)->sha256, sha256, HASH_HEX);
}

/* ---- checks ---- */

bool id_is_valid(const char *id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = id ? strnlen(id, ID_MAX + 1) : 0;
    return n > 0 && n <= ID_MAX && id[0] != '.' && strspn(id, allowed) == n;
}

bool image_id_is_valid(const char *id)
{
    size_t n = id ? strnlen(id, IMAGE_ID_MAX + 1) : 0;
    return n > 0 && n <= IMAGE_ID_MAX && utf8_is_printable(id);
}

static bool check_id(const char *id, const char *what, struct err *e)
{
    return id_is_valid(id) ||
           err_field(e, what, "must be 1 to %d letters, digits, dots, dashes or underscores", ID_MAX);
}

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

bool check_vector(const float *v, size_t n, struct err *e)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return fabs(sum - 1) <= 1e-2 || err_set(e, ERR_INTERNAL, "the vector is not of unit length");
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
    return check_texts(put->label, put->metadata, e) && check_vector(put->vector, c->dimensions, e);
}

static bool put_image(struct group *g, struct write *w, struct err *e)
{
    const struct image_put *put = &w->put;
    struct collection_row c;
    struct image_row found;
    w->put.label = label_of(w->put.label);
    if (!check_image_id(put->id, "id", e) || !apply_find(g, w, put->id, &c, &found, e))
        return false;
    const struct image_row *old = found.number ? &found : NULL;
    image_row_clear(&w->image); /* of an attempt before */
    /* The file first: the row that is about to be written must not count as a user of it. */
    bool ok = check_precondition(&w->pre, old, e) && check_put(put, &c, e) && stage_file(g, put, e) &&
              catalog_image_put(g->session, &c, put, old, &w->image, e);
    if (ok) {
        w->created = !old;
        add_effect(g, EFFECT_IMAGE, w)->collection = c.number;
        if (old && strcmp(old->sha256, put->sha256) != 0)
            free_file(g, old->sha256);
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

bool apply_patch(struct image_row *row, const struct image_patch *p, struct err *e)
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

static bool patch_image(struct group *g, struct write *w, struct err *e)
{
    struct collection_row c;
    image_row_clear(&w->image);
    if (!check_image_id(w->patch.id, "id", e) || !apply_find(g, w, w->patch.id, &c, &w->image, e))
        return false;
    if (!w->image.number)
        return err_set(e, ERR_NOT_FOUND, "no image %s", w->patch.id);
    if (!check_precondition(&w->pre, &w->image, e) || !apply_patch(&w->image, &w->patch, e) ||
        !catalog_image_update(g->session, c.number, &w->image, e))
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
    free_file(g, sha256);
    w->count++;
    return true;
}

static bool delete_image(struct group *g, struct write *w, struct err *e)
{
    struct collection_row c;
    struct image_row found;
    if (!check_image_id(w->id, "id", e) || !apply_find(g, w, w->id, &c, &found, e))
        return false;
    bool ok = (found.number || err_set(e, ERR_NOT_FOUND, "no image %s", w->id)) &&
              check_precondition(&w->pre, &found, e) && apply_removal(g, w, c.number, found.number, e);
    image_row_clear(&found);
    return ok;
}

/* ---- collections and models ---- */

/* Whether a look-up found its row; *ok false: it failed for another reason than that there is none. */
static bool is_there(bool found, const struct err *why, bool *ok, struct err *e)
{
    *ok = found || why->code == ERR_NOT_FOUND || err_move(e, why);
    return found;
}

bool check_model(struct group *g, const char *id, const char *fingerprint, struct err *e)
{
    struct model_row model;
    struct err why = {0};
    bool ok, there = is_there(catalog_model(g->session, id, &model, &why), &why, &ok, e);
    if (!ok)
        return false;
    bool same = there && strcmp(model.fingerprint, fingerprint) == 0;
    if (there)
        model_row_clear(&model);
    return same || err_set(e, ERR_STALE, "the model %s is %s by now", id, there ? "another" : "gone");
}

static bool create_collection(struct group *g, struct write *w, struct err *e)
{
    struct collection_row *row = &w->row_collection, old;
    struct err why = {0};
    bool ok;
    if (!check_id(row->name, "name", e) || !check_id(row->model, "model", e))
        return false;
    if (row->dimensions == 0)
        return err_set(e, ERR_INTERNAL, "a collection without dimensions");
    w->created = !is_there(catalog_collection(g->session, row->name, &old, &why), &why, &ok, e);
    if (!ok || !w->created) {
        *row = ok ? old : *row;
        return ok;
    }
    if (!check_model(g, row->model, row->fingerprint, e) || !catalog_collection_add(g->session, row, e))
        return false;
    add_effect(g, EFFECT_COLLECTION, w)->collection = row->number;
    return true;
}

/* Its image files, and the segments of all its generations. */
static void free_collection_files(struct group *g, char (*hashes)[HASH_HEX], size_t n_hashes,
                                  const struct generation_row *generations, size_t n_generations)
{
    for (size_t i = 0; i < n_hashes; i++)
        free_file(g, hashes[i]);
    for (size_t i = 0; i < n_generations; i++)
        add_effect(g, EFFECT_GENERATION_GONE, NULL)->number = generations[i].number;
}

static bool delete_collection(struct group *g, struct write *w, struct err *e)
{
    struct collection_row c;
    struct generation_row *generations = NULL;
    char(*hashes)[HASH_HEX] = NULL;
    size_t n_hashes, n_generations;
    if (strcmp(w->collection, "default") == 0)
        return err_set(e, ERR_CONFLICT, "the collection default cannot be deleted");
    bool ok = catalog_collection(g->session, w->collection, &c, e) &&
              catalog_collection_hashes(g->session, c.number, &hashes, &n_hashes, e) &&
              catalog_generations(g->session, c.number, &generations, &n_generations, e) &&
              catalog_collection_remove(g->session, &c, e);
    if (ok) {
        add_effect(g, EFFECT_COLLECTION_GONE, w)->collection = c.number;
        free_collection_files(g, hashes, n_hashes, generations, n_generations);
        w->count = c.images;
    }
    free(hashes);
    free(generations);
    return ok;
}

/* A second name for the file, so that another attempt at this write finds it too. */
static bool place_model(struct group *g, const struct write *w, struct err *e)
{
    char place[PATH_MAX], twin[PATH_MAX], dir[PATH_MAX], sha256[HASH_HEX];
    uint64_t bytes;
    store_model_path(g->store, w->row_model.id, place, sizeof place);
    snprintf(twin, sizeof twin, "%s.twin", w->file);
    snprintf(dir, sizeof dir, "%s/models", g->store->dir);
    bool ok = link(w->file, twin) == 0 || backup_copy_file(w->file, twin, sha256, &bytes, e);
    if (ok && rename(twin, place) != 0)
        ok = err_sys(e, "naming the file of the model %s", w->row_model.id);
    unlink(twin); /* a rename leaves it when the two are one file already */
    return ok && file_sync_dir(dir, e);
}

/* The file of one that this transaction deletes must stay until it is committed. */
static bool is_going(const struct group *g, const char *id, struct err *e)
{
    for (size_t i = 0; i < g->n_effects; i++)
        if (g->effects[i].kind == EFFECT_MODEL_GONE && strcmp(g->effects[i].write->id, id) == 0)
            return !err_set(e, ERR_BUSY, "the model %s is being deleted", id);
    return false;
}

static bool add_model(struct group *g, struct write *w, struct err *e)
{
    struct model_row *row = &w->row_model, old;
    struct err why = {0};
    bool ok;
    if (!check_id(row->id, "model", e) || is_going(g, row->id, e))
        return false;
    w->created = !is_there(catalog_model(g->session, row->id, &old, &why), &why, &ok, e);
    if (!ok)
        return false;
    if (w->created)
        return catalog_model_add(g->session, row, e) && (!w->file || place_model(g, w, e));
    bool same = strcmp(old.fingerprint, row->fingerprint) == 0;
    if (same) {
        free(row->lineage);
        *row = old;
        return true;
    }
    model_row_clear(&old);
    return err_set(e, ERR_CONFLICT, "another model is called %s already", row->id);
}

static bool remove_model(struct group *g, struct write *w, struct err *e)
{
    if (!check_id(w->id, "model", e) || !catalog_model(g->session, w->id, &w->row_model, e))
        return false;
    free(w->row_model.lineage); /* what names its file stays */
    w->row_model.lineage = NULL;
    if (!catalog_model_remove(g->session, w->id, e))
        return false;
    add_effect(g, EFFECT_MODEL_GONE, w);
    return true;
}

/* ---- keys ---- */

/* The first key closes the door for all who have none, so it must be one that opens /v1/keys. */
static bool add_key(struct group *g, struct write *w, struct err *e)
{
    int64_t all, admins;
    if (!catalog_key_counts(g->session, &all, &admins, e))
        return false;
    if (w->row_key.role != ROLE_ADMIN && admins == 0 && !w->admin_elsewhere)
        return err_set(e, ERR_CONFLICT,
                       "no key has the role admin yet: make one with that role first, or nobody could manage keys");
    return catalog_key_add(g->session, &w->row_key, e);
}

static bool revoke_key(struct group *g, const struct write *w, struct err *e)
{
    int64_t all, before, after;
    if (!catalog_key_counts(g->session, &all, &before, e) || !catalog_key_remove(g->session, w->id ? w->id : "", e) ||
        !catalog_key_counts(g->session, &all, &after, e))
        return false;
    return after == before || after > 0 || all == 0 || w->admin_elsewhere ||
           err_set(e, ERR_CONFLICT,
                   "this is the last key with the role admin: revoke the others first, or make another one");
}

enum write_need write_need(enum write_kind kind)
{
    switch (kind) {
    case WRITE_IMAGE_DELETE:
    case WRITE_IMAGES_DELETE:
    case WRITE_COLLECTION_DELETE:
    case WRITE_MODEL_DELETE:
    case WRITE_KEY_REVOKE:
    case WRITE_GENERATION_CANCEL:
    case WRITE_GENERATION_FAIL:
    case WRITE_GENERATION_SWEEP: return WRITE_FREES;
    case WRITE_GENERATION_LOAD: /* changes nothing */
    case WRITE_GENERATION_SWITCH: /* after it an older generation may go */ return WRITE_KEEPS;
    default: return WRITE_GROWS;
    }
}

bool apply_write(struct group *g, struct write *w, struct err *e)
{
    w->count = 0;
    if (g->spare == 0 && !w->needed && write_need(w->kind) == WRITE_GROWS)
        return err_set(e, ERR_FULL, "the disk is nearly full");
    switch (w->kind) {
    case WRITE_IMAGE_PUT: return put_image(g, w, e);
    case WRITE_IMAGE_PATCH: return patch_image(g, w, e);
    case WRITE_IMAGE_DELETE: return delete_image(g, w, e);
    case WRITE_IMAGES_DELETE:
    case WRITE_IMAGES_PATCH: return apply_to_many(g, w, e);
    case WRITE_COLLECTION_CREATE: return create_collection(g, w, e);
    case WRITE_COLLECTION_DELETE: return delete_collection(g, w, e);
    case WRITE_MODEL_ADD: return add_model(g, w, e);
    case WRITE_MODEL_DELETE: return remove_model(g, w, e);
    case WRITE_KEY_ADD: return add_key(g, w, e);
    case WRITE_KEY_REVOKE: return revoke_key(g, w, e);
    case WRITE_BACKUP: /* is no change; the writer hands it to the backup's thread */
    default: return apply_generation_write(g, w, e);
    }
}
