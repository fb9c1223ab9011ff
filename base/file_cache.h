/* file_cache.h - a folder of files that can be made again, of bounded size.
 *
 * A name begins with two or more characters of a hash, which spread the files over 256 folders.  Each folder has a
 * 256th of the bytes; the least recently used file goes first.  Nothing is kept in memory, nothing is synced.  A file
 * that a power cut has torn does not pass its checksum and counts as absent.
 *
 * Threads: any.
 */
#ifndef ANCHORD_BASE_FILE_CACHE_H
#define ANCHORD_BASE_FILE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_cache;
/* `max_bytes` 0: nothing is ever kept; files that lie there go as they are met. */
struct file_cache *file_cache_new(const char *dir, uint64_t max_bytes);
void file_cache_free(struct file_cache *c); /* NULL is fine; the files stay */

/* Names are "<hash><anything>", at most 100 characters, without a slash.  *out is the caller's to free.  False: it is
 * not there, or damaged. */
bool file_cache_get(struct file_cache *c, const char *name, void **out, size_t *len);
/* Keeps a copy, if there is room on the disk and in the cache: a failure is no matter. */
void file_cache_put(struct file_cache *c, const char *name, const void *data, size_t len);
/* Removes all whose names begin so; `hash` has two characters at least. */
void file_cache_forget(struct file_cache *c, const char *hash);

#endif
