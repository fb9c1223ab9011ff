/* damage.h - what a disk does to a file, done on purpose.  Fails the test when it cannot. */
#ifndef ANCHORD_TESTS_LIB_DAMAGE_H
#define ANCHORD_TESTS_LIB_DAMAGE_H

#include <stddef.h>

/* Flips the lowest bit of the byte at this place. */
void damage_bit(const char *path, size_t at);

/* The one regular file below this folder whose name is a SHA-256 in digits: a data folder with one picture. */
void damage_find_blob(const char *dir, char out[400]);
/* Whether a file's content has the hash that its name says. */
int damage_blob_is_whole(const char *path);

#endif
