/* powercut.h - takes back what a killed process had written and not synced (tests/faults/journal.h).
 *
 * There are two ways.  With `rng` NULL nothing survives that was not synced, the worst that an honest disk may do.
 * With `rng` each file and each folder keeps a random beginning of its unsynced changes, as when the kernel was about
 * to write them back.  Bytes that a failed sync should have covered stay lost whatever is synced later, unless they are
 * written again.
 */
#ifndef ANCHORD_TESTS_LIB_POWERCUT_H
#define ANCHORD_TESTS_LIB_POWERCUT_H

#include <stddef.h>

#include "base/err.h"
#include "base/rng.h"

struct powercut {
    size_t records;    /* changes and syncs that the journal has */
    size_t data_lost;  /* writes taken back */
    size_t names_lost; /* created, renamed and removed names taken back */
};

/* Call it when the process is dead.  Empties the journal folder; `rng` may be NULL. */
MUST_CHECK bool powercut_apply(const char *folder, struct rng *rng, struct powercut *out, struct err *e);

/* Takes a record off that a process was killed in the middle of, so that the next one's begin where records do. */
void powercut_trim(const char *folder);

#endif
