/* reserve.h - room on a full disk for what makes room: deletes, key revocations, sweeps.
 *
 * A catalogue must grow a little even to forget something.  So a file of 16 MB, the ballast, is held while there is
 * room.  It is given up, with its inode, when such a write finds none.  Until it is held again nothing that grows is
 * stored: else the room that it left would be filled like any other.  The files of orphans.h go before it.
 *
 * Any thread.
 */
#ifndef ANCHORD_INDEX_RESERVE_H
#define ANCHORD_INDEX_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

enum { RESERVE_BYTES = 16 << 20 };

struct reserve;

/* Whether the ballast is there is told by its size: a crash may have left a smaller one.  Takes nothing yet. */
struct reserve *reserve_open(const char *dir, uint64_t min_free);
void reserve_close(struct reserve *r); /* the file stays; NULL is fine */

/* Bytes that may be stored: what is free beyond `min_free`; 0 while the ballast is given up.  Takes it back first when
 * there is room for both. */
uint64_t reserve_spare(struct reserve *r);
/* Gives something up.  False: there was nothing left to give. */
bool reserve_release(struct reserve *r);

#endif
