/* blob.h - the bytes of images, by the SHA-256 of their content: a folder now, an object store later.
 *
 *     DIR/ab/<sha256>          "ab" are the first two digits; the 256 folders are there from the start
 *     DIR/ab/<sha256>.tmp      being written; left over after a crash and removed at the next start
 *
 * A file is never changed once it has its name, so hard links to it are good copies.
 *
 *     if (blobs_stage(b, sha256, bytes, len, e) && ... && blobs_commit(b, e))
 *         all that was staged survives power loss
 *
 * Staging, committing and removing belong to one thread (the store's writer); reading is for all.
 */
#ifndef ANCHORD_INDEX_BLOB_H
#define ANCHORD_INDEX_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct blobs;

struct blobs *blobs_open(const char *dir, struct err *e); /* makes what is not there; NULL on failure */
void blobs_close(struct blobs *b);                        /* abandons what is staged; NULL is fine */

/* Writes the bytes beside their place without waiting for the disk.  The same hash twice is one file. */
MUST_CHECK bool blobs_stage(struct blobs *b, const char *sha256, const void *bytes, size_t len, struct err *e);
/* The file `from` has under this hash, staged here as a hard link, or as a checked copy where links cannot be. */
MUST_CHECK bool blobs_stage_from(struct blobs *b, const struct blobs *from, const char *sha256, uint64_t *bytes,
                                 struct err *e);
/* Syncs each staged file, gives it its name, and syncs each touched folder once. */
MUST_CHECK bool blobs_commit(struct blobs *b, struct err *e);
size_t blobs_staged(const struct blobs *b);
void blobs_abandon(struct blobs *b, size_t keep); /* forgets all but the first `keep` that are staged */

/* Is there a file with this hash as its name and this size? */
bool blobs_present(const struct blobs *b, const char *sha256, uint64_t len);
/* Does the file under this hash have exactly these bytes?  Reads it; false too when it cannot be read. */
bool blobs_hold(const struct blobs *b, const char *sha256, const void *bytes, size_t len);
/* The same by its hash alone, without memory for it.  ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO. */
MUST_CHECK bool blobs_check(const struct blobs *b, const char *sha256, struct err *e);
/* Checks the content against its hash, without memory for it, and opens it for reading.  The descriptor is the
 * caller's.  -1 on failure: ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO. */
MUST_CHECK int blobs_open_checked(const struct blobs *b, const char *sha256, uint64_t *len, struct err *e);
/* Reads and checks the content against its hash.  *out is the caller's.  ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO. */
MUST_CHECK bool blobs_read(const struct blobs *b, const char *sha256, void **out, size_t *len, struct err *e);
/* DIR/ab/<sha256>, for who moves it; `out` has PATH_MAX bytes. */
void blobs_path(const struct blobs *b, const char *sha256, char *out);
MUST_CHECK bool blobs_remove(struct blobs *b, const char *sha256, struct err *e); /* one that is not there is fine */

/* The hashes in folder 0 to 255, ascending; removes what a crash left half-written.  *out is for free(). */
MUST_CHECK bool blobs_list(struct blobs *b, unsigned folder, char (**out)[HASH_HEX], size_t *n, struct err *e);

bool blob_name_is_valid(const char *sha256); /* 64 lower-case hexadecimal digits */

#endif
