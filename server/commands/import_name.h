/* import_name.h - the id, the label and the note that a file below an imported folder gets.  All depend on its path alone.
 *
 *     cat/my photo.jpg   -> id "cat/my photo.jpg", label "cat", metadata {"path": "cat/my photo.jpg"}
 *     1.jpg              -> id "1.jpg", no label
 *
 * A byte that is not UTF-8 and a control character become "%" and two hexadecimal digits.  Such an id ends in "-" and
 * 16 digits of the SHA-256 of the path.  So does one that is cut because the path is longer than an id.
 */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_NAME_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_NAME_H

#include <stdbool.h>

#include "index/store.h"

/* The path as text: UTF-8 without control characters.  The caller's to free(). */
char *import_text(const char *path);
void import_id(const char *path, char out[IMAGE_ID_MAX + 1]);
/* The first folder in Unicode's form C; NULL for a file beside the folders.  The caller's to free(). */
char *import_label(const char *path);

/* The ids that version 0.1.0 gave: the path without its ending, what was not allowed as '_' and slashes as dots.  There
 * is one with a mark too, where two files would have had the same. */
enum { IMPORT_OLD_IDS = 2 };
void import_old_id(const char *path, int which, char out[ID_MAX + 1]); /* 0: with the mark, 1: without */
/* An import may have given this id to the file at `path`, which is text. */
bool import_may_be(const char *id, const char *path);

#endif
