/* writer.h - the one thread that changes what is stored.
 *
 * It takes all that waits (up to a limit) as one group, in one transaction.  It writes and syncs each image file, syncs
 * each touched folder once, and commits once.  Then the indexes follow, files that no image names any more are removed,
 * and the writes are done.  A write that is refused (a conflict, a precondition) does not hurt the others of its group,
 * and each sees those before it.
 *
 * When a group meets a full disk, its writes are tried again one by one.  For those that free room the reserve is given
 * up (reserve.h).  When it meets any other failure of the disk, the store is degraded.
 *
 * The upkeep of the catalogue (its checkpoints) happens here and nowhere else.  SQLite before 3.51.3 may damage the
 * file when one connection commits while another copies the log.
 */
#ifndef ANCHORD_INDEX_WRITER_H
#define ANCHORD_INDEX_WRITER_H

#include "index/store_parts.h"

struct writer *writer_start(struct store *s, size_t capacity, struct err *e); /* NULL on failure */
void writer_stop(struct writer *w); /* finishes what is queued; NULL is fine */

/* As store_submit(). */
MUST_CHECK bool writer_submit(struct writer *w, struct write *const *writes, size_t n, struct err *e);
size_t writer_waiting(struct writer *w);

#endif
