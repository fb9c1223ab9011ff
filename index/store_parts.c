/* store_parts.c - what every part of a store needs: where its files lie, whether there is room, whether it still writes. */
#include "index/store_parts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

bool store_is_writable(struct store *s)
{
    return !atomic_load(&s->degraded);
}

bool store_has_room(struct store *s, uint64_t bytes, struct err *e)
{
    uint64_t spare = reserve_spare(s->reserve);
    return (spare > 0 && bytes <= spare) || err_set(e, ERR_FULL, "the disk is nearly full");
}

bool store_make_room(struct store *s)
{
    return reserve_release(s->reserve);
}

void store_degrade(struct store *s, const struct err *why)
{
    if (!atomic_exchange(&s->degraded, true))
        log_error("store_degraded", "%s", why->text);
}

struct vindex *store_make_index(struct store *s, const struct collection_row *row, struct err *e)
{
    char path[PATH_MAX];
    path_join(path, s->dir, "segments/%lld", (long long)row->generation);
    return vindex_new(&(struct vindex_options){.dimensions = row->dimensions,
                                               .kind = row->index,
                                               .generation = row->generation,
                                               .cache_dir = path,
                                               .hnsw_from = s->options.hnsw_from,
                                               .seal_at = s->options.seal_at,
                                               .background = s->options.background},
                      e);
}

void store_remove_segments(struct store *s, int64_t generation)
{
    char path[PATH_MAX];
    file_remove_tree(path_join(path, s->dir, "segments/%lld", (long long)generation));
}

bool store_check_model(struct store *s, const struct model_row *row, const char *path, struct err *e)
{
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "the file of the model %s is missing", row->id);
    return !s->options.check_model || s->options.check_model(path, row->fingerprint, e) ||
           err_wrap(e, "the model %s", row->id);
}

void store_model_path(const struct store *s, const char *id, char *out, size_t size)
{
    snprintf(out, size, "%s/models/%s.safetensors", s->dir, id);
}

void store_model_draft(struct store *s, char *out, size_t size)
{
    uint64_t random;
    hash_random(&random, sizeof random);
    snprintf(out, size, "%s/models/draft-%016llx.tmp", s->dir, (unsigned long long)random);
}
