/* file.h - files that survive a crash.
 *
 * file_replace() is the one way to write a file that matters: temporary file beside it, write, fsync,
 * rename, fsync of the folder.  After a crash there is the old content or the new, never a mixture.
 */
#ifndef ANCHORD_BASE_FILE_H
#define ANCHORD_BASE_FILE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* DIR/NAME in `out`, which is given back; the name is printed as the format says.  Where that does not fit, `out` becomes a path
 * that the system never opens or makes (ENOTDIR). */
const char *path_join(char out[PATH_MAX], const char *dir, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Reads a whole regular file of at most `max` bytes.  *out is the caller's to free and is followed by a
 * zero byte that *len does not count.  ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_IO. */
MUST_CHECK bool file_read(const char *path, size_t max, void **out, size_t *len, struct err *e);

/* Reads `len` bytes from where `offset` says.  ERR_IO, also when the file is shorter. */
MUST_CHECK bool file_read_at(int fd, uint64_t offset, void *out, size_t len, struct err *e);

/* Writes `len` bytes to `path` durably, mode 0600.  On failure the old content is still there and no
 * temporary file is left. */
MUST_CHECK bool file_replace(const char *path, const void *data, size_t len, struct err *e);

/* The same for content that does not lie in one place: the pieces are written one after the other. */
struct file_piece {
    const void *data;
    size_t len;
};
MUST_CHECK bool file_replace_pieces(const char *path, const struct file_piece *pieces, size_t n, struct err *e);

/* Writes all bytes to a descriptor; short writes and EINTR are handled. */
MUST_CHECK bool file_write_all(int fd, const void *data, size_t len, struct err *e);

/* Writes the bytes of a file over themselves and syncs them; one that is not there is fine.  It is for a file whose
 * last sync may have failed.  The kernel then calls its pages clean and shows them; only bytes that are written again
 * get to the disk.  Whatever happens meanwhile, each byte is the one that was read. */
MUST_CHECK bool file_renew(const char *path, struct err *e);

/* As rename(), but `from` is gone afterwards in any case.  Where both are links to one file, rename() does nothing and
 * says 0.  A loss of power in the middle of a rename leaves such links.  False with errno. */
MUST_CHECK bool file_rename(const char *from, const char *to);

MUST_CHECK bool file_sync_dir(const char *path, struct err *e);
/* Syncs the folder that holds the name of `path`; one that we may not look into is passed over. */
MUST_CHECK bool file_sync_parent(const char *path, struct err *e);
/* Whether a name is one of file_replace()'s while it writes: "name.ending.AbCdEf", six letters or digits. */
bool file_is_temporary(const char *name);
/* Makes a folder (mode 0700) and its parents, and syncs the names that are new; one that is there already is fine. */
MUST_CHECK bool file_make_dirs(const char *path, struct err *e);

/* Removes a file, or a folder with all that is in it, as far as it goes. */
void file_remove_tree(const char *path);

/* Takes the exclusive lock on DIR/lock.  ERR_BUSY when another process holds it.  Gives the descriptor;
 * closing it (or dying) releases the lock.  -1 on failure. */
MUST_CHECK int file_lock_dir(const char *dir, struct err *e);

/* Bytes free for us on the file system of `path`. */
MUST_CHECK bool file_free_space(const char *path, uint64_t *bytes, struct err *e);

#endif
