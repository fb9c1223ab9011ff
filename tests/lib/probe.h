/* probe.h - sends one piece of bad input, compares what comes back with a pattern, and sees that the server lives on.
 *
 * A pattern names the answers in their order and how the connection ends: "400 close", "200 404", "400/501 close",
 * "4xx", "close" (no answer at all).  A word with "/" takes any of its parts; "4xx" any of 400 to 499; a last word
 * "close?" leaves open whether the server closes.  Without "close" the connection must stay usable.
 *
 * After each probe /healthz must answer 200 within a second.  Every probe is a row of the table (results_table.h).
 */
#ifndef ANCHORD_TESTS_LIB_PROBE_H
#define ANCHORD_TESTS_LIB_PROBE_H

#include "tests/lib/client.h"
#include "tests/lib/process.h"

/* Raw bytes on a connection of their own; 4xx and 5xx must carry the error object.  Everything must be over within
 * t_patience(max_s), and take max_s seconds of a processor at most (0: 1). */
void probe_raw(struct server *s, const char *what, const char *pattern, const void *bytes, size_t len, double max_s);
void probe_text(struct server *s, const char *what, const char *pattern, const char *text);
/* One well-formed request; for a 4xx or 5xx the body must be the error object.  `code` NULL: any. */
void probe_ask(struct server *s, const char *what, const char *pattern, const char *code, const struct ask *q);

/* Does what was seen fit the pattern? */
bool pattern_fits(const char *pattern, const char *what);

#endif
