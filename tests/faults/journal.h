/* journal.h - what the preloaded library notes down, so that a loss of power can be played after a kill.
 *
 * A killed process leaves everything that it wrote in the page cache; a machine that loses power keeps only what was
 * synced.  So each change below the watched folder is noted together with what it replaced, and each sync together with
 * what it covers.  After the kill powercut.h takes back what no sync covers.
 *
 * The journal folder is on the same file system as the watched one.  Its file `journal` has records one after the
 * other, each followed by `len` bytes of old content or by paths.  A hard link `f<inode>` to every file that was
 * touched serves to bring the file back under its name.
 */
#ifndef ANCHORD_TESTS_JOURNAL_H
#define ANCHORD_TESTS_JOURNAL_H

#include <stdint.h>

enum journal_kind {
    JOURNAL_DATA = 1,    /* bytes [offset, end) of `file` are about to be replaced, or (end is UINT64_MAX) cut off.
                          * It had `old_size` bytes; the first `len` of them follow */
    JOURNAL_SYNC,        /* records before `upto` that concern `file` are on stable storage */
    JOURNAL_SYNC_FAILED, /* those of them that no sync has covered before never will be.  The kernel calls their pages
                          * clean and goes on showing them, and no later sync writes them */
    JOURNAL_NAME,        /* the path that follows is about to mean inode `file` (0: nothing) instead of `before` */
    JOURNAL_RENAME,   /* two paths follow, each with its zero: `file` moves from one to the other, replacing `before` */
    JOURNAL_SYNC_DIR, /* records before `upto` that concern names in the folder that follows are on stable storage */
};

struct journal_record {
    uint32_t kind, len;
    uint64_t file, before;
    uint64_t offset, end, old_size;
    uint64_t upto; /* counted in records from the beginning of the journal */
};

#endif
