/* seen.h - the table of what was sent, what should come back, and what came back.
 *
 * Each row is printed; when $SEEN names a file, it is also appended there as a row of a Markdown table, from which
 * `make torture` makes docs/bad-input.md.
 */
#ifndef ANCHORD_TESTS_SEEN_H
#define ANCHORD_TESTS_SEEN_H

#include <stdbool.h>

#include "base/err.h"

/* Begins a table under that heading. */
void seen_section(const char *heading);
/* One row; `good` tells whether what was seen is what was expected. */
void seen(bool good, const char *sent, const char *expected, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Rows so far that were not good. */
int seen_bad(void);

#endif
