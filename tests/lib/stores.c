/* stores.c - see stores.h. */
#include "tests/lib/stores.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"

struct store *stores_open(const char *dir, struct err *e)
{
    return store_open(&(struct store_options){.dir = dir, .min_free_bytes = 1 << 20, .keep_generations = 1}, e);
}

static bool add_model(struct store *s, const char *id, struct err *e)
{
    struct write w = {.kind = WRITE_MODEL_ADD, .model.row = {.arch = "resnet18", .dimensions = STORES_DIMENSIONS}};
    char path[4096];
    snprintf(w.model.row.id, sizeof w.model.row.id, "%s", id);
    hash_text(id, strlen(id), w.model.row.fingerprint);
    store_model_path(s, id, path, sizeof path);
    bool ok = file_replace(path, id, strlen(id), e) && store_write(s, &w, e);
    model_row_clear(&w.model.row);
    return ok;
}

bool stores_create(struct store *s, const char *collection, struct err *e)
{
    if (!add_model(s, "anchord-base", e))
        return false;
    struct write w = {
        .kind = WRITE_COLLECTION_CREATE,
        .new_collection = {.model = "anchord-base", .precision = "fp32", .dimensions = STORES_DIMENSIONS}};
    snprintf(w.new_collection.name, sizeof w.new_collection.name, "%s", collection);
    hash_text(w.new_collection.model, strlen(w.new_collection.model), w.new_collection.fingerprint);
    return store_write(s, &w, e);
}

void stores_vector(unsigned number, float out[STORES_DIMENSIONS])
{
    struct rng r = rng_for(7, number, 0);
    double sum = 0;
    for (size_t i = 0; i < STORES_DIMENSIONS; i++) {
        out[i] = (float)rng_normal(&r);
        sum += (double)out[i] * (double)out[i];
    }
    for (size_t i = 0; i < STORES_DIMENSIONS; i++)
        out[i] = (float)((double)out[i] / sqrt(sum));
}

void stores_fill(struct stores_put *p, struct store *s, const struct stores_image *image)
{
    struct collection_row c = {0};
    size_t len = image->bytes ? image->bytes : 300 + image->content % 100;
    struct rng r = rng_for(11, image->content, 0);
    const char *collection = image->collection ? image->collection : "default";
    *p = (struct stores_put){.bytes = mem_new(len, 1)};
    for (size_t i = 0; i < len; i++)
        p->bytes[i] = (unsigned char)rng_next(&r);
    stores_vector(image->content, p->vector);
    if (!store_collection(s, collection, &c, NULL))
        c.generation = 0;
    p->write = (struct write){.kind = WRITE_IMAGE_PUT, .collection = collection, .image.pre = image->pre};
    p->write.image.put = (struct image_put){.id = image->id,
                                            .bytes = p->bytes,
                                            .len = len,
                                            .media_type = "image/jpeg",
                                            .width = 8,
                                            .height = 6,
                                            .label = image->label,
                                            .metadata = image->metadata,
                                            .vector = p->vector,
                                            .generation = c.generation};
    hash_text(p->bytes, len, p->write.image.put.sha256);
}

void stores_put_clear(struct stores_put *p)
{
    write_clear(&p->write);
    free(p->bytes);
}

bool stores_put(struct store *s, const struct stores_image *image, struct image_row *out, struct err *e)
{
    struct stores_put p;
    stores_fill(&p, s, image);
    bool ok = store_write(s, &p.write, e);
    if (ok && out) {
        *out = p.write.image.row;
        p.write.image.row = (struct image_row){0}; /* now the caller's */
    }
    stores_put_clear(&p);
    return ok;
}

bool stores_delete(struct store *s, const char *id, struct err *e)
{
    struct write w = {.kind = WRITE_IMAGE_DELETE, .collection = "default", .image.id = id};
    return store_write(s, &w, e);
}

bool stores_finds(struct store *s, unsigned content, const char *id)
{
    float q[STORES_DIMENSIONS];
    struct hits hits = {0};
    stores_vector(content, q);
    struct view *v = store_view(s, "default", 0, NULL);
    bool ok = v && view_search(v, &(struct search){.vector = q, .limit = 1, .exact = true}, &hits, NULL) &&
              hits.n == 1 && strcmp(hits.items[0].id, id) == 0 && fabsf(hits.items[0].score - 1) < 1e-4f;
    hits_clear(&hits);
    view_release(v);
    return ok;
}

static size_t files;

static int count_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path;
    (void)st;
    (void)at;
    files += kind == FTW_F;
    return 0;
}

size_t stores_count_files(const char *dir)
{
    char path[512];
    snprintf(path, sizeof path, "%s/blobs", dir);
    files = 0;
    nftw(path, count_one, 16, FTW_PHYS);
    return files;
}

static bool check_row(struct store *s, struct view *v, const struct image_row *row, struct err *e)
{
    void *bytes;
    size_t len;
    float vector[STORES_DIMENSIONS];
    if (!store_content(s, row, &bytes, &len, e))
        return false;
    free(bytes);
    if ((int64_t)len != row->bytes)
        return err_set(e, ERR_CORRUPT, "%s has %zu bytes", row->id, len);
    return view_vector(v, row->id, vector, e);
}

bool stores_check(struct store *s, const char *dir, struct err *e)
{
    struct image_row *rows;
    size_t n;
    bool more, ok = true;
    struct collection_row c;
    struct view *v = store_view(s, "default", 0, e);
    if (!v || !store_images(s, "default", &(struct image_page){.limit = 1000}, &rows, &n, &more, e)) {
        view_release(v);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        ok = ok && check_row(s, v, &rows[i], e);
        image_row_clear(&rows[i]);
    }
    free(rows);
    if (ok && (!store_collection(s, "default", &c, e) || c.images != (int64_t)n || view_images(v) != n))
        ok = err_set(e, ERR_CORRUPT, "%zu rows, %lld counted, %zu found", n, (long long)c.images, view_images(v));
    view_release(v);
    size_t stored = dir ? stores_count_files(dir) : 0;
    return ok && (stored <= n || err_set(e, ERR_CORRUPT, "%zu files for %zu images", stored, n));
}
