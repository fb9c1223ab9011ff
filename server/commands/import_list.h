/* import_list.h - the files below a folder, with what import_name.h gives them.
 *
 * Hidden files and folders are left out.  A link to a file is a file.  A link to a folder is followed, after all true
 * folders, unless its folder is taken already.  Each folder is taken once, so links may go in circles.
 */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_LIST_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_LIST_H

#include <stddef.h>

#include "base/err.h"
#include "index/store.h"

struct import_file {
    char *path;  /* below the folder, as the file system has it: "cat/1.jpg"; owned */
    char *text;  /* the same as text; owned */
    char *label; /* NULL: none; owned */
    char id[IMAGE_ID_MAX + 1];
};

struct import_skipped { /* what is no file */
    char *path;         /* owned */
    const char *kind;   /* "link to nothing"; static */
};

struct import_list {
    struct import_file *files;      /* sorted by path; owned */
    struct import_skipped *skipped; /* owned */
    size_t n, n_skipped;
};

/* ERR_NOT_FOUND, ERR_IO; a folder that cannot be read is an error, so that nothing is left out in silence. */
MUST_CHECK bool import_list_make(const char *dir, struct import_list *out, struct err *e);
void import_list_clear(struct import_list *l);

#endif
