/* small_disk.h - a disk with so many bytes and inodes left, played in front of the C library's calls.
 *
 * A program that names one of these functions has all its file calls pass through it, SQLite's included.  Growth of a
 * file below the folder takes bytes, a new name takes an inode, and both come back when they go.  A call that finds too
 * little fails with ENOSPC, a write after what still fits.
 */
#ifndef ANCHORD_TESTS_LIB_SMALL_DISK_H
#define ANCHORD_TESTS_LIB_SMALL_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum { SMALL_DISK_PLENTY = 1 << 30 };

/* So much is left from now on, below `dir` (borrowed). */
void small_disk_set(const char *dir, int64_t bytes, int64_t inodes);
void small_disk_off(void);
/* Whether each write fails with EIO. */
void small_disk_break(bool broken);

#endif
