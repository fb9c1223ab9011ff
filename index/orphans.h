/* orphans.h - image files that no row names, kept for a week before they go.
 *
 *     DIR/orphans/<day>/<sha256>      <day>: days since 1970, when the start found them
 *
 * A crash leaves such files.  So does a catalogue that lost rows, or an older one that somebody put in its place.  Then
 * they are all that is left of the images.  A start that misses a row's file takes it from here.  On a full disk they
 * go before anything is refused.
 */
#ifndef ANCHORD_INDEX_ORPHANS_H
#define ANCHORD_INDEX_ORPHANS_H

#include "base/err.h"

enum { ORPHAN_DAYS = 7 };

/* Moves the file `path` there; where a full disk has no room for a folder, it is removed.  `dir` is the data folder. */
MUST_CHECK bool orphans_keep(const char *dir, const char *path, const char *name, struct err *e);
/* Moves it back to `path`, whose folder is synced.  ERR_NOT_FOUND when it is not there. */
MUST_CHECK bool orphans_return(const char *dir, const char *name, const char *path, struct err *e);
/* Removes those that are older than a week. */
void orphans_expire(const char *dir);
/* Removes all of them.  False: there were none. */
bool orphans_reclaim(const char *dir);

#endif
