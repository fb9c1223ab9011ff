/* thumbnails.c - previews in a cache of files. */
#include "index/thumbnails.h"

#include <stdio.h>

#include "base/file.h"
#include "index/store_parts.h"

enum { NAME = HASH_HEX + 16 };

static void name_of(const char *sha256, int64_t side, char out[NAME])
{
    snprintf(out, NAME, "%s-%d.jpg", sha256, (int)side);
}

bool store_thumbnail(struct store *s, const char *sha256, int64_t side, void **out, size_t *len)
{
    char name[NAME];
    name_of(sha256, side, name);
    return file_cache_get(s->thumbnails, name, out, len);
}

void store_keep_thumbnail(struct store *s, const char *sha256, int64_t side, const void *jpeg, size_t len)
{
    char name[NAME];
    name_of(sha256, side, name);
    if (store_has_room(s, len, NULL))
        file_cache_put(s->thumbnails, name, jpeg, len);
}
