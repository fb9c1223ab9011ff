/* import.h - a folder of pictures into a collection.
 *
 * A file's image follows from the file's path alone.  It is the one with the path's id (import_name.h), or one to which
 * version 0.1.0 gave an id of its own.  Such a one is told by its content and then by the path in its metadata.  An
 * image that is not this file's is never touched: the file is refused.
 *
 * A picture with the same content is left alone, but for a label or a path that it lacks.  With another content it is
 * put again.  Label and metadata that it has stay.  One whose stored file is damaged is put again, which heals it.  A
 * file that is no JPEG, PNG or WebP is named with its kind and passed over.  A picture that is refused is named and
 * counted.  The import goes on after that, and stops at what would befall every file (no such collection, no right, no
 * server, a full disk).
 */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_H

#include "server/commands/import_list.h"
#include "server/commands/import_target.h"

enum { IMPORT_KINDS_MAX = 32 };

struct import_counts {
    size_t added, replaced, labelled, unchanged, refused, skipped;
    size_t recognised; /* of the unchanged and replaced: images of version 0.1.0 that got their path */
    struct import_kind_count {
        const char *kind; /* static */
        size_t n;
    } kinds[IMPORT_KINDS_MAX]; /* of what was skipped; NULL ends it */
};

struct import_options {
    const char *collection;
    const char *dir;  /* where the list was made */
    size_t max_bytes; /* a larger file is named and not read */
    bool quiet;       /* what is skipped is counted and not named */
};

/* Imports with as many threads as the target likes.  On failure `out` tells how far it came. */
MUST_CHECK bool import_run(struct import_target *t, const struct import_options *o, const struct import_list *list,
                           struct import_counts *out, struct err *e);

#endif
