/* apply_generation.c - the writes that concern generations: begin, fill, switch, give up, sweep. */
#include <stdlib.h>
#include <string.h>

#include "index/apply.h"

enum {
    HOLD_MAX = 64,   /* missing vectors that are few: puts wait until these are made */
    SWEEP_STEP = 500 /* vectors removed in one transaction */
};

/* ---- beginning ---- */

/* Whether a look-up found its row; *ok false: it failed for another reason than that there is none. */
bool apply_is_there(bool found, const struct err *why, bool *ok, struct err *e)
{
    *ok = found || why->code == ERR_NOT_FOUND || err_move(e, why);
    return found;
}

bool apply_check_model(struct group *g, const char *id, const char *fingerprint, struct err *e)
{
    struct model_row model;
    struct err why = {0};
    bool ok, there = apply_is_there(catalog_model(g->session, id, &model, &why), &why, &ok, e);
    if (!ok)
        return false;
    bool same = there && strcmp(model.fingerprint, fingerprint) == 0;
    if (there)
        model_row_clear(&model);
    return same || err_set(e, ERR_STALE, "the model %s is %s by now", id, there ? "another" : "gone");
}

/* *number: the one that is being completed; 0: none. */
static bool find_building(struct group *g, int64_t collection, struct generation_row *out, struct err *e)
{
    struct generation_row *rows;
    size_t n;
    *out = (struct generation_row){0};
    if (!catalog_generations(g->session, collection, &rows, &n, e))
        return false;
    for (size_t i = 0; i < n; i++)
        if (rows[i].state == GENERATION_BUILDING)
            *out = rows[i];
    free(rows);
    return true;
}

static bool busy_building(const struct generation_row *row, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "generation %lld, of the model %s, is being completed: cancel that first",
                   (long long)row->number, row->model);
}

static bool is_active(const struct collection_row *c, const struct generation_row *row)
{
    return strcmp(c->model, row->model) == 0 && strcmp(c->fingerprint, row->fingerprint) == 0 &&
           strcmp(c->precision, row->precision) == 0;
}

static bool start(struct group *g, struct write *w, struct err *e)
{
    struct generation_row *row = &w->generation.row, building;
    struct collection_row c;
    if (!catalog_collection(g->session, w->collection, &c, e) ||
        !apply_check_model(g, row->model, row->fingerprint, e) || !find_building(g, c.number, &building, e))
        return false;
    w->created = building.number == 0;
    if (!w->created) {
        bool same = strcmp(building.model, row->model) == 0 && generation_same_encoder(&building, row);
        *row = building;
        return same || busy_building(&building, e);
    }
    if (is_active(&c, row))
        return err_set(e, ERR_CONFLICT, "the model of %s is %s already", c.name, c.model);
    row->collection_number = c.number;
    memcpy(row->collection, c.name, sizeof row->collection);
    add_effect(g, EFFECT_NEXT_BEGUN, w)->collection = c.number;
    return catalog_generation_add(g->session, row, e);
}

static bool find_retired(struct group *g, const struct collection_row *c, int64_t wanted, struct generation_row *out,
                         struct err *e)
{
    struct err missing = {0};
    int64_t number = wanted;
    if (number == 0 && !catalog_generation_previous(g->session, c->number, &number, e))
        return false;
    if (number == 0)
        return err_set(e, ERR_CONFLICT, "no earlier generation of %s is kept", c->name);
    if (!catalog_generation(g->session, number, out, &missing)) {
        if (missing.code != ERR_NOT_FOUND)
            return err_move(e, &missing);
        out->collection_number = 0;
    }
    if (out->collection_number != c->number)
        return err_set(e, ERR_NOT_FOUND, "%s has no generation %lld", c->name, (long long)number);
    return out->state == GENERATION_RETIRED || out->state == GENERATION_BUILDING ||
           err_set(e, ERR_CONFLICT, "generation %lld is %s: there is nothing to go back to", (long long)number,
                   generation_state_name(out->state));
}

/* What it has as unreadable is tried again. */
static bool go_back(struct group *g, struct write *w, struct err *e)
{
    struct generation_row *row = &w->generation.row, building;
    struct collection_row c;
    int64_t wanted = row->number;
    bool skip = row->skip_unreadable;
    if (!catalog_collection(g->session, w->collection, &c, e) || !find_building(g, c.number, &building, e))
        return false;
    w->created = !(building.number && building.activated_at && (wanted == 0 || wanted == building.number));
    if (!w->created) {
        *row = building; /* on its way already */
        return true;
    }
    if (building.number)
        return busy_building(&building, e);
    if (!find_retired(g, &c, wanted, row, e))
        return false;
    row->state = GENERATION_BUILDING;
    row->skip_unreadable = skip;
    add_effect(g, EFFECT_NEXT_BEGUN, w)->collection = c.number;
    return catalog_generation_reopen(g->session, row->number, skip, e);
}

/* ---- giving up ---- */

/* One that was active before stays kept. */
static bool leave(struct group *g, struct write *w, enum generation_state otherwise, const char *why, struct err *e)
{
    struct generation_row *row = &w->generation.row;
    row->state = row->activated_at ? GENERATION_RETIRED : otherwise;
    add_effect(g, EFFECT_NEXT_GONE, w)->collection = row->collection_number;
    return catalog_generation_set(g->session, row->number, row->state, why, e);
}

