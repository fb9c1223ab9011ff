/* apply.c - what each kind of write means: checks, changes of the catalogue, effects for after the commit. */
#include "index/apply.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "index/backup_file.h"

/* ---- collections and models ---- */

static bool check_id(const char *id, const char *what, struct err *e)
{
    return id_is_valid(id) ||
           err_field(e, what, "must be 1 to %d letters, digits, dots, dashes or underscores", ID_MAX);
}

static bool create_collection(struct group *g, struct write *w, struct err *e)
{
    struct collection_row *row = &w->new_collection, old;
    struct err why = {0};
    bool ok;
    if (!check_id(row->name, "name", e) || !check_id(row->model, "model", e))
        return false;
    if (row->dimensions == 0)
        return err_set(e, ERR_INTERNAL, "a collection without dimensions");
    w->created = !apply_is_there(catalog_collection(g->session, row->name, &old, &why), &why, &ok, e);
    if (!ok || !w->created) {
        *row = ok ? old : *row;
        return ok;
    }
    if (!apply_check_model(g, row->model, row->fingerprint, e) || !catalog_collection_add(g->session, row, e))
        return false;
    add_effect(g, EFFECT_COLLECTION, w)->collection = row->number;
    return true;
}

/* Its image files, and the segments of all its generations. */
static void free_collection_files(struct group *g, char (*hashes)[HASH_HEX], size_t n_hashes,
                                  const struct generation_row *generations, size_t n_generations)
{
    for (size_t i = 0; i < n_hashes; i++)
        add_freed_file(g, hashes[i]);
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
    store_model_path(g->store, w->model.row.id, place, sizeof place);
    snprintf(twin, sizeof twin, "%s.twin", w->model.file);
    path_join(dir, g->store->dir, "models");
    bool ok = link(w->model.file, twin) == 0 || backup_copy_file(w->model.file, twin, sha256, &bytes, e);
    if (ok && rename(twin, place) != 0)
        ok = err_sys(e, "naming the file of the model %s", w->model.row.id);
    unlink(twin); /* a rename leaves it when the two are one file already */
    return ok && file_sync_dir(dir, e);
}

/* The file of one that this transaction deletes must stay until it is committed. */
static bool is_going(const struct group *g, const char *id, struct err *e)
{
    for (size_t i = 0; i < g->n_effects; i++)
        if (g->effects[i].kind == EFFECT_MODEL_GONE && strcmp(g->effects[i].write->model.id, id) == 0)
            return !err_set(e, ERR_BUSY, "the model %s is being deleted", id);
    return false;
}

static bool add_model(struct group *g, struct write *w, struct err *e)
{
    struct model_row *row = &w->model.row, old;
    struct err why = {0};
    bool ok;
    if (!check_id(row->id, "model", e) || is_going(g, row->id, e))
        return false;
    w->created = !apply_is_there(catalog_model(g->session, row->id, &old, &why), &why, &ok, e);
    if (!ok)
        return false;
    if (w->created)
        return catalog_model_add(g->session, row, e) && (!w->model.file || place_model(g, w, e));
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
    if (!check_id(w->model.id, "model", e) || !catalog_model(g->session, w->model.id, &w->model.row, e))
        return false;
    free(w->model.row.lineage); /* what names its file stays */
    w->model.row.lineage = NULL;
    if (!catalog_model_remove(g->session, w->model.id, e))
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
    if (w->key.row.role != ROLE_ADMIN && admins == 0 && !w->key.admin_elsewhere)
        return err_set(e, ERR_CONFLICT,
                       "no key has the role admin yet: make one with that role first, or nobody could manage keys");
    return catalog_key_add(g->session, &w->key.row, e);
}

static bool revoke_key(struct group *g, struct write *w, struct err *e)
{
    int64_t all, before, after;
    if (!catalog_key_counts(g->session, &all, &before, e) ||
        !catalog_key_remove(g->session, w->key.id ? w->key.id : "", e) ||
        !catalog_key_counts(g->session, &all, &after, e))
        return false;
    return after == before || after > 0 || all == 0 || w->key.admin_elsewhere ||
           err_set(e, ERR_CONFLICT,
                   "this is the last key with the role admin: revoke the others first, or make another one");
}

/* ---- every kind ---- */

static const struct {
    enum write_need need;
    bool (*apply)(struct group *g, struct write *w, struct err *e);
} kinds[] = {
    [WRITE_IMAGE_PUT] = {WRITE_GROWS, apply_put},
    [WRITE_IMAGE_PATCH] = {WRITE_GROWS, apply_patch},
    [WRITE_IMAGE_DELETE] = {WRITE_FREES, apply_delete},
    [WRITE_IMAGES_DELETE] = {WRITE_FREES, apply_to_many},
    [WRITE_IMAGES_PATCH] = {WRITE_GROWS, apply_to_many},
    [WRITE_COLLECTION_CREATE] = {WRITE_GROWS, create_collection},
    [WRITE_COLLECTION_DELETE] = {WRITE_FREES, delete_collection},
    [WRITE_MODEL_ADD] = {WRITE_GROWS, add_model},
    [WRITE_MODEL_DELETE] = {WRITE_FREES, remove_model},
    [WRITE_KEY_ADD] = {WRITE_GROWS, add_key},
    [WRITE_KEY_REVOKE] = {WRITE_FREES, revoke_key},
    [WRITE_GENERATION_START] = {WRITE_GROWS, apply_generation},
    [WRITE_GENERATION_RETURN] = {WRITE_GROWS, apply_generation},
    [WRITE_GENERATION_CANCEL] = {WRITE_FREES, apply_generation},
    [WRITE_GENERATION_FAIL] = {WRITE_FREES, apply_generation},
    [WRITE_GENERATION_VECTORS] = {WRITE_GROWS, apply_generation},
    [WRITE_GENERATION_LOAD] = {WRITE_KEEPS, apply_generation},   /* changes nothing */
    [WRITE_GENERATION_SWITCH] = {WRITE_KEEPS, apply_generation}, /* after it an older generation may go */
    [WRITE_GENERATION_SWEEP] = {WRITE_FREES, apply_generation},
    [WRITE_BACKUP] = {WRITE_GROWS, NULL}, /* is no change; the writer hands it to the backup's thread */
};

enum write_need apply_need(enum write_kind kind)
{
    return kinds[kind].need;
}

bool apply_write(struct group *g, struct write *w, struct err *e)
{
    w->count = 0;
    if (g->spare == 0 && !w->needed && kinds[w->kind].need == WRITE_GROWS)
        return err_set(e, ERR_FULL, "the disk is nearly full");
    return kinds[w->kind].apply ? kinds[w->kind].apply(g, w, e)
                                : err_set(e, ERR_INTERNAL, "not a change of the catalogue");
}
