/* thumbnails.h - small previews of stored images, kept in the data folder as long as there is room.
 *
 * They lie in DIR/thumbnails and take thumbnail_cache_bytes at most (store_options).  They can be made again from the
 * images at any time; they go with the image file that they were made of.
 *
 * Threads: any.
 */
#ifndef ANCHORD_INDEX_THUMBNAILS_H
#define ANCHORD_INDEX_THUMBNAILS_H

#include "index/store.h"

/* The preview of the image file `sha256` whose longer side is `side`; *out is the caller's to free.  False: none. */
bool store_thumbnail(struct store *s, const char *sha256, int64_t side, void **out, size_t *len);
/* Keeps one, unless the disk has no room to spare. */
void store_keep_thumbnail(struct store *s, const char *sha256, int64_t side, const void *jpeg, size_t len);

#endif
