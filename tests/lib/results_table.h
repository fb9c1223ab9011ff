/* results_table.h - the table of what was sent, what should come back, and what came back.
 *
 * Each row is printed.  When $RESULTS_TABLE names a file, it is also appended there as a row of a Markdown table, from
 * which `make torture` makes docs/bad-input.md.
 */
#ifndef ANCHORD_TESTS_LIB_RESULTS_TABLE_H
#define ANCHORD_TESTS_LIB_RESULTS_TABLE_H

#include <stdbool.h>

#include "base/err.h"

/* Begins a table under that heading. */
void result_section(const char *heading);
/* One row; `good` tells whether what was seen is what was expected. */
void result_row(bool good, const char *sent, const char *expected, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Rows so far that were not good. */
int results_bad(void);

#endif
