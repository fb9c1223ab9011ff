/* import_progress.h - how far an import is: a bar on a terminal, a plain line now and then elsewhere.
 *
 * Everything goes to standard error.  Threads: the caller serialises all calls.
 */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_PROGRESS_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct import_progress {
    size_t total;
    double started, shown; /* clock_s() */
    bool terminal;
};

struct import_progress import_progress_start(size_t total);
/* After each file; shows at most ten times a second on a terminal, every ten seconds elsewhere. */
void import_progress_show(struct import_progress *p, size_t done);
/* Prints a line of its own, such as the name of a refused file, without tearing the bar; control
 * characters in it are replaced. */
void import_progress_say(struct import_progress *p, char *line);
void import_progress_end(struct import_progress *p);

#endif
