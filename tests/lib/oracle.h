/* oracle.h - reading tests/golden/oracles.json: cases with inputs, settings and what must come out. */
#ifndef ANCHORD_TESTS_LIB_ORACLE_H
#define ANCHORD_TESTS_LIB_ORACLE_H

#include <stddef.h>

#include "base/json.h"

/* Group set-up and tear-down: `oracle_load` parses the file once. */
int oracle_load(void **state);
int oracle_free(void **state);

const struct json *oracle_case(const char *id); /* fails the test when there is none */
const struct json *oracle_input(const char *id, const char *key);
const struct json *oracle_result(const char *id, const char *key); /* from `intermediates` */
double oracle_number(const struct json *object, const char *key);
double oracle_setting(const char *id, const char *key); /* a number from `hyperparameters` */

/* Reads a list, or a list of lists, of numbers into out, row by row.  Gives the number of rows, and in *d the length of
 * a row (1 for a plain list). */
size_t oracle_rows(const struct json *list, float *out, size_t *d);

#endif
