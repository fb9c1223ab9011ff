/* import_list.h - the files below a folder, with the id and the label that each gets in a collection.
 *
 *     cat/1.jpg       -> id "cat.1", label "cat"
 *     cat/old/1.jpg   -> id "cat.old.1", label "cat"
 *     1.jpg           -> id "1", no label
 *
 * What an id may not hold becomes '_'.  Where two files would get one id (1.jpg and 1.png), all but the first in
 * the order of the paths get "-" and 8 digits of the SHA-256 of their path: the same at every import, whatever
 * the files hold by then.  Hidden files and folders are left out; links to folders are not followed.
 */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_LIST_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "index/store.h"

struct import_file {
    char *path;           /* below the folder: "cat/1.jpg"; owned */
    char id[ID_MAX + 1];
    size_t label_len;     /* the label is the first bytes of the path; 0: none */
    uint64_t bytes;
};

struct import_list {
    struct import_file *files; /* sorted by path; owned */
    size_t n;
};

/* ERR_NOT_FOUND, ERR_IO; a folder that cannot be read is an error, so that nothing is left out in silence. */
MUST_CHECK bool import_list_make(const char *dir, struct import_list *out, struct err *e);
void import_list_clear(struct import_list *l);

#endif
