/* generation_steps.c - a change of a collection's generation, step by step, for tests of the store. */
#include "tests/lib/generation_steps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "index/view.h"
#include "tests/lib/stores.h"

bool generation_steps_model(struct store *s, const char *id, struct err *e)
{
    struct write w = {.kind = WRITE_MODEL_ADD, .model.row = {.arch = "resnet18", .dimensions = STORES_DIMENSIONS}};
    snprintf(w.model.row.id, sizeof w.model.row.id, "%s", id);
    hash_text(id, strlen(id), w.model.row.fingerprint);
    return store_write(s, &w, e);
}

bool generation_steps_start(struct store *s, const char *model, struct generation_row *out, struct err *e)
{
    struct write w = {.kind = WRITE_GENERATION_START,
                      .collection = "default",
                      .generation.row = {.precision = "fp32", .dimensions = STORES_DIMENSIONS}};
    snprintf(w.generation.row.model, sizeof w.generation.row.model, "%s", model);
    hash_text(model, strlen(model), w.generation.row.fingerprint);
    bool ok = store_write(s, &w, e);
    *out = w.generation.row;
    return ok;
}

bool generation_steps_return(struct store *s, int64_t generation, struct generation_row *out, struct err *e)
{
    struct write w = {
        .kind = WRITE_GENERATION_RETURN, .collection = "default", .generation.row = {.number = generation}};
    bool ok = store_write(s, &w, e);
    *out = w.generation.row;
    return ok;
}

bool generation_steps_cancel(struct store *s, struct err *e)
{
    struct write w = {.kind = WRITE_GENERATION_CANCEL, .collection = "default"};
    return store_write(s, &w, e);
}

static bool about(struct store *s, enum write_kind kind, int64_t generation, int64_t *count, struct err *e)
{
    struct write w = {.kind = kind, .generation.row = {.number = generation}};
    bool ok = store_write(s, &w, e);
    *count = w.count;
    return ok;
}

bool generation_steps_load(struct store *s, const struct generation_row *row, struct err *e)
{
    int64_t n;
    do {
        if (!about(s, WRITE_GENERATION_LOAD, row->number, &n, e))
            return false;
        if (n < 0)
            return err_set(e, ERR_INTERNAL, "the index cannot be loaded");
    } while (n > 0);
    generation_load_graph(s, row);
    return true;
}

bool generation_steps_vector(struct store *s, int64_t generation, int64_t image, int64_t revision, const float *value,
                             bool *stored, struct err *e)
{
    struct generation_vector v = {.image = image, .revision = revision, .value = value};
    struct write w = {.kind = WRITE_GENERATION_VECTORS,
                      .generation.row = {.number = generation},
                      .generation.vectors = &v,
                      .generation.n_vectors = 1};
    bool ok = store_write(s, &w, e);
    *stored = w.count == 1;
    return ok;
}

unsigned generation_steps_number(int64_t generation, unsigned content)
{
    return generation == 1 ? content : (unsigned)generation * 10000 + content;
}

/* The content that the image's label tells. */
static unsigned content_of(struct store *s, const char *id)
{
    struct image_row row;
    if (!store_image(s, "default", id, &row, NULL))
        return 0;
    unsigned content = (unsigned)strtoul(row.label ? row.label : "0", NULL, 10);
    image_row_clear(&row);
    return content;
}

bool generation_steps_embed(struct store *s, const struct generation_row *row, size_t limit, size_t *made,
                            struct err *e)
{
    struct pending *items;
    size_t n;
    *made = 0;
    if (!generation_pending(s, row, 0, 0, limit, &items, &n, e))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        float v[STORES_DIMENSIONS];
        bool stored;
        stores_vector(generation_steps_number(row->number, content_of(s, items[i].id)), v);
        ok = generation_steps_vector(s, row->number, items[i].number, items[i].revision, v, &stored, e);
        *made += ok && stored;
    }
    pending_free(items, n);
    return ok;
}

bool generation_steps_switch(struct store *s, int64_t generation, int64_t *missing, struct err *e)
{
    return about(s, WRITE_GENERATION_SWITCH, generation, missing, e);
}

bool generation_steps_complete(struct store *s, const struct generation_row *row, struct err *e)
{
    size_t made;
    int64_t missing;
    return generation_steps_load(s, row, e) && generation_steps_embed(s, row, 10000, &made, e) &&
           generation_steps_switch(s, row->number, &missing, e);
}

bool generation_steps_sweep(struct store *s, int64_t generation, struct err *e)
{
    int64_t left;
    do
        if (!about(s, WRITE_GENERATION_SWEEP, generation, &left, e))
            return false;
    while (left > 0);
    return true;
}

bool generation_steps_put(struct store *s, const char *id, unsigned content, struct err *e)
{
    struct stores_put p;
    char label[16];
    snprintf(label, sizeof label, "%u", content);
    stores_fill(&p, s, &(struct stores_image){.id = id, .label = label, .content = content});
    stores_vector(generation_steps_number(p.write.image.put.generation, content), p.vector);
    bool ok = store_write(s, &p.write, e);
    stores_put_clear(&p);
    return ok;
}

bool generation_steps_finds(struct store *s, unsigned content, const char *id)
{
    float q[STORES_DIMENSIONS];
    struct hits hits = {0};
    struct view *v = store_view(s, "default", 0, NULL);
    if (v)
        stores_vector(generation_steps_number(view_generation(v), content), q);
    bool ok = v && view_search(v, &(struct search){.vector = q, .limit = 1, .exact = true}, &hits, NULL) &&
              hits.n == 1 && strcmp(hits.items[0].id, id) == 0 && fabsf(hits.items[0].score - 1) < 1e-4f;
    hits_clear(&hits);
    view_release(v);
    return ok;
}
