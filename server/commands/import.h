/* import.h - a folder of pictures into a collection.
 *
 * Each picture is looked up first: with the same content and label it is left alone, with the same content its
 * label is corrected, else it is put, and the metadata that it has stays.  One whose stored file is damaged is put
 * again, which heals it.  What is no picture by content nor by
 * name is passed over; a picture that is refused is named on standard error and counted.  The import goes on after
 * that, and stops at what would befall every file (no such collection, no right, no server, a full disk).
 */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_H

#include "server/commands/import_list.h"
#include "server/commands/import_target.h"

struct import_counts {
    size_t added, replaced, labelled, unchanged, refused, passed_over;
};

struct import_options {
    const char *collection;
    const char *dir;   /* where the list was made */
    size_t max_bytes;  /* a larger file is named and not read */
};

/* Imports with as many threads as the target likes.  On failure `out` tells how far it came. */
MUST_CHECK bool import_run(struct import_target *t, const struct import_options *o, const struct import_list *list,
                           struct import_counts *out, struct err *e);

#endif