static bool cancel(struct group *g, struct write *w, struct err *e)
{
    struct collection_row c;
    if (!catalog_collection(g->session, w->collection, &c, e) || !find_building(g, c.number, &w->generation.row, e))
        return false;
    if (w->generation.row.number == 0)
        return err_set(e, ERR_NOT_FOUND, "no generation of %s is being completed", c.name);
    return leave(g, w, GENERATION_DROPPED, "", e);
}

/* The one that the write names, when it is being completed. */
static bool find_own(struct group *g, struct write *w, struct err *e)
{
    int64_t number = w->generation.row.number;
    return catalog_generation(g->session, number, &w->generation.row, e) &&
           (w->generation.row.state == GENERATION_BUILDING ||
            err_set(e, ERR_NOT_FOUND, "generation %lld is not being completed", (long long)number));
}

static bool fail(struct group *g, struct write *w, struct err *e)
{
    char why[GENERATION_ERROR_MAX];
    memcpy(why, w->generation.row.error, sizeof why);
    if (!find_own(g, w, e))
        return false;
    memcpy(w->generation.row.error, why, sizeof why);
    return leave(g, w, GENERATION_FAILED, why, e);
}

/* ---- filling ---- */

/* The active one gets vectors in place of those that were damaged. */
static bool find_fillable(struct group *g, struct write *w, struct err *e)
{
    int64_t number = w->generation.row.number;
    return catalog_generation(g->session, number, &w->generation.row, e) &&
           (w->generation.row.state == GENERATION_BUILDING || w->generation.row.state == GENERATION_ACTIVE ||
            err_set(e, ERR_NOT_FOUND, "generation %lld is not being completed", (long long)number));
}

static bool store_vectors(struct group *g, struct write *w, struct err *e)
{
    struct generation_row *row = &w->generation.row;
    if (!find_fillable(g, w, e))
        return false;
    for (size_t i = 0; i < w->generation.n_vectors; i++) {
        const struct generation_vector *v = &w->generation.vectors[i];
        bool stored;
        if ((v->value && !vindex_check_vector(v->value, row->dimensions, e)) ||
            !catalog_generation_vector(g->session, row, v, &stored, e))
            return false;
        if (!stored)
            continue;
        struct effect *fx = add_effect(g, row->state == GENERATION_ACTIVE ? EFFECT_VECTOR : EFFECT_NEXT_VECTOR, w);
        fx->collection = row->collection_number;
        fx->number = v->image;
        w->count++;
    }
    return true;
}

/* Nothing changes in the catalogue: the index to be follows it. */
static bool load(struct group *g, struct write *w, struct err *e)
{
    if (!find_own(g, w, e))
        return false;
    add_effect(g, EFFECT_NEXT_LOAD, w);
    return true;
}

/* ---- switching ---- */

static bool is_complete(struct group *g, struct write *w, struct err *e)
{
    struct generation_row *row = &w->generation.row;
    if (!catalog_generation_counts(g->session, row, e))
        return false;
    w->count = row->total - row->done;
    if (w->count > 0) {
        if (w->count <= HOLD_MAX) {
            g->hold = row->collection_number;
            memcpy(g->hold_name, row->collection, sizeof g->hold_name);
        }
        return err_set(e, ERR_BUSY, "%lld images lack a vector", (long long)w->count);
    }
    return row->unreadable == 0 || row->skip_unreadable ||
           err_set(e, ERR_UNDECODABLE, "%lld images cannot be embedded", (long long)row->unreadable);
}

static bool switch_generation(struct group *g, struct write *w, struct err *e)
{
    struct generation_row *row = &w->generation.row;
    if (!find_own(g, w, e))
        return false;
    if (shelf_loaded(g->store->shelf, row->collection_number) != INT64_MAX ||
        !shelf_next(g->store->shelf, row->collection_number, row->number))
        return err_set(e, ERR_CONFLICT, "the index of generation %lld is not loaded", (long long)row->number);
    if (!is_complete(g, w, e) || !catalog_generation_switch(g->session, row, g->store->options.keep_generations, e) ||
        !catalog_collection(g->session, row->collection, &w->generation.active, e))
        return false;
    row->state = GENERATION_ACTIVE;
    add_effect(g, EFFECT_SWITCH, w)->collection = row->collection_number;
    return true;
}

/* ---- what is left of a dropped one ---- */

static bool sweep(struct group *g, struct write *w, struct err *e)
{
    bool left;
    int64_t number = w->generation.row.number;
    if (!catalog_generation_sweep(g->session, number, SWEEP_STEP, &left, e))
        return false;
    w->count = left;
    if (!left)
        add_effect(g, EFFECT_GENERATION_GONE, w)->number = number;
    return true;
}

bool apply_generation(struct group *g, struct write *w, struct err *e)
{
    switch (w->kind) {
    case WRITE_GENERATION_START: return start(g, w, e);
    case WRITE_GENERATION_RETURN: return go_back(g, w, e);
    case WRITE_GENERATION_CANCEL: return cancel(g, w, e);
    case WRITE_GENERATION_FAIL: return fail(g, w, e);
    case WRITE_GENERATION_VECTORS: return store_vectors(g, w, e);
    case WRITE_GENERATION_LOAD: return load(g, w, e);
    case WRITE_GENERATION_SWITCH: return switch_generation(g, w, e);
    case WRITE_GENERATION_SWEEP: return sweep(g, w, e);
    default: return err_set(e, ERR_INTERNAL, "not a change of the catalogue");
    }
}
