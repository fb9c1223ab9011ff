/* flags.h - the flags that belong to one command, beside the settings that all of them know (conf.h).
 *
 *     const char *label = NULL;
 *     bool force = false;
 *     const struct flag flags[] = {{.name = "label", .text = &label}, {.name = "force", .on = &force}};
 *     flags_take(&argc, argv, flags, COUNT(flags), e)     what is left in argv are the operands
 *
 * `--name VALUE` and `--name=VALUE` are the same; after `--` everything is an operand.
 */
#ifndef ANCHORD_SERVER_COMMANDS_FLAGS_H
#define ANCHORD_SERVER_COMMANDS_FLAGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct flag {
    const char *name;  /* without the dashes */
    const char **text; /* gets the value, borrowed from argv ... */
    bool *on;          /* ... or becomes true; one of the two is set */
};

/* Takes the flags out of argv[0..*argc).  ERR_BAD_INPUT for unknown flags and missing values. */
MUST_CHECK bool flags_take(int *argc, char **argv, const struct flag *flags, size_t n, struct err *e);

/* A whole number from a flag's value; NULL leaves *out alone.  ERR_BAD_INPUT names the flag. */
MUST_CHECK bool flag_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out,
                            struct err *e);

/* The same for a real number. */
MUST_CHECK bool flag_real(const char *name, const char *text, double min, double max, double *out, struct err *e);

#endif
